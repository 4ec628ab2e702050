//! Starts real servers for the tests: a Kafka broker of this test binary's own, and the Java tools that look at it.
//!
//! Everything runs on 127.0.0.1, in a temporary directory, on free ports, and ends with the test process whatever
//! ends that: see [`Leash`]. Nothing here knows a Kafka client library or a word of the project's domain.
//!
//! These functions panic when a server cannot be had: a test that needs one has then failed, not passed by silence.

use std::io::Write as _;

mod broker;
mod console;
mod dice;
mod disk;
mod jars;
mod leash;
mod proxy;
mod wire;

pub use broker::{Broker, BrokerOptions, SharedBroker, shared_broker, topic_prefix};
pub use console::{ConsoleRecord, ConsoleRun, console_bytes, console_consumer, create_topic};
pub use dice::Dice;
pub use disk::SmallDisk;
pub use jars::{java_tool, kafka_lib};
pub use leash::Leash;
pub use proxy::{
    END_TXN, INIT_PRODUCER_ID, JOIN_GROUP, METADATA, Mischief, PRODUCE, Proxy, Rule, SYNC_GROUP,
    TXN_OFFSET_COMMIT,
};

/// Says in one line what this test could not do, and has it counted: `tests/run` sums up what was not run.
///
/// # Panics
/// When the file that `RIPEN_NOT_RUN` names cannot be written.
pub fn not_run(what: &str, why: &str) {
    let line = format!("not run: {what}: {why}\n");
    print!("{line}");
    let Some(path) = std::env::var_os("RIPEN_NOT_RUN") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the list of what was not run");
}

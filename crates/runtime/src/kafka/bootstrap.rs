//! Tells clients the configured brokers again once they have forgotten all of them.
//!
//! A broker that has only just started answers a request for metadata before it is in its own list of brokers: the
//! answer holds topics and no broker. librdkafka 2.12 then lets go of every broker that it knows, the configured ones
//! too. The last of these to end has the client begin again with those that are configured; but if it ends before the
//! answer is worked off, the answer, taken for a good one, cancels that, and nothing is ever tried again (issue 5301 of
//! confluentinc/librdkafka). The client asks nobody any more and says nothing: a member loses its partitions and
//! never gets any again.

use std::ffi::CString;
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};
use tracing::warn;

use super::native;

/// Well within the time for which a group waits for a member.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The configured brokers, and when it was last looked whether clients know any.
#[derive(Debug)]
pub struct Bootstrap {
    servers: CString,
    looked_at: Instant,
}

impl Bootstrap {
    /// Of clients whose `bootstrap.servers` these are, and that were made just now.
    pub fn new(servers: &str) -> Bootstrap {
        // An address with a zero byte is none: no client was made with it.
        Bootstrap { servers: CString::new(servers).unwrap_or_default(), looked_at: Instant::now() }
    }

    /// Whether it is time for [`Bootstrap::recall`]: every 2 s.
    pub fn is_due(&mut self) -> bool {
        let is_due = self.looked_at.elapsed() >= LOOK_EVERY;
        if is_due {
            self.looked_at = Instant::now();
        }
        is_due
    }

    /// Gives the configured brokers to a client that knows none. One that knows them loses nothing by it.
    pub fn recall<C: ClientContext>(&self, client: &Client<C>) {
        if !native::knows_brokers(client) && native::add_brokers(client, &self.servers) > 0 {
            warn!(target: "kafka", "a client was told that there are no brokers, and asks the configured ones again");
        }
    }
}

//! Where Kafka's jars are, and how its Java tools are run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// Directory of Apache Kafka 4.1.0's jars: `RIPEN_KAFKA_LIB` if set, else `target/kafka-4.1.0/lib` of the workspace,
/// which `tests/kafka-libs` fills when it is empty.
///
/// # Panics
/// When the jars are absent and cannot be resolved.
pub fn kafka_lib() -> &'static Path {
    static LIB: OnceLock<PathBuf> = OnceLock::new();
    LIB.get_or_init(|| match std::env::var_os("RIPEN_KAFKA_LIB") {
        Some(lib) => PathBuf::from(lib),
        None => resolve(),
    })
}

/// Runs one main class of Kafka's jars to its end and returns what it printed; killed after `limit`.
///
/// # Panics
/// When `java` (or `timeout` of coreutils) cannot be started.
pub fn java_tool(main_class: &str, args: &[&str], limit: Duration) -> Output {
    Command::new("timeout")
        .args(["-s", "KILL", &limit.as_secs().max(1).to_string()])
        .args(java_command("256m", "error"))
        .arg(main_class)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("timeout (coreutils) and java start")
}

/// The JVM's part of a command line, for short lives on two cores. Without the second compiler a broker is up after
/// 3.1 instead of 5.4 s of CPU, and a tool done after 1.0 instead of 1.8.
pub(crate) fn java_command(heap: &str, log_level: &str) -> Vec<String> {
    vec![
        "java".to_owned(),
        format!("-Xmx{heap}"),
        "-XX:+UseSerialGC".to_owned(),
        "-XX:TieredStopAtLevel=1".to_owned(),
        format!("-Dorg.slf4j.simpleLogger.defaultLogLevel={log_level}"),
        "-cp".to_owned(),
        format!("{}/*", kafka_lib().display()),
    ]
}

fn resolve() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kafka-libs");
    let run = Command::new(&script).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = run.unwrap_or_else(|e| panic!("{} does not start: {e}", script.display()));
    assert!(output.status.success(), "{} failed: {}", script.display(), output.status);
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

//! The log on stderr. It holds no e-mail, phone, name or lead id: callers log counts, topics and reasons.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging for this process; a second call changes nothing.
pub fn start(log: &Log) {
    // `log.level` has been checked; should it still not parse, levels come from the default of the filter.
    let filter = EnvFilter::try_new(&log.level).unwrap_or_default();
    // A log that nobody reads (a closed stderr) must not end the process: no errors about errors.
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false);
    let _ = match log.format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
}

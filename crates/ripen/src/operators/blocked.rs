//! Why a partition waits, in words that several operators share.

use ripen_records::DecodeError;
use ripen_runtime::{Blocked, Record};

/// What helps against bytes that a newer version wrote.
pub(super) const NEWER_VERSION: &str = "run the version of ripen that wrote it, or a newer one";

/// A service that has no model yet.
pub(super) fn no_model() -> Blocked {
    Blocked {
        reason: "no model has been activated".to_owned(),
        advice: "activate one with `ripen model activate FILE`".to_owned(),
    }
}

/// A record of our own topics in a schema that this version does not know.
pub(super) fn unknown_schema(record: &Record<'_>, error: &DecodeError) -> Blocked {
    Blocked {
        reason: format!("{}[{}] offset {}: {error}", record.topic, record.partition, record.offset),
        advice: NEWER_VERSION.to_owned(),
    }
}

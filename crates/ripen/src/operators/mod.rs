//! The adapters that make operators of the three pure services.
//!
//! Each one reads a record's bytes, calls its crate, and writes what comes out into the worker's outbox. They
//! hold no logic of scoring, mapping or delivery; what a failed record becomes is decided here.

mod blocked;
mod counts;
mod dead_letter;
mod emitter;
mod ingest;
mod models;
mod needed;
mod scorer;
mod trace;
mod transitions;

pub use emitter::EmitterOperator;
pub use ingest::IngestOperator;
pub use models::Models;
pub(crate) use needed::needed_by;
pub use scorer::{BetweenLeads, ScorerOperator};
pub use trace::Traced;
use transitions::Transitions;

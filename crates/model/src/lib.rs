//! The scoring-model language: parse, check, compile.
//!
//! Owns the file format and turns it into a [`Model`] that the scorer and ingest read. It scores nothing,
//! reads no files and no clock: callers hand it text.
//!
//! The way of a file: `yaml` makes a tree with places, `shape` checks it against `language`, `compile` resolves
//! names section by section, `predicate` turns expressions into trees over typed atoms, `bounds` checks the size
//! of a lead's state. Every finding on the way is collected and reported at once. `schema` prints `language` for
//! editors. `lint` looks at what is compiled, `tracking` lists what it reads.

mod bounds;
mod compile;
pub mod compiled;
mod duration;
mod evaluate;
pub mod expression;
mod findings;
mod language;
mod lint;
mod names;
pub mod number;
pub mod pages;
mod predicate;
mod schema;
mod shape;
mod tracking;
mod words;
mod yaml;

pub use bounds::{LARGEST_LEAD_BYTES, NARROW_PLACES};
pub use compile::{bundle, compile};
pub use compiled::Model;
pub use duration::parse_duration_ms;
pub use evaluate::compare;
pub use findings::{Finding, ModelErrors};
pub use lint::{Level, LintFinding, lint, lint_sample};
pub use number::{canonical_text, parse_micros, plain_decimal_micros};
pub use schema::schema;
pub use tracking::{Tracked, TrackingPlan, tracking_plan};

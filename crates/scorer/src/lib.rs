//! Evidence, scores, stages and leads: the pure core.
//!
//! Owns what a lead is and how activities and time change it: a [`Shard`] is one partition of leads. It is told
//! everything (records, their log time, the model, the committed bytes) and answers with values: decisions, bytes,
//! reasons. It has no clock, no I/O, no randomness and knows nothing of Kafka.
//!
//! From the bottom up: `power` and `evidence` (decayed counts as integers), `scores` (points, caps), `outlook`
//! (predicates and when they may change), `stages` and `sales` (one evaluation), `deadlines` (when the next one is
//! due), `count` (what counts, and once), `explain` (decisions), `layout` (a lead's bytes), `timers`, `work` (an
//! open transaction), `shard`.

mod calendar;
mod convert;
mod count;
mod deadlines;
mod error;
mod evidence;
mod explain;
mod history;
mod identity;
mod layout;
mod lead;
mod lead_key;
mod merge;
mod meta;
mod moment;
mod outlook;
mod overlay;
mod plan;
mod power;
mod rest;
mod sales;
mod scores;
mod shard;
mod stages;
mod timers;
mod touches;
mod view;
mod visit;
mod work;

pub use error::{FilterReason, Refused, StateError};
pub use identity::Sent;
pub use layout::{OLDEST_STATE_FORMAT, STATE_FORMAT};
pub use lead_key::{Base, KeyHasher, LeadKey};
pub use shard::{Applied, Budget, SEMANTICS, Shard, can_switch};
pub use view::{LeadReader, LeadView};

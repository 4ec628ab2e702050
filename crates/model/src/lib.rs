//! The scoring-model language: parse, check, compile.
//!
//! Owns the file format and turns it into a [`Model`] that the scorer and ingest read. It scores nothing,
//! reads no files and no clock: callers hand it text.

pub mod compiled;
pub mod expression;
pub mod pages;

pub use compiled::Model;

//! Random models and histories from a seed.

#![allow(dead_code, reason = "not every test file uses all of it")]

pub(crate) mod dice;
pub(crate) mod draft;
pub(crate) mod events;

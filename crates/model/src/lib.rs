//! The scoring-model language: parse, check, compile.

//! The `ripen` command.

fn main() {}

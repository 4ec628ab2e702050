//! The loop every service runs: log, operator, transactions, restore.

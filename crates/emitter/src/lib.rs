//! Decision to outward contracts: CloudEvents and profiles.

//! Ripen: real-time lead scoring on Kafka.
//!
//! The root package: command line, configuration, HTTP, and the adapters that make operators of the services.

pub mod activation;
pub mod cli;
pub mod commands;
pub mod config;
pub mod demo;
pub mod explain;
pub mod failure;
pub mod health;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod model_file;
pub mod operators;
pub mod persona;
pub mod pipeline;
pub mod progress;
pub mod score;
mod words;

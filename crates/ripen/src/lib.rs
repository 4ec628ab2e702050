//! Ripen: real-time lead scoring on Kafka.

//! The records that travel between Ripen's services, and their Avro encoding.

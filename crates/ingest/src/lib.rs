//! Raw record to activity: formats, mapping, time, bots, identity.

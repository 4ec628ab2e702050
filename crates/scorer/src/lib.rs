//! Evidence, scores, stages and leads: the pure core.

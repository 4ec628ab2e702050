//! The topics that Ripen writes: names and policies as plain values, so that one place creates and checks them.

/// One day, ms.
const DAY_MS: i64 = 86_400_000;

/// Full names of Ripen's topics, the prefix in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// `ripen.activities.v1`: accepted activities and control records, keyed by lead.
    pub activities: String,
    /// `ripen.leads.v1`: the leads' state, same partition numbers as `activities`.
    pub leads: String,
    /// `ripen.models.v1`: model files by their hash.
    pub models: String,
    /// `ripen.decisions.v1`: every change of a lead, keyed by lead.
    pub decisions: String,
    /// `leads.transitions.v1`: stage changes for the CRM, keyed by lead.
    pub transitions: String,
    /// `leads.profiles.v1`: the newest of each lead, keyed by lead.
    pub profiles: String,
    /// `ripen.dead-letters.v1`: records that could not be used.
    pub dead_letters: String,
}

/// What a topic must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its full name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: Partitions,
    /// `cleanup.policy`
    pub cleanup: Cleanup,
    /// `retention.ms`; `None` leaves the broker's default (a compacted topic has no use for one).
    pub retention_ms: Option<i64>,
    /// `message.timestamp.type`
    pub timestamps: Timestamps,
    /// `max.message.bytes`; `None` leaves the broker's default of about 1 MiB.
    pub max_message_bytes: Option<i32>,
}

/// How many partitions a topic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitions {
    /// The configured number, one and the same for all such topics, frozen: leads live in them by number.
    Keyed,
    /// One: its order is the order of everything in it.
    Single,
}

/// `cleanup.policy`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's own words")]
pub enum Cleanup {
    Delete,
    Compact,
}

impl Cleanup {
    /// The value of `cleanup.policy`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Cleanup::Delete => "delete",
            Cleanup::Compact => "compact",
        }
    }
}

/// `message.timestamp.type`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's own words")]
pub enum Timestamps {
    CreateTime,
    LogAppendTime,
}

impl Timestamps {
    /// The value of `message.timestamp.type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Timestamps::CreateTime => "CreateTime",
            Timestamps::LogAppendTime => "LogAppendTime",
        }
    }
}

impl Topics {
    /// The names with `prefix` in front, which is empty or brings its own separator (`eu.`).
    pub fn with_prefix(prefix: &str) -> Topics {
        let name = |base: &str| format!("{prefix}{base}");
        Topics {
            activities: name("ripen.activities.v1"),
            leads: name("ripen.leads.v1"),
            models: name("ripen.models.v1"),
            decisions: name("ripen.decisions.v1"),
            transitions: name("leads.transitions.v1"),
            profiles: name("leads.profiles.v1"),
            dead_letters: name("ripen.dead-letters.v1"),
        }
    }

    /// What each topic must be like, in the order of a click's path.
    pub fn specs(&self) -> [TopicSpec; 7] {
        let keyed = |name: &str, cleanup, retention_ms| TopicSpec {
            name: name.to_owned(),
            partitions: Partitions::Keyed,
            cleanup,
            retention_ms,
            // Of the activities it is the clock of a partition: one clock for all writers. To the others a host whose
            // clock is ahead could not write otherwise: brokers refuse times more than an hour in the future.
            timestamps: Timestamps::LogAppendTime,
            max_message_bytes: None,
        };
        [
            keyed(&self.activities, Cleanup::Delete, Some(30 * DAY_MS)),
            keyed(&self.leads, Cleanup::Compact, None),
            TopicSpec { partitions: Partitions::Single, ..keyed(&self.models, Cleanup::Compact, None) },
            keyed(&self.decisions, Cleanup::Delete, Some(30 * DAY_MS)),
            keyed(&self.transitions, Cleanup::Delete, Some(30 * DAY_MS)),
            keyed(&self.profiles, Cleanup::Compact, None),
            // Room for the largest record of a source topic with Kafka's default limit, and its headers.
            TopicSpec {
                max_message_bytes: Some(2 << 20),
                ..keyed(&self.dead_letters, Cleanup::Delete, Some(7 * DAY_MS))
            },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_those_of_the_contract() {
        let rows: Vec<String> = Topics::with_prefix("eu.").specs().iter().map(row).collect();
        assert_eq!(
            rows,
            [
                "eu.ripen.activities.v1 Keyed delete 30d LogAppendTime",
                "eu.ripen.leads.v1 Keyed compact - LogAppendTime",
                "eu.ripen.models.v1 Single compact - LogAppendTime",
                "eu.ripen.decisions.v1 Keyed delete 30d LogAppendTime",
                "eu.leads.transitions.v1 Keyed delete 30d LogAppendTime",
                "eu.leads.profiles.v1 Keyed compact - LogAppendTime",
                "eu.ripen.dead-letters.v1 Keyed delete 7d LogAppendTime",
            ]
        );
    }

    /// Kafka warns of metric names that collide when a name has both `.` and `_`.
    #[test]
    fn names_have_dots_or_underscores_not_both() {
        for spec in Topics::with_prefix("").specs() {
            assert!(!spec.name.contains('_'), "{}", spec.name);
        }
    }

    fn row(spec: &TopicSpec) -> String {
        let retention = spec.retention_ms.map_or_else(|| "-".to_owned(), |ms| format!("{}d", ms / DAY_MS));
        let TopicSpec { name, partitions, .. } = spec;
        format!("{name} {partitions:?} {} {retention} {}", spec.cleanup.as_str(), spec.timestamps.as_str())
    }
}

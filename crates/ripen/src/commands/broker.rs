//! From the configuration to clients of Kafka: addresses, names, topics, and whether they are there.

use std::time::{Duration, Instant};

use ripen_records::{Partitions, Topics};
use ripen_runtime::kafka::admin::{self, Finding, TopicSpec};
use ripen_runtime::kafka::{KafkaConfig, KafkaLog, MemberConfig};
use ripen_runtime::{Call, ErrorClass, Log, LogError, TopicPartition};
use tracing::warn;

use super::serve::Service;
use crate::config::Config;
use crate::failure::Failure;

/// How long a command waits for records that are known to be there.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// How to reach the cluster; `role` is shown by the brokers.
pub(super) fn client(role: &str, config: &Config) -> KafkaConfig {
    let properties = config.kafka.properties.iter();
    KafkaConfig {
        bootstrap: config.kafka.bootstrap.clone(),
        client_id: format!("ripen-{role}-{}", config.instance),
        properties: properties.map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
    }
}

/// The consumer group of a service.
pub(super) fn group(service: Service, config: &Config) -> String {
    format!("{}ripen-{}", config.prefix, service.as_str())
}

/// A worker's log: its member of the service's group, its producer.
pub(super) fn member(
    service: Service,
    number: usize,
    inputs: &[String],
    config: &Config,
) -> Result<KafkaLog, LogError> {
    let Config { prefix, instance, .. } = config;
    let group = group(service, config);
    let headerless = match service {
        Service::Scorer => {
            let topics = Topics::with_prefix(prefix);
            vec![topics.activities, topics.leads]
        }
        Service::Ingest | Service::Emitter => Vec::new(),
    };
    let service = service.as_str();
    let identity = MemberConfig {
        group,
        instance: format!("{instance}-{number}"),
        transactional_id: format!("{prefix}{service}-{instance}-{number}"),
        inputs: inputs.to_vec(),
        headerless,
    };
    KafkaLog::connect(&client(&format!("{service}-{number}"), config), &identity)
}

/// The log of a command that only one process at a time may run: reader and producer without a group.
pub(super) fn writer(command: &str, config: &Config) -> Result<KafkaLog, Failure> {
    let id = format!("{}{command}", config.prefix);
    let identity = MemberConfig {
        group: id.clone(),
        instance: id.clone(),
        transactional_id: id,
        ..MemberConfig::default()
    };
    KafkaLog::connect(&client(command, config), &identity).map_err(Failure::new)
}

/// The partitions of a topic.
///
/// # Errors
/// When there is no such topic, or no broker that knows.
pub(super) fn partitions(log: &mut impl Log, topic: &str) -> Result<Vec<TopicPartition>, Failure> {
    let count = log.partition_count(topic).map_err(Failure::new)?.ok_or_else(|| {
        Failure::new(format_args!("topic {topic} does not exist; `ripen topics apply` makes Ripen's own"))
    })?;
    Ok((0..count).map(|partition| TopicPartition::new(topic, partition)).collect())
}

/// Whether the brokers answer and the topics that these services need are as configured.
///
/// # Errors
/// No broker, by its address; else every topic that is missing, has another number of partitions, or a setting under
/// which state or time would be wrong. Other differences are warnings.
pub(super) fn check(services: &[Service], config: &Config) -> Result<(), Failure> {
    let client = client("check", config);
    let topics = Topics::with_prefix(&config.prefix);
    let needed = needed(services, &topics);
    let specs: Vec<TopicSpec> =
        own_specs(config).into_iter().filter(|spec| needed.contains(&spec.name)).collect();
    let findings = admin::check(&client, &specs).map_err(Failure::new)?;
    let mut problems = Vec::new();
    for finding in &findings {
        if let Some(problem) = vital(finding, &topics) {
            problems.push(problem);
        } else if finding.is_warning() {
            warn!("{finding}");
        } else {
            problems.push(finding.to_string());
        }
    }
    if services.contains(&Service::Ingest) {
        for finding in admin::check(&client, &source_specs(config)).map_err(Failure::new)? {
            if let Finding::Missing { topic } = finding {
                problems.push(format!(
                    "source topic {topic} does not exist; correct `sources`, or let `ripen topics apply \
                     --with-sources` make it"
                ));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::Message(problems.join("\n"))) }
}

/// A wrong setting that nothing can work with: a changelog that is deleted loses state and nobody sees it, and
/// activities with their writers' times have no common clock.
fn vital(finding: &Finding, topics: &Topics) -> Option<String> {
    let Finding::Setting { topic, name, expected, .. } = finding else { return None };
    let vital = (topic == &topics.leads && name == "cleanup.policy")
        || (topic == &topics.activities && name == "message.timestamp.type");
    vital.then(|| {
        format!(
            "{finding}; `kafka-configs --alter --entity-type topics --entity-name {topic} --add-config \
             {name}={expected}` sets it"
        )
    })
}

/// Ripen's own topics as the configuration wants them.
pub(super) fn own_specs(config: &Config) -> Vec<TopicSpec> {
    let setting = |name: &str, value: String| (name.to_owned(), value);
    let specs = Topics::with_prefix(&config.prefix).specs();
    specs
        .into_iter()
        .map(|spec| {
            let mut settings = vec![
                setting("cleanup.policy", spec.cleanup.as_str().to_owned()),
                setting("message.timestamp.type", spec.timestamps.as_str().to_owned()),
                setting("min.insync.replicas", config.topics.min_insync_replicas.to_string()),
            ];
            settings.extend(spec.retention_ms.map(|ms| setting("retention.ms", ms.to_string())));
            settings
                .extend(spec.max_message_bytes.map(|bytes| setting("max.message.bytes", bytes.to_string())));
            TopicSpec {
                name: spec.name,
                partitions: match spec.partitions {
                    Partitions::Keyed => config.topics.partitions as i32,
                    Partitions::Single => 1,
                },
                replication: Some(config.topics.replication as i32),
                settings,
            }
        })
        .collect()
}

/// The source topics, for trials: their own number of partitions and policies are nobody's business here.
pub(super) fn source_specs(config: &Config) -> Vec<TopicSpec> {
    let spec = |name: &String| TopicSpec {
        name: name.clone(),
        partitions: config.topics.partitions as i32,
        replication: Some(config.topics.replication as i32),
        settings: Vec::new(),
    };
    config.sources.iter().map(|source| spec(&source.topic)).collect()
}

/// The topics that services read and write.
fn needed(services: &[Service], topics: &Topics) -> Vec<String> {
    let mut names = Vec::new();
    for service in services {
        let Topics { activities, leads, models, decisions, transitions, profiles, dead_letters } = topics;
        names.extend(match service {
            Service::Ingest => vec![activities, models, dead_letters],
            Service::Scorer => vec![activities, leads, models, decisions, dead_letters],
            Service::Emitter => vec![decisions, transitions, profiles, dead_letters],
        });
    }
    names.into_iter().cloned().collect()
}

/// Waits for records, but not for ever.
#[derive(Debug)]
pub(super) struct Patience {
    until: Instant,
}

impl Patience {
    pub(super) fn new() -> Patience {
        Patience { until: Instant::now() + PATIENCE }
    }

    /// Waits a moment.
    ///
    /// # Errors
    /// When it has taken too long.
    pub(super) fn wait(&mut self, log: &mut impl Log) -> Result<(), LogError> {
        if Instant::now() >= self.until {
            return Err(LogError {
                class: ErrorClass::Retriable,
                call: Call::Read,
                place: None,
                message: format!("the brokers gave no records for {} s; try again", PATIENCE.as_secs()),
            });
        }
        log.wait(PAUSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_that_lose_state_or_time_are_vital() {
        let topics = Topics::with_prefix("p.");
        let check = |topic: &str, name: &str, expected: Option<&str>| {
            let (topic, name) = (topic.to_owned(), name.to_owned());
            let finding =
                Finding::Setting { topic, name, expected: "right".to_owned(), found: "wrong".to_owned() };
            let problem = vital(&finding, &topics);
            match expected {
                None => assert_eq!(problem, None),
                Some(part) => assert!(problem.unwrap().contains(part), "{finding}"),
            }
        };
        let (leads, activities) = (topics.leads.as_str(), topics.activities.as_str());
        check(
            leads,
            "cleanup.policy",
            Some("--entity-name p.ripen.leads.v1 --add-config cleanup.policy=right"),
        );
        check(activities, "message.timestamp.type", Some("--add-config message.timestamp.type=right"));
        check(leads, "min.insync.replicas", None);
        check(activities, "retention.ms", None);
        check(&topics.decisions, "cleanup.policy", None);
    }
}

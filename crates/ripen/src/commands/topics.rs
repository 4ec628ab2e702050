//! `ripen topics apply|check`.

use std::io::Write as _;

use ripen_runtime::kafka::admin::{self, Finding, TopicSpec};

use super::broker;
use crate::cli::{TopicsArgs, TopicsCommand};
use crate::config::Config;
use crate::failure::{CommandResult, Ended, Failure};

pub(super) fn run(command: &TopicsCommand, config: &Config) -> CommandResult {
    let client = broker::client("topics", config);
    let (TopicsCommand::Apply(arguments) | TopicsCommand::Check(arguments)) = command;
    let mut specs = specs(arguments, config);
    let mut stdout = std::io::stdout().lock();
    if let TopicsCommand::Apply(_) = command {
        let created = admin::apply(&client, &specs).map_err(Failure::new)?;
        for topic in &created {
            writeln!(stdout, "created topic {topic}").map_err(Failure::stdout)?;
        }
        // A topic that was just made is as it should be, and other brokers may not know of it yet.
        specs.retain(|spec| !created.contains(&spec.name));
    }
    let findings = admin::check(&client, &specs).map_err(Failure::new)?;
    let mut ended = Ended::Good;
    for finding in &findings {
        let level = match finding {
            Finding::Broker { .. } => "warning",
            _ => {
                ended = Ended::Findings;
                "error"
            }
        };
        writeln!(stdout, "{level}: {finding}").map_err(Failure::stdout)?;
    }
    if ended == Ended::Good {
        writeln!(stdout, "topics are as configured").map_err(Failure::stdout)?;
    }
    stdout.flush().map_err(Failure::stdout)?;
    Ok(ended)
}

fn specs(arguments: &TopicsArgs, config: &Config) -> Vec<TopicSpec> {
    let mut specs = broker::own_specs(config);
    if arguments.with_sources {
        specs.extend(broker::source_specs(config));
    }
    specs
}

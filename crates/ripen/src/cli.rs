//! The command line: what can be typed. What it does is in [`commands`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::demo::DemoArguments;
use crate::failure;
use crate::score::ScoreArguments;

/// Real-time lead scoring on Kafka.
#[derive(Debug, Parser)]
#[command(name = "ripen", version, propagate_version = true, max_term_width = 110)]
pub struct CommandLine {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command that reads the configuration.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Configuration (flags over RIPEN_… variables over the file)")]
pub struct ConfigurationArgs {
    /// YAML file [default: ripen.yaml, if there is one].
    #[arg(long, global = true, env = crate::config::FILE_VARIABLE, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one key; lists and maps as YAML. `ripen config reference` lists the keys.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
    /// Short for `--set kafka.bootstrap=…`.
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub bootstrap: Option<String>,
    /// Short for `--set prefix=…`.
    #[arg(long, global = true, value_name = "TEXT")]
    pub prefix: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Score a generated month of a car dealer's site; needs no Kafka and no configuration.
    Demo(DemoArguments),
    /// Score JSON lines of your own; needs no Kafka and no configuration.
    Score(ScoreArguments),
    /// Read clickstream topics, write activities.
    Ingest,
    /// Score activities, write decisions.
    Scorer,
    /// Turn decisions into transitions and profiles.
    Emitter,
    /// Run ingest, scorer and emitter in one process.
    All,
    /// Make Ripen's topics, or look whether they are as they should be.
    Topics {
        /// Which of the two.
        #[command(subcommand)]
        command: TopicsCommand,
    },
    /// Work with scoring models.
    Model {
        /// What to do with it.
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Look at the configuration.
    Config {
        /// How.
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

/// `ripen topics …`
#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// Create the topics that are missing; say what is different about the others.
    Apply(TopicsArgs),
    /// Say what is missing or different; exit code 1 if anything is.
    Check(TopicsArgs),
}

/// Flags of `ripen topics …`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct TopicsArgs {
    /// The source topics of the configuration too, with as many partitions: for trials without trackers.
    #[arg(long)]
    pub with_sources: bool,
}

/// `ripen model …`
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Check a model file and make it the one that scores.
    Activate {
        /// The model file (YAML).
        file: PathBuf,
    },
}

/// `ripen config …`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Check everything; print what holds and where each value comes from, secrets redacted.
    Check,
    /// Print the reference of every key, as Markdown.
    Reference,
}

/// Runs a command line and gives the exit code: 0 good, 1 findings or failure, 2 usage.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command_line = match CommandLine::try_parse_from(arguments) {
        Ok(command_line) => command_line,
        Err(error) => {
            // Help and version are errors to clap, with exit code 0. A reader that has gone does not matter.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    failure::exit_code(&commands::run(command_line))
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::CommandLine::command().debug_assert();
    }
}

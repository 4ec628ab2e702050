//! The command line: what can be typed. What it does is in [`commands`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::config::Start;
use crate::demo::DemoArguments;
use crate::explain::ExplainArguments;
use crate::failure;
use crate::pipeline::SourceFormat;
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
    /// Say in words why a lead changed its stage, or where it stands; needs no Kafka and no configuration.
    Explain(ExplainArguments),
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
    /// Work with single leads.
    Leads {
        /// What to do with them.
        #[command(subcommand)]
        command: LeadsCommand,
    },
    /// Put a service's place in its input elsewhere, while none of its workers runs.
    Reset(ResetArgs),
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
    /// Look whether a model file can be read: its words, types and names.
    Check(ModelArgs),
    /// Look for what is allowed and doubtful all the same; exit code 1 if an error or a warning is found.
    Lint(LintArgs),
    /// Run the model's own tests; exit code 1 if one fails.
    Test(ModelArgs),
    /// Say what has to be tracked for the model: events, fields, pages, and who reads them.
    Show(ModelArgs),
    /// A persona's scores and stages over time, as CSV.
    Curve(CurveArgs),
    /// Print the JSON Schema of model files, for editors.
    Schema,
    /// Check a model file and make it the one that scores.
    Activate {
        /// The model file (YAML).
        file: PathBuf,
    },
}

/// A model file.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// The model file (YAML).
    pub file: PathBuf,
    /// Answer in JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `ripen model lint`.
#[derive(Debug, Clone, Args)]
pub struct LintArgs {
    /// The model file (YAML).
    pub file: PathBuf,
    /// Events as they come in, one JSON record a line: which names never occur, and which the model does not name.
    #[arg(long, value_name = "EVENTS")]
    pub sample: Option<PathBuf>,
    /// The format of the sample.
    #[arg(long, value_name = "FORMAT", default_value = "segment", value_parser = crate::score::format)]
    pub format: SourceFormat,
    /// Answer in JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `ripen model curve`.
#[derive(Debug, Clone, Args)]
pub struct CurveArgs {
    /// The model file (YAML).
    pub file: PathBuf,
    /// The name of the test whose persona it is.
    #[arg(long, value_name = "NAME")]
    pub persona: String,
    /// The time from row to row; rows at events and at changes of stage come besides.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration_ms)]
    pub step: i64,
    /// How long, from the persona's start; by default to the last instant that its test speaks of.
    #[arg(long, value_name = "DURATION", value_parser = duration_ms)]
    pub until: Option<i64>,
    /// Answer in JSON.
    #[arg(long)]
    pub json: bool,
}

/// `ripen leads …`
#[derive(Debug, Subcommand)]
pub enum LeadsCommand {
    /// Erase persons: what is known of them under every id that they have had.
    Forget(ForgetArgs),
}

/// Flags of `ripen leads forget`.
#[derive(Debug, Clone, Args)]
pub struct ForgetArgs {
    /// Ids, `kind:value`; any id of a person will do. Addresses (email:mail@example.com) and phone numbers are hashed
    /// before anything else is done with them. `-` reads ids from standard input, one a line.
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
    /// Keep them away: nothing is accepted under these ids again.
    #[arg(long)]
    pub suppress: bool,
    /// Do it; otherwise only say what would be done.
    #[arg(long)]
    pub yes: bool,
}

/// Flags of `ripen reset`.
#[derive(Debug, Clone, Copy, Args)]
pub struct ResetArgs {
    /// Which service. The scorer's state goes with its offsets: leads are scored again from the oldest activity on.
    pub service: ResetService,
    /// Where ingest or emitter goes on: earliest, latest, or a time like 2026-11-01T00:00:00Z.
    #[arg(long, value_name = "WHERE", value_parser = start)]
    pub to: Option<Start>,
    /// Do it; otherwise only say what would be done.
    #[arg(long)]
    pub yes: bool,
}

/// A service that can be reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResetService {
    /// Offsets in the source topics.
    Ingest,
    /// State and offsets.
    Scorer,
    /// Offsets in the decisions.
    Emitter,
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

fn start(text: &str) -> Result<Start, String> {
    Start::parse(text).ok_or_else(|| Start::EXPECTED.to_owned())
}

fn duration_ms(text: &str) -> Result<i64, String> {
    let ms = ripen_model::parse_duration_ms(text).filter(|ms| *ms > 0);
    ms.ok_or_else(|| "expected a duration such as 30m, 1h or 7d".to_owned())
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

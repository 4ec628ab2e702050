//! What each command does.

mod broker;
mod config;
mod leads;
mod model;
mod reset;
mod serve;
mod topics;

use std::path::{Path, PathBuf};

use self::serve::Service;
use crate::cli::{Command, CommandLine, ConfigurationArgs, LeadsCommand, ModelCommand};
use crate::config::{Config, ConfigErrors, DEFAULT_FILE, Host, Inputs, Settings};
use crate::failure::{CommandResult, Failure, say};
use crate::{demo, explain, logging, score};

/// Runs a command.
///
/// # Errors
/// Why it could not be carried out.
pub fn run(command_line: CommandLine) -> CommandResult {
    let CommandLine { configuration, command } = command_line;
    match command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Ingest => serve::run(&[Service::Ingest], &loaded(&configuration)?),
        Command::Scorer => serve::run(&[Service::Scorer], &loaded(&configuration)?),
        Command::Emitter => serve::run(&[Service::Emitter], &loaded(&configuration)?),
        Command::All => serve::run(&Service::ALL, &loaded(&configuration)?),
        Command::Topics { command } => topics::run(&command, &loaded(&configuration)?),
        Command::Model { command: ModelCommand::Activate { file } } => {
            model::activate(&file, || loaded(&configuration))
        }
        Command::Model { command } => model::run(&command),
        Command::Leads { command: LeadsCommand::Forget(arguments) } => {
            leads::forget(&arguments, || loaded(&configuration))
        }
        Command::Reset(arguments) => reset::run(&arguments, &loaded(&configuration)?),
        Command::Config { command } => config::run(command, &configuration),
    }
}

/// The checked configuration; logging runs from here on.
fn loaded(arguments: &ConfigurationArgs) -> Result<Config, Failure> {
    let settings = settings(arguments)?;
    let config = Config::check(&settings, &Host::this()).map_err(failed)?;
    logging::start(&config.log);
    Ok(config)
}

/// The raw configuration. Doubtful variables are named on stderr.
fn settings(arguments: &ConfigurationArgs) -> Result<Settings, Failure> {
    let file = match &arguments.config {
        Some(path) => Some((path.clone(), read(path)?)),
        None => match std::fs::read_to_string(DEFAULT_FILE) {
            Ok(text) => Some((PathBuf::from(DEFAULT_FILE), text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::read(Path::new(DEFAULT_FILE), &error)),
        },
    };
    // A variable that is not UTF-8 cannot be one of Ripen's.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let inputs = Inputs { file, environment, flags: flags(arguments) };
    let settings = Settings::read(&inputs).map_err(failed)?;
    for (variable, meant) in &settings.doubtful_variables {
        say(format_args!("warning: environment variable {variable} is not read; did you mean {meant}?"));
    }
    Ok(settings)
}

fn flags(arguments: &ConfigurationArgs) -> Vec<(String, String, String)> {
    let short =
        [("--bootstrap", "kafka.bootstrap", &arguments.bootstrap), ("--prefix", "prefix", &arguments.prefix)];
    let set = arguments.set.iter().map(|(key, value)| (format!("--set {key}"), key.clone(), value.clone()));
    set.chain(short.into_iter().filter_map(|(flag, key, value)| {
        value.as_ref().map(|value| (flag.to_owned(), key.to_owned(), value.clone()))
    }))
    .collect()
}

fn failed(errors: ConfigErrors) -> Failure {
    match errors.0.len() {
        1 => Failure::new(errors),
        count => Failure::Message(format!("{count} in the configuration:\n{errors}")),
    }
}

/// The text of a file that the user named.
fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::read(path, &error))
}

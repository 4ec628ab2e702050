//! `ripen config …`: the configuration, looked at.

use std::io::Write as _;

use crate::cli::{ConfigCommand, ConfigurationArgs};
use crate::config::{Config, Host, reference, show};
use crate::failure::{CommandResult, Ended, Failure};

pub(super) fn run(command: ConfigCommand, arguments: &ConfigurationArgs) -> CommandResult {
    let text = match command {
        ConfigCommand::Reference => reference::reference(),
        ConfigCommand::Check => {
            let settings = super::settings(arguments)?;
            let config = Config::check(&settings, &Host::this()).map_err(super::failed)?;
            show::effective(&settings, &config)
        }
    };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::stdout)?;
    Ok(Ended::Good)
}

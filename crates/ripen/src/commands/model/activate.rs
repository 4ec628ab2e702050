//! `ripen model activate FILE`.

use std::io::Write as _;
use std::path::Path;

use ripen_records::Topics;
use ripen_runtime::kafka::wall_clock_ms;

use crate::activation::{self, Activated};
use crate::commands::broker;
use crate::config::Config;
use crate::failure::{CommandResult, Ended, Failure};
use crate::model_file::ModelFile;

pub(in crate::commands) fn activate(
    file: &Path,
    config: impl FnOnce() -> Result<Config, Failure>,
) -> CommandResult {
    let ModelFile { name, text, model } = ModelFile::load(file)?;
    // Before Kafka is asked for: it is no use to wait for a refusal.
    activation::examine(&name, &model, &text).map_err(Failure::new)?;
    let config = config()?;
    let topics = Topics::with_prefix(&config.prefix);
    let mut log = broker::writer("model-activate", &config)?;
    let mut patience = broker::Patience::new();
    let activated = activation::activate(&mut log, &topics, &model, &text, wall_clock_ms(), &mut |log| {
        patience.wait(log)
    });
    let (verb, active) = match activated.map_err(Failure::new)? {
        Activated::Now(active) => ("is active", active),
        Activated::Already(active) => ("is already active", active),
    };
    let (id, version) = (&model.id, model.version);
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "model {id} version {version} {verb}, epoch {}, hash {}", active.epoch, active.hash)
        .and_then(|()| stdout.flush())
        .map_err(Failure::stdout)?;
    Ok(Ended::Good)
}

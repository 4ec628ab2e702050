//! `ripen demo`: a generated month of a car dealer's site through the same code as production, without a broker.
//!
//! Owns the generator of the month (no clock, no randomness but its seed) and what the demo shows of it. It scores
//! nothing itself: records go into the [`Pipeline`], transitions come out. Logical time runs with the data.

mod calendar;
mod delivery;
mod files;
mod prng;
mod screen;
mod segment;
mod session;
mod site;
mod story;
mod tally;
mod traffic;
mod visitor;
mod words;

pub use delivery::Delivered;
pub use traffic::Traffic;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use ripen_model::Model;

use self::files::{CLICKSTREAM, Files};
use self::screen::Screen;
use self::tally::Tally;
use crate::failure::{CommandResult, Ended, Failure};
use crate::model_file::ModelFile;
use crate::pipeline::{self, Pipeline, PipelineOptions, PipelineOutput, Place, SourceFormat, SourceRecord};
use crate::score::RECORDS_PER_DRAIN;

/// The model that the demo scores with, compiled in so that the binary needs no file.
const BUNDLED_MODEL: &str = include_str!("../../../../models/auto-dealer.yaml");
const BUNDLED_MODEL_NAME: &str = "models/auto-dealer.yaml";

/// Flags of `ripen demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArguments {
    /// Visitors of the site in the month, crawlers among them.
    #[arg(long, value_name = "N", default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub leads: u32,
    /// Days of the month.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(i64).range(story::SHORTEST_DAYS..=90))]
    pub days: i64,
    /// The same seed gives the same bytes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Score with this model instead of the bundled car dealer's.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Keep the records, transitions, dead letters and summary in this directory; overwrites them.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Runs the demo. Ends in findings if a person of the story does not end as told.
///
/// # Errors
/// The model does not compile, or something cannot be written.
pub fn run(arguments: &DemoArguments) -> CommandResult {
    let ModelFile { text, model, .. } = match &arguments.model {
        None => ModelFile::compile(BUNDLED_MODEL_NAME.to_owned(), BUNDLED_MODEL.to_owned())?,
        Some(path) => ModelFile::load(path)?,
    };
    let mut pipeline = Pipeline::new(&model, &text, SourceFormat::Segment, &PipelineOptions::default())
        .map_err(Failure::new)?;
    let mut month = Month::new(arguments, &model)?;
    let mut day_ms = calendar::START_MS;
    for (number, delivered) in Traffic::new(arguments.seed, arguments.leads, arguments.days).enumerate() {
        month.record(&delivered.line)?;
        day_ms = delivered.arrival_ms;
        let place = Place { file: CLICKSTREAM, line: number as i64 };
        pipeline.feed(&SourceRecord { key: None, value: &delivered.line, place });
        if (number + 1) % RECORDS_PER_DRAIN == 0 {
            pipeline.drain(&mut |output| month.take(&output)).map_err(Failure::new)?;
            month.checked()?.screen.at(day_ms, number as u64 + 1);
        }
    }
    let ended = pipeline.finish(None, &mut |output| month.take(&output)).map_err(Failure::new)?;
    month.checked()?;
    month.screen.at(day_ms, month.tally.records());
    month.end(arguments, ended)
}

/// Where everything that comes out goes to.
struct Month {
    model: Arc<Model>,
    tally: Tally,
    screen: Screen,
    files: Option<Files>,
    /// The first thing that went wrong while output was taken.
    failure: Option<Failure>,
}

impl Month {
    fn new(arguments: &DemoArguments, model: &Arc<Model>) -> Result<Month, Failure> {
        let mut screen = Screen::new(arguments.days, Arc::clone(model));
        let files = arguments.out.as_deref().map(Files::create).transpose()?;
        screen.title(arguments.seed, arguments.leads)?;
        Ok(Month {
            model: Arc::clone(model),
            tally: Tally::new(model, arguments.model.is_none()),
            screen,
            files,
            failure: None,
        })
    }

    fn record(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.tally.record();
        self.files.as_mut().map_or(Ok(()), |files| files.click(line))
    }

    fn take(&mut self, output: &PipelineOutput<'_>) {
        if self.failure.is_some() {
            return;
        }
        let taken = match output {
            PipelineOutput::Transition(decision, json) => {
                self.tally.transition(decision);
                let kept = self.files.as_mut().map_or(Ok(()), |files| files.transition(json));
                kept.and_then(|()| self.screen.transition(decision, json))
            }
            PipelineOutput::Traced(_) => Ok(()),
            PipelineOutput::Merged { lead, into } => {
                self.tally.merged(lead, into);
                Ok(())
            }
            PipelineOutput::DeadLetter { place, reason, detail } => {
                self.tally.dead_letter(reason);
                let files = self.files.as_mut();
                files.map_or(Ok(()), |files| files.dead_letter(place.line, reason, detail))
            }
            PipelineOutput::Filtered { reason } => {
                self.tally.filtered(reason);
                Ok(())
            }
        };
        self.failure = taken.err();
    }

    fn checked(&mut self) -> Result<&mut Month, Failure> {
        match self.failure.take() {
            None => Ok(self),
            Some(failure) => Err(failure),
        }
    }

    fn end(mut self, arguments: &DemoArguments, ended: pipeline::Summary) -> CommandResult {
        let DemoArguments { seed, days, leads: visitors, .. } = *arguments;
        let summary = self.tally.summary(seed, days, visitors, ended, &self.model);
        if let Some(files) = self.files.take() {
            files.close(&summary)?;
        }
        self.screen.end(&summary, &next_command(arguments))?;
        let astray = summary.story.iter().any(tally::PersonEnd::astray);
        Ok(if astray { Ended::Findings } else { Ended::Good })
    }
}

/// What to try after the demo.
fn next_command(arguments: &DemoArguments) -> String {
    let model = arguments.model.as_ref().map_or(BUNDLED_MODEL_NAME.into(), |path| path.display().to_string());
    match &arguments.out {
        None => format!("ripen score --model {model} --format segment clicks.jsonl"),
        Some(out) => {
            format!("ripen score --model {model} --format segment {}", out.join(CLICKSTREAM).display())
        }
    }
}

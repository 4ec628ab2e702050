//! `ripen score`: JSON lines of your own through the same code as production, without a broker.
//!
//! Transitions go to standard output as JSON lines. A bad line is named on standard error and counted; it never stops
//! the others.

mod trace;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, StdoutLock, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::HumanCount;
use ripen_ingest::Limits;

use crate::failure::{CommandResult, Ended, Failure, say};
use crate::model_file::ModelFile;
use crate::pipeline::{Pipeline, PipelineOptions, PipelineOutput, Place, SourceFormat, SourceRecord};

/// Records that are fed before what came out is taken: a transaction's worth.
pub(crate) const RECORDS_PER_DRAIN: usize = 1_000;

/// Flags of `ripen score`.
#[derive(Debug, Clone, Args)]
pub struct ScoreArguments {
    /// The scoring model (YAML).
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// The format of the records.
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    pub format: SourceFormat,
    /// Let time run on to this instant (RFC 3339) after the last record, so that leads cool down.
    #[arg(long, value_name = "TIME", value_parser = instant_ms)]
    pub until: Option<i64>,
    /// Print, in place of transitions, a line for every record and every fired deadline: the lead, its scores in
    /// thousandths, stage, audiences and next deadline.
    #[arg(long)]
    pub trace: bool,
    /// Files of one record a line, in the order of arrival; `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    pub files: Vec<PathBuf>,
}

/// Scores the files, one after the other.
///
/// # Errors
/// A file cannot be read, the model does not compile, or standard output cannot be written.
pub fn run(arguments: &ScoreArguments) -> CommandResult {
    let ModelFile { text, model, .. } = ModelFile::load(&arguments.model)?;
    // Before hours of the first file are spent, the last one should be known to be there.
    for path in &arguments.files {
        readable(path)?;
    }
    let options = PipelineOptions { trace: arguments.trace, ..PipelineOptions::default() };
    let pipeline = Pipeline::new(&model, &text, arguments.format, &options);
    let mut scoring = Scoring {
        pipeline: pipeline.map_err(Failure::new)?,
        out: Out {
            stdout: BufWriter::new(io::stdout().lock()),
            counts: Counts::default(),
            trace: arguments.trace,
            failure: None,
        },
        fed: 0,
    };
    for path in &arguments.files {
        scoring.file(path)?;
    }
    scoring.end(arguments.until)
}

struct Scoring {
    pipeline: Pipeline,
    out: Out,
    fed: usize,
}

struct Out {
    stdout: BufWriter<StdoutLock<'static>>,
    counts: Counts,
    /// Whether lines of the trace are printed, and not transitions.
    trace: bool,
    /// The first thing that went wrong while output was taken.
    failure: Option<Failure>,
}

/// Lines that are not blank, and what became of their events: a line may hold a batch of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    read: u64,
    filtered: u64,
    bad: u64,
    transitions: u64,
}

impl Scoring {
    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        for_each_line(path, &mut |line, file, number| self.feed(line, file, number))
    }

    fn feed(&mut self, line: &[u8], file: &str, number: i64) -> Result<(), Failure> {
        self.out.counts.read += 1;
        self.fed += 1;
        let place = Place { file, line: number };
        self.pipeline.feed(&SourceRecord { key: None, value: line, place });
        if self.fed == RECORDS_PER_DRAIN {
            self.fed = 0;
            self.pipeline.drain(&mut |output| self.out.take(&output)).map_err(Failure::new)?;
            self.out.checked()?;
        }
        Ok(())
    }

    fn end(mut self, until_ms: Option<i64>) -> CommandResult {
        let ended =
            self.pipeline.finish(until_ms, &mut |output| self.out.take(&output)).map_err(Failure::new)?;
        self.out.checked()?;
        self.out.stdout.flush().map_err(Failure::stdout)?;
        let Counts { read, filtered, bad, transitions } = self.out.counts;
        let refused = match ended.refused_links {
            0 => String::new(),
            links => format!("; {} links refused", HumanCount(links)),
        };
        say(format_args!(
            "read {}, scored {}, filtered {}, bad {}; {} transitions{refused}",
            HumanCount(read),
            HumanCount(ended.scored),
            HumanCount(filtered),
            HumanCount(bad),
            HumanCount(transitions)
        ));
        Ok(Ended::Good)
    }
}

impl Out {
    fn take(&mut self, output: &PipelineOutput<'_>) {
        match output {
            PipelineOutput::Transition(_, json) => {
                self.counts.transitions += 1;
                if !self.trace {
                    self.print(json);
                }
            }
            PipelineOutput::Traced(traced) => self.print(&trace::line(traced)),
            PipelineOutput::DeadLetter { place, reason, detail } => {
                self.counts.bad += 1;
                say(format_args!("{}:{}: {reason}: {detail}", place.file, place.line + 1));
            }
            PipelineOutput::Filtered { .. } => self.counts.filtered += 1,
            PipelineOutput::Merged { .. } => {}
        }
    }

    fn print(&mut self, line: &str) {
        if self.failure.is_none() {
            self.failure = writeln!(self.stdout, "{line}").err().map(Failure::stdout);
        }
    }

    fn checked(&mut self) -> Result<(), Failure> {
        self.failure.take().map_or(Ok(()), Err)
    }
}

/// Takes a line, the name of its file and its number, from 0.
pub(crate) type TakeLine<'a> = &'a mut dyn FnMut(&[u8], &str, i64) -> Result<(), Failure>;

/// Hands out the lines of a file that are not blank, with the file's name and their number, from 0; `-` is standard
/// input. A line that is longer than ingest takes is cut one byte behind: it is ingest that refuses it, with its reason.
pub(crate) fn for_each_line(path: &Path, take: TakeLine<'_>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::read(path, &error);
    let standard_input = path == Path::new("-");
    let name = if standard_input { "stdin".to_owned() } else { path.display().to_string() };
    let mut input: Box<dyn BufRead> = if standard_input {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?))
    };
    let bound = Limits::default().value_bytes + 1;
    let mut line = Vec::new();
    let mut number = 0;
    while read_line(&mut *input, bound, &mut line).map_err(failed)? {
        if !line.trim_ascii().is_empty() {
            take(&line, &name, number)?;
        }
        number += 1;
    }
    Ok(())
}

/// Opens the file and reads nothing of it.
pub(crate) fn readable(path: &Path) -> Result<(), Failure> {
    if path == Path::new("-") {
        return Ok(());
    }
    let file = File::open(path).map_err(|error| Failure::read(path, &error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Failure::Message(format!("cannot read {}: is a directory", path.display())));
    }
    Ok(())
}

/// The next line without its end, at most `bound` bytes of it; false at the end of the input.
fn read_line(input: &mut dyn BufRead, bound: usize, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = input.take(bound as u64).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    } else if read == bound {
        skip_line(input)?;
    }
    Ok(read > 0)
}

fn skip_line(input: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let skipped = end.map_or(buffer.len(), |end| end + 1);
        input.consume(skipped);
        if end.is_some() {
            return Ok(());
        }
    }
}

pub(crate) fn format(word: &str) -> Result<SourceFormat, String> {
    SourceFormat::parse(word).ok_or_else(|| {
        let known: Vec<&str> = SourceFormat::ALL.iter().map(|format| format.as_str()).collect();
        format!("known formats: {}", known.join(", "))
    })
}

pub(crate) fn instant_ms(text: &str) -> Result<i64, String> {
    let instant: jiff::Timestamp = text.parse().map_err(|_| {
        "expected an instant such as 2026-11-01T00:00:00+03:00 or 2026-10-31T21:00:00Z".to_owned()
    })?;
    Ok(instant.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_they_like_and_huge_ones_are_cut() {
        let huge = "x".repeat(3_000);
        let text = format!("a\nb\r\n\n{huge}\nlast");
        let mut input = BufReader::with_capacity(100, text.as_bytes());
        let mut line = Vec::new();
        let mut lengths = Vec::new();
        while read_line(&mut input, 1_000, &mut line).unwrap() {
            lengths.push(line.len());
        }
        assert_eq!(lengths, [1, 1, 0, 1_000, 4]);
    }

    #[test]
    fn an_instant_needs_its_offset() {
        assert_eq!(instant_ms("2026-11-01T00:00:00+03:00"), Ok(1_793_480_400_000));
        assert!(instant_ms("2026-11-01").is_err());
    }
}

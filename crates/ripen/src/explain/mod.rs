//! `ripen explain`: why a lead changed its stage, or where it stands, in words of the model.
//!
//! Owns no arithmetic: the lines that add up to a score come from the scorer. It adds them once more, and says so if
//! they do not give the score.

mod lead;
mod transition;

use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::{CommandResult, Failure};
use crate::pipeline::SourceFormat;
use crate::words::points;

/// Flags of `ripen explain`.
#[derive(Debug, Clone, Args)]
pub struct ExplainArguments {
    /// A file of transitions as `ripen score` and `ripen demo` print them (`-` is standard input); with `--records`,
    /// the id of a lead, `kind:value`.
    #[arg(value_name = "FILE|LEAD")]
    pub target: String,
    /// Records to score first, in the order of arrival; what is explained then is the lead at their end.
    #[arg(long, value_name = "FILE", num_args = 1.., requires_all = ["model", "format"])]
    pub records: Vec<PathBuf>,
    /// The scoring model (YAML).
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// The format of the records.
    #[arg(long, value_name = "FORMAT", value_parser = crate::score::format)]
    pub format: Option<SourceFormat>,
    /// Let time run on to this instant (RFC 3339) after the last record.
    #[arg(long, value_name = "TIME", value_parser = crate::score::instant_ms)]
    pub until: Option<i64>,
}

/// Explains.
///
/// # Errors
/// A file that cannot be read or holds no transition, a model with errors, a lead that is not there.
pub fn run(arguments: &ExplainArguments) -> CommandResult {
    match (&arguments.model, arguments.format) {
        (Some(model), Some(format)) if !arguments.records.is_empty() => lead::run(arguments, model, format),
        _ if ripen_records::LeadId::parse(&arguments.target).is_ok()
            && !Path::new(&arguments.target).exists() =>
        {
            Err(Failure::Usage(format!(
                "to explain the lead {}, name what was scored: --model FILE --format FORMAT --records FILE…",
                arguments.target
            )))
        }
        _ => transition::run(Path::new(&arguments.target)),
    }
}

/// One line of a sum.
struct Part<'a> {
    kind: &'a str,
    id: &'a str,
    milli: i64,
}

/// A score as the sum of its lines.
fn sum(name: &str, milli: i64, label: Option<&str>, parts: &[Part<'_>]) -> String {
    let label = label.map_or(String::new(), |label| format!(" ({label})"));
    let mut text = format!("  {name} {}{label}\n", points(milli));
    let width = parts.iter().map(|part| points(part.milli.abs()).len()).max().unwrap_or(0);
    for part in parts {
        let sign = if part.milli < 0 { '-' } else { '+' };
        let amount = points(part.milli.abs());
        text.push_str(&format!("    {sign} {amount:>width$}  {} {}\n", part.kind, part.id));
    }
    let total: i64 = parts.iter().map(|part| part.milli).sum();
    if total != milli {
        text.push_str(&format!("    these lines add up to {}, not to the score\n", points(total)));
    }
    text
}

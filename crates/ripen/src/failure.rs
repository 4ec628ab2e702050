//! How a command ends: its exit code, and what it says when it cannot go on.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// How a command ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Exit code 0.
    Good,
    /// It worked, and found something wrong: exit code 1.
    Findings,
}

/// Why a command could not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// What happened, with the place and what to do; exit code 1.
    Message(String),
    /// Findings that already say where they are and that they are errors, shown as they are; exit code 1.
    Findings(String),
    /// The command line makes no sense; exit code 2.
    Usage(String),
    /// Whoever read stdout has gone (`| head`): nothing to say, exit code 0.
    ReaderGone,
}

/// What a command returns.
pub type CommandResult = Result<Ended, Failure>;

impl Failure {
    /// A failure in words.
    pub fn new(message: impl fmt::Display) -> Failure {
        Failure::Message(message.to_string())
    }

    /// A model file with errors, each with its place.
    pub fn model(errors: &ripen_model::ModelErrors) -> Failure {
        Failure::Findings(errors.to_string())
    }

    /// A failed write to stdout.
    pub fn stdout(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => Failure::Message(format!("cannot write to stdout: {error}")),
        }
    }

    /// A file that cannot be read.
    pub fn read(path: &Path, error: &io::Error) -> Failure {
        Failure::Message(format!("cannot read {}: {}", path.display(), reason(error)))
    }

    /// An address that cannot be listened on.
    pub fn listen(address: std::net::SocketAddr, error: &io::Error) -> Failure {
        let reason = reason(error);
        Failure::Message(format!("cannot listen on {address}: {reason}; set http.listen to another address"))
    }

    /// A file that cannot be written.
    pub fn write(path: &Path, error: &io::Error) -> Failure {
        Failure::Message(format!("cannot write {}: {}", path.display(), reason(error)))
    }
}

/// Says what there is to say on stderr, and gives the exit code.
pub fn exit_code(result: &CommandResult) -> ExitCode {
    match result {
        Ok(Ended::Good) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Ok(Ended::Findings) => ExitCode::from(1),
        Err(Failure::Message(message)) => {
            say(format_args!("error: {message}"));
            ExitCode::from(1)
        }
        Err(Failure::Findings(findings)) => {
            say(format_args!("{findings}"));
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            say(format_args!("error: {message}"));
            ExitCode::from(2)
        }
    }
}

/// A line on stderr. Unlike `eprintln!` it does not panic when nobody reads it.
pub fn say(line: fmt::Arguments<'_>) {
    use io::Write as _;
    let _ = writeln!(io::stderr(), "{line}");
}

/// The operating system's words without its error number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_lowercase(),
        None => text,
    }
}

//! The `ripen` command.

fn main() -> std::process::ExitCode {
    ripen::cli::run(std::env::args_os())
}

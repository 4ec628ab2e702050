//! A child process that cannot outlive the test process.
//!
//! A shell stands between the two and reads orders from a pipe that the test process holds open. When the pipe
//! closes, be it by drop, panic, exit or `kill -9` of the test process, the shell kills the child and removes the
//! directory that it was given. `Drop` alone would not do: statics are never dropped and a killed process drops nothing.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// `$1` is the directory removed at the end (empty: none), `$2` the file for the child's output, the rest its command.
/// Every order is answered by one line, so that the caller knows it has been carried out.
const SHELL: &str = r#"
dir=$1 log=$2; shift 2
child=
while read -r order; do
    case $order in
        start) "$@" >>"$log" 2>&1 </dev/null & child=$!; echo "$child" ;;
        kill) kill -KILL "$child" 2>/dev/null; wait "$child" 2>/dev/null; echo killed ;;
        terminate) kill -TERM "$child" 2>/dev/null; wait "$child" 2>/dev/null; echo "$?" ;;
        freeze) kill -STOP "$child"; echo frozen ;;
        thaw) kill -CONT "$child"; echo thawed ;;
        wait) wait "$child" 2>/dev/null; echo "$?" ;;
    esac
done
[ -n "$child" ] && kill -KILL "$child" 2>/dev/null && wait "$child" 2>/dev/null
[ -n "$dir" ] && rm -rf "$dir"
"#;

/// A process held so that it dies with this one.
#[derive(Debug)]
pub struct Leash {
    shell: Child,
    /// `None` once dropped: closing it is what ends the child.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    log: PathBuf,
    pid: u32,
}

impl Leash {
    /// Starts `command`, its output appended to `log`; `remove_at_end` is removed with all it holds once the child
    /// is dead. The child reads nothing and inherits this process's environment.
    ///
    /// # Panics
    /// When the shell cannot be started.
    pub fn start<S: AsRef<OsStr>>(
        command: impl IntoIterator<Item = S>,
        log: &Path,
        remove_at_end: Option<&Path>,
    ) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", SHELL, "leash"])
            .arg(remove_at_end.unwrap_or(Path::new("")))
            .arg(log)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt at the terminal must end the test process only: the shell still has to clean up.
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().expect("the shell's output is piped"));
        let mut leash = Self { shell, orders, answers, log: log.to_path_buf(), pid: 0 };
        leash.start_again();
        leash
    }

    /// Process id of the child now on the leash.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What the child has printed so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Starts the same command once more; only after [`Leash::kill9`], [`Leash::terminate`] or [`Leash::wait`].
    pub fn start_again(&mut self) {
        self.pid = self.order("start").parse().expect("the shell answers with a process id");
    }

    /// `SIGKILL`: returns once the child is dead.
    pub fn kill9(&mut self) {
        self.order("kill");
    }

    /// `SIGTERM`: returns the exit code once the child has ended (above 128: killed by a signal).
    pub fn terminate(&mut self) -> i32 {
        self.order("terminate").parse().expect("the shell answers with an exit code")
    }

    /// `SIGSTOP`: returns once the child stands still; it does so until [`Leash::thaw`].
    ///
    /// # Panics
    /// When it does not within 10 s.
    pub fn freeze(&mut self) {
        self.order("freeze");
        // A stop, unlike a kill that is waited for, takes hold some time after the call.
        let deadline = Instant::now() + Duration::from_secs(10);
        while state(self.pid) != Some('T') {
            assert!(Instant::now() < deadline, "process {} does not stop", self.pid);
            std::thread::yield_now();
        }
    }

    /// `SIGCONT`.
    pub fn thaw(&mut self) {
        self.order("thaw");
    }

    /// Whether the child has ended by itself; [`Leash::wait`] then answers at once.
    pub fn has_ended(&self) -> bool {
        // It stays a zombie until its shell waits for it.
        matches!(state(self.pid), None | Some('Z'))
    }

    /// Waits for the child to end by itself, without a deadline; returns its exit code.
    pub fn wait(&mut self) -> i32 {
        self.order("wait").parse().expect("the shell answers with an exit code")
    }

    fn order(&mut self, order: &str) -> String {
        let orders = self.orders.as_mut().expect("the leash is held until drop");
        writeln!(orders, "{order}").expect("the shell reads orders");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the shell answers");
        answer.trim().to_owned()
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.orders.take());
        // The shell kills the child and removes the directory; nothing is left to do with a failure here.
        let _ = self.shell.wait();
    }
}

/// The kernel's letter for a process: `R`unning, `S`leeping, s`T`opped, `Z`ombie, …; `None`: there is no such process.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it is in parentheses and may hold anything.
    stat.rsplit_once(") ")?.1.chars().next()
}

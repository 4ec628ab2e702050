//! Orders are carried out by the time they return.

use std::path::Path;

use ripen_harness::Leash;

/// One letter: `R`unning, `S`leeping, s`T`opped, `Z`ombie; `None`: there is no such process.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn a_child_is_frozen_thawed_ended_and_started_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("log");
    let mut leash = Leash::start(["sleep", "600"], &log, None);
    let pid = leash.pid();
    leash.freeze();
    assert_eq!(state(pid), Some('T'));
    leash.thaw();
    assert_ne!(state(pid), Some('T'));
    assert_eq!(leash.terminate(), 128 + 15);
    assert_eq!(state(pid), None);

    leash.start_again();
    let pid = leash.pid();
    leash.kill9();
    assert_eq!(state(pid), None);
}

#[test]
fn output_and_exit_code_are_kept_and_the_directory_goes_with_the_leash() {
    let dir = tempfile::tempdir().expect("a temporary directory").keep();
    let mut leash =
        Leash::start(["sh", "-c", "echo out; echo err >&2; exit 3"], &dir.join("log"), Some(&dir));
    assert_eq!(leash.wait(), 3);
    assert_eq!(leash.output(), "out\nerr\n");
    assert!(Path::new(&dir).exists());
    drop(leash);
    assert!(!Path::new(&dir).exists());
}

//! A disk that can be filled: a tmpfs of a few dozen megabytes.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Says how it went, then holds the disk until its input closes, however this process ends.
const SHELL: &str = r#"
mount -t tmpfs -o size="$2" ripen-test "$1" || { echo failed; exit 1; }
echo mounted
read -r _
umount -l "$1" && rmdir "$1"
"#;
const FILLER: &str = "filler";

/// A small disk; gone when dropped or when this process ends.
#[derive(Debug)]
pub struct SmallDisk {
    shell: Child,
    dir: PathBuf,
}

impl SmallDisk {
    /// A disk of `megabytes`; `None` where this user may not mount.
    ///
    /// # Panics
    /// When no shell can be started.
    pub fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix("ripen-disk-").tempdir().expect("a temporary directory");
        let mut shell = Command::new("sh")
            .args(["-c", SHELL, "disk"])
            .arg(dir.path())
            .arg(format!("{megabytes}m"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // An interrupt at the terminal must not leave the disk behind.
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let mut said = String::new();
        let output = shell.stdout.take().expect("the shell's output is piped");
        BufReader::new(output).read_line(&mut said).expect("the shell answers");
        if said.trim() != "mounted" {
            let _ = shell.wait();
            return None;
        }
        Some(Self { shell, dir: dir.keep() })
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes all the room that is left.
    ///
    /// # Panics
    /// When the disk fails for another reason than being full.
    pub fn fill(&self) {
        let mut file =
            std::fs::File::create(self.dir.join(FILLER)).expect("an entry in a directory needs no room");
        for chunk in [1 << 20, 1 << 12, 1] {
            let zeros = vec![0; chunk];
            let full = std::iter::repeat_with(|| file.write_all(&zeros)).find_map(Result::err);
            let kind = full.map(|error| error.kind());
            assert_eq!(kind, Some(ErrorKind::StorageFull));
        }
    }

    /// Gives the room back.
    pub fn make_room(&self) {
        // There may never have been a filler.
        let _ = std::fs::remove_file(self.dir.join(FILLER));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_nothing_until_there_is_room() {
        let Some(disk) = SmallDisk::mount(1) else {
            crate::not_run("a small disk", "mounting a tmpfs needs root");
            return;
        };
        let file = disk.dir().join("file");
        disk.fill();
        let full = std::fs::write(&file, [1; 5_000]).map_err(|error| error.kind());
        assert_eq!(full, Err(ErrorKind::StorageFull));
        disk.make_room();
        std::fs::write(&file, [1; 5_000]).unwrap();
        let dir = disk.dir().to_owned();
        drop(disk);
        assert!(!dir.exists());
    }
}

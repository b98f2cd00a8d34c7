//! Starts a program of this machine as the standard library would, but without a copy of this
//! program's environment for each: where trials are short, starting them is most of what the
//! coordinator does.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use nix::{spawn, spawn::PosixSpawnFlags};
use rustix::process::{PidfdFlags, WaitOptions, pidfd_open, waitpid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::launcher::CommandLine;
use crate::schedule::processes::signal_group;
use crate::schedule::ulimits::{OriginalLimit, is_roomy};

/// What every program is started with.
#[derive(Debug)]
pub struct Spawner {
    /// This program's environment: names, and `NAME=VALUE`.
    environment: Vec<(Vec<u8>, CString)>,
    /// What programs read on their stdin.
    null: File,
    /// This program's folder; None: it is not there any more.
    here: Option<PathBuf>,
    /// A process group of its own, and signals as they were for this program.
    attributes: spawn::PosixSpawnAttr,
}

/// A program that was started so.
#[derive(Debug)]
pub struct Spawned {
    /// Its process id.
    pub pid: u32,
    /// Becomes readable when it has ended.
    ended: AsyncFd<OwnedFd>,
}

impl Spawner {
    /// Takes note of this program's environment and folder as they are now. None where programs
    /// cannot be started in this way: the kernel has no pidfds (before Linux 5.3).
    pub fn new() -> Option<Self> {
        pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).ok()?;
        let pair = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let (name, value) = (name.into_vec(), value.into_vec());
            let whole = [name.as_slice(), b"=", &value].concat();
            Some((name, CString::new(whole).ok()?))
        };
        Some(Self {
            environment: std::env::vars_os().filter_map(pair).collect(),
            null: File::open("/dev/null").ok()?,
            here: std::env::current_dir().ok(),
            attributes: attributes().ok()?,
        })
    }

    /// Whether a command line can be started in this way: in this program's folder, and found by
    /// this program's `PATH`.
    pub fn can_start(&self, line: &CommandLine) -> bool {
        let here = line.workdir.is_none() || line.workdir == self.here;
        here && !line.environment.contains_key("PATH") && line.without.is_empty() && is_roomy()
    }

    /// Starts a command line that `can_start`, as the leader of a process group, its output
    /// appended to `log`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The operating system's; a word or variable with a NUL in it. Nothing has been started then.
    pub fn spawn(&self, line: &CommandLine, log: &File) -> io::Result<Spawned> {
        let words = line
            .command
            .iter()
            .map(|word| CString::new(word.as_str()))
            .collect::<Result<Vec<_>, _>>()?;
        let program = words
            .first()
            .ok_or_else(|| io::Error::other("an empty command"))?;
        let own = pairs(&line.environment)?;
        let kept = self
            .environment
            .iter()
            .filter(|(name, _)| !is_among(name, &line.environment));
        let environment: Vec<&CStr> = kept
            .map(|(_, pair)| pair.as_c_str())
            .chain(own.iter().map(CString::as_c_str))
            .collect();
        let mut files = spawn::PosixSpawnFileActions::init()?;
        files.add_dup2(self.null.as_raw_fd(), 0)?;
        files.add_dup2(log.as_raw_fd(), 1)?;
        files.add_dup2(log.as_raw_fd(), 2)?;
        let child = {
            let _lowered = OriginalLimit::put_in_force();
            spawn::posix_spawnp(program, &files, &self.attributes, &words, &environment)?
        };
        let pid = child.as_raw().cast_unsigned();
        let ended = watch(child).inspect_err(|_| {
            // One that nobody would see the end of is not to run.
            signal_group(pid, Signal::SIGKILL);
            let _ = waitpid(
                rustix::process::Pid::from_raw(child.as_raw()),
                WaitOptions::empty(),
            );
        })?;
        Ok(Spawned { pid, ended })
    }
}

impl Spawned {
    /// Waits for its end, and takes its zombie away. To be called once.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let pid = rustix::process::Pid::from_raw(self.pid.cast_signed());
        loop {
            let mut ready = self.ended.readable().await?;
            if let Some((_, status)) = waitpid(pid, WaitOptions::NOHANG)? {
                return Ok(ExitStatus::from_raw(status.as_raw()));
            }
            ready.clear_ready();
        }
    }
}

fn attributes() -> nix::Result<spawn::PosixSpawnAttr> {
    let mut attributes = spawn::PosixSpawnAttr::init()?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    // Rust programs ignore this one. All others stay as this program was started with them.
    attributes.set_sigdefault(&SigSet::from(Signal::SIGPIPE))?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    Ok(attributes)
}

/// What tells of a child's end.
fn watch(child: Pid) -> io::Result<AsyncFd<OwnedFd>> {
    let pid = rustix::process::Pid::from_raw(child.as_raw())
        .ok_or_else(|| io::Error::other("a process without a number"))?;
    let fd = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
    // SAFETY: an `OwnedFd` is open, and stays the same, for as long as it lives; the `AsyncFd` owns
    // it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// Variables as `NAME=VALUE`.
fn pairs(environment: &BTreeMap<String, String>) -> io::Result<Vec<CString>> {
    let pair = |(name, value): (&String, &String)| {
        let mut pair = String::with_capacity(name.len() + value.len() + 2);
        pair.extend([name, "=", value]);
        Ok(CString::new(pair)?)
    };
    environment.iter().map(pair).collect()
}

fn is_among(name: &[u8], environment: &BTreeMap<String, String>) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| environment.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a command line prints, and how it ends: started so, and as the standard library does.
    async fn both(
        command: &[&str],
        environment: &[(&str, &str)],
    ) -> [(io::Result<ExitStatus>, String); 2] {
        let dir = tempfile::tempdir().unwrap();
        let line = CommandLine {
            command: command.iter().map(|&word| word.to_owned()).collect(),
            environment: environment
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            ..CommandLine::default()
        };
        let spawner = Spawner::new().expect("Linux has pidfds");
        assert!(spawner.can_start(&line));
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let log = |name: &str| File::create(dir.path().join(name)).unwrap();
        let direct = async { spawner.spawn(&line, &log("direct"))?.wait().await }.await;
        let standard = async {
            let (out, null) = (log("standard"), File::open("/dev/null").unwrap());
            line.process()
                .unwrap()
                .stdin(null)
                .stdout(out.try_clone().unwrap())
                .stderr(out)
                .spawn()?
                .wait()
                .await
        };
        let standard = standard.await;
        [(direct, read("direct")), (standard, read("standard"))]
    }

    #[tokio::test]
    async fn programs_are_started_as_the_standard_library_does() {
        // Environment, stdin, open files, blocked and ignored signals, process group, folder.
        let script = "env | grep -v '^_=' | sort; cat; ls /proc/self/fd | tr '\\n' ' '; grep Sig[BI] /proc/self/status; \
                      test $(ps -o pgid= -p $$) = $$ && echo leader; pwd; echo err >&2; exit 7";
        let own = [("HOME", "over ours"), ("A", "b=c"), ("EMPTY", "")];
        let [(direct, said), (standard, expected)] = both(&["sh", "-c", script], &own).await;
        assert_eq!(
            (direct.unwrap().code(), standard.unwrap().code()),
            (Some(7), Some(7))
        );
        assert_eq!(said, expected);
        assert!(
            said.contains("\nHOME=over ours\n")
                && said.contains("\nEMPTY=\n")
                && said.contains("\nleader\n"),
            "{said}"
        );
        assert!(said.ends_with("\nerr\n"), "{said}");
    }

    #[tokio::test]
    async fn ends_are_told_as_the_standard_library_does() {
        for command in [
            &["sh", "-c", "kill -9 $$"][..],
            &["sh", "-c", "kill -64 $$"],
            &["true"],
        ] {
            let [(direct, _), (standard, _)] = both(command, &[]).await;
            assert_eq!(direct.unwrap(), standard.unwrap());
        }
        for command in [
            &["/nowhere/at/all"][..],
            &["no-such-program-here"],
            &["/"],
            &["tr\0ue"],
            &["true", "a\0b"],
        ] {
            let [(direct, _), (standard, _)] = both(command, &[]).await;
            let (direct, standard) = (direct.unwrap_err(), standard.unwrap_err());
            assert_eq!((direct.kind(), command), (standard.kind(), command));
        }
    }

    #[tokio::test]
    async fn other_folders_and_paths_are_not_for_this_way() {
        let spawner = Spawner::new().unwrap();
        let elsewhere = CommandLine {
            workdir: Some("/".into()),
            ..CommandLine::default()
        };
        let here = CommandLine {
            workdir: std::env::current_dir().ok(),
            ..CommandLine::default()
        };
        let path = CommandLine {
            environment: [("PATH".to_owned(), "/bin".to_owned())].into(),
            ..CommandLine::default()
        };
        assert_eq!(
            [elsewhere, here, path].map(|line| spawner.can_start(&line)),
            [false, true, false]
        );
    }
}

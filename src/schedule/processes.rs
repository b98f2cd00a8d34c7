//! Process groups: signalling them, and telling a process from a later one with the same number, so
//! that what a killed coordinator left behind is ended and nobody else is.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::ledger::{FILE_NAME, identity_of};

/// When the kernel started a process, in clock ticks since boot (field 22 of `/proc/PID/stat`,
/// proc(5)). None if there is no such process, or no `/proc`.
pub fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, which may itself hold spaces and
    // parentheses.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace();
    // A zombie is dead already: its parent has only not looked yet.
    (fields.next()? != "Z").then_some(())?;
    fields.nth(18)?.parse().ok()
}

/// Tells when processes were started without asking the kernel for each: for a process that has just
/// been started the kernel takes 0.2 ms of CPU to answer, half as long as a short program runs.
#[derive(Debug, Default)]
pub struct StartClock {
    /// Whether our clock has been seen to say what the kernel says; None: not compared yet.
    trusted: Option<bool>,
}

impl StartClock {
    /// Clock ticks since boot, as `start_ticks` counts them. None without such a clock.
    pub fn ticks() -> Option<u64> {
        // Linux shows 100 ticks a second whatever it counts itself (proc(5), USER_HZ); elsewhere
        // the comparison fails.
        const TICK: u64 = 10_000_000;
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).ok()?;
        let seconds = u64::try_from(now.tv_sec()).ok()?;
        let nanoseconds = u64::try_from(now.tv_nsec()).ok()?;
        Some(seconds * (1_000_000_000 / TICK) + nanoseconds / TICK)
    }

    /// When a process was started, given the ticks before that was asked for: exactly, if no tick
    /// has passed since; otherwise as the kernel says.
    pub fn start_of(&mut self, pid: u32, before: Option<u64>) -> Option<u64> {
        let certain = before.filter(|before| Self::ticks() == Some(*before));
        match (certain, self.trusted) {
            (Some(ticks), Some(true)) => Some(ticks),
            _ => {
                let found = start_ticks(pid);
                if let (None, Some(ticks), Some(found)) = (self.trusted, certain, found) {
                    self.trusted = Some(ticks == found);
                }
                found
            }
        }
    }
}

/// Sends a signal to a process group. A group that is gone is no error.
pub fn signal_group(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid)
        && let Err(error) = killpg(Pid::from_raw(pid), signal)
        && error != nix::errno::Errno::ESRCH
    {
        tracing::warn!(pid, %signal, "cannot signal a worker's process group: {error}");
    }
}

/// The variable by which every process of a sweep is known: its value is the run directory.
pub const MARK: &str = "PENTAGRID_RUN";
/// The variable that holds the identity of that run directory, which a copy of it does not have.
pub const IDENTITY: &str = "PENTAGRID_RUN_ID";

/// The folder below a run directory in which `verify` reruns trials.
pub const VERIFY: &str = "verify";

/// A name for the folder of this process's reruns, by which one can tell later whether it still
/// lives.
pub fn scratch_name() -> String {
    let pid = std::process::id();
    format!("{VERIFY}/{pid}-{}", start_ticks(pid).unwrap_or(0))
}

/// Whether the process that such a folder is named after has ended.
fn is_forsaken(scratch: &str) -> bool {
    let named = scratch
        .split_once('-')
        .and_then(|(pid, ticks)| Some((pid.parse().ok()?, ticks.parse().ok()?)));
    named.is_some_and(|(pid, ticks): (u32, u64)| start_ticks(pid) != Some(ticks))
}

/// What the processes of a run directory are known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The run directory: absolute, whatever way led to it.
    pub dir: String,
    /// Its identity.
    pub id: String,
    /// Whether processes that bear no identity are its own too: an earlier version has started
    /// them.
    pub legacy: bool,
}

impl Mark {
    /// The mark of a run directory.
    pub fn new(run_dir: &Path, id: &str) -> Self {
        let dir = run_dir
            .canonicalize()
            .unwrap_or_else(|_| run_dir.to_owned())
            .display()
            .to_string();
        Self {
            dir,
            id: id.to_owned(),
            legacy: false,
        }
    }

    /// The variables that its processes bear.
    pub fn variables(&self) -> [(String, String); 2] {
        [
            (MARK.to_owned(), self.dir.clone()),
            (IDENTITY.to_owned(), self.id.clone()),
        ]
    }

    /// Whether a process with these variables is one of this run directory.
    ///
    /// The identity alone is not enough: a directory may have been copied and not opened since, or
    /// have been taken for one that was moved although it is a copy. So a process is left alone
    /// whose variable names another directory, unless that one has another identity or is none:
    /// then this directory was moved.
    fn is_of(&self, run: Option<&str>, id: Option<&str>) -> bool {
        let Some(run) = run else { return false };
        let run = match run.rsplit_once(&format!("/{VERIFY}/")) {
            Some((dir, scratch)) if is_forsaken(scratch) => Path::new(dir),
            Some(_) => return false,
            None => Path::new(run),
        };
        let here = FolderId::of(Path::new(&self.dir));
        let is_here = here.is_some() && FolderId::of(run) == here;
        match id {
            Some(id) if id != self.id => false,
            Some(_) if is_here || !run.join(FILE_NAME).exists() => true,
            Some(_) => identity_of(run).is_some_and(|other| other != self.id),
            None => self.legacy && is_here,
        }
    }

    /// What the environment of a process says of it. None: it bears no mark.
    fn judge(&self, environment: &[u8]) -> Option<bool> {
        let mut variables = environment
            .split(|&byte| byte == 0)
            .filter_map(|variable| std::str::from_utf8(variable).ok());
        let (mut run, mut id) = (None, None);
        for (name, value) in variables
            .by_ref()
            .filter_map(|variable| variable.split_once('='))
        {
            match name {
                MARK => run = Some(value),
                IDENTITY => id = Some(value),
                _ => {}
            }
        }
        run.is_some().then(|| self.is_of(run, id))
    }
}

/// Device and inode of a folder.
#[derive(PartialEq, Eq)]
struct FolderId(u64, u64);

impl FolderId {
    fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path)
            .ok()
            .map(|metadata| Self(metadata.dev(), metadata.ino()))
    }
}

/// Processes of `srun` that outlived a coordinator: told to end, each ends its worker at once. Only
/// they and not their groups, whose other member is needed for that.
pub fn end_left_launchers(recorded: &[(u32, u64)]) {
    for (pid, ticks) in recorded {
        if let (true, Ok(pid)) = (start_ticks(*pid) == Some(*ticks), i32::try_from(*pid)) {
            // One that has gone meanwhile is what was wanted.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

/// Kills what outlived a coordinator: the process groups of recorded processes whose leader still
/// has its start time, and every process that bears the mark of the run directory, such as children
/// of a leader that is gone. A recorded process that bears the mark of another directory is not
/// touched. Returns how many processes there were.
pub fn end_left(recorded: &[(u32, u64)], mark: &Mark) -> usize {
    let is_other =
        |pid: u32| environment(pid).and_then(|environment| mark.judge(&environment)) == Some(false);
    let leaders: Vec<u32> = recorded
        .iter()
        .filter(|(pid, ticks)| start_ticks(*pid) == Some(*ticks) && !is_other(*pid))
        .map(|(pid, _)| *pid)
        .collect();
    leaders
        .iter()
        .for_each(|&leader| signal_group(leader, Signal::SIGKILL));
    let mine = ancestors();
    let others: Vec<u32> = marked(mark)
        .into_iter()
        .filter(|pid| !leaders.contains(pid) && !mine.contains(pid))
        .collect();
    for &pid in &others {
        if let Ok(pid) = i32::try_from(pid)
            // One that has ended meanwhile is what was wanted.
            && let Err(error) = kill(Pid::from_raw(pid), Signal::SIGKILL)
            && error != nix::errno::Errno::ESRCH
        {
            tracing::warn!(pid, "cannot end a process that was left: {error}");
        }
    }
    leaders.len() + others.len()
}

/// The processes that were started with a mark. Those of other users cannot be looked at, and are
/// not ours.
fn marked(mark: &Mark) -> Vec<u32> {
    let is_ours = |pid: &u32| {
        environment(*pid).and_then(|environment| mark.judge(&environment)) == Some(true)
    };
    processes()
        .filter(is_ours)
        .filter(|&pid| start_ticks(pid).is_some())
        .collect()
}

/// Processes that bear the path of a run directory, but the identity of another one: of one that
/// was there before, and was removed or moved away.
pub fn strangers(mark: &Mark) -> Vec<u32> {
    let here = FolderId::of(Path::new(&mark.dir));
    let is_strange = |pid: &u32| {
        let Some(environment) = environment(*pid) else {
            return false;
        };
        let value = |name: &str| {
            let find = |variable: &[u8]| {
                Some(
                    variable
                        .strip_prefix(name.as_bytes())?
                        .strip_prefix(b"=")?
                        .to_vec(),
                )
            };
            environment
                .split(|&byte| byte == 0)
                .find_map(find)
                .and_then(|value| String::from_utf8(value).ok())
        };
        let (Some(run), Some(id)) = (value(MARK), value(IDENTITY)) else {
            return false;
        };
        id != mark.id && here.is_some() && FolderId::of(Path::new(&run)) == here
    };
    let mine = ancestors();
    processes()
        .filter(is_strange)
        .filter(|pid| !mine.contains(pid) && start_ticks(*pid).is_some())
        .collect()
}

fn processes() -> impl Iterator<Item = u32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|folder| folder.file_name().to_str()?.parse().ok())
}

/// The environment that a process was started with.
fn environment(pid: u32) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/environ")).ok()
}

/// This process, and those that started it.
fn ancestors() -> Vec<u32> {
    let mut found = vec![std::process::id()];
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat[stat.rfind(')')? + 1..]
            .split_ascii_whitespace()
            .nth(1)?
            .parse()
            .ok()
    };
    while let Some(pid) = found
        .last()
        .and_then(|&pid| parent(pid))
        .filter(|&pid| pid > 1 && !found.contains(&pid))
    {
        found.push(pid);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    #[test]
    fn our_clock_says_what_the_kernel_says() {
        let mut clock = StartClock::default();
        for _ in 0..50 {
            let before = StartClock::ticks();
            let mut child = Command::new("sleep").arg("600").spawn().unwrap();
            assert_eq!(clock.start_of(child.id(), before), start_ticks(child.id()));
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn sleep(run: &str, id: Option<&str>) -> std::process::Child {
        let mut command = Command::new("sleep");
        command
            .arg("600")
            .env(MARK, run)
            .env_remove(IDENTITY)
            .envs(id.map(|id| (IDENTITY, id)))
            .process_group(0)
            .spawn()
            .unwrap()
    }

    #[test]
    fn only_what_belongs_to_the_sweep_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mark = Mark::new(dir.path(), "us");
        let mut cleared = Command::new("sleep")
            .arg("600")
            .env_clear()
            .process_group(0)
            .spawn()
            .unwrap();
        let (mut ours, mut other) = (
            sleep(&mark.dir, Some("us")),
            sleep(&format!("{}2", mark.dir), Some("them")),
        );
        let (mut copied, mut unnamed) = (sleep(&mark.dir, Some("them")), sleep(&mark.dir, None));
        let ticks = |child: &std::process::Child| start_ticks(child.id()).unwrap();
        let all_others =
            [&cleared, &other, &copied, &unnamed].map(|child| (child.id(), ticks(child)));
        assert_eq!(strangers(&mark), [copied.id()]);
        assert_eq!(
            end_left(&[(cleared.id(), ticks(&cleared) + 1)], &mark),
            1,
            "another process had that number then"
        );
        assert_eq!(ours.wait().unwrap().signal(), Some(9));
        assert_eq!(
            [&mut cleared, &mut other].map(|child| child.try_wait().unwrap()),
            [None; 2]
        );
        // Of what is recorded, what bears another mark is not ours, whatever its number says.
        assert_eq!(end_left(&all_others, &mark), 1);
        assert_eq!(cleared.wait().unwrap().signal(), Some(9));
        assert_eq!(
            [&mut other, &mut copied, &mut unnamed].map(|child| child.try_wait().unwrap()),
            [None; 3]
        );
        // What an earlier version has started is known by the path alone.
        assert_eq!(
            end_left(
                &[],
                &Mark {
                    legacy: true,
                    ..mark.clone()
                }
            ),
            1
        );
        assert_eq!(unnamed.wait().unwrap().signal(), Some(9));
        assert_eq!(end_left(&[], &mark), 0, "it is gone");
        for child in [&mut other, &mut copied] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_directory_that_was_moved_keeps_its_processes_and_a_copy_gets_none() {
        let base = tempfile::tempdir().unwrap();
        let (old, new) = (base.path().join("old"), base.path().join("new"));
        std::fs::create_dir(&old).unwrap();
        let path = Mark::new(&old, "us").dir;
        std::fs::rename(&old, &new).unwrap();
        let moved = Mark::new(&new, "us");
        let of = |mark: &Mark, run: &str, id: &str| mark.is_of(Some(run), Some(id));
        assert!(of(&moved, &path, "us") && of(&moved, &moved.dir, "us"));
        assert!(!of(&moved, &path, "them") && !of(&moved, &moved.dir, "them"));
        // There is another sweep now where it was.
        let with_ledger = |identity: &str| {
            drop(std::fs::remove_dir_all(&old));
            std::fs::create_dir(&old).unwrap();
            let ledger = rusqlite::Connection::open(old.join(FILE_NAME)).unwrap();
            let version = crate::ledger::SCHEMA_VERSION;
            ledger
                .execute_batch(&format!(
                    "PRAGMA application_id = {}; PRAGMA user_version = {version};
                     CREATE TABLE session (id INTEGER PRIMARY KEY, identity TEXT); INSERT INTO session VALUES (1, '{identity}')",
                    0x5047_5244
                ))
                .unwrap();
        };
        with_ledger("them");
        assert!(of(&moved, &path, "us"), "a later one");
        with_ledger("us");
        assert!(
            !of(&moved, &path, "us"),
            "the original: we are a copy that was not noticed"
        );
        // Reruns that `verify` has left; those of one that is at work are not.
        let (scratch, mine) = (
            format!("{}/{VERIFY}/1-1", moved.dir),
            format!("{}/{}", moved.dir, scratch_name()),
        );
        assert!(
            of(&moved, &scratch, "us") && !of(&moved, &mine, "us") && !of(&moved, &scratch, "them")
        );
    }
}

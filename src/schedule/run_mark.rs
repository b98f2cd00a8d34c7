//! The mark that every process of a run directory bears in its environment. By it the processes
//! that a killed coordinator has left running are found and ended, and no others.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::proc_fs::{ancestors, environment, processes, start_ticks, variable};
use super::process_groups::signal_group;
use crate::ledger::{FILE_NAME, identity_of};

/// The variable that holds the path of the run directory.
pub const MARK: &str = "PENTAGRID_RUN";
/// The variable that holds the identity of the run directory, which a copy of it does not have.
pub const IDENTITY: &str = "PENTAGRID_RUN_ID";

/// The folder in a run directory in which `verify` runs trials again.
pub const VERIFY: &str = "verify";

/// A name for the folder in which this process runs trials again. It says which process uses it.
pub fn scratch_name() -> String {
    let pid = std::process::id();
    format!("{VERIFY}/{pid}-{}", start_ticks(pid).unwrap_or(0))
}

/// Whether the process that a scratch folder is named after has ended.
fn is_abandoned(scratch: &str) -> bool {
    let Some((pid, ticks)) = scratch.split_once('-') else {
        return false;
    };
    match (pid.parse::<u32>(), ticks.parse::<u64>()) {
        (Ok(pid), Ok(ticks)) => start_ticks(pid) != Some(ticks),
        _ => false,
    }
}

/// What the processes of a run directory are known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The absolute path of the run directory, without symbolic links.
    pub dir: String,
    /// Its identity.
    pub id: String,
    /// Whether processes without an identity belong to it as well: an earlier version has started
    /// them.
    pub legacy: bool,
}

impl Mark {
    /// The mark of a run directory.
    pub fn new(run_dir: &Path, id: &str) -> Self {
        let dir = run_dir
            .canonicalize()
            .unwrap_or_else(|_| run_dir.to_owned());
        Self {
            dir: dir.display().to_string(),
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

    /// Whether a process with these variables belongs to this run directory.
    ///
    /// The identity alone is not enough: the directory may be a copy that was not opened since, or
    /// a copy that was taken for a moved directory. So a process whose variable names another
    /// directory does not belong to it, unless that directory has another identity or does not
    /// exist: then this directory was moved.
    fn is_of(&self, run: &str, id: Option<&str>) -> bool {
        let run = match run.rsplit_once(&format!("/{VERIFY}/")) {
            Some((dir, scratch)) if is_abandoned(scratch) => Path::new(dir),
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

    /// Whether a process belongs to this run directory, by its environment. Returns `None` if it
    /// bears no mark, or cannot be read.
    fn owns(&self, pid: u32) -> Option<bool> {
        let environment = environment(pid)?;
        let run = variable(&environment, MARK)?;
        Some(self.is_of(run, variable(&environment, IDENTITY)))
    }

    /// Whether a process bears the path of this run directory, but another identity.
    fn is_strange(&self, pid: u32) -> bool {
        let Some(environment) = environment(pid) else {
            return false;
        };
        let run = variable(&environment, MARK);
        let id = variable(&environment, IDENTITY);
        let (Some(run), Some(id)) = (run, id) else {
            return false;
        };
        let here = FolderId::of(Path::new(&self.dir));
        id != self.id && here.is_some() && FolderId::of(Path::new(run)) == here
    }
}

/// Device and inode of a folder.
#[derive(PartialEq, Eq)]
struct FolderId {
    device: u64,
    inode: u64,
}

impl FolderId {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// Ends processes of `srun` that outlived a coordinator; each ends its worker. Their groups are not
/// signalled, since the other member of each is needed for that.
pub fn end_left_launchers(recorded: &[(u32, u64)]) {
    for &(pid, ticks) in recorded {
        if start_ticks(pid) == Some(ticks)
            && let Ok(pid) = i32::try_from(pid)
        {
            // It may have ended since.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

/// Kills what outlived a coordinator: the process groups of recorded processes whose leader still
/// has its start time, and every process that bears the mark of the run directory, such as children
/// of a leader that has exited. A recorded process that bears the mark of another directory is not
/// killed. Returns how many processes there were.
pub fn end_left(recorded: &[(u32, u64)], mark: &Mark) -> usize {
    let leaders: Vec<u32> = recorded
        .iter()
        .filter(|&&(pid, ticks)| start_ticks(pid) == Some(ticks) && mark.owns(pid) != Some(false))
        .map(|&(pid, _)| pid)
        .collect();
    for &leader in &leaders {
        signal_group(leader, Signal::SIGKILL);
    }

    let own = ancestors();
    let others: Vec<u32> = processes()
        .filter(|&pid| mark.owns(pid) == Some(true) && start_ticks(pid).is_some())
        .filter(|pid| !leaders.contains(pid) && !own.contains(pid))
        .collect();
    for &pid in &others {
        if let Ok(number) = i32::try_from(pid)
            && let Err(error) = kill(Pid::from_raw(number), Signal::SIGKILL)
            && error != nix::errno::Errno::ESRCH
        {
            tracing::warn!(pid, "cannot end a process that was left: {error}");
        }
    }
    leaders.len() + others.len()
}

/// Processes that bear the path of a run directory, but the identity of another one, which was
/// there before and has been removed or moved away.
pub fn strangers(mark: &Mark) -> Vec<u32> {
    let own = ancestors();
    processes()
        .filter(|&pid| mark.is_strange(pid))
        .filter(|pid| !own.contains(pid) && start_ticks(*pid).is_some())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command};

    fn sleep(run: &str, id: Option<&str>) -> Child {
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

    fn ticks(child: &Child) -> u64 {
        start_ticks(child.id()).unwrap()
    }

    fn is_running(child: &mut Child) -> bool {
        child.try_wait().unwrap().is_none()
    }

    #[test]
    fn only_processes_of_the_sweep_are_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mark = Mark::new(dir.path(), "us");
        let mut cleared = Command::new("sleep")
            .arg("600")
            .env_clear()
            .process_group(0)
            .spawn()
            .unwrap();
        let mut own = sleep(&mark.dir, Some("us"));
        let mut other = sleep(&format!("{}2", mark.dir), Some("them"));
        let mut copied = sleep(&mark.dir, Some("them"));
        let mut unnamed = sleep(&mark.dir, None);
        assert_eq!(strangers(&mark), [copied.id()]);

        let earlier = (cleared.id(), ticks(&cleared) + 1);
        assert_eq!(
            end_left(&[earlier], &mark),
            1,
            "another process had that number then"
        );
        assert_eq!(own.wait().unwrap().signal(), Some(9));
        assert!(is_running(&mut cleared) && is_running(&mut other));

        // A recorded process that bears another mark is left alone.
        let recorded =
            [&cleared, &other, &copied, &unnamed].map(|child| (child.id(), ticks(child)));
        assert_eq!(end_left(&recorded, &mark), 1);
        assert_eq!(cleared.wait().unwrap().signal(), Some(9));
        assert!(is_running(&mut other) && is_running(&mut copied) && is_running(&mut unnamed));

        // A process that an earlier version has started is known by the path alone.
        let legacy = Mark {
            legacy: true,
            ..mark.clone()
        };
        assert_eq!(end_left(&[], &legacy), 1);
        assert_eq!(unnamed.wait().unwrap().signal(), Some(9));
        assert_eq!(end_left(&[], &mark), 0, "it is gone");

        for child in [&mut other, &mut copied] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Creates a run directory with a ledger of this identity.
    fn create_run_dir(dir: &Path, identity: &str) {
        const APPLICATION_ID: u32 = 0x5047_5244;
        drop(std::fs::remove_dir_all(dir));
        std::fs::create_dir(dir).unwrap();
        let ledger = rusqlite::Connection::open(dir.join(FILE_NAME)).unwrap();
        let version = crate::ledger::SCHEMA_VERSION;
        ledger
            .execute_batch(&format!(
                "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version};
                 CREATE TABLE session (id INTEGER PRIMARY KEY, identity TEXT); INSERT INTO session VALUES (1, '{identity}')"
            ))
            .unwrap();
    }

    #[test]
    fn a_directory_that_was_moved_keeps_its_processes_and_a_copy_gets_none() {
        let base = tempfile::tempdir().unwrap();
        let old = base.path().join("old");
        let new = base.path().join("new");
        std::fs::create_dir(&old).unwrap();
        let path = Mark::new(&old, "us").dir;
        std::fs::rename(&old, &new).unwrap();
        let moved = Mark::new(&new, "us");
        for run in [&path, &moved.dir] {
            assert!(moved.is_of(run, Some("us")), "{run}");
            assert!(!moved.is_of(run, Some("them")), "{run}");
        }

        // Another sweep has taken the old place.
        create_run_dir(&old, "them");
        assert!(moved.is_of(&path, Some("us")), "a later sweep");
        create_run_dir(&old, "us");
        assert!(
            !moved.is_of(&path, Some("us")),
            "the original, of which this directory is a copy"
        );

        // Trials that `verify` runs again belong to the directory only after `verify` has ended.
        let abandoned = format!("{}/{VERIFY}/1-1", moved.dir);
        assert!(moved.is_of(&abandoned, Some("us")));
        assert!(!moved.is_of(&abandoned, Some("them")));
        let running = format!("{}/{}", moved.dir, scratch_name());
        assert!(!moved.is_of(&running, Some("us")));
    }
}

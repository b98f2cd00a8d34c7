//! Ends processes that programs leave behind, such as a daemon in a process group of its own whose
//! environment lacks the sweep's mark. On Linux they become children of the coordinator when their
//! parents exit, and are found by that.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, set_child_subreaper, waitpid};

use super::proc_fs::{processes, stat};

/// Time between two searches for zombies.
const SEARCH_INTERVAL: Duration = Duration::from_secs(10);
/// In how many searches a zombie must be found to be an orphan's: the exits of this program's own
/// children are noticed at once.
const SEARCHES: u32 = 3;
/// How often to search for children of processes that were ended: each round finds those of the
/// round before.
const MAX_ROUNDS: usize = 100;
/// Time for the kernel to hand over the children of an ended process.
const ROUND_TIME: Duration = Duration::from_millis(10);

/// Adopts processes that outlive their parents, and reaps them.
#[derive(Debug)]
pub struct Orphans {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Orphans {
    /// From now on processes that outlive their parents become children of this process. Returns
    /// `None` if the system cannot do so.
    pub fn adopt() -> Option<Self> {
        // Any process id turns it on.
        set_child_subreaper(Some(rustix::process::getpid())).ok()?;
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("orphans".to_owned())
            .spawn(move || reap_orphans(&stopped))
            .ok()?;
        Some(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends all children of this process and everything that they have started. Returns how many
    /// there were. To be called when no process that this program has started is needed any more.
    pub fn end_all(mut self) -> usize {
        // The thread may have ended by itself.
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            // A panic has been reported already.
            let _ = thread.join();
        }

        let mut count = 0;
        for _ in 0..MAX_ROUNDS {
            let children = children();
            if children.is_empty() {
                break;
            }
            for child in children {
                match i32::try_from(child.pid) {
                    Ok(pid) if !child.is_zombie => {
                        // It may have exited since.
                        count += usize::from(kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok());
                    }
                    _ => reap(child.pid),
                }
            }
            std::thread::sleep(ROUND_TIME);
        }
        count
    }
}

/// Reaps orphans that have exited, until told to stop.
fn reap_orphans(stopped: &Receiver<()>) {
    // In how many searches each zombie was found.
    let mut seen: HashMap<u32, u32> = HashMap::new();
    let mut last = Instant::now();
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(SEARCH_INTERVAL) {
        // This program was suspended, so that it could not notice the exits of its children.
        if last.elapsed() > SEARCH_INTERVAL * 2 {
            seen.clear();
        }
        last = Instant::now();
        seen = children()
            .into_iter()
            .filter(|child| child.is_zombie)
            .map(|child| (child.pid, seen.get(&child.pid).copied().unwrap_or(0) + 1))
            .collect();
        for (&pid, &searches) in &seen {
            if searches >= SEARCHES {
                reap(pid);
            }
        }
    }
}

/// A process whose parent is this one.
#[derive(Debug)]
struct Child {
    pid: u32,
    is_zombie: bool,
}

fn children() -> Vec<Child> {
    let own = std::process::id();
    listed_children()
        .unwrap_or_else(|| processes().collect())
        .into_iter()
        .filter_map(|pid| {
            let stat = stat(pid)?;
            (stat.parent == own).then_some(Child {
                pid,
                is_zombie: stat.is_zombie,
            })
        })
        .collect()
}

/// The children of this process, as the kernel lists them for each of its threads. Returns `None`
/// if it does not (`CONFIG_PROC_CHILDREN`).
fn listed_children() -> Option<Vec<u32>> {
    let mut pids = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        match std::fs::read_to_string(thread.path().join("children")) {
            Ok(list) => pids.extend(
                list.split_ascii_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            ),
            // A thread that has just ended has no list.
            Err(_) if !thread.path().exists() => {}
            Err(_) => return None,
        }
    }
    Some(pids)
}

/// Takes the exit status of a child that has exited, if nothing else has done so.
fn reap(pid: u32) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

//! Processes that programs leave behind: a daemon in a process group of its own whose environment
//! lacks the sweep's mark. On Linux they become children of the coordinator when their parents end,
//! and are found by that.

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, set_child_subreaper, waitpid};

/// Time between two looks for zombies.
const LOOK: Duration = Duration::from_secs(10);
/// A zombie that was there at this many looks was an orphan's: those of this program's own children
/// are taken away at once.
const LOOKS: u32 = 3;
/// How often to look for children of processes that were ended: each round brings those of the
/// round before.
const MAX_ROUNDS: usize = 100;
/// Time for the kernel to hand the children of an ended process over.
const ROUND: Duration = Duration::from_millis(10);

/// Adopts what outlives its parent, and takes its zombies away.
#[derive(Debug)]
pub struct Orphans {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Orphans {
    /// From here on what outlives its parent becomes a child of this process. None where the system
    /// cannot do so.
    pub fn adopt() -> Option<Self> {
        // Any process id turns it on.
        set_child_subreaper(Some(rustix::process::getpid())).ok()?;
        let (stop, stopped) = channel::<()>();
        let look = move || {
            let mut seen: HashMap<u32, u32> = HashMap::new();
            let mut last = Instant::now();
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK) {
                // Of a program that was stopped meanwhile nothing is late.
                if last.elapsed() > LOOK * 2 {
                    seen.clear();
                }
                last = Instant::now();
                let ended = children().into_iter().filter(|child| child.ended);
                seen = ended
                    .map(|child| (child.pid, seen.get(&child.pid).copied().unwrap_or(0) + 1))
                    .collect();
                seen.iter()
                    .filter(|(_, looks)| **looks >= LOOKS)
                    .for_each(|(&pid, _)| take_away(pid));
            }
        };
        let thread = std::thread::Builder::new()
            .name("orphans".to_owned())
            .spawn(look)
            .ok()?;
        Some(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Ends all children of this process and what they have started. Returns how many there were.
    /// To be called when nothing that this process has started itself is needed any more.
    pub fn end_all(mut self) -> usize {
        // The thread may have ended by itself.
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has said so.
            let _ = thread.join();
        }
        let mut count = 0;
        for _ in 0..MAX_ROUNDS {
            let children = children();
            if children.is_empty() {
                break;
            }
            for child in children {
                match (child.ended, i32::try_from(child.pid)) {
                    (false, Ok(pid)) => {
                        // One that has ended by now is what was wanted.
                        count += usize::from(kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok());
                    }
                    _ => take_away(child.pid),
                }
            }
            std::thread::sleep(ROUND);
        }
        count
    }
}

/// A process whose parent is this one.
#[derive(Debug)]
struct Child {
    pid: u32,
    /// It is a zombie.
    ended: bool,
}

/// The children of this process, as the kernel lists them for each of its threads; None where it
/// does not (`CONFIG_PROC_CHILDREN`).
fn listed() -> Option<Vec<u32>> {
    let mut pids = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        match std::fs::read_to_string(thread.path().join("children")) {
            Ok(list) => pids.extend(
                list.split_ascii_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            ),
            // A thread that has just ended has none.
            Err(_) if !thread.path().exists() => {}
            Err(_) => return None,
        }
    }
    Some(pids)
}

fn children() -> Vec<Child> {
    let all = || {
        let folders = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        folders
            .filter_map(|folder| folder.file_name().to_str()?.parse().ok())
            .collect()
    };
    let own = std::process::id();
    let child = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses, which may itself hold spaces and
        // parentheses.
        let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
        let ended = matches!(fields.next()?, "Z" | "X");
        let parent: u32 = fields.next()?.parse().ok()?;
        (parent == own).then_some(Child { pid, ended })
    };
    listed()
        .unwrap_or_else(all)
        .into_iter()
        .filter_map(child)
        .collect()
}

fn take_away(pid: u32) {
    // Whatever else waits for it has been faster.
    let _ = pid
        .try_into()
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .map(|pid| waitpid(Some(pid), WaitOptions::NOHANG));
}

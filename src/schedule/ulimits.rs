//! The limits that the system sets to this program (`ulimit`): what they leave room for, and how
//! this program lives with them. What it starts gets the limits that it was itself started with.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Open files of a sweep without its slots: the standard streams, the event loop and its signals,
/// the ledger, its log and its lock, one reader, a report that is being written.
const OPEN_FILES: u64 = 16;
/// Threads of a sweep: the ledger's, one of Polars, the one that looks after orphans, one that
/// reads a long metrics file.
const THREADS: usize = 4;

/// The limit of open files that this program was started with, where it was raised.
static ORIGINAL: OnceLock<Rlimit> = OnceLock::new();
/// Whether everything that this program opens has room under that limit.
static ROOMY: AtomicBool = AtomicBool::new(false);

/// What a slot keeps open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotFiles {
    /// A worker: two pipes, its log, what tells of its end.
    Worker,
    /// A program that trains one trial: its log, what tells of its end, its metrics while they are
    /// read.
    Program,
    /// The same behind an agent: two pipes more.
    ProgramBehindAgent,
}

impl SlotFiles {
    fn count(self) -> u64 {
        match self {
            Self::Worker => 4,
            Self::Program => 3,
            Self::ProgramBehindAgent => 5,
        }
    }
}

/// A limit that leaves too little room.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLittle {
    /// Of open files.
    #[error(
        "the limit of open files is {limit} (`ulimit -n`), and {open} are open already: this needs {needed} more\nraise it, e.g. with `ulimit -n 1024`, and run the same command again"
    )]
    OpenFiles {
        /// The limit.
        limit: u64,
        /// How many are open.
        open: u64,
        /// How many are needed besides.
        needed: u64,
    },
    /// Of threads and processes.
    #[error(
        "no more threads can be started ({reason}): the limit of processes and threads of this user (`ulimit -u`), or that of a container, is reached\nraise it, or end other programs, and run the same command again"
    )]
    Threads {
        /// What the system says.
        reason: String,
    },
}

/// Prepares this program for the limits that it finds. To be called at its beginning, while it has
/// one thread.
///
/// The soft limit of open files is raised to the hard one: it is low only for programs that use
/// select(2). A file that grows beyond the limit of file sizes becomes an error that can be told,
/// and no longer ends the program by a signal.
pub fn adapt() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_ok() {
        // The first call counts.
        let _ = ORIGINAL.set(limit);
    }
    let action = SigAction::new(
        SigHandler::Handler(ignore),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing. A handler, unlike SIG_IGN, is not inherited by what this
    // program starts.
    if let Ok(before) = unsafe { sigaction(Signal::SIGXFSZ, &action) }
        && matches!(before.handler(), SigHandler::SigIgn)
    {
        // SAFETY: it was in force before.
        let _ = unsafe { sigaction(Signal::SIGXFSZ, &before) };
    }
}

extern "C" fn ignore(_: i32) {}

/// How many of a sweep's slots have room under the limit of open files.
///
/// # Errors
/// `TooLittle`, if none has, or if there is no room for the threads of a sweep.
pub fn room_for(slots: usize, each: SlotFiles) -> Result<usize, TooLittle> {
    check_threads()?;
    let open = open_files();
    let limit = getrlimit(Resource::Nofile).current;
    let needed = |slots: usize| OPEN_FILES + slots as u64 * each.count();
    let original = ORIGINAL.get().map_or(limit, |original| original.current);
    ROOMY.store(
        original.is_none_or(|original| open + needed(slots) <= original),
        Ordering::Relaxed,
    );
    let Some(limit) = limit else { return Ok(slots) };
    let room = limit.saturating_sub(open + OPEN_FILES) / each.count();
    match usize::try_from(room).unwrap_or(usize::MAX).min(slots) {
        0 if slots > 0 => Err(TooLittle::OpenFiles {
            limit,
            open,
            needed: needed(1),
        }),
        room => Ok(room),
    }
}

/// Whether there is room for what every command needs.
///
/// # Errors
/// `TooLittle`, if there is not.
pub fn check() -> Result<(), TooLittle> {
    let open = open_files();
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < open + OPEN_FILES / 2 => Err(TooLittle::OpenFiles {
            limit,
            open,
            needed: OPEN_FILES / 2,
        }),
        _ => check_threads(),
    }
}

/// Whether files may be held open before they are needed.
pub fn has_plenty_of_files() -> bool {
    getrlimit(Resource::Nofile)
        .current
        .is_none_or(|limit| limit > open_files() + 4 * OPEN_FILES)
}

/// The limit of open files that this program's children are to have, where this program's own is
/// another one.
pub fn original_open_files() -> Option<Rlimit> {
    ORIGINAL.get().copied()
}

/// Gives this process a limit of open files. Safe between fork and exec.
///
/// # Errors
/// The operating system's.
pub fn set_open_files(limit: Rlimit) -> std::io::Result<()> {
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Whether the original limit may be put in force for a moment: all that this program has open, and
/// may open meanwhile, has room under it.
pub fn is_roomy() -> bool {
    ORIGINAL.get().is_none() || ROOMY.load(Ordering::Relaxed)
}

/// The original limit of open files, in force while this lives.
pub struct OriginalLimit(Option<Rlimit>);

impl OriginalLimit {
    /// Puts it in force.
    pub fn put_in_force() -> Self {
        let raised = getrlimit(Resource::Nofile);
        let lowered = original_open_files().filter(|original| set_open_files(*original).is_ok());
        Self(lowered.map(|_| raised))
    }
}

impl Drop for OriginalLimit {
    fn drop(&mut self) {
        // What was allowed a moment ago is still allowed.
        let _ = self.0.map(set_open_files);
    }
}

/// How many files this program has open. What cannot be counted is taken to be few.
fn open_files() -> u64 {
    const STREAMS: u64 = 3;
    // The folder that is being read is one of them.
    std::fs::read_dir("/proc/self/fd").map_or(STREAMS, |files| {
        (files.count() as u64).saturating_sub(1).max(STREAMS)
    })
}

/// Whether as many threads as a sweep needs can live at the same time.
fn check_threads() -> Result<(), TooLittle> {
    let barrier = Arc::new(Barrier::new(THREADS + 1));
    let mut threads = Vec::new();
    let mut refused = None;
    for _ in 0..THREADS {
        let own = Arc::clone(&barrier);
        let wait = move || {
            own.wait();
        };
        match std::thread::Builder::new()
            .name("probe".to_owned())
            .spawn(wait)
        {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    match refused {
        None => {
            barrier.wait();
            threads.into_iter().for_each(|thread| drop(thread.join()));
            Ok(())
        }
        // Those that wait for the others go with this program, which ends now.
        Some(error) => Err(TooLittle::Threads {
            reason: error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_without_room_are_left_out() {
        let open = open_files();
        assert!(open >= 3);
        // The limits of the test's own process, which other tests share, stay as they are.
        let limit = getrlimit(Resource::Nofile).current.unwrap();
        assert_eq!(room_for(1, SlotFiles::Worker), Ok(1));
        let most = room_for(usize::MAX / 8, SlotFiles::Worker).unwrap();
        assert!(most as u64 <= limit / 4, "{most} of {limit}");
    }

    #[test]
    fn a_limit_that_is_too_low_is_named_with_what_to_do() {
        let said = TooLittle::OpenFiles {
            limit: 12,
            open: 3,
            needed: 19,
        }
        .to_string();
        assert!(
            said.contains("12 (`ulimit -n`)")
                && said.contains("needs 19 more")
                && said.contains("`ulimit -n 1024`"),
            "{said}"
        );
    }
}

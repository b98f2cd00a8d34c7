//! The limits that the system sets for this program (`ulimit`), and what they leave room for.
//! Processes that it starts get the limits that it was itself started with.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many files a sweep opens apart from its slots: the standard streams, the event loop and its
/// signals, the ledger, its log and its lock, one reader, a report that is being written.
const OPEN_FILES: u64 = 16;
/// Threads of a sweep: the ledger's, one of Polars, the one that looks after orphans, one that
/// reads a long metrics file.
const THREADS: usize = 4;

/// The limit of open files that this program was started with, where it was raised.
static ORIGINAL: OnceLock<Rlimit> = OnceLock::new();
/// Whether all files of this program fit under that limit.
static FITS_ORIGINAL: AtomicBool = AtomicBool::new(false);

/// The files that a slot keeps open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotFiles {
    /// A worker: two pipes, its log, and one to be told of its exit.
    Worker,
    /// A program that trains one trial: its log, one to be told of its exit, and its metrics while
    /// they are read.
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

/// A limit that is too low.
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
        /// How many more are needed.
        needed: u64,
    },
    /// Of threads and processes.
    #[error(
        "no more threads can be started ({reason}): the limit of processes and threads of this user (`ulimit -u`), or that of a container, is reached\nraise it, or end other programs, and run the same command again"
    )]
    Threads {
        /// The system's reason.
        reason: String,
    },
}

/// Adapts this program to its limits. To be called at its beginning, while it has one thread.
///
/// The soft limit of open files is raised to the hard one: it is low only for the sake of programs
/// that use select(2). A write beyond the limit of file sizes becomes an error that can be
/// reported, instead of a signal that ends the program.
pub fn adapt() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, raised).is_ok() {
        // Only the first call counts.
        let _ = ORIGINAL.set(limit);
    }
    let action = SigAction::new(
        SigHandler::Handler(ignore),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing. Unlike SIG_IGN, a handler is not inherited by processes
    // that this program starts.
    if let Ok(before) = unsafe { sigaction(Signal::SIGXFSZ, &action) }
        && matches!(before.handler(), SigHandler::SigIgn)
    {
        // SAFETY: this action was in force before.
        let _ = unsafe { sigaction(Signal::SIGXFSZ, &before) };
    }
}

extern "C" fn ignore(_: i32) {}

/// Returns how many of a sweep's slots fit under the limit of open files.
///
/// # Errors
/// `TooLittle`, if none fits, or the threads of a sweep cannot be started.
pub fn room_for(slots: usize, each: SlotFiles) -> Result<usize, TooLittle> {
    check_threads()?;
    let open = open_files();
    let limit = getrlimit(Resource::Nofile).current;
    let original = ORIGINAL.get().map_or(limit, |original| original.current);
    FITS_ORIGINAL.store(
        original.is_none_or(|original| open + files_of_sweep(slots, each) <= original),
        Ordering::Relaxed,
    );
    let Some(limit) = limit else { return Ok(slots) };
    let room = limit.saturating_sub(open + OPEN_FILES) / each.count();
    match usize::try_from(room).unwrap_or(usize::MAX).min(slots) {
        0 if slots > 0 => Err(TooLittle::OpenFiles {
            limit,
            open,
            needed: files_of_sweep(1, each),
        }),
        room => Ok(room),
    }
}

/// How many files a sweep opens with this many slots.
fn files_of_sweep(slots: usize, each: SlotFiles) -> u64 {
    OPEN_FILES + slots as u64 * each.count()
}

/// Checks that the limits allow what every command needs.
///
/// # Errors
/// `TooLittle`, if they do not.
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

/// Whether so few files are open that some may be held open before they are needed.
pub fn has_plenty_of_files() -> bool {
    getrlimit(Resource::Nofile)
        .current
        .is_none_or(|limit| limit > open_files() + 4 * OPEN_FILES)
}

/// The limit of open files that this program's children should have, if this program's own was
/// raised.
pub fn original_open_files() -> Option<Rlimit> {
    ORIGINAL.get().copied()
}

/// Sets the limit of open files of this process. Safe between fork and exec.
///
/// # Errors
/// The operating system's.
pub fn set_open_files(limit: Rlimit) -> std::io::Result<()> {
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Whether the original limit may be put in force for a moment, because all files of this program
/// fit under it.
pub fn fits_original_limit() -> bool {
    ORIGINAL.get().is_none() || FITS_ORIGINAL.load(Ordering::Relaxed)
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
        // Raising it back to what it was cannot fail.
        let _ = self.0.map(set_open_files);
    }
}

/// How many files this program has open; a few if they cannot be counted.
fn open_files() -> u64 {
    const STREAMS: u64 = 3;
    // The folder that is being read is among them.
    std::fs::read_dir("/proc/self/fd").map_or(STREAMS, |files| {
        (files.count() as u64).saturating_sub(1).max(STREAMS)
    })
}

/// Checks that as many threads as a sweep needs can run at the same time.
fn check_threads() -> Result<(), TooLittle> {
    let barrier = Arc::new(Barrier::new(THREADS + 1));
    let mut threads = Vec::new();
    let mut refused = None;
    for _ in 0..THREADS {
        let own = Arc::clone(&barrier);
        let thread = std::thread::Builder::new()
            .name("probe".to_owned())
            .spawn(move || {
                own.wait();
            });
        match thread {
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
        // The threads that wait for the others end with this program, which exits now.
        Some(error) => Err(TooLittle::Threads {
            reason: error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_do_not_fit_are_left_out() {
        let open = open_files();
        assert!(open >= 3);
        // Other tests share this process, so that its limits must not change.
        let limit = getrlimit(Resource::Nofile).current.unwrap();
        assert_eq!(room_for(1, SlotFiles::Worker), Ok(1));
        let most = room_for(usize::MAX / 8, SlotFiles::Worker).unwrap();
        assert!(most as u64 <= limit / 4, "{most} of {limit}");
    }

    #[test]
    fn a_limit_that_is_too_low_is_explained() {
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

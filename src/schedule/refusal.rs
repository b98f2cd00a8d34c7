//! Distinguishes a shortage of this machine from the fault of a trial. A start that fails for a
//! shortage is postponed; one that is the trial's fault counts as an attempt.

use std::io;

use nix::errno::Errno;

/// What was being done when the system refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A folder, a configuration or a log was created or opened.
    Prepare,
    /// A process was started.
    Start {
        /// Whether the same program has been started before.
        proven: bool,
    },
}

/// What the system refused, and at which step.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The system's error.
    pub error: io::Error,
    /// Whether the process itself could not be started. Otherwise what it needs could not be
    /// prepared.
    pub of_the_process: bool,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self {
            error,
            of_the_process: false,
        }
    }
}

impl Refusal {
    /// The refusal to start a process.
    pub(crate) fn of_the_process(error: io::Error) -> Self {
        Self {
            error,
            of_the_process: true,
        }
    }

    /// Whether it is a shortage. `proven` says whether the same program has been started before.
    pub(crate) fn is_shortage(&self, proven: bool) -> bool {
        let step = if self.of_the_process {
            Step::Start { proven }
        } else {
            Step::Prepare
        };
        is_shortage(&self.error, step)
    }
}

/// Whether an error is a temporary shortage of this machine, and not caused by the trial or the
/// sweep file.
///
/// A program that has been started before can be started again. If its file, its interpreter or its
/// folder is missing, that is not the fault of the present trial; only what the trial adds to the
/// command line is.
pub(crate) fn is_shortage(error: &io::Error, step: Step) -> bool {
    let Some(errno) = error.raw_os_error().map(Errno::from_raw) else {
        return false;
    };
    if is_lack(errno) {
        return true;
    }
    match step {
        Step::Prepare => false,
        // The program's file is being written at this moment.
        Step::Start { .. } if errno == Errno::ETXTBSY => true,
        Step::Start { proven } => proven && !matches!(errno, Errno::E2BIG | Errno::EINVAL),
    }
}

/// Whether the machine lacks something, or a disk or file system does not answer.
fn is_lack(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ENOSPC
            | Errno::EDQUOT
            | Errno::EFBIG
            | Errno::EROFS
            | Errno::EMFILE
            | Errno::ENFILE
            | Errno::EAGAIN
            | Errno::ENOMEM
            | Errno::ENOBUFS
            | Errno::ENOLCK
            | Errno::EINTR
            | Errno::EIO
            | Errno::ESTALE
            | Errno::ETIMEDOUT
            | Errno::ENOTCONN
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
    )
}

/// What a user can check, for a message; empty if the error says it all.
pub(crate) fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSPC) => " (no space or no inodes left: see `df` and `df -i`)",
        Some(Errno::EDQUOT) => " (see `quota`)",
        Some(Errno::EFBIG) => " (the limit of file sizes, `ulimit -f`)",
        Some(Errno::EMFILE) => " (the limit of open files, `ulimit -n`)",
        Some(Errno::ENFILE) => " (the limit of open files of the whole machine)",
        Some(Errno::EAGAIN) => {
            " (the limit of processes and threads: `ulimit -u`, or that of a container)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(errno: Errno, step: Step) -> bool {
        is_shortage(&io::Error::from_raw_os_error(errno as i32), step)
    }

    #[test]
    fn what_the_machine_lacks_is_not_the_fault_of_a_trial() {
        let steps = [
            Step::Prepare,
            Step::Start { proven: false },
            Step::Start { proven: true },
        ];
        for errno in [
            Errno::ENOSPC,
            Errno::EDQUOT,
            Errno::EMFILE,
            Errno::ENFILE,
            Errno::EAGAIN,
            Errno::ENOMEM,
            Errno::EIO,
        ] {
            assert_eq!(steps.map(|step| of(errno, step)), [true; 3], "{errno}");
        }
    }

    #[test]
    fn a_missing_program_is_a_shortage_only_if_it_was_started_before() {
        for errno in [
            Errno::ENOENT,
            Errno::EACCES,
            Errno::ENOTDIR,
            Errno::ENOEXEC,
            Errno::ELOOP,
        ] {
            assert!(!of(errno, Step::Start { proven: false }), "{errno}");
            assert!(of(errno, Step::Start { proven: true }), "{errno}");
            assert!(
                !of(errno, Step::Prepare),
                "{errno}: something stands in the way of this trial"
            );
        }
        assert!(
            of(Errno::ETXTBSY, Step::Start { proven: false }),
            "its file is being written"
        );
    }

    #[test]
    fn what_a_trial_adds_to_the_command_line_is_the_trials_fault() {
        assert!(!of(Errno::E2BIG, Step::Start { proven: true }));
        assert!(!is_shortage(
            &io::Error::other("the environment variable X is not set"),
            Step::Start { proven: true }
        ));
        let nul = std::ffi::CString::new("a\0b").unwrap_err();
        assert!(!is_shortage(&nul.into(), Step::Start { proven: true }));
    }
}

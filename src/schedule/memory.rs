//! Whether memory ran out: by what a program says, and by what the kernel counts. Such a failure is
//! tried again, alone on its device; the reactor and the dispatcher ask.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::action::Exit;
use crate::protocol::FailureKind;

/// Words by which programs say that they got no memory: PyTorch, TensorFlow and JAX on a GPU,
/// CUDA's own libraries, then the host's: Python, C++, Rust, Java, libtorch's CPU allocator, the C
/// library. In lower case.
const SIGNS: &[&str] = &[
    "cuda out of memory",
    "outofmemoryerror",
    "resource_exhausted",
    "resourceexhaustederror",
    "cuda_error_out_of_memory",
    "cudaerrormemoryallocation",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "hip out of memory",
    "mps backend out of memory",
    "defaultcpuallocator",
    "memoryerror",
    "std::bad_alloc",
    "memory allocation of",
    "cannot allocate memory",
    "can't allocate memory",
    "out of memory",
    // Slurm's own words: of its control groups, by version, and of its accounting (OverMemoryKill).
    "oom_kill event",
    "oom-kill event",
    "oom killed",
    "exceeded memory limit",
    "exceeded job memory limit",
    "exceeded step memory limit",
];

/// The line of a text that says that memory ran out: the last one, without what is not fit to be
/// printed.
pub fn line_about_memory(text: &str) -> Option<String> {
    const SHOWN: usize = 200;
    let says_so = |line: &&str| {
        let line = line.to_lowercase();
        SIGNS.iter().any(|sign| line.contains(sign))
    };
    let line = text.lines().rev().find(says_so)?.trim();
    Some(
        line.chars()
            .filter(|letter| !letter.is_control())
            .take(SHOWN)
            .collect(),
    )
}

/// The kind of a failure that a worker reported: an error whose message says so is one of memory.
pub fn refine(kind: FailureKind, message: &str) -> FailureKind {
    match kind {
        FailureKind::Error if line_about_memory(message).is_some() => FailureKind::OutOfMemory,
        kind => kind,
    }
}

/// What shows that a process ended for lack of memory: `log` is the end of what it wrote, `killed`
/// how many processes the kernel killed for lack of memory while it lived.
pub fn evidence(exit: Exit, log: &str, killed: u64) -> Option<String> {
    match exit {
        Exit::Code(0) | Exit::NotStarted | Exit::Lost => None,
        Exit::Signal(signal)
            if signal == nix::sys::signal::Signal::SIGKILL as i32 && killed > 0 =>
        {
            Some("the kernel killed it because memory ran out".to_owned())
        }
        Exit::Code(_) | Exit::Signal(_) => line_about_memory(log),
    }
}

/// How many processes the kernel has killed for lack of memory, in this program's control group or,
/// where that is not known, on this host. 0 where neither is known.
pub fn killed_by_kernel() -> u64 {
    // A process stays in its group.
    static GROUP: OnceLock<Option<PathBuf>> = OnceLock::new();
    let group = GROUP.get_or_init(|| {
        std::fs::read_to_string("/proc/self/cgroup")
            .ok()
            .and_then(|text| events_file(&text))
    });
    let count = |path: &Path| counter(&std::fs::read_to_string(path).ok()?);
    group
        .as_deref()
        .and_then(count)
        .or_else(|| count(Path::new("/proc/vmstat")))
        .unwrap_or(0)
}

/// The file of events of a control group (version 2), from the text of `/proc/self/cgroup`.
fn events_file(text: &str) -> Option<PathBuf> {
    let group = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // The root group counts nothing.
    (!group.is_empty()).then(|| {
        Path::new("/sys/fs/cgroup")
            .join(group)
            .join("memory.events")
    })
}

/// The number after `oom_kill`.
fn counter(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_say_it_in_many_words() {
        for line in [
            "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
            "torch.OutOfMemoryError: HIP out of memory.",
            "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes.",
            "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory",
            "MemoryError",
            "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 7.28 TiB for an array",
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "memory allocation of 18446744073709551615 bytes failed",
            "OSError: [Errno 12] Cannot allocate memory",
        ] {
            assert_eq!(
                line_about_memory(&format!("epoch 1\n  {line}\nAborted\n")).as_deref(),
                Some(line)
            );
        }
        for line in [
            "",
            "epoch 3: loss 0.2",
            "KeyError: 'memory'",
            "reading from memory",
        ] {
            assert_eq!(line_about_memory(line), None, "{line}");
        }
    }

    #[test]
    fn only_a_failed_process_lacked_memory() {
        let log = "CUDA out of memory, trying a smaller batch\n";
        assert_eq!(evidence(Exit::Code(0), log, 3), None);
        assert!(evidence(Exit::Code(1), log, 0).is_some());
        assert_eq!(evidence(Exit::Code(1), "KeyError: 'x'\n", 3), None);
        assert_eq!(evidence(Exit::Signal(9), "", 0), None, "somebody killed it");
        assert_eq!(
            evidence(Exit::Signal(9), "", 1).as_deref(),
            Some("the kernel killed it because memory ran out")
        );
        assert_eq!(evidence(Exit::Signal(15), "", 1), None);
    }

    #[test]
    fn a_reported_error_may_be_one_of_memory() {
        assert_eq!(
            refine(FailureKind::Error, "CUDA out of memory. Tried to allocate"),
            FailureKind::OutOfMemory
        );
        assert_eq!(
            refine(FailureKind::Error, "no such file"),
            FailureKind::Error
        );
        assert_eq!(
            refine(FailureKind::BadConfig, "out of memory"),
            FailureKind::BadConfig,
            "the worker knows better"
        );
    }

    #[test]
    fn the_kernels_counters_are_found() {
        assert_eq!(
            events_file("12:pids:/x\n0::/user.slice/a.scope\n"),
            Some(PathBuf::from(
                "/sys/fs/cgroup/user.slice/a.scope/memory.events"
            ))
        );
        assert_eq!((events_file("0::/\n"), events_file("")), (None, None));
        assert_eq!(
            counter("low 0\noom 2\noom_kill 7\noom_group_kill 0\n"),
            Some(7)
        );
        assert_eq!(counter("pgfault 3\n"), None);
    }
}

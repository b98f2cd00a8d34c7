//! Decides whether memory ran out, by what a program says and by what the kernel counts. A trial
//! that failed so is tried again, alone on its device.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::action::Exit;
use crate::protocol::FailureKind;

/// Phrases for lack of memory, in lower case: of PyTorch, TensorFlow and JAX on a GPU, of CUDA's
/// libraries, and of Python, C++, Rust, Java, libtorch's CPU allocator and the C library.
const OUT_OF_MEMORY_PHRASES: &[&str] = &[
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
    // Slurm: its control groups, in several versions, and its accounting (OverMemoryKill).
    "oom_kill event",
    "oom-kill event",
    "oom killed",
    "exceeded memory limit",
    "exceeded job memory limit",
    "exceeded step memory limit",
];

/// How much of a line about memory is shown, in characters.
const MAX_SHOWN_LINE: usize = 200;

/// The last line of a text that says that memory ran out, without control characters.
pub(crate) fn line_about_memory(text: &str) -> Option<String> {
    let line = text
        .lines()
        .rev()
        .find(|line| is_about_memory(line))?
        .trim();
    Some(
        line.chars()
            .filter(|letter| !letter.is_control())
            .take(MAX_SHOWN_LINE)
            .collect(),
    )
}

fn is_about_memory(line: &str) -> bool {
    let line = line.to_lowercase();
    OUT_OF_MEMORY_PHRASES
        .iter()
        .any(|phrase| line.contains(phrase))
}

/// Refines the kind of a failure that a worker reported: an error whose message says that memory
/// ran out is a lack of memory.
pub(crate) fn refine(kind: FailureKind, message: &str) -> FailureKind {
    match kind {
        FailureKind::Error if line_about_memory(message).is_some() => FailureKind::OutOfMemory,
        kind => kind,
    }
}

/// What shows that a process ended for lack of memory. `log` is the end of what it wrote; `killed`
/// is how many processes the kernel killed for lack of memory while it ran.
pub(crate) fn evidence(exit: Exit, log: &str, killed: u64) -> Option<String> {
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

/// How many processes the kernel has killed for lack of memory, in this program's control group or
/// else on this host; 0 if neither is known.
pub(crate) fn killed_by_kernel() -> u64 {
    // This process stays in its group.
    static GROUP: OnceLock<Option<PathBuf>> = OnceLock::new();
    let group = GROUP.get_or_init(|| {
        std::fs::read_to_string("/proc/self/cgroup")
            .ok()
            .and_then(|text| events_file(&text))
    });
    group
        .as_deref()
        .and_then(read_counter)
        .or_else(|| read_counter(Path::new("/proc/vmstat")))
        .unwrap_or(0)
}

fn read_counter(path: &Path) -> Option<u64> {
    counter(&std::fs::read_to_string(path).ok()?)
}

/// The file of events of a control group (version 2), from the text of `/proc/self/cgroup`.
fn events_file(text: &str) -> Option<PathBuf> {
    let group = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // The root group has no such file.
    (!group.is_empty()).then(|| {
        Path::new("/sys/fs/cgroup")
            .join(group)
            .join("memory.events")
    })
}

/// The number after `oom_kill` in a file of counters.
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
    fn phrases_of_many_programs_are_recognized() {
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
    fn only_a_failed_process_can_have_lacked_memory() {
        let log = "CUDA out of memory, trying a smaller batch\n";
        assert_eq!(evidence(Exit::Code(0), log, 3), None);
        assert!(evidence(Exit::Code(1), log, 0).is_some());
        assert_eq!(evidence(Exit::Code(1), "KeyError: 'x'\n", 3), None);
        assert_eq!(
            evidence(Exit::Signal(9), "", 0),
            None,
            "another program killed it"
        );
        assert_eq!(
            evidence(Exit::Signal(9), "", 1).as_deref(),
            Some("the kernel killed it because memory ran out")
        );
        assert_eq!(evidence(Exit::Signal(15), "", 1), None);
    }

    #[test]
    fn a_reported_error_may_be_a_lack_of_memory() {
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
    fn the_kernels_counters_are_parsed() {
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

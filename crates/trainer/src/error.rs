//! Why a trial cannot be run, and the kind of failure that the coordinator is told. It decides on
//! retries by the kind. Used by everything in the trainer.

use std::any::Any;

use pentagrid_protocol::FailureKind;
use tch::TchError;

/// Maximum number of characters of a message from libtorch or a panic.
const MAX_MESSAGE: usize = 600;

/// Why a trial failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrialError {
    /// The configuration cannot be run; the message names the parameter.
    #[error("{0}")]
    BadConfig(String),
    /// A file could not be read, for a reason that may be temporary.
    #[error("{0}")]
    Data(String),
    /// libtorch reported an error.
    #[error("libtorch: {}", first_lines(&.0.to_string()))]
    Torch(#[from] TchError),
    /// The trainer itself failed.
    #[error("the trainer panicked: {}", first_lines(.0))]
    Panic(String),
}

impl TrialError {
    /// The error of a panic with that payload.
    pub(crate) fn from_panic(payload: &(dyn Any + Send)) -> Self {
        let text = if let Some(text) = payload.downcast_ref::<String>() {
            text
        } else if let Some(text) = payload.downcast_ref::<&str>() {
            text
        } else {
            "no message"
        };
        Self::Panic(text.to_owned())
    }

    /// The kind of failure that the coordinator is told.
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::BadConfig(_) => FailureKind::BadConfig,
            Self::Data(_) => FailureKind::Error,
            Self::Torch(error) if is_out_of_memory(&error.to_string()) => FailureKind::OutOfMemory,
            Self::Panic(text) if is_out_of_memory(text) => FailureKind::OutOfMemory,
            Self::Torch(_) | Self::Panic(_) => FailureKind::Error,
        }
    }
}

/// Whether a message of libtorch says that memory ran out, in the wording of its CUDA or its CPU
/// allocator.
fn is_out_of_memory(message: &str) -> bool {
    [
        "out of memory",
        "DefaultCPUAllocator",
        "can't allocate memory",
        "ALLOC_FAILED",
    ]
    .iter()
    .any(|sign| message.contains(sign))
}

/// A message without the C++ stack that follows it, cut to `MAX_MESSAGE` characters.
fn first_lines(message: &str) -> String {
    let message = message
        .split("\nException raised from")
        .next()
        .unwrap_or_default()
        .trim_end();
    let mut text: String = message.chars().take(MAX_MESSAGE).collect();
    if text.len() < message.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_errors_are_told_apart() {
        let cuda = "CUDA out of memory. Tried to allocate 2.00 GiB.\nException raised from malloc at x.cpp:1\nframe #0";
        let error = TrialError::from(TchError::Torch(cuda.to_owned()));
        assert_eq!(error.kind(), FailureKind::OutOfMemory);
        insta::assert_snapshot!(error, @"libtorch: Internal torch error: CUDA out of memory. Tried to allocate 2.00 GiB.");
        let cpu = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory";
        assert_eq!(
            TrialError::Panic(cpu.to_owned()).kind(),
            FailureKind::OutOfMemory
        );
        assert_eq!(
            TrialError::from(TchError::Shape("[2]".to_owned())).kind(),
            FailureKind::Error
        );
    }

    #[test]
    fn a_real_allocation_failure_is_out_of_memory() {
        let error =
            tch::Tensor::f_zeros([1 << 46], (tch::Kind::Float, tch::Device::Cpu)).unwrap_err();
        assert_eq!(TrialError::from(error).kind(), FailureKind::OutOfMemory);
    }

    #[test]
    fn panics_keep_their_message() {
        let payload =
            std::panic::catch_unwind(|| std::panic::panic_any("lost".to_owned())).unwrap_err();
        assert_eq!(
            TrialError::from_panic(&*payload).to_string(),
            "the trainer panicked: lost"
        );
    }
}

//! Which instructions of the processor the trainer's own vector code may use. `optim/fused` and
//! `model/pool` have a portable version beside the fast one, and choose by this.
//!
//! The choice follows libtorch's. `ATEN_CPU_CAPABILITY=default` restricts libtorch to SSE, to see
//! what another processor would compute, and restricts this code too.

/// The variable that restricts the instructions that libtorch uses.
const CAPABILITY_VARIABLE: &str = "ATEN_CPU_CAPABILITY";

/// Proof that the processor has AVX2 and FMA, and that they may be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// Asks the processor and the environment.
    pub(crate) fn find() -> Option<Self> {
        let restricted =
            std::env::var_os(CAPABILITY_VARIABLE).is_some_and(|capability| capability == "default");
        (!restricted && is_detected()).then_some(Self(()))
    }
}

/// Whether the processor has both. The standard library caches its answer.
#[cfg(target_arch = "x86_64")]
fn is_detected() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

#[cfg(not(target_arch = "x86_64"))]
fn is_detected() -> bool {
    false
}

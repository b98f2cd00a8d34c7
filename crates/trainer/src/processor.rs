//! Which instructions of the processor the trainer's own vector code may use: `optim/fused` and
//! `model/pool` have a portable way beside the fast one, and choose by this.
//!
//! The choice follows libtorch's. `ATEN_CPU_CAPABILITY=default` holds libtorch down to SSE, to see
//! what another processor would compute, and holds this code down too.

/// The variable by which libtorch is told to use no more than some instructions.
const CAPABILITY_VARIABLE: &str = "ATEN_CPU_CAPABILITY";

/// Proof that the processor has AVX2 and FMA, and that they may be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// Asks the processor and the environment.
    pub(crate) fn find() -> Option<Self> {
        let held_down =
            std::env::var_os(CAPABILITY_VARIABLE).is_some_and(|capability| capability == "default");
        (!held_down && detected()).then_some(Self(()))
    }
}

/// Whether the processor has them. The standard library asks it once.
#[cfg(target_arch = "x86_64")]
fn detected() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

#[cfg(not(target_arch = "x86_64"))]
fn detected() -> bool {
    false
}

//! Where to compute: the device and the number of threads, from the environment that the
//! coordinator sets. Also the device's name for the ledger, its free memory, and waiting for it.

use std::fs;

use tch::{Cuda, Device, Kind};

/// The device: `cpu` (the default) or `cuda`, the first of CUDA_VISIBLE_DEVICES.
const DEVICE_VARIABLE: &str = "PENTAGRID_DEVICE";
/// Number of CPU threads. 1 by default, so that results do not depend on the machine's number of
/// cores.
const THREADS_VARIABLE: &str = "PENTAGRID_THREADS";

/// The precision: `single` (the default) or `double`.
const PRECISION_VARIABLE: &str = "PENTAGRID_PRECISION";

/// If set to 1, the weights that only ever meet padding are kept.
const DEAD_TAPS_VARIABLE: &str = "PENTAGRID_DEAD_TAPS";

/// Longest reason of libtorch that is shown, in characters.
const MAX_REASON: usize = 200;

/// The largest freed block that glibc keeps, which is also the most that it accepts. It is more
/// than the largest tensor of a training step.
const MAX_KEPT_BLOCK: i32 = 32 << 20;

/// Why there is nothing to compute on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DeviceError {
    /// The device is not known.
    #[error("{DEVICE_VARIABLE}={0} is neither cpu nor cuda")]
    Device(String),
    /// Not a positive number.
    #[error("{THREADS_VARIABLE}={0} is not a number of threads")]
    Threads(String),
    /// The precision is not known.
    #[error("{PRECISION_VARIABLE}={0} is neither single nor double")]
    Precision(String),
    /// Neither yes nor no.
    #[error("{DEAD_TAPS_VARIABLE}={0} is neither 0 nor 1")]
    DeadTaps(String),
    /// A form other than the default one, on a GPU.
    #[error(
        "{PRECISION_VARIABLE} and {DEAD_TAPS_VARIABLE} are for checks on a CPU: unset them, or set {DEVICE_VARIABLE}=cpu"
    )]
    FormOnGpu,
    /// There is no GPU.
    #[error(
        "{DEVICE_VARIABLE}=cuda, but libtorch finds no CUDA device here ({0}). If there is one, install libtorch with CUDA \
         (PENTAGRID_TORCH=cuda scripts/setup.sh) and look at CUDA_VISIBLE_DEVICES; otherwise set {DEVICE_VARIABLE}=cpu."
    )]
    NoGpu(String),
}

/// Whether the environment asks for a GPU.
pub(crate) fn wants_cuda() -> bool {
    std::env::var(DEVICE_VARIABLE).is_ok_and(|device| device == "cuda")
}

/// The form in which networks are computed. All but the default are for comparisons on a CPU, and
/// the ledger records them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// The precision: `Float` or `Double`.
    pub kind: Kind,
    /// Whether weights that only ever meet padding are kept (`model/taps.rs`).
    pub dead_taps: bool,
}

impl Default for Form {
    fn default() -> Self {
        Self {
            kind: Kind::Float,
            dead_taps: false,
        }
    }
}

impl Form {
    fn from_environment(device: Device) -> Result<Self, DeviceError> {
        Self::choose(
            &variable(PRECISION_VARIABLE),
            &variable(DEAD_TAPS_VARIABLE),
            device,
        )
    }

    fn choose(precision: &str, dead_taps: &str, device: Device) -> Result<Self, DeviceError> {
        let kind = match precision {
            "" | "single" => Kind::Float,
            "double" => Kind::Double,
            other => return Err(DeviceError::Precision(other.to_owned())),
        };
        let dead_taps = match dead_taps {
            "" | "0" => false,
            "1" => true,
            other => return Err(DeviceError::DeadTaps(other.to_owned())),
        };
        let form = Self { kind, dead_taps };
        if form != Self::default() && device.is_cuda() {
            return Err(DeviceError::FormOnGpu);
        }
        Ok(form)
    }

    /// How it differs from the default, as text.
    pub(crate) fn remarks(self) -> impl Iterator<Item = &'static str> {
        let double = (self.kind == Kind::Double).then_some("double precision");
        let dead_taps = self.dead_taps.then_some("dead taps kept");
        double.into_iter().chain(dead_taps)
    }
}

/// The value of an environment variable; empty if it is not set.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Where and with how many threads this process computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compute {
    /// The device.
    pub device: Device,
    /// CPU threads.
    pub threads: u16,
    /// The form of the networks.
    pub form: Form,
}

impl Compute {
    /// Reads the environment and sets libtorch up accordingly. Must be called once, before any
    /// computation.
    ///
    /// # Errors
    /// Says which variable is wrong, or why there is no such device, and what to do.
    pub(crate) fn from_environment() -> Result<Self, DeviceError> {
        let mut compute = Self::choose(&variable(DEVICE_VARIABLE), &variable(THREADS_VARIABLE))?;
        compute.form = Form::from_environment(compute.device)?;
        if compute.device.is_cuda() {
            if !Cuda::is_available() {
                return Err(DeviceError::NoGpu(why_no_cuda()));
            }
            // With benchmarks, timing would decide on the algorithm, and so on the arithmetic.
            Cuda::cudnn_set_benchmark(false);
        }
        // The number of threads decides how libtorch splits sums, and so how they round.
        tch::set_num_threads(compute.threads.into());
        tch::set_num_interop_threads(1);
        keep_freed_memory();
        Ok(compute)
    }

    fn choose(device: &str, threads: &str) -> Result<Self, DeviceError> {
        let device = match device {
            "cpu" | "" => Device::Cpu,
            "cuda" => Device::Cuda(0),
            other => return Err(DeviceError::Device(other.to_owned())),
        };
        let threads = if threads.is_empty() { "1" } else { threads };
        match threads.parse() {
            Ok(threads) if threads > 0 => Ok(Self {
                device,
                threads,
                form: Form::default(),
            }),
            _ => Err(DeviceError::Threads(threads.to_owned())),
        }
    }

    /// The device's name, as its vendor gives it, or `cpu` or `cuda` if it is not known.
    pub(crate) fn name(self) -> String {
        if self.device.is_cuda() {
            return gpu_name().unwrap_or_else(|| "cuda".to_owned());
        }
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        cpu_name(&cpuinfo).unwrap_or_else(|| "cpu".to_owned())
    }
}

/// libtorch's reason why there is no GPU. It gives one only when it is asked for memory there.
fn why_no_cuda() -> String {
    let Err(error) = tch::Tensor::f_zeros([1], (tch::Kind::Float, Device::Cuda(0))) else {
        return "it gives no reason".to_owned();
    };
    let text = error.to_string();
    if text.contains("from the 'CUDA' backend") {
        return "it has no CUDA: there is no libtorch_cuda.so beside its libtorch_cpu.so"
            .to_owned();
    }
    let first_line = text.lines().next().unwrap_or_default();
    first_line.chars().take(MAX_REASON).collect()
}

/// Waits until the device has finished all its work.
pub(crate) fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
    }
}

/// Tells the C library to keep freed memory for the next tensor instead of returning it to the
/// system. A training step frees and takes the same hundreds of megabytes again and again, and new
/// pages cost 5 to 15 % of its time.
fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use nix::libc::{M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, mallopt};
        // SAFETY: `mallopt` only sets parameters of the allocator; one that it refuses changes
        // nothing.
        unsafe {
            mallopt(M_MMAP_THRESHOLD, MAX_KEPT_BLOCK);
            mallopt(M_TRIM_THRESHOLD, i32::MAX);
        }
    }
}

fn cpu_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    line.split_once(':')
        .map(|(_, name)| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

fn gpu_name() -> Option<String> {
    gpu(&nvml_wrapper::Nvml::init().ok()?)?.name().ok()
}

/// Bytes that are free on the GPU, as its driver says.
pub(crate) fn free_memory() -> Option<u64> {
    let nvml = nvml_wrapper::Nvml::init().ok()?;
    let memory = gpu(&nvml)?.memory_info().ok()?;
    Some(memory.free)
}

/// The GPU that this process sees: by UUID, as the coordinator passes devices on, or the only one
/// there is. Not by number: NVML and CUDA may number GPUs differently.
fn gpu(nvml: &nvml_wrapper::Nvml) -> Option<nvml_wrapper::Device<'_>> {
    // A share of a GPU has a UUID of its own, with the prefix MIG.
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
    let first = visible.split(',').next().unwrap_or_default().trim();
    if first.starts_with("GPU-") || first.starts_with("MIG-") {
        nvml.device_by_uuid(first).ok()
    } else if nvml.device_count().ok()? == 1 {
        nvml.device_by_index(0).ok()
    } else {
        None
    }
}

/// Limits libtorch to one thread, as in a worker: tests run in parallel.
#[cfg(test)]
pub(crate) fn one_thread() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| tch::set_num_threads(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_one_thread_on_the_cpu() {
        assert_eq!(
            Compute::choose("", ""),
            Ok(Compute {
                device: Device::Cpu,
                threads: 1,
                form: Form::default()
            })
        );
        assert_eq!(Compute::choose("cpu", "1"), Compute::choose("", ""));
        assert_eq!(
            Compute::choose("cuda", "4"),
            Ok(Compute {
                device: Device::Cuda(0),
                threads: 4,
                form: Form::default()
            })
        );
    }

    #[test]
    fn a_wrong_variable_is_named() {
        insta::assert_snapshot!(Compute::choose("gpu", "").unwrap_err(), @"PENTAGRID_DEVICE=gpu is neither cpu nor cuda");
        insta::assert_snapshot!(Compute::choose("", "0").unwrap_err(), @"PENTAGRID_THREADS=0 is not a number of threads");
        insta::assert_snapshot!(Compute::choose("", "all").unwrap_err(), @"PENTAGRID_THREADS=all is not a number of threads");
    }

    #[test]
    fn another_form_is_for_a_cpu_and_says_so() {
        let form = Form::choose("double", "1", Device::Cpu).unwrap();
        assert_eq!(
            form,
            Form {
                kind: Kind::Double,
                dead_taps: true
            }
        );
        assert_eq!(
            form.remarks().collect::<Vec<_>>(),
            ["double precision", "dead taps kept"]
        );
        let usual = Form::choose("", "0", Device::Cuda(0)).unwrap();
        assert_eq!((usual, usual.remarks().count()), (Form::default(), 0));
        let refused = [
            ("half", "", Device::Cpu),
            ("", "yes", Device::Cpu),
            ("double", "", Device::Cuda(0)),
        ];
        let said = refused.map(|(precision, taps, device)| {
            Form::choose(precision, taps, device)
                .unwrap_err()
                .to_string()
        });
        insta::assert_snapshot!(said.join("\n"), @r"
        PENTAGRID_PRECISION=half is neither single nor double
        PENTAGRID_DEAD_TAPS=yes is neither 0 nor 1
        PENTAGRID_PRECISION and PENTAGRID_DEAD_TAPS are for checks on a CPU: unset them, or set PENTAGRID_DEVICE=cpu
        ");
    }

    #[test]
    fn the_processor_has_a_name() {
        assert_eq!(
            cpu_name("processor\t: 0\nmodel name\t: AMD EPYC 9B14\nflags : x\n").as_deref(),
            Some("AMD EPYC 9B14")
        );
        assert_eq!(cpu_name("Hardware: something"), None);
    }
}

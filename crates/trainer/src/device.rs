//! Where to compute: the device and the number of threads, from the environment that the
//! coordinator sets. Also the device's name for the record, and waiting for it when time is taken.

use std::fs;

use tch::{Cuda, Device, Kind};

/// Names the device: `cpu` (the default) or `cuda`, which is the first of CUDA_VISIBLE_DEVICES.
const DEVICE_VARIABLE: &str = "PENTAGRID_DEVICE";
/// Number of CPU threads; 1 by default, so that results do not depend on the machine's number of
/// cores.
const THREADS_VARIABLE: &str = "PENTAGRID_THREADS";

/// `single` (the default) or `double` precision.
const PRECISION_VARIABLE: &str = "PENTAGRID_PRECISION";
/// `1` keeps the weights that only ever meet padding.
const DEAD_TAPS_VARIABLE: &str = "PENTAGRID_DEAD_TAPS";

/// Whether a GPU is asked for.
pub fn wants_cuda() -> bool {
    std::env::var(DEVICE_VARIABLE).is_ok_and(|device| device == "cuda")
}

/// In what form networks are computed. All but the default is there to compare with, on a CPU, and
/// is said in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// The precision: `Float` or `Double`.
    pub kind: Kind,
    /// Whether the weights are kept that only ever meet padding (`model/taps.rs`).
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
    fn from_environment(device: Device) -> Result<Self, String> {
        let read = |name| std::env::var(name).unwrap_or_default();
        Self::choose(&read(PRECISION_VARIABLE), &read(DEAD_TAPS_VARIABLE), device)
    }

    fn choose(precision: &str, dead_taps: &str, device: Device) -> Result<Self, String> {
        let kind = match precision {
            "" | "single" => Kind::Float,
            "double" => Kind::Double,
            other => {
                return Err(format!(
                    "{PRECISION_VARIABLE}={other} is neither single nor double"
                ));
            }
        };
        let dead_taps = match dead_taps {
            "" | "0" => false,
            "1" => true,
            other => return Err(format!("{DEAD_TAPS_VARIABLE}={other} is neither 0 nor 1")),
        };
        let form = Self { kind, dead_taps };
        if form != Self::default() && device.is_cuda() {
            return Err(format!(
                "{PRECISION_VARIABLE} and {DEAD_TAPS_VARIABLE} are for checks on a CPU: unset them, or set {DEVICE_VARIABLE}=cpu"
            ));
        }
        Ok(form)
    }

    /// What of it is unusual, as text.
    pub fn remarks(self) -> impl Iterator<Item = &'static str> {
        let double = (self.kind == Kind::Double).then_some("double precision");
        double
            .into_iter()
            .chain(self.dead_taps.then_some("dead taps kept"))
    }
}

/// Where and with how many threads this process computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compute {
    /// The device.
    pub device: Device,
    /// CPU threads.
    pub threads: u16,
    /// In what form.
    pub form: Form,
}

impl Compute {
    /// Reads the environment and sets libtorch up accordingly. To be called once, before any
    /// computation.
    ///
    /// # Errors
    /// Says which variable is wrong, or why there is no such device, and what to do.
    pub fn from_environment() -> Result<Self, String> {
        let read = |name| std::env::var(name).ok();
        let mut compute = choose(
            read(DEVICE_VARIABLE).as_deref(),
            read(THREADS_VARIABLE).as_deref(),
        )?;
        compute.form = Form::from_environment(compute.device)?;
        if compute.device.is_cuda() {
            if !Cuda::is_available() {
                return Err(format!(
                    "{DEVICE_VARIABLE}=cuda, but libtorch finds no CUDA device here ({}). If there is one, install libtorch with CUDA \
                     (PENTAGRID_TORCH=cuda scripts/setup.sh) and look at CUDA_VISIBLE_DEVICES; otherwise set {DEVICE_VARIABLE}=cpu.",
                    why_no_cuda()
                ));
            }
            // Trying out algorithms would let timing decide on the arithmetic.
            Cuda::cudnn_set_benchmark(false);
        }
        tch::set_num_threads(compute.threads.into());
        tch::set_num_interop_threads(1);
        keep_freed_memory();
        Ok(compute)
    }

    /// The device's name, as its vendor gives it, where it can be found out.
    pub fn name(self) -> String {
        let found = if self.device.is_cuda() {
            gpu_name()
        } else {
            cpu_name(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
        };
        found.unwrap_or_else(|| if self.device.is_cuda() { "cuda" } else { "cpu" }.to_owned())
    }
}

/// Why there is no GPU, in libtorch's words: it says so only when it is asked for memory there.
fn why_no_cuda() -> String {
    match tch::Tensor::f_zeros([1], (tch::Kind::Float, Device::Cuda(0))) {
        Ok(_) => "it gives no reason".to_owned(),
        Err(error) => {
            let text = error.to_string();
            if text.contains("from the 'CUDA' backend") {
                return "it has no CUDA: there is no libtorch_cuda.so beside its libtorch_cpu.so"
                    .to_owned();
            }
            text.lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(200)
                .collect()
        }
    }
}

/// Waits until the device has done all that it was given.
pub fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
    }
}

/// Tells the C library to keep freed memory for the next tensor instead of giving it back to the
/// system: a training step frees and takes the same hundreds of megabytes again and again, and new
/// pages cost 5 to 15 % of its time.
fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use nix::libc::{M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, mallopt};
        // SAFETY: `mallopt` only sets numbers of the allocator; one that it refuses changes
        // nothing.
        unsafe {
            // 32 MiB is the most that glibc takes, and more than the largest tensor of a step.
            mallopt(M_MMAP_THRESHOLD, 32 << 20);
            mallopt(M_TRIM_THRESHOLD, i32::MAX);
        }
    }
}

fn choose(device: Option<&str>, threads: Option<&str>) -> Result<Compute, String> {
    let device = match device.unwrap_or("cpu") {
        "cpu" | "" => Device::Cpu,
        "cuda" => Device::Cuda(0),
        other => return Err(format!("{DEVICE_VARIABLE}={other} is neither cpu nor cuda")),
    };
    let threads = threads.filter(|threads| !threads.is_empty()).unwrap_or("1");
    match threads.parse() {
        Ok(threads) if threads > 0 => Ok(Compute {
            device,
            threads,
            form: Form::default(),
        }),
        _ => Err(format!(
            "{THREADS_VARIABLE}={threads} is not a number of threads"
        )),
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
pub fn free_memory() -> Option<u64> {
    Some(
        gpu(&nvml_wrapper::Nvml::init().ok()?)?
            .memory_info()
            .ok()?
            .free,
    )
}

/// The GPU that this process sees: by UUID, as the coordinator passes devices on, or if there is
/// but one, since NVML and CUDA may number them differently.
fn gpu(nvml: &nvml_wrapper::Nvml) -> Option<nvml_wrapper::Device<'_>> {
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

/// Tests run in parallel: one thread each, as in a worker.
#[cfg(test)]
pub fn one_thread() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| tch::set_num_threads(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_one_thread_on_the_cpu() {
        assert_eq!(
            choose(None, None),
            Ok(Compute {
                device: Device::Cpu,
                threads: 1,
                form: Form::default()
            })
        );
        assert_eq!(choose(Some(""), Some("")), choose(None, None));
        assert_eq!(
            choose(Some("cuda"), Some("4")),
            Ok(Compute {
                device: Device::Cuda(0),
                threads: 4,
                form: Form::default()
            })
        );
    }

    #[test]
    fn a_wrong_variable_is_named() {
        insta::assert_snapshot!(choose(Some("gpu"), None).unwrap_err(), @"PENTAGRID_DEVICE=gpu is neither cpu nor cuda");
        insta::assert_snapshot!(choose(None, Some("0")).unwrap_err(), @"PENTAGRID_THREADS=0 is not a number of threads");
        insta::assert_snapshot!(choose(None, Some("all")).unwrap_err(), @"PENTAGRID_THREADS=all is not a number of threads");
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
        let said = refused
            .map(|(precision, taps, device)| Form::choose(precision, taps, device).unwrap_err());
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

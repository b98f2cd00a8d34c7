//! Where to compute: the device and the number of threads, from the environment that the coordinator sets. Also the
//! device's name for the record, and waiting for it when time is taken.

use std::fs;

use tch::{Cuda, Device};

/// Names the device: `cpu` (the default) or `cuda`, which is the first of CUDA_VISIBLE_DEVICES.
const DEVICE_VARIABLE: &str = "PENTAGRID_DEVICE";
/// Number of CPU threads; 1 by default, so that results do not depend on the machine's number of cores.
const THREADS_VARIABLE: &str = "PENTAGRID_THREADS";

/// Whether a GPU is asked for.
pub fn wants_cuda() -> bool {
    std::env::var(DEVICE_VARIABLE).is_ok_and(|device| device == "cuda")
}

/// Where and with how many threads this process computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compute {
    /// The device.
    pub device: Device,
    /// CPU threads.
    pub threads: u16,
}

impl Compute {
    /// Reads the environment and sets libtorch up accordingly. To be called once, before any computation.
    ///
    /// # Errors
    /// Says which variable is wrong, or why there is no such device, and what to do.
    pub fn from_environment() -> Result<Self, String> {
        let read = |name| std::env::var(name).ok();
        let compute = choose(read(DEVICE_VARIABLE).as_deref(), read(THREADS_VARIABLE).as_deref())?;
        if compute.device.is_cuda() {
            if !Cuda::is_available() {
                return Err(format!(
                    "{DEVICE_VARIABLE}=cuda, but libtorch finds no CUDA device here. If there is one, install libtorch with CUDA \
                     (PENTAGRID_TORCH=cuda scripts/setup.sh) and look at CUDA_VISIBLE_DEVICES; otherwise set {DEVICE_VARIABLE}=cpu."
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
        let found =
            if self.device.is_cuda() { gpu_name() } else { cpu_name(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()) };
        found.unwrap_or_else(|| if self.device.is_cuda() { "cuda" } else { "cpu" }.to_owned())
    }
}

/// Waits until the device has done all that it was given.
pub fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
    }
}

/// Tells the C library to keep freed memory for the next tensor instead of giving it back to the system: a training
/// step frees and takes the same hundreds of megabytes again and again, and new pages cost 5 to 15 % of its time.
fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use nix::libc::{M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, mallopt};
        // SAFETY: `mallopt` only sets numbers of the allocator; one that it refuses changes nothing.
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
        Ok(threads) if threads > 0 => Ok(Compute { device, threads }),
        _ => Err(format!("{THREADS_VARIABLE}={threads} is not a number of threads")),
    }
}

fn cpu_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned()).filter(|name| !name.is_empty())
}

fn gpu_name() -> Option<String> {
    gpu(&nvml_wrapper::Nvml::init().ok()?)?.name().ok()
}

/// Bytes that are free on the GPU, as its driver says.
pub fn free_memory() -> Option<u64> {
    Some(gpu(&nvml_wrapper::Nvml::init().ok()?)?.memory_info().ok()?.free)
}

/// The GPU that this process sees: by UUID, as the coordinator passes devices on, or if there is but one, since NVML and CUDA may
/// number them differently.
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
        assert_eq!(choose(None, None), Ok(Compute { device: Device::Cpu, threads: 1 }));
        assert_eq!(choose(Some(""), Some("")), choose(None, None));
        assert_eq!(choose(Some("cuda"), Some("4")), Ok(Compute { device: Device::Cuda(0), threads: 4 }));
    }

    #[test]
    fn a_wrong_variable_is_named() {
        insta::assert_snapshot!(choose(Some("gpu"), None).unwrap_err(), @"PENTAGRID_DEVICE=gpu is neither cpu nor cuda");
        insta::assert_snapshot!(choose(None, Some("0")).unwrap_err(), @"PENTAGRID_THREADS=0 is not a number of threads");
        insta::assert_snapshot!(choose(None, Some("all")).unwrap_err(), @"PENTAGRID_THREADS=all is not a number of threads");
    }

    #[test]
    fn the_processor_has_a_name() {
        assert_eq!(cpu_name("processor\t: 0\nmodel name\t: AMD EPYC 9B14\nflags : x\n").as_deref(), Some("AMD EPYC 9B14"));
        assert_eq!(cpu_name("Hardware: something"), None);
    }
}

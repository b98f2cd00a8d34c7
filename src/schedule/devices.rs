//! Where trials run: what `--devices` asks for, what the machine has, and the environment that
//! makes a worker see only its own device.

use std::fmt;
use std::str::FromStr;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use crate::spec::Resources;

/// What `--devices` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceRequest {
    /// Every GPU; without one, every CPU core.
    Auto,
    /// This many workers on the CPU; None: as many as the cores allow.
    Cpu(Option<usize>),
    /// These GPUs, by index among the visible ones or by UUID; None: all GPUs.
    Cuda(Option<Vec<String>>),
}

/// The variables that tell numeric libraries how many threads to use: OpenMP, MKL, OpenBLAS,
/// NumExpr, Apple's Accelerate, Rust's rayon.
const THREAD_VARIABLES: [&str; 6] = [
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// Length that the beginning of a UUID must exceed: that of `GPU-`.
const MIN_UUID_PREFIX: usize = 4;

/// What the machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// CPU cores that this process may use.
    pub cores: usize,
    /// The GPUs that this process may use, in the order of their indices.
    pub gpus: Vec<Gpu>,
    /// Why GPUs could not be searched for, if that failed.
    pub gpu_trouble: Option<String>,
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Its name in CUDA_VISIBLE_DEVICES: its UUID if that is known.
    pub id: String,
    /// Its model, such as `NVIDIA H100`.
    pub name: String,
}

/// The device of a slot, where one worker runs at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotDevice {
    /// The number of the device. Slots with the same number share it.
    pub device: usize,
    /// The device as `--devices` would name it: `cpu`, `cuda:0`.
    pub name: String,
    /// Its model, such as `NVIDIA H100`.
    pub model: String,
    /// Environment variables of the slot's worker.
    pub environment: Vec<(String, String)>,
}

/// A request that cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// It cannot be parsed.
    #[error(
        "--devices {0:?}: expected auto, cpu, cpu:N, cuda, or cuda:I,J,... (e.g. cpu:2 or cuda:0,1)"
    )]
    Unknown(String),
    /// No GPU was found.
    #[error(
        "--devices asks for cuda, but no GPU was found{0}\nuse --devices cpu, or check the driver with nvidia-smi"
    )]
    NoGpu(String),
    /// A GPU that was asked for does not exist.
    #[error("--devices asks for GPU {wanted}, but there {}: {known}", if *.count == 1 { "is only one" } else { "are only these" })]
    NoSuchGpu {
        /// The GPU that was asked for.
        wanted: String,
        /// The GPUs that exist.
        known: String,
        /// How many exist.
        count: usize,
    },
}

impl FromStr for DeviceRequest {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = DeviceError::Unknown(text.to_owned());
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu(None)),
            None if text == "cuda" => Ok(Self::Cuda(None)),
            Some(("cpu", count)) => match count.parse() {
                Ok(count) if (1..=4096).contains(&count) => Ok(Self::Cpu(Some(count))),
                _ => Err(unknown),
            },
            Some(("cuda", list)) => {
                let list: Vec<String> =
                    list.split(',').map(|item| item.trim().to_owned()).collect();
                let distinct =
                    list.iter().collect::<std::collections::HashSet<_>>().len() == list.len();
                if distinct && list.iter().all(|item| !item.is_empty()) {
                    Ok(Self::Cuda(Some(list)))
                } else {
                    Err(unknown)
                }
            }
            _ => Err(unknown),
        }
    }
}

impl fmt::Display for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu(None) => f.write_str("cpu"),
            Self::Cpu(Some(count)) => write!(f, "cpu:{count}"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(list)) => write!(f, "cuda:{}", list.join(",")),
        }
    }
}

impl Machine {
    /// Finds out what this machine has. GPUs are found through NVML, within an inherited
    /// CUDA_VISIBLE_DEVICES.
    pub fn detect() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        match all_gpus() {
            Ok(all) => Self {
                cores,
                gpus: restrict(&all, visible.as_deref()),
                gpu_trouble: None,
            },
            Err(trouble) => Self {
                cores,
                gpus: Vec::new(),
                gpu_trouble: Some(trouble.to_string()),
            },
        }
    }

    /// Returns the slots for a request on this machine; `resources` is what a trial takes. With
    /// several trials to a GPU, each GPU gets its first slot before any gets its second.
    ///
    /// # Errors
    /// `DeviceError`, if the request asks for GPUs that do not exist.
    pub fn slots(
        &self,
        request: &DeviceRequest,
        resources: Resources,
    ) -> Result<Vec<SlotDevice>, DeviceError> {
        let threads = resources.threads;
        let gpus = match request {
            DeviceRequest::Auto if self.gpus.is_empty() => return Ok(self.cpu_slots(None, threads)),
            DeviceRequest::Cpu(count) => return Ok(self.cpu_slots(*count, threads)),
            DeviceRequest::Cuda(_) if self.gpus.is_empty() => return Err(self.no_gpu()),
            DeviceRequest::Auto | DeviceRequest::Cuda(None) => (0..self.gpus.len()).collect(),
            DeviceRequest::Cuda(Some(list)) => list
                .iter()
                .map(|wanted| self.wanted_gpu(wanted))
                .collect::<Result<Vec<usize>, DeviceError>>()?,
        };
        let once = gpus
            .iter()
            .map(|&index| gpu_slot(index, &self.gpus[index], threads));
        Ok(std::iter::repeat_n(once, resources.per_gpu as usize)
            .flatten()
            .collect())
    }

    /// Slots on the CPU. Results of workers with one thread do not depend on the number of cores,
    /// and two such workers get more done than one with two threads.
    fn cpu_slots(&self, count: Option<usize>, threads: u32) -> Vec<SlotDevice> {
        let count = count.unwrap_or_else(|| (self.cores / threads as usize).max(1));
        let slot = SlotDevice {
            device: 0,
            name: "cpu".into(),
            model: "CPU".into(),
            environment: environment(
                &[("PENTAGRID_DEVICE", "cpu"), ("CUDA_VISIBLE_DEVICES", "")],
                threads,
            ),
        };
        vec![slot; count]
    }

    fn wanted_gpu(&self, wanted: &str) -> Result<usize, DeviceError> {
        let by_index = wanted
            .parse::<usize>()
            .ok()
            .filter(|&index| index < self.gpus.len());
        if let Some(index) = by_index.or_else(|| self.gpus.iter().position(|gpu| gpu.id == wanted))
        {
            return Ok(index);
        }
        let known: Vec<String> = self
            .gpus
            .iter()
            .enumerate()
            .map(|(index, gpu)| format!("{index} ({})", gpu.name))
            .collect();
        Err(DeviceError::NoSuchGpu {
            wanted: wanted.to_owned(),
            known: known.join(", "),
            count: known.len(),
        })
    }

    fn no_gpu(&self) -> DeviceError {
        DeviceError::NoGpu(
            self.gpu_trouble
                .as_ref()
                .map(|trouble| format!(" ({trouble})"))
                .unwrap_or_default(),
        )
    }
}

/// All GPUs that the driver knows, in PCI order.
fn all_gpus() -> Result<Vec<Gpu>, NvmlError> {
    let nvml = Nvml::init()?;
    (0..nvml.device_count()?)
        .map(|index| {
            let device = nvml.device_by_index(index)?;
            Ok(Gpu {
                id: device.uuid()?,
                name: device.name().unwrap_or_else(|_| format!("GPU {index}")),
            })
        })
        .collect()
}

/// Returns the GPUs that an inherited CUDA_VISIBLE_DEVICES leaves, in its order. As in CUDA, the
/// list ends at the first entry that names no GPU; an entry is an index or the beginning of a UUID.
fn restrict(all: &[Gpu], visible: Option<&str>) -> Vec<Gpu> {
    match visible {
        Some(visible) => visible
            .split(',')
            .map_while(|entry| visible_gpu(all, entry.trim()))
            .collect(),
        None => all.to_vec(),
    }
}

/// The GPU that an entry of CUDA_VISIBLE_DEVICES names.
fn visible_gpu(all: &[Gpu], entry: &str) -> Option<Gpu> {
    if let Some(gpu) = entry.parse().ok().and_then(|index: usize| all.get(index)) {
        return Some(gpu.clone());
    }
    let is_prefix = entry.len() > MIN_UUID_PREFIX;
    if let Some(gpu) = all
        .iter()
        .find(|gpu| is_prefix && gpu.id.starts_with(entry))
    {
        return Some(gpu.clone());
    }
    // A slice of a GPU (MIG) has a name of its own, and is not in NVML's list of whole GPUs.
    entry.starts_with("MIG-").then(|| Gpu {
        id: entry.to_owned(),
        name: entry.to_owned(),
    })
}

fn gpu_slot(index: usize, gpu: &Gpu, threads: u32) -> SlotDevice {
    let mut environment = gpu_environment(threads);
    environment.insert(1, ("CUDA_VISIBLE_DEVICES".to_owned(), gpu.id.clone()));
    SlotDevice {
        device: index,
        name: format!("cuda:{index}"),
        model: gpu.name.clone(),
        environment,
    }
}

/// The environment of a worker on a GPU, without the GPU's id.
pub fn gpu_environment(threads: u32) -> Vec<(String, String)> {
    environment(
        &[
            ("PENTAGRID_DEVICE", "cuda"),
            // Gives indices the same meaning here, in NVML and in the worker.
            ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
            // cuBLAS is deterministic only with a workspace of fixed size.
            ("CUBLAS_WORKSPACE_CONFIG", ":4096:8"),
        ],
        threads,
    )
}

fn environment(own: &[(&str, &str)], threads: u32) -> Vec<(String, String)> {
    own.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .chain(thread_variables(threads))
        .collect()
}

/// The variables that tell libraries to use this many threads.
pub fn thread_variables(threads: u32) -> impl Iterator<Item = (String, String)> {
    THREAD_VARIABLES
        .iter()
        .map(move |name| ((*name).to_owned(), threads.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(gpus: usize) -> Machine {
        let gpus = (0..gpus)
            .map(|n| Gpu {
                id: format!("GPU-{n}{n}{n}{n}-abcd"),
                name: format!("Model {n}"),
            })
            .collect();
        Machine {
            cores: 3,
            gpus,
            gpu_trouble: None,
        }
    }

    fn names(machine: &Machine, request: &str) -> String {
        match request
            .parse()
            .and_then(|request| machine.slots(&request, Resources::default()))
        {
            Ok(slots) => slots
                .iter()
                .map(|slot| format!("{}@{}", slot.name, slot.device))
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn requests_give_slots() {
        assert_eq!(names(&machine(0), "auto"), "cpu@0 cpu@0 cpu@0");
        assert_eq!(names(&machine(2), "auto"), "cuda:0@0 cuda:1@1");
        assert_eq!(names(&machine(2), "cpu:2"), "cpu@0 cpu@0");
        assert_eq!(names(&machine(2), "cuda:1"), "cuda:1@1");
        assert_eq!(
            names(&machine(2), "cuda:GPU-1111-abcd,0"),
            "cuda:1@1 cuda:0@0"
        );
    }

    #[test]
    fn requests_that_cannot_be_met_say_why() {
        insta::assert_snapshot!(names(&machine(0), "cuda"), @"
        --devices asks for cuda, but no GPU was found
        use --devices cpu, or check the driver with nvidia-smi
        ");
        insta::assert_snapshot!(names(&machine(2), "cuda:0,2"), @"--devices asks for GPU 2, but there are only these: 0 (Model 0), 1 (Model 1)");
        for bad in [
            "gpu",
            "cpu:0",
            "cpu:x",
            "cuda:",
            "cuda:0,0",
            "cuda:0,,1",
            "",
        ] {
            assert!(names(&machine(2), bad).starts_with("--devices \""), "{bad}");
        }
    }

    #[test]
    fn a_worker_sees_exactly_its_own_gpu() {
        let slots = machine(2)
            .slots(&DeviceRequest::Auto, Resources::default())
            .unwrap();
        let value = |slot: &SlotDevice, name: &str| {
            slot.environment
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
        };
        assert_eq!(
            value(&slots[1], "CUDA_VISIBLE_DEVICES").as_deref(),
            Some("GPU-1111-abcd")
        );
        assert_eq!(
            value(&slots[1], "CUDA_DEVICE_ORDER").as_deref(),
            Some("PCI_BUS_ID")
        );
        let cpu = machine(2)
            .slots(&DeviceRequest::Cpu(Some(1)), Resources::default())
            .unwrap();
        assert_eq!(value(&cpu[0], "CUDA_VISIBLE_DEVICES").as_deref(), Some(""));
    }

    #[test]
    fn trials_share_gpus_and_cores_as_the_sweep_file_says() {
        let resources = Resources {
            per_gpu: 2,
            threads: 2,
        };
        let slots = |machine: &Machine, request: &str| {
            machine.slots(&request.parse().unwrap(), resources).unwrap()
        };
        let gpus: Vec<(usize, String)> = slots(&machine(2), "auto")
            .into_iter()
            .map(|slot| (slot.device, slot.environment[1].1.clone()))
            .collect();
        let expected = [
            (0, "GPU-0000-abcd"),
            (1, "GPU-1111-abcd"),
            (0, "GPU-0000-abcd"),
            (1, "GPU-1111-abcd"),
        ];
        assert_eq!(gpus, expected.map(|(device, id)| (device, id.to_owned())));
        let cpu = slots(&machine(0), "cpu");
        assert_eq!(cpu.len(), 1, "of three cores");
        assert!(
            cpu[0]
                .environment
                .contains(&("OMP_NUM_THREADS".to_owned(), "2".to_owned()))
        );
        assert_eq!(slots(&machine(0), "cpu:3").len(), 3, "as asked for");
    }

    #[test]
    fn an_inherited_list_restricts_and_orders() {
        let all = machine(3).gpus;
        let left = |visible| {
            restrict(&all, visible)
                .into_iter()
                .map(|gpu| gpu.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(left(None).len(), 3);
        assert_eq!(left(Some("2,0")), ["Model 2", "Model 0"]);
        assert_eq!(left(Some("GPU-1111")), ["Model 1"]);
        assert_eq!(left(Some("1,-1,2")), ["Model 1"], "as CUDA reads it");
        assert_eq!(left(Some("")), Vec::<String>::new());
    }
}

//! Where trials run: what `--devices` says, what the machine has, and the environment that makes a
//! worker see exactly its own device.

use std::fmt;
use std::str::FromStr;

use crate::spec::Resources;

/// What `--devices` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceRequest {
    /// Every GPU; without one, every CPU core.
    Auto,
    /// So many one-threaded workers on the CPU; None: one for each core.
    Cpu(Option<usize>),
    /// These GPUs, by index among the visible ones or by UUID; None: every one.
    Cuda(Option<Vec<String>>),
}

/// The variables by which numeric libraries are told how many threads to use: OpenMP, MKL,
/// OpenBLAS, NumExpr, Apple's Accelerate, Rust's rayon.
const THREADS: [&str; 6] = [
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// What the machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// CPU cores that this process may use.
    pub cores: usize,
    /// The GPUs that this process may use, in the order of their indices.
    pub gpus: Vec<Gpu>,
    /// Why GPUs could not be looked for, if that is so.
    pub gpu_trouble: Option<String>,
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// What CUDA_VISIBLE_DEVICES calls it: its UUID where that is known.
    pub id: String,
    /// What a person calls it.
    pub name: String,
}

/// One slot: a worker runs here, one trial (or bundle) at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotDevice {
    /// Slots of one number share a device.
    pub device: usize,
    /// The device as `--devices` would name it: `cpu`, `cuda:0`.
    pub name: String,
    /// What a person calls it.
    pub model: String,
    /// Environment variables of the slot's worker.
    pub environment: Vec<(String, String)>,
}

/// A request that cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// It cannot be read.
    #[error(
        "--devices {0:?}: expected auto, cpu, cpu:N, cuda, or cuda:I,J,... (e.g. cpu:2 or cuda:0,1)"
    )]
    Unknown(String),
    /// No GPU was found.
    #[error(
        "--devices asks for cuda, but no GPU was found{0}\nuse --devices cpu, or check the driver with nvidia-smi"
    )]
    NoGpu(String),
    /// That GPU is not there.
    #[error("--devices asks for GPU {wanted}, but there {}: {known}", if *.count == 1 { "is only one" } else { "are only these" })]
    NoSuchGpu {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
        /// How many there are.
        count: usize,
    },
}

impl FromStr for DeviceRequest {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(text.to_owned());
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu(None)),
            None if text == "cuda" => Ok(Self::Cuda(None)),
            Some(("cpu", count)) => match count.parse() {
                Ok(count) if (1..=4096).contains(&count) => Ok(Self::Cpu(Some(count))),
                _ => Err(unknown()),
            },
            Some(("cuda", list)) => {
                let list: Vec<String> =
                    list.split(',').map(|item| item.trim().to_owned()).collect();
                let distinct =
                    list.iter().collect::<std::collections::HashSet<_>>().len() == list.len();
                if distinct && list.iter().all(|item| !item.is_empty()) {
                    Ok(Self::Cuda(Some(list)))
                } else {
                    Err(unknown())
                }
            }
            _ => Err(unknown()),
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
    /// Looks at this machine. GPUs are asked for through NVML, within an inherited
    /// CUDA_VISIBLE_DEVICES.
    pub fn look() -> Self {
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
                gpu_trouble: Some(trouble),
            },
        }
    }

    /// The slots that a request gives on this machine, for trials that take so much of it. With
    /// several trials to a GPU, every GPU gets its first before any gets its second.
    ///
    /// # Errors
    /// `DeviceError` if the request asks for GPUs that are not there.
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

    /// Workers on the CPU. Results of one-threaded ones do not depend on how many cores a machine
    /// has, and two such workers do more than one with two threads.
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
        let index = by_index.or_else(|| self.gpus.iter().position(|gpu| gpu.id == wanted));
        match index {
            Some(index) => Ok(index),
            None => {
                let known: Vec<_> = self
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
        }
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

/// Every GPU that the driver knows, in PCI order.
fn all_gpus() -> Result<Vec<Gpu>, String> {
    let nvml = nvml_wrapper::Nvml::init().map_err(|error| error.to_string())?;
    let count = nvml.device_count().map_err(|error| error.to_string())?;
    (0..count)
        .map(|index| {
            let device = nvml
                .device_by_index(index)
                .map_err(|error| error.to_string())?;
            let id = device.uuid().map_err(|error| error.to_string())?;
            Ok(Gpu {
                id,
                name: device.name().unwrap_or_else(|_| format!("GPU {index}")),
            })
        })
        .collect()
}

/// The GPUs that an inherited CUDA_VISIBLE_DEVICES leaves, in its order. As CUDA does, the list
/// ends at the first entry that names no GPU; an entry may be an index or the beginning of a UUID.
fn restrict(all: &[Gpu], visible: Option<&str>) -> Vec<Gpu> {
    let Some(visible) = visible else {
        return all.to_vec();
    };
    visible
        .split(',')
        .map_while(|entry| {
            let entry = entry.trim();
            let by_index = entry.parse::<usize>().ok().and_then(|index| all.get(index));
            let named = || {
                all.iter()
                    .find(|gpu| entry.len() > 4 && gpu.id.starts_with(entry))
            };
            by_index.or_else(named).cloned().or_else(|| {
                // A slice of a GPU (MIG) has a name of its own, which NVML's list of whole GPUs
                // does not hold.
                entry.starts_with("MIG-").then(|| Gpu {
                    id: entry.to_owned(),
                    name: entry.to_owned(),
                })
            })
        })
        .collect()
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

/// What a worker on a GPU is told, whichever GPU it is.
pub fn gpu_environment(threads: u32) -> Vec<(String, String)> {
    environment(
        &[
            ("PENTAGRID_DEVICE", "cuda"),
            // Makes indices mean the same here, in NVML and in the worker.
            ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
            // cuBLAS gives the same sums every time only with a workspace of fixed size.
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

/// The variables that tell libraries to use so many threads.
pub fn thread_variables(threads: u32) -> impl Iterator<Item = (String, String)> {
    THREADS
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
    fn trials_share_gpus_and_cores_as_the_spec_says() {
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

//! The CUDA files beside this one on the GPU: compiled by NVRTC, which comes with libtorch's CUDA,
//! and started on libtorch's stream. `kernels` says with what.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cudarc::driver::sys::{CUdevice_attribute, CUfunction_attribute_enum};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaStream, DriverError, LaunchConfig, PushKernelArg,
};
use cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};
use tch::{TchError, Tensor};

use crate::cuda;

const SOURCE: &str = concat!(
    include_str!("convolution.cu"),
    include_str!("norm.cu"),
    include_str!("stem.cu")
);

/// Shared memory, in bytes, that the largest kernel takes of a block.
const SHARED: i32 = 200 << 10;

/// The kernels, ready to start.
pub struct Module {
    stream: Arc<CudaStream>,
    functions: HashMap<&'static str, CudaFunction>,
}

/// One argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Argument {
    /// An address on the GPU; 0: none.
    Address(u64),
    /// A step between rows.
    Long(i64),
    /// A number.
    Int(i32),
}

/// How a kernel is started.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Blocks.
    pub grid: [i64; 3],
    /// Threads of a block.
    pub threads: i64,
    /// Bytes of shared memory of a block.
    pub shared: i64,
}

impl Module {
    /// Compiles the kernels of those names for the first GPU that this process sees. Products take that many
    /// passes on the tensor cores.
    ///
    /// # Errors
    /// Says what is missing: a GPU that has what they need, the compiler, or what the compiler did
    /// not like.
    pub fn compile(names: &[&'static str], passes: u8) -> Result<Self, String> {
        load_compiler()?;
        let context = CudaContext::new(0).map_err(why)?;
        let (major, minor) = context.compute_capability().map_err(why)?;
        let shared = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
        let shared = context.attribute(shared).map_err(why)?;
        if major < 8 || shared < SHARED {
            return Err(format!(
                "they need a GPU of compute capability 8.0 or higher with {} KiB of shared memory for a block; this one has {major}.{minor} \
                 and {} KiB",
                SHARED >> 10,
                shared >> 10
            ));
        }
        let options = [
            format!("--gpu-architecture=compute_{major}{minor}"),
            format!("-DPASSES={passes}"),
            "--std=c++17".to_owned(),
        ];
        let options = CompileOptions {
            options: options.to_vec(),
            name: Some("kernels".to_owned()),
            ..Default::default()
        };
        let code = compile_ptx_with_opts(SOURCE, options).map_err(|error| match error {
            CompileError::CompileError { log, .. } => {
                format!("NVRTC: {}", log.to_string_lossy().trim())
            }
            other => format!("NVRTC: {other}"),
        })?;
        let module = context.load_module(code).map_err(why)?;
        let mut functions = HashMap::new();
        for name in names {
            let function = module.load_function(name).map_err(why)?;
            let most = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            function.set_attribute(most, shared - 1024).map_err(why)?;
            functions.insert(*name, function);
        }
        // The one that libtorch computes on: what either starts is done in turn.
        Ok(Self {
            stream: context.default_stream(),
            functions,
        })
    }

    /// Starts a kernel; it runs after all that was started before.
    ///
    /// # Errors
    /// The driver's; one if there is no such kernel.
    pub fn start(&self, name: &str, how: Start, arguments: &[Argument]) -> Result<(), TchError> {
        let problem = |why: String| TchError::Torch(format!("kernel {name}: {why}"));
        let function = self
            .functions
            .get(name)
            .ok_or_else(|| problem("not compiled".to_owned()))?;
        let mut launch = self.stream.launch_builder(function);
        for argument in arguments {
            match argument {
                Argument::Address(value) => launch.arg(value),
                Argument::Long(value) => launch.arg(value),
                Argument::Int(value) => launch.arg(value),
            };
        }
        let grid_dim = how.grid.map(|side| side as u32).into();
        let config = LaunchConfig {
            grid_dim,
            block_dim: (how.threads as u32, 1, 1),
            shared_mem_bytes: how.shared as u32,
        };
        // SAFETY: `kernels` gives each kernel the arguments that it declares, addresses of tensors
        // that are as large as it takes them to be; libtorch hands memory on only to what is
        // started later on this stream.
        unsafe { launch.launch(config) }
            .map(drop)
            .map_err(|error| problem(why(error)))
    }
}

impl From<&Tensor> for Argument {
    /// Where a tensor's numbers are.
    fn from(tensor: &Tensor) -> Self {
        Self::Address(tensor.data_ptr() as u64)
    }
}

impl Argument {
    /// Where a number of a tensor is, by its place in the tensor's memory.
    pub fn at(tensor: &Tensor, place: i64, size: i64) -> Self {
        Self::Address((tensor.data_ptr() as i64 + place * size) as u64)
    }
}

fn why(error: DriverError) -> String {
    error.error_string().map_or_else(
        |_| format!("{error:?}"),
        |text| text.to_string_lossy().into_owned(),
    )
}

/// Loads NVRTC: libtorch's `libcaffe2_nvrtc.so` knows where it is. NVRTC looks for the library of
/// its built-in functions by name alone.
fn load_compiler() -> Result<(), String> {
    let maps = || fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let beside = cuda::loaded(&maps(), "libtorch_cuda.so").ok_or("libtorch has no CUDA here")?;
    let bridge = beside.with_file_name("libcaffe2_nvrtc.so");
    if bridge.exists() {
        cuda::open(&bridge)?;
    }
    let compiler = maps().lines().find_map(|line| {
        let path = Path::new(&line[line.find('/')?..]);
        path.file_name()?
            .to_str()?
            .starts_with("libnvrtc.so")
            .then(|| path.to_owned())
    });
    if let Some(builtins) = compiler.as_deref().and_then(builtins) {
        cuda::open(&builtins)?;
    }
    // SAFETY: it opens the library and closes it again.
    if unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        Ok(())
    } else {
        Err("NVRTC (libnvrtc.so) is not there".to_owned())
    }
}

fn builtins(compiler: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(compiler.parent()?).ok()?.flatten();
    let plain = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("libnvrtc-builtins.so"))
    };
    files.map(|file| file.path()).find(plain)
}

//! The CUDA files beside this one on the GPU: compiled by NVRTC, which comes with libtorch's CUDA,
//! and started on libtorch's stream. `kernels` says with which arguments.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cudarc::driver::sys::{CUdevice_attribute, CUfunction_attribute_enum};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaStream, DriverError, LaunchConfig, PushKernelArg,
};
use cudarc::nvrtc::{CompileError, CompileOptions, Ptx, compile_ptx_with_opts};
use tch::{TchError, Tensor};

use crate::cuda;

const SOURCE: &str = concat!(
    include_str!("convolution.cu"),
    include_str!("norm.cu"),
    include_str!("stem.cu")
);

/// Bytes of shared memory that a block of the largest kernel takes.
const SHARED_MEMORY: i32 = 200 << 10;

/// Why the kernels cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModuleError {
    /// libtorch was installed without CUDA.
    #[error("libtorch has no CUDA here")]
    NoCuda,
    /// The compiler of kernels is missing.
    #[error("NVRTC (libnvrtc.so) is not there")]
    NoCompiler,
    /// The GPU lacks what the kernels need.
    #[error(
        "they need a GPU of compute capability 8.0 or higher with {} KiB of shared memory for a block; \
         this one has {major}.{minor} and {} KiB",
        SHARED_MEMORY >> 10,
        shared >> 10
    )]
    Unsuitable {
        /// First number of the compute capability.
        major: i32,
        /// Second number of it.
        minor: i32,
        /// Bytes of shared memory that a block may have.
        shared: i32,
    },
    /// The compiler refused the source.
    #[error("NVRTC: {0}")]
    Compiler(String),
    /// The driver reported an error.
    #[error("{0}")]
    Driver(String),
    /// A library could not be loaded.
    #[error(transparent)]
    Load(#[from] cuda::LoadError),
}

impl From<DriverError> for ModuleError {
    fn from(error: DriverError) -> Self {
        Self::Driver(driver_message(error))
    }
}

/// The kernels, ready to start.
pub(crate) struct Module {
    stream: Arc<CudaStream>,
    functions: HashMap<&'static str, CudaFunction>,
}

/// One argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument {
    /// An address on the GPU; 0 for none.
    Address(u64),
    /// A step between rows.
    Long(i64),
    /// A number.
    Int(i32),
}

/// How a kernel is started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// Blocks.
    pub grid: [i64; 3],
    /// Threads of a block.
    pub threads: i64,
    /// Bytes of shared memory of a block.
    pub shared: i64,
}

impl Module {
    /// Compiles the kernels of those names for the first GPU that this process sees. `passes` is
    /// how many passes on the tensor cores a product takes.
    ///
    /// # Errors
    /// Says what is missing: a suitable GPU, the compiler, or what the compiler refused.
    pub(crate) fn compile(names: &[&'static str], passes: u8) -> Result<Self, ModuleError> {
        load_compiler()?;
        let context = CudaContext::new(0)?;
        let (major, minor) = context.compute_capability()?;
        let shared = context
            .attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        if major < 8 || shared < SHARED_MEMORY {
            return Err(ModuleError::Unsuitable {
                major,
                minor,
                shared,
            });
        }

        let code = compile_source(vec![
            format!("--gpu-architecture=compute_{major}{minor}"),
            format!("-DPASSES={passes}"),
            "--std=c++17".to_owned(),
        ])?;
        let module = context.load_module(code)?;
        let mut functions = HashMap::new();
        for name in names {
            let function = module.load_function(name)?;
            function.set_attribute(
                CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                shared - 1024,
            )?;
            functions.insert(*name, function);
        }

        // libtorch computes on the default stream too, so that its operations and the kernels run
        // in the order in which they are started.
        Ok(Self {
            stream: context.default_stream(),
            functions,
        })
    }

    /// Starts a kernel, which runs after everything that was started before.
    ///
    /// # Errors
    /// The driver's; or if there is no such kernel.
    pub(crate) fn start(
        &self,
        name: &str,
        start: Start,
        arguments: &[Argument],
    ) -> Result<(), TchError> {
        let function = self
            .functions
            .get(name)
            .ok_or_else(|| kernel_error(name, "not compiled"))?;
        let mut launch = self.stream.launch_builder(function);
        for argument in arguments {
            match argument {
                Argument::Address(value) => launch.arg(value),
                Argument::Long(value) => launch.arg(value),
                Argument::Int(value) => launch.arg(value),
            };
        }
        let config = LaunchConfig {
            grid_dim: start.grid.map(|side| side as u32).into(),
            block_dim: (start.threads as u32, 1, 1),
            shared_mem_bytes: start.shared as u32,
        };

        // SAFETY: `kernels` gives each kernel the arguments that it declares, addresses of tensors
        // that are as large as it takes them to be; libtorch reuses freed memory only for what is
        // started later on this stream.
        let outcome = unsafe { launch.launch(config) };
        match outcome {
            Ok(_) => Ok(()),
            Err(error) => Err(kernel_error(name, &driver_message(error))),
        }
    }
}

fn compile_source(options: Vec<String>) -> Result<Ptx, ModuleError> {
    let options = CompileOptions {
        options,
        name: Some("kernels".to_owned()),
        ..Default::default()
    };
    compile_ptx_with_opts(SOURCE, options).map_err(|error| {
        ModuleError::Compiler(match error {
            CompileError::CompileError { log, .. } => log.to_string_lossy().trim().to_owned(),
            other => other.to_string(),
        })
    })
}

fn kernel_error(name: &str, reason: &str) -> TchError {
    TchError::Torch(format!("kernel {name}: {reason}"))
}

impl From<&Tensor> for Argument {
    /// The address of a tensor's first number.
    fn from(tensor: &Tensor) -> Self {
        Self::Address(tensor.data_ptr() as u64)
    }
}

impl Argument {
    /// The address of the number at a place in a tensor's memory.
    pub(crate) fn at(tensor: &Tensor, place: i64, size: i64) -> Self {
        Self::Address((tensor.data_ptr() as i64 + place * size) as u64)
    }
}

/// The driver's text for an error, or its number if there is none.
fn driver_message(error: DriverError) -> String {
    error.error_string().map_or_else(
        |_| format!("{error:?}"),
        |text| text.to_string_lossy().into_owned(),
    )
}

/// The files that are mapped into this process.
fn memory_maps() -> String {
    fs::read_to_string("/proc/self/maps").unwrap_or_default()
}

/// Loads NVRTC: libtorch's `libcaffe2_nvrtc.so` knows where it is. NVRTC looks for the library of
/// its built-in functions by name alone, so that one is loaded as well.
fn load_compiler() -> Result<(), ModuleError> {
    let libtorch = cuda::loaded(&memory_maps(), "libtorch_cuda.so").ok_or(ModuleError::NoCuda)?;
    let bridge = libtorch.with_file_name("libcaffe2_nvrtc.so");
    if bridge.exists() {
        cuda::open(&bridge)?;
    }

    let maps = memory_maps();
    let compiler = maps
        .lines()
        .filter_map(|line| Some(Path::new(&line[line.find('/')?..])))
        .find(|path| has_name_like(path, "libnvrtc.so"));
    if let Some(builtins) = compiler.and_then(find_builtins) {
        cuda::open(&builtins)?;
    }

    // SAFETY: the call opens the library and closes it again.
    if unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        Ok(())
    } else {
        Err(ModuleError::NoCompiler)
    }
}

/// The library of built-in functions in the compiler's folder.
fn find_builtins(compiler: &Path) -> Option<PathBuf> {
    fs::read_dir(compiler.parent()?)
        .ok()?
        .flatten()
        .map(|file| file.path())
        .find(|path| has_name_like(path, "libnvrtc-builtins.so"))
}

/// Whether a path's file name begins like that.
fn has_name_like(path: &Path, beginning: &str) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(beginning))
}

//! What must happen before libtorch looks for a GPU. Its CUDA library is loaded if it is beside the
//! one that this program is linked to, so that one binary serves installations with and without
//! CUDA. TF32 is switched off, or on if the environment asks for it.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::libc::{RTLD_GLOBAL, RTLD_NOW, dlerror, dlopen};

/// If set to 1, a GPU may multiply with 10 bits of mantissa.
const TF32_VARIABLE: &str = "PENTAGRID_TF32";

/// libtorch's switch for matrix products, which is off by default, and NVIDIA's for all of its
/// libraries. 0 in NVIDIA's forbids TF32 everywhere, also in cuDNN's convolutions, for which
/// libtorch allows it by default.
const SWITCHES: [&str; 2] = ["TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "NVIDIA_TF32_OVERRIDE"];

/// Why a library could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The path contains a zero byte.
    #[error("{} is no path", .0.display())]
    NotAPath(PathBuf),
    /// The dynamic loader refused.
    #[error("cannot load {}: {reason}", path.display())]
    Refused {
        /// The library.
        path: PathBuf,
        /// The loader's reason.
        reason: String,
    },
}

/// Whether the environment asks for TF32.
pub(crate) fn wants_tf32() -> bool {
    std::env::var(TF32_VARIABLE).is_ok_and(|value| !["", "0"].contains(&value.as_str()))
}

/// The values that the switches must have; `None` for not set.
fn switches(tf32: bool) -> [Option<&'static str>; 2] {
    if tf32 {
        [Some("1"), None]
    } else {
        [None, Some("0")]
    }
}

/// Sets the switches for TF32. libtorch reads its own before `main`, so this program may have to
/// restart itself, in the same process.
///
/// # Errors
/// The system's, if it cannot restart.
pub(crate) fn settle_tf32() -> io::Result<()> {
    let wanted = switches(wants_tf32());
    let is_settled = SWITCHES
        .iter()
        .zip(wanted)
        .all(|(name, value)| std::env::var_os(name).as_deref() == value.map(OsStr::new));
    if is_settled {
        return Ok(());
    }

    // The same program with the same arguments, which reads the switches when it starts.
    let mut words = std::env::args_os();
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(own_name) = words.next() {
        command.arg0(own_name);
    }
    for (name, value) in SWITCHES.iter().zip(wanted) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // Returns only if it fails.
    Err(command.args(words).exec())
}

/// Loads libtorch's CUDA library, if it exists and is not loaded yet. Must be called before
/// libtorch is asked for a GPU, because it looks for one only once.
///
/// # Errors
/// Says what does not load and why.
pub(crate) fn load() -> Result<(), LoadError> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    match missing_cuda_library(&maps).filter(|path| path.exists()) {
        Some(path) => open(&path),
        None => Ok(()),
    }
}

/// Where the CUDA library would be, by the process's memory maps. `None` if it is loaded already,
/// or if libtorch is not.
fn missing_cuda_library(maps: &str) -> Option<PathBuf> {
    if loaded(maps, "libtorch_cuda.so").is_some() {
        return None;
    }
    let libtorch = loaded(maps, "libtorch_cpu.so")?;
    Some(libtorch.with_file_name("libtorch_cuda.so"))
}

/// The path of the loaded library with that name, by the process's memory maps.
pub(crate) fn loaded(maps: &str, name: &str) -> Option<PathBuf> {
    maps.lines()
        .filter_map(|line| Some(Path::new(&line[line.find('/')?..])))
        .find(|path| path.file_name() == Some(OsStr::new(name)))
        .map(Path::to_path_buf)
}

/// Loads a library, which is never unloaded.
///
/// # Errors
/// Says what does not load and why.
pub(crate) fn open(path: &Path) -> Result<(), LoadError> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| LoadError::NotAPath(path.to_owned()))?;

    // SAFETY: the name ends with a zero. The library's initialisers register its kernels; it is
    // never closed.
    let handle = unsafe { dlopen(name.as_ptr(), RTLD_NOW | RTLD_GLOBAL) };
    if !handle.is_null() {
        return Ok(());
    }

    // SAFETY: after a failure it gives a text that ends with a zero and lives until this thread's
    // next call of its kind.
    let reason = unsafe {
        let text = dlerror();
        if text.is_null() {
            "no reason given".into()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    };
    Err(LoadError::Refused {
        path: path.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_looked_for_missing_cuda_library() {
        let line = |path: &str| {
            format!("7f00-7f01 r-xp 00000000 08:01 1234                       {path}\n")
        };
        let libtorch = line("/opt/my torch/lib/libtorch_cpu.so");
        let expected = Some(PathBuf::from("/opt/my torch/lib/libtorch_cuda.so"));
        assert_eq!(
            missing_cuda_library(
                &(line("/usr/lib/libc.so.6") + "7f00-7f01 rw-p 00000000 00:00 0\n" + &libtorch)
            ),
            expected
        );
        assert_eq!(
            missing_cuda_library(&(libtorch + &line("/opt/my torch/lib/libtorch_cuda.so"))),
            None
        );
        assert_eq!(missing_cuda_library(""), None);
    }

    /// This process has libtorch loaded; a libtorch without CUDA has no CUDA library beside it.
    #[test]
    fn this_process_finds_its_libtorch() {
        crate::device::one_thread();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(
            maps.contains("libtorch_cuda.so")
                || missing_cuda_library(&maps)
                    .unwrap()
                    .with_file_name("libtorch_cpu.so")
                    .exists()
        );
    }

    #[test]
    fn a_library_that_does_not_load_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libtorch_cuda.so");
        std::fs::write(&path, "no library").unwrap();
        let message = open(&path).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("cannot load {}: ", path.display())),
            "{message}"
        );
        assert!(
            message.len() > path.display().to_string().len() + 20,
            "{message}"
        );
    }
}

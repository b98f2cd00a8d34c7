//! What must happen before libtorch looks for a GPU: its CUDA library is loaded where it stands
//! beside the one that this program is linked to, so that one binary serves slim and full
//! installations; and TF32 is switched off, or on if that is asked for.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::libc::{RTLD_GLOBAL, RTLD_NOW, dlerror, dlopen};

/// Lets a GPU multiply with 10 bits of mantissa where it is 1.
const TF32_VARIABLE: &str = "PENTAGRID_TF32";

/// libtorch's own switch for matrix products, off by default, and NVIDIA's for all of its
/// libraries: 0 forbids it everywhere, also to cuDNN's convolutions, for which libtorch allows it
/// by default.
const SWITCHES: [&str; 2] = ["TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "NVIDIA_TF32_OVERRIDE"];

/// Whether TF32 is asked for.
pub fn wants_tf32() -> bool {
    std::env::var(TF32_VARIABLE).is_ok_and(|value| !["", "0"].contains(&value.as_str()))
}

/// What the switches must be; None: not set.
fn switches(tf32: bool) -> [Option<&'static str>; 2] {
    if tf32 {
        [Some("1"), None]
    } else {
        [None, Some("0")]
    }
}

/// Sets the switches for TF32 as asked. libtorch reads its own before `main`, so that this program
/// may have to restart itself, in the same process.
///
/// # Errors
/// The system's, if that does not work.
pub fn settle_tf32() -> io::Result<()> {
    let wanted = switches(wants_tf32());
    let is_set = |name: &str| std::env::var_os(name);
    if SWITCHES
        .iter()
        .zip(wanted)
        .all(|(name, value)| is_set(name).as_deref() == value.map(OsStr::new))
    {
        return Ok(());
    }
    let mut words = std::env::args_os();
    let mut again = Command::new(std::env::current_exe()?);
    if let Some(own) = words.next() {
        again.arg0(own);
    }
    for (name, value) in SWITCHES.iter().zip(wanted) {
        match value {
            Some(value) => again.env(name, value),
            None => again.env_remove(name),
        };
    }
    Err(again.args(words).exec())
}

/// Loads libtorch's CUDA library, if it is there and not loaded yet. To be called before libtorch
/// is asked for a GPU: it looks only once.
///
/// # Errors
/// Says what does not load and why.
pub fn load() -> Result<(), String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    match beside_libtorch(&maps).filter(|path| path.exists()) {
        Some(path) => open(&path),
        None => Ok(()),
    }
}

/// Where the CUDA library would be, by the process's map of its memory; None if it is loaded
/// already, or libtorch is not.
fn beside_libtorch(maps: &str) -> Option<PathBuf> {
    match loaded(maps, "libtorch_cuda.so") {
        None => Some(loaded(maps, "libtorch_cpu.so")?.with_file_name("libtorch_cuda.so")),
        Some(_) => None,
    }
}

/// The library of that name, by the process's map of its memory.
pub fn loaded(maps: &str, name: &str) -> Option<PathBuf> {
    let mut files = maps
        .lines()
        .filter_map(|line| Some(Path::new(&line[line.find('/')?..])));
    files
        .find(|path| path.file_name() == Some(OsStr::new(name)))
        .map(Path::to_path_buf)
}

/// Loads a library, never to unload it.
///
/// # Errors
/// Says what does not load and why.
pub fn open(path: &Path) -> Result<(), String> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| format!("{} is no path", path.display()))?;
    // SAFETY: the name ends with a zero. The library's initialisers register its kernels; it is
    // never closed.
    let handle = unsafe { dlopen(name.as_ptr(), RTLD_NOW | RTLD_GLOBAL) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: after a failure it gives a text that ends with a zero and lives until this thread's
    // next call of its kind.
    let why = unsafe {
        let text = dlerror();
        if text.is_null() {
            "no reason given".into()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    };
    Err(format!("cannot load {}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_looked_for_beside_libtorch() {
        let line = |path: &str| {
            format!("7f00-7f01 r-xp 00000000 08:01 1234                       {path}\n")
        };
        let libtorch = line("/opt/my torch/lib/libtorch_cpu.so");
        let expected = Some(PathBuf::from("/opt/my torch/lib/libtorch_cuda.so"));
        assert_eq!(
            beside_libtorch(
                &(line("/usr/lib/libc.so.6") + "7f00-7f01 rw-p 00000000 00:00 0\n" + &libtorch)
            ),
            expected
        );
        assert_eq!(
            beside_libtorch(&(libtorch + &line("/opt/my torch/lib/libtorch_cuda.so"))),
            None
        );
        assert_eq!(beside_libtorch(""), None);
    }

    /// This very process has libtorch; the slim one has nothing beside it.
    #[test]
    fn this_process_finds_its_libtorch() {
        crate::device::one_thread();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(
            maps.contains("libtorch_cuda.so")
                || beside_libtorch(&maps)
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
        let message = open(&path).unwrap_err();
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

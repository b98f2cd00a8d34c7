//! Which libtorch this process has loaded, for the provenance: it need not be the one that the
//! program was built with (`LD_LIBRARY_PATH`).

use std::path::Path;

use crate::cuda::loaded;

/// `libtorch` with its version.
pub(crate) fn name() -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let version = loaded(&maps, "libtorch_cpu.so").and_then(|library| version_beside(&library));
    match version {
        Some(version) => format!("libtorch {version}"),
        None => "libtorch (unknown version)".to_owned(),
    }
}

/// The version in the folder above a library's folder `lib`. A Python package has a `version.py`;
/// libtorch's own archives and `scripts/setup.sh` have a `build-version`.
fn version_beside(library: &Path) -> Option<String> {
    let folder = library.parent()?.parent()?;
    let package = std::fs::read_to_string(folder.join("version.py")).ok();
    if let Some(version) = package.and_then(|text| version_in_python(&text)) {
        return Some(version);
    }

    let text = std::fs::read_to_string(folder.join("build-version")).ok()?;
    let version = text.lines().next()?.trim();
    (!version.is_empty()).then(|| version.to_owned())
}

/// The text that is assigned to `__version__`.
fn version_in_python(text: &str) -> Option<String> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("__version__ = "))?;
    let version = value.trim().trim_matches(['\'', '"']);
    (!version.is_empty()).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaded_libtorch_is_named_with_its_version() {
        crate::device::one_thread();
        let name = name();
        assert!(name.starts_with("libtorch 2.11.0"), "{name}");
    }

    #[test]
    fn a_version_is_read_beside_the_library() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("lib/libtorch_cpu.so");
        assert_eq!(version_beside(&library), None);

        std::fs::write(folder.path().join("build-version"), "2.11.0\n").unwrap();
        assert_eq!(version_beside(&library).unwrap(), "2.11.0");

        let python = "__all__ = ['__version__']\n__version__ = '2.11.0+cu130'\ndebug = False\n";
        std::fs::write(folder.path().join("version.py"), python).unwrap();
        assert_eq!(version_beside(&library).unwrap(), "2.11.0+cu130");
    }
}

//! Asks git about a repository, without changing it.

use std::path::Path;
use std::process::{Command, Stdio};

/// Returns what git prints for these arguments; None if it fails or is not there.
pub(super) fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        // It must not take the index's lock while the user works with it.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

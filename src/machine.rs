//! What this program asks about the machine that it runs on.

use std::ffi::OsString;

/// Returns the name of this host; None if it has none that can be shown.
pub fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

/// Returns the folders in which programs are looked for, as `PATH` lists them.
pub fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

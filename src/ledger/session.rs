//! What is recorded about a session when it begins.

use super::holder::Holder;

/// Who starts a session, and with what.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Host, process id and start time.
    pub holder: Holder,
    /// The kernel's id of this boot of the host.
    pub boot_id: String,
    /// The command line.
    pub command: String,
    /// This program's version.
    pub version: String,
    /// Commit of the directory that the program was started in, and whether it had uncommitted
    /// changes.
    pub git: Option<(String, bool)>,
    /// The slots, in the form of `--devices`.
    pub devices: String,
    /// The folder that the sweep is started from.
    pub folder: String,
}

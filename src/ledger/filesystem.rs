//! Detects network file systems, on which SQLite's write-ahead log is not safe.

use std::path::Path;

use nix::sys::statfs::{FsType, statfs};

/// Names and magic numbers (Linux's `statfs(2)`) of the network file systems in use on clusters.
const NETWORK: &[(&str, u32)] = &[
    ("NFS", 0x6969),
    ("CIFS", 0xff53_4d42),
    ("SMB", 0xfe53_4d42),
    ("SMB", 0x517b),
    ("Lustre", 0x0bd0_0bd0),
    ("GPFS", 0x4750_4653),
    ("BeeGFS", 0x1983_0326),
    ("Ceph", 0x00c3_6400),
    ("AFS", 0x5346_414f),
    ("FUSE (sshfs and the like)", 0x6573_5546),
    ("9P", 0x0102_1997),
];

/// Returns the name of the network file system that a directory lies on; None if it is local.
pub(crate) fn network_file_system(dir: &Path) -> Option<&'static str> {
    name_of(statfs(dir).ok()?.filesystem_type())
}

fn name_of(found: FsType) -> Option<&'static str> {
    // The field's width differs between platforms; the magic numbers all fit 32 bits.
    NETWORK
        .iter()
        .find(|(_, magic)| found.0 as u32 == *magic)
        .map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_recognised_by_their_magic_number() {
        assert_eq!(name_of(FsType(0x6969)), Some("NFS"));
        assert_eq!(name_of(FsType(0xff53_4d42_u32 as _)), Some("CIFS"));
        assert_eq!(name_of(FsType(0xef53)), None, "ext4");
    }
}

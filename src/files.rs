//! Opens and writes files in places where other programs may have put something else: never waits
//! for the other end of a pipe, and never writes through a link. Used by all modules that open
//! files of a run directory.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

/// Opens a plain file for reading.
///
/// # Errors
/// The operating system's; that it is no plain file is one of them.
pub fn open(path: &Path) -> io::Result<File> {
    plain(path, OpenOptions::new().read(true), 0)
}

/// Opens a plain file for reading and appending, and makes it if it is not there. A link in its
/// place is refused.
///
/// # Errors
/// As `open`.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    plain(
        path,
        OpenOptions::new().create(true).read(true).append(true),
        libc::O_NOFOLLOW,
    )
}

/// Opens a plain file for reading and writing, and makes it if it is not there. A link in its place
/// is refused.
///
/// # Errors
/// As `open`.
pub fn open_to_write(path: &Path) -> io::Result<File> {
    plain(
        path,
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true),
        libc::O_NOFOLLOW,
    )
}

/// Makes a file that is not there yet, for reading and appending.
///
/// # Errors
/// As `open`; that something with that name is there is one of them.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create_new(true)
        .read(true)
        .append(true)
        .open(path)
}

/// Opens a folder, to lock it.
///
/// # Errors
/// The operating system's.
pub fn open_folder(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NONBLOCK)
        .open(path)
}

/// Reads a plain file to its end.
///
/// # Errors
/// As `open`.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts a file in the place of another one, whole or not at all: it is written beside it and
/// renamed. What was there, also a link or a pipe, is replaced and not written to.
///
/// # Errors
/// The operating system's.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial: PathBuf = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    // One that an earlier process of this number has left.
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = create(&partial)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&partial, path));
    written.inspect_err(|_| {
        // It is of no use; that it cannot be removed is no news beside the error itself.
        let _ = std::fs::remove_file(&partial);
    })
}

/// Refuses what is there and is no plain file. What is not there is no error.
///
/// # Errors
/// What it is instead.
pub fn refuse_other(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(metadata) => check(metadata.file_type()),
        Err(_) => Ok(()),
    }
}

fn plain(path: &Path, options: &mut OpenOptions, flags: i32) -> io::Result<File> {
    // To open a pipe would be to wait for its other end, and a terminal might become ours.
    let file = match options
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | flags)
        .open(path)
    {
        Ok(file) => file,
        Err(error) => {
            // The kernel's error about a pipe without a reader, or about a socket, explains little.
            let kind = std::fs::symlink_metadata(path).map(|metadata| metadata.file_type());
            return Err(match kind {
                Ok(kind) if !kind.is_symlink() || flags & libc::O_NOFOLLOW != 0 => {
                    check(kind).err().unwrap_or(error)
                }
                _ => error,
            });
        }
    };
    check(file.metadata()?.file_type())?;
    // A program that gets the file as its output is to find it as usual.
    let flags = OFlag::from_bits_retain(fcntl(file.as_fd(), FcntlArg::F_GETFL)?);
    fcntl(file.as_fd(), FcntlArg::F_SETFL(flags & !OFlag::O_NONBLOCK))?;
    Ok(file)
}

/// Returns what something is, to tell the user.
pub fn kind_name(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_file() => "a plain file",
        kind if kind.is_fifo() => "a named pipe (FIFO)",
        kind if kind.is_dir() => "a folder",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_symlink() => "a symbolic link",
        _ => "a device",
    }
}

fn check(kind: FileType) -> io::Result<()> {
    if kind.is_file() {
        return Ok(());
    }
    let what = kind_name(kind);
    Err(io::Error::other(format!("it is {what}, not a plain file")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_is_no_plain_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        symlink(path("pipe"), path("link")).unwrap();
        std::fs::write(path("file"), "text").unwrap();
        symlink(path("file"), path("alias")).unwrap();
        for (name, what) in [
            ("pipe", "named pipe"),
            ("folder", "folder"),
            ("socket", "socket"),
        ] {
            for open in [open, open_to_append, open_to_write] {
                let error = open(&path(name)).unwrap_err().to_string();
                assert!(error.contains(what), "{name}: {error}");
            }
            assert!(refuse_other(&path(name)).is_err());
        }
        assert!(
            open(&path("link"))
                .unwrap_err()
                .to_string()
                .contains("named pipe")
        );
        assert!(
            open(Path::new("/dev/null"))
                .unwrap_err()
                .to_string()
                .contains("a device")
        );
        assert_eq!(read(&path("alias")).unwrap(), b"text", "a link may be read");
        for open in [open_to_append, open_to_write] {
            assert!(
                open(&path("alias"))
                    .unwrap_err()
                    .to_string()
                    .contains("symbolic link")
            );
        }
        assert!(refuse_other(&path("file")).is_ok() && refuse_other(&path("absent")).is_ok());
        assert_eq!(
            open(&path("absent")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn a_file_that_is_replaced_leaves_what_a_link_led_to() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        std::fs::write(&target, "theirs").unwrap();
        symlink(&target, &link).unwrap();
        replace(&link, b"ours").unwrap();
        assert_eq!(
            (read(&target).unwrap(), read(&link).unwrap()),
            (b"theirs".to_vec(), b"ours".to_vec())
        );
        assert!(create(&link).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}

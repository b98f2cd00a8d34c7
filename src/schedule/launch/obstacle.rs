//! Explains why an existing program cannot be started. The kernel says "No such file or directory"
//! if the interpreter of a script or the dynamic loader of a program is missing, and "Exec format
//! error" for a script without a `#!` line.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::libc::{EACCES, ENOENT, ENOEXEC};

/// How much of a file the kernel reads to find its interpreter, in bytes.
const MAX_FIRST_LINE: u64 = 256;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Type of the program header of an ELF file that names the dynamic loader.
const INTERPRETER_HEADER: u32 = 3;
/// The class of a 64-bit ELF file.
const IS_64_BIT: u8 = 2;
/// Size of a program header in such a file, in bytes.
const HEADER_SIZE: usize = 56;
/// Maximum length of a path, in bytes.
const MAX_PATH: usize = 4096;

/// Finds the program of a command line: one with a slash in the folder that it is started in,
/// others on the search path.
pub fn located(program: &str, workdir: &Path, search_path: &OsStr) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(workdir.join(program)).filter(|path| path.is_file());
    }
    std::env::split_paths(search_path)
        .map(|folder| workdir.join(folder).join(program))
        .find(|path| is_executable(path))
}

/// Whether a path is a file that may be executed.
pub fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Says what prevents an existing file from being executed, and what to do, if it can be found out.
pub fn obstacle(path: &Path, workdir: &Path, search_path: &OsStr) -> Option<String> {
    let mut begin = Vec::new();
    File::open(path)
        .ok()?
        .take(MAX_FIRST_LINE)
        .read_to_end(&mut begin)
        .ok()?;
    if begin.starts_with(b"\x7fELF") {
        let loader = dynamic_loader(path, &begin)?;
        return (!Path::new(OsStr::from_bytes(&loader)).exists()).then(|| {
            let loader = String::from_utf8_lossy(&loader).into_owned();
            format!("it was built for another system: its dynamic loader {loader} is not here")
        });
    }
    if begin.starts_with(&[BYTE_ORDER_MARK, b"#!"].concat()) {
        return Some(
            "it begins with a byte order mark before `#!`: save it as UTF-8 without one".to_owned(),
        );
    }
    // Without a `#!` line it depends on the caller whether a shell runs the file.
    let line = begin.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.ends_with(b"\r") {
        let shown = String::from_utf8_lossy(line.trim_ascii());
        return Some(format!(
            "its first line, `#!{shown}`, ends in CR LF as on Windows, and the CR counts as a part of the interpreter's name: save it \
             with LF line ends, for example by `sed -i 's/\\r$//' FILE`"
        ));
    }
    interpreter_obstacle(&String::from_utf8_lossy(line), workdir, search_path)
}

/// Explains why a program could not be started: the kernel's message, and what it does not say.
pub fn explained(error: &io::Error, program: &str, workdir: &Path, search_path: &OsStr) -> String {
    let obstacle = located(program, workdir, search_path)
        .and_then(|path| obstacle(&path, workdir, search_path));
    match (obstacle, error.raw_os_error()) {
        (Some(obstacle), Some(ENOENT | ENOEXEC | EACCES)) => format!("{obstacle} ({error})"),
        (None, Some(ENOEXEC)) => format!(
            "it is neither a program for this machine nor a script whose first line names its interpreter, like `#!/bin/sh` ({error})"
        ),
        _ => error.to_string(),
    }
}

/// Says what is wrong with the interpreter of a `#!` line.
fn interpreter_obstacle(line: &str, workdir: &Path, search_path: &OsStr) -> Option<String> {
    let mut words = line.split_ascii_whitespace();
    let Some(interpreter) = words.next() else {
        return Some("its first line names no interpreter after `#!`".to_owned());
    };
    let path = workdir.join(interpreter);
    if !is_executable(&path) {
        let what = if path.exists() {
            "cannot be executed"
        } else {
            "is not there"
        };
        return Some(format!(
            "its first line names the interpreter {interpreter}, which {what}"
        ));
    }
    // `env` finds the interpreter itself; its own options and variables come first.
    let is_env = Path::new(interpreter)
        .file_name()
        .is_some_and(|name| name == "env");
    let named = words
        .find(|word| !word.starts_with('-') && !word.contains('='))
        .filter(|_| is_env)?;
    let found = located(named, workdir, search_path).is_some();
    (!found).then(|| format!("its first line names the interpreter {named}, which is not in PATH"))
}

/// The dynamic loader that a 64-bit ELF file of this machine's byte order names. `begin` is the
/// beginning of the file.
fn dynamic_loader(path: &Path, begin: &[u8]) -> Option<Vec<u8>> {
    if begin.get(4) != Some(&IS_64_BIT) {
        return None;
    }
    let mut file = File::open(path).ok()?;
    let offset = read_u64(begin, 32)?;
    let count = usize::from(read_u16(begin, 56)?);
    let headers = read_at(&mut file, offset, count * HEADER_SIZE)?;
    let header = headers
        .chunks_exact(HEADER_SIZE)
        .find(|header| header[..4] == INTERPRETER_HEADER.to_ne_bytes())?;

    let length = usize::try_from(read_u64(header, 32)?).ok()?;
    if length >= MAX_PATH {
        return None;
    }
    let name = read_at(&mut file, read_u64(header, 8)?, length)?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(name.to_vec())
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn read_at(file: &mut File, offset: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(offset)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The obstacle of a file with these contents.
    fn obstacle_of(contents: &[u8]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, contents).unwrap();
        obstacle(&path, dir.path(), &std::env::var_os("PATH").unwrap())
    }

    #[test]
    fn scripts_and_programs_that_can_be_started_have_no_obstacle() {
        for good in [
            "echo hello\n",
            "#!/bin/sh\nexit 0\r\n",
            "#! /bin/sh -e\n",
            "#!/usr/bin/env sh\n",
            "#!/usr/bin/env -S A=1 sh -e\n",
            "#!/bin/sh",
        ] {
            assert_eq!(obstacle_of(good.as_bytes()), None, "{good}");
        }
        let own = std::env::current_exe().unwrap();
        assert_eq!(obstacle(&own, Path::new("/"), OsStr::new("/bin")), None);
        assert_eq!(obstacle_of(b"\x7fELF"), None);
        assert_eq!(obstacle_of(b"MZ\0\0"), None);
    }

    #[test]
    fn obstacles_that_the_kernel_does_not_name_are_explained() {
        let files: [&[u8]; 7] = [
            b"#!/bin/sh\r\nexit 0\r\n",
            b"#!/usr/bin/env python3\r\n",
            b"#!/no/such/interpreter -x\n",
            b"#!/usr/bin/env no-such-program\n",
            b"#!/\n",
            b"#!\n",
            b"\xef\xbb\xbf#!/bin/sh\n",
        ];
        insta::assert_snapshot!(files.map(|file| obstacle_of(file).unwrap()).join("\n"), @r"
its first line, `#!/bin/sh`, ends in CR LF as on Windows, and the CR counts as a part of the interpreter's name: save it with LF line ends, for example by `sed -i 's/\r$//' FILE`
its first line, `#!/usr/bin/env python3`, ends in CR LF as on Windows, and the CR counts as a part of the interpreter's name: save it with LF line ends, for example by `sed -i 's/\r$//' FILE`
its first line names the interpreter /no/such/interpreter, which is not there
its first line names the interpreter no-such-program, which is not in PATH
its first line names the interpreter /, which cannot be executed
its first line names no interpreter after `#!`
it begins with a byte order mark before `#!`: save it as UTF-8 without one
");
    }

    #[test]
    fn a_failed_start_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        std::fs::write(dir.path().join("crlf"), "#!/bin/sh\r\n").unwrap();
        std::fs::write(dir.path().join("bare"), "echo hello\n").unwrap();
        let explain = |code, program: &str| {
            explained(
                &io::Error::from_raw_os_error(code),
                program,
                dir.path(),
                &path,
            )
        };
        assert!(
            explain(ENOENT, "./crlf").starts_with("its first line, `#!/bin/sh`, ends in CR LF")
        );
        assert!(
            explain(ENOEXEC, "./bare").starts_with(
                "it is neither a program for this machine nor a script whose first line"
            )
        );
        assert_eq!(
            explain(ENOENT, "./missing"),
            "No such file or directory (os error 2)"
        );
        assert_eq!(
            explain(nix::libc::EMFILE, "./crlf"),
            "Too many open files (os error 24)"
        );
    }

    /// The file is this test program, with another name for its dynamic loader.
    #[test]
    fn a_program_of_another_system_is_recognized() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let begin = &own[..256];
        let Some(loader) = dynamic_loader(&std::env::current_exe().unwrap(), begin) else {
            return; // Statically linked: there is no loader to miss.
        };
        let at = own
            .windows(loader.len())
            .position(|window| window == loader)
            .unwrap();
        let mut other = own[..at + 4096.min(own.len() - at)].to_vec();
        other[at..at + loader.len()].fill(b'x');
        assert!(
            obstacle_of(&other)
                .unwrap()
                .starts_with("it was built for another system: its dynamic loader xxx")
        );
    }
}

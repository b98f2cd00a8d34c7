//! Why a program that is there cannot be started. The kernel says "No such file or directory" where
//! it is the interpreter that is missing, be it a script's or a program's dynamic loader, and "Exec
//! format error" for a script without a first line.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::libc::{EACCES, ENOENT, ENOEXEC};

/// As much of a first line as the kernel reads.
const FIRST_LINE: u64 = 256;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// A program header of a 64-bit ELF file that names the dynamic loader.
const INTERPRETER_HEADER: u32 = 3;

/// Where a program of a command line is: one with a slash in the folder that it is started in,
/// others on the search path.
pub fn located(program: &str, workdir: &Path, search_path: &OsStr) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(workdir.join(program)).filter(|path| path.is_file());
    }
    std::env::split_paths(search_path)
        .map(|folder| workdir.join(folder).join(program))
        .find(|path| is_executable(path))
}

/// Whether there is a file that may be executed.
pub fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// What stands in the way of executing a file that is there, if it can be seen, and what to do.
pub fn obstacle(path: &Path, workdir: &Path, search_path: &OsStr) -> Option<String> {
    let mut begin = Vec::new();
    File::open(path)
        .ok()?
        .take(FIRST_LINE)
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
    // Without one, whether a shell takes it depends on who starts it.
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

/// Why a program could not be started, in the kernel's words and in those that it does not say.
pub fn explained(error: &io::Error, program: &str, workdir: &Path, search_path: &OsStr) -> String {
    let seen = located(program, workdir, search_path)
        .and_then(|path| obstacle(&path, workdir, search_path));
    match (seen, error.raw_os_error()) {
        (Some(seen), Some(ENOENT | ENOEXEC | EACCES)) => format!("{seen} ({error})"),
        (None, Some(ENOEXEC)) => format!(
            "it is neither a program for this machine nor a script whose first line names its interpreter, like `#!/bin/sh` ({error})"
        ),
        _ => error.to_string(),
    }
}

/// What is wrong with the interpreter that a first line names.
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

/// The dynamic loader that a 64-bit ELF file of this machine's byte order names.
fn dynamic_loader(path: &Path, begin: &[u8]) -> Option<Vec<u8>> {
    const IS_64_BIT: u8 = 2;
    const HEADER_SIZE: usize = 56;
    if begin.get(4) != Some(&IS_64_BIT) {
        return None;
    }
    let number =
        |bytes: &[u8], at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let short =
        |bytes: &[u8], at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let mut file = File::open(path).ok()?;
    let mut read = |offset: u64, length: usize| {
        let mut bytes = vec![0; length];
        file.seek(SeekFrom::Start(offset)).ok()?;
        file.read_exact(&mut bytes).ok().map(|()| bytes)
    };
    let (offset, count) = (number(begin, 32)?, short(begin, 56)?);
    let headers = read(offset, usize::from(count) * HEADER_SIZE)?;
    let header = headers
        .chunks_exact(HEADER_SIZE)
        .find(|header| header[..4] == INTERPRETER_HEADER.to_ne_bytes())?;
    let length = usize::try_from(number(header, 32)?)
        .ok()
        .filter(|length| *length < 4096)?;
    let name = read(number(header, 8)?, length)?;
    Some(
        name.split(|byte| *byte == 0)
            .next()
            .unwrap_or_default()
            .to_vec(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file with these contents.
    fn said(contents: &[u8]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, contents).unwrap();
        obstacle(&path, dir.path(), &std::env::var_os("PATH").unwrap())
    }

    #[test]
    fn scripts_and_programs_that_can_be_started_have_none() {
        for good in [
            "echo hello\n",
            "#!/bin/sh\nexit 0\r\n",
            "#! /bin/sh -e\n",
            "#!/usr/bin/env sh\n",
            "#!/usr/bin/env -S A=1 sh -e\n",
            "#!/bin/sh",
        ] {
            assert_eq!(said(good.as_bytes()), None, "{good}");
        }
        let own = std::env::current_exe().unwrap();
        assert_eq!(obstacle(&own, Path::new("/"), OsStr::new("/bin")), None);
        assert_eq!(said(b"\x7fELF"), None);
        assert_eq!(said(b"MZ\0\0"), None);
    }

    #[test]
    fn what_the_kernel_does_not_say_is_said() {
        let files: [&[u8]; 7] = [
            b"#!/bin/sh\r\nexit 0\r\n",
            b"#!/usr/bin/env python3\r\n",
            b"#!/no/such/interpreter -x\n",
            b"#!/usr/bin/env no-such-program\n",
            b"#!/\n",
            b"#!\n",
            b"\xef\xbb\xbf#!/bin/sh\n",
        ];
        insta::assert_snapshot!(files.map(|file| said(file).unwrap()).join("\n"), @r"
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

    /// This very test program, with another name for its dynamic loader.
    #[test]
    fn a_program_of_another_system_is_told() {
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
            said(&other)
                .unwrap()
                .starts_with("it was built for another system: its dynamic loader xxx")
        );
    }
}

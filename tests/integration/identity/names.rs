//! Run directories with odd names, and paths that cannot be a run directory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::waiting;

#[test]
fn any_name_is_a_folder_of_that_name() {
    let test = waiting();
    std::fs::write(test.path("train.sh"), "#!/bin/sh\necho '{\"score\": 1}'\n").unwrap();
    let twice = format!("/{}/twice", test.path("").display());
    for name in [
        "file:x",
        ":memory:",
        "file:y?mode=memory&cache=shared",
        "a?b#c",
        "100%25",
        "a b'\"",
        "-",
        twice.as_str(),
    ] {
        let argument = format!("--dir={name}");
        let ran = test.run(&["run", "sweep.yaml", "-q", &argument]).expect(0);
        assert_eq!(ran.stderr, "", "{name}");
        let folder = if name.starts_with('/') {
            name.into()
        } else {
            test.path(name)
        };
        assert!(folder.join("ledger.sqlite").is_file(), "{name}");
        assert!(folder.join("trials").is_dir(), "{name}");
        for verb in ["status", "report", "trials"] {
            test.run(&[verb, "--", name]).expect(0);
        }
        test.run(&["resume", "-q", "--", name]).expect(0);
    }
    let mut listed: Vec<String> = std::fs::read_dir(test.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    listed.sort();
    let mut expected = [
        "file:x",
        ":memory:",
        "file:y?mode=memory&cache=shared",
        "a?b#c",
        "100%25",
        "a b'\"",
        "-",
        "twice",
    ]
    .to_vec();
    expected.extend(["reports", "sweep.yaml", "train.sh"]);
    expected.sort_unstable();
    assert_eq!(listed, expected);
}

#[test]
fn a_path_that_cannot_be_is_told_before_anything_starts() {
    let test = waiting();
    let long = format!("{0}/{0}/{0}", "x".repeat(200));
    let odd = OsStr::from_bytes(b"odd\xff");
    let run = |words: &[&OsStr]| {
        let output = test.command(&[]).args(words).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for (path, what) in [
        (OsStr::new(&long), "SQLite opens paths of up to 504 bytes"),
        (odd, "its path is not UTF-8"),
    ] {
        let of = |verb: &str| run(&[verb.as_ref(), path]);
        let calls = [
            run(&[
                "run".as_ref(),
                "sweep.yaml".as_ref(),
                "--dir".as_ref(),
                path,
            ]),
            of("resume"),
            of("status"),
            of("trials"),
            of("report"),
            of("verify"),
        ];
        for (code, said) in calls {
            assert_eq!(code, Some(2), "{said}");
            assert!(
                said.contains("cannot be a run directory") && said.contains(what),
                "{said}"
            );
        }
    }
    let left = std::fs::read_dir(test.path("")).unwrap().count();
    assert_eq!(left, 2, "nothing was made");
}

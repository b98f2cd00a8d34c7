//! The names that a sweep and its arms may have, in any script: they become names of folders. And
//! the name of a sweep without one.

use std::path::Path;

/// Maximum number of characters of a sweep's name.
pub(super) const MAX_NAME: usize = 64;

/// Maximum number of characters of an arm's name.
pub(super) const MAX_ARM: usize = 32;

/// Maximum number of bytes of a name. File systems allow 255, and other names are made from this
/// one.
const MAX_NAME_BYTES: usize = 200;

/// Characters that a name may have beside letters and digits.
const PUNCTUATION: &str = "._-";

/// The name of the copy of the sweep file in a run directory.
const COPY: &str = "spec.yaml";

/// Marks that belong to the letter before them and that Unicode does not count as alphabetic:
/// separate accents (as macOS writes them), vowel signs, tone marks.
const MARKS: [(char, char); 16] = [
    ('\u{300}', '\u{36f}'),
    ('\u{483}', '\u{487}'),
    ('\u{591}', '\u{5c7}'),
    ('\u{610}', '\u{61a}'),
    ('\u{64b}', '\u{65f}'),
    ('\u{6d6}', '\u{6ed}'),
    ('\u{730}', '\u{74a}'),
    ('\u{900}', '\u{963}'),
    ('\u{966}', '\u{df3}'),
    ('\u{e31}', '\u{e4e}'),
    ('\u{eb1}', '\u{ecd}'),
    ('\u{f18}', '\u{fbc}'),
    ('\u{1ab0}', '\u{1cff}'),
    ('\u{1dc0}', '\u{1dff}'),
    ('\u{302a}', '\u{302f}'),
    ('\u{3099}', '\u{309a}'),
];

/// Whether a character is a letter or a digit of any script, or a mark on one.
fn is_letter(letter: char) -> bool {
    letter.is_alphanumeric()
        || MARKS
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&letter))
}

/// Whether a text can be a sweep's name.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(char::is_alphanumeric)
        && text
            .chars()
            .all(|letter| is_letter(letter) || PUNCTUATION.contains(letter))
        && text.chars().count() <= MAX_NAME
        && text.len() <= MAX_NAME_BYTES
}

/// Whether a text can be an arm's name. Upper case is not allowed, since some file systems do not
/// distinguish it from lower case.
pub(super) fn is_arm(text: &str) -> bool {
    text.starts_with(char::is_alphanumeric)
        && text
            .chars()
            .all(|letter| (is_letter(letter) && !letter.is_uppercase()) || "_-".contains(letter))
        && text.chars().count() <= MAX_ARM
}

/// Makes the name of a folder from free text, such as W&B's names. Empty if no letter is left.
pub(super) fn folder_name(text: &str) -> String {
    let mut name = String::new();
    for letter in text.chars() {
        if is_letter(letter) || PUNCTUATION.contains(letter) {
            name.push(letter);
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }

    let mut short: String = name
        .trim_matches(|letter: char| !letter.is_alphanumeric() && letter.is_ascii())
        .trim_start_matches(|letter: char| !letter.is_alphanumeric())
        .chars()
        .take(MAX_NAME)
        .collect();
    while short.len() > MAX_NAME_BYTES {
        short.pop();
    }
    short
}

/// Returns the name of a sweep that has none: its program's.
pub(super) fn of_program(program: &str) -> String {
    let file = program.rsplit('/').next().unwrap_or(program);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    folder_name(stem)
}

/// Returns the name of a sweep that has neither a name nor a program: its file's. The copy in a run
/// directory is called `spec.yaml` and takes the name of the directory, which is that of the first
/// file unless another was chosen.
pub(super) fn of_file(file: &str) -> String {
    let path = Path::new(file);
    let is_copy = path.file_name().is_some_and(|name| name == COPY);
    let folder = path.parent().and_then(Path::file_name).filter(|_| is_copy);
    let name = folder.or(path.file_stem()).unwrap_or_default();
    folder_name(&name.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_in_any_script() {
        for name in [
            "paper",
            "2024",
            "学習率",
            "поиск",
            "größe_2",
            "cafe\u{301}",
            "विश्लेषण",
            "ค้นหา",
            "が\u{3099}x",
            "a.b-c_d",
        ] {
            assert!(is_name(name), "{name}");
            assert_eq!(folder_name(name), name);
        }
        for name in [
            "",
            "-a",
            ".a",
            "a b",
            "a/b",
            "a\u{200b}b",
            "a\nb",
            "β = 0",
            "\u{301}a",
            "a\u{202e}b",
            "🙂",
        ] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(
            is_name(&"学".repeat(64)) && !is_name(&"x".repeat(65)) && !is_name(&"𠀀".repeat(51))
        );
        for arm in ["sgd", "学習", "адам", "größe", "0"] {
            assert!(is_arm(arm), "{arm}");
        }
        for arm in ["SGD", "Адам", "", "a b", "a.b", "_a"] {
            assert!(!is_arm(arm), "{arm}");
        }
    }

    #[test]
    fn any_text_becomes_the_name_of_a_folder() {
        for (text, name) in [
            ("My sweep!", "My-sweep"),
            ("学習率 の 探索", "学習率-の-探索"),
            ("β = 0", "β-0"),
            ("../..", ""),
            ("🙂", ""),
            ("._-a-", "a"),
            ("\u{301}a", "a"),
        ] {
            assert_eq!(folder_name(text), name, "{text}");
        }
        assert_eq!(folder_name(&"𠀀".repeat(100)).len(), 200);
        for text in [
            "a".repeat(100),
            "学 ".repeat(100),
            "\u{301}\u{302}-x".to_owned(),
        ] {
            assert!(is_name(&folder_name(&text)), "{text}");
        }
    }

    #[test]
    fn a_sweep_without_a_name_is_named_after_its_program_or_its_file() {
        assert_eq!(
            [
                of_program("src/train.py"),
                of_program("./run"),
                of_program("..")
            ]
            .as_slice(),
            ["train", "run", ""]
        );
        for (file, name) in [
            ("sweeps/mine.yaml", "mine"),
            ("探索.yml", "探索"),
            ("runs/mine/spec.yaml", "mine"),
            ("/a/b.c/spec.yaml", "b.c"),
            ("spec.yaml", "spec"),
            ("-", ""),
        ] {
            assert_eq!(of_file(file), name, "{file}");
        }
    }
}

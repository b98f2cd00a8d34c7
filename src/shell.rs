//! Quotes words for a POSIX shell, for command lines that a user copies or that a remote shell
//! reads.

use std::path::Path;

/// Returns a word as a POSIX shell reads it as that word.
pub fn shell_quoted(word: &str) -> String {
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Returns a path as a POSIX shell reads it, for command lines that are shown to the user.
pub fn shell_path(path: &Path) -> String {
    shell_quoted(&path.display().to_string())
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_-./=:,+@%".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_quoted_word_is_the_same_word_to_a_shell(word in "[^\0]{0,20}") {
            let line = format!("printf %s {}", shell_quoted(&word));
            let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
            proptest::prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}

//! Texts from sweep files, programs and workers as a terminal may show them: without anything that
//! a terminal obeys, and without characters that hide or reorder others. Files for programs (JSON,
//! CSV) hold the exact texts. Pure.

use std::borrow::Cow;

/// Maximum length of an escape sequence that sets a title or the like, in characters.
const MAX_SEQUENCE: usize = 4096;

/// A text on one line: escape sequences are left out, other control characters are shown as escapes
/// (`\n`, `\u{7}`).
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(escaped(
        without_sequences(text.trim_end_matches(['\r', '\n'])).as_ref(),
    ))
}

/// A text with its lines and tabs, everything else as `one_line`.
pub fn lines(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_layout_or_safe) {
        return Cow::Borrowed(text);
    }
    let text = without_sequences(text);
    let mut shown = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            // The line ends of other systems.
            '\r' if letters.peek() == Some(&'\n') => {}
            letter if is_layout_or_safe(letter) => shown.push(letter),
            letter => shown.extend(letter.escape_default()),
        }
    }
    Cow::Owned(shown)
}

/// The end of a log: lines and tabs, of a line that was written over (a progress bar) what was
/// written last, and no other control characters.
pub fn log(text: &str) -> Cow<'_, str> {
    // Every escape sequence begins with a control character. Most logs hold none, and this is done
    // for every trial of a program.
    if text.chars().all(is_layout_or_safe) {
        return Cow::Borrowed(text);
    }
    let text = without_sequences(text);
    let lines: Vec<String> = text.split('\n').map(overwritten).collect();
    Cow::Owned(lines.join("\n"))
}

/// What a terminal shows last of a line with carriage returns.
fn overwritten(line: &str) -> String {
    let shown = line
        .rsplit('\r')
        .find(|part| !part.trim().is_empty())
        .unwrap_or_default();
    shown
        .chars()
        .filter(|letter| !is_unsafe(*letter) || *letter == '\t')
        .collect()
}

/// Whether a character is a line end, a tab, or safe.
fn is_layout_or_safe(letter: char) -> bool {
    matches!(letter, '\n' | '\t') || !is_unsafe(letter)
}

/// A text with every character that is not safe as an escape: texts that differ still do.
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_unsafe(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Whether a terminal obeys a character, or it hides or reorders others. The joiners that some
/// scripts need are safe.
fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(letter, '\u{61c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A text without escape sequences (ECMA-48). What only begins like one stays, and is shown as an
/// escape.
fn without_sequences(text: &str) -> Cow<'_, str> {
    if !text.contains([
        '\u{1b}', '\u{9b}', '\u{9d}', '\u{90}', '\u{98}', '\u{9e}', '\u{9f}',
    ]) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        match sequence(rest) {
            Some(length) => rest = &rest[length..],
            None => {
                kept.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
    }
    Cow::Owned(kept)
}

/// Length in bytes of the escape sequence that a text begins with, if it begins with one.
fn sequence(text: &str) -> Option<usize> {
    let mut letters = text.chars();
    let first = letters.next()?;
    // Each introducer is one character, or ESC and a letter.
    let introducer = match first {
        '\u{1b}' => letters.next()?,
        '\u{9b}' => '[',
        '\u{9d}' => ']',
        '\u{90}' | '\u{98}' | '\u{9e}' | '\u{9f}' => 'P',
        _ => return None,
    };
    let body = letters.as_str();
    let before = text.len() - body.len();
    match introducer {
        '[' => {
            let parameters = body.find(|letter: char| !matches!(letter, '\u{20}'..='\u{3f}'))?;
            matches!(body[parameters..].chars().next()?, '\u{40}'..='\u{7e}')
                .then_some(before + parameters + 1)
        }
        ']' | 'P' | 'X' | '^' | '_' => {
            let mut places = body.char_indices().take(MAX_SEQUENCE);
            let (end, letter) =
                places.find(|(_, letter)| matches!(letter, '\u{7}' | '\u{1b}' | '\u{9c}'))?;
            match letter {
                '\u{1b}' => body[end..]
                    .starts_with("\u{1b}\\")
                    .then_some(before + end + 2),
                letter => Some(before + end + letter.len_utf8()),
            }
        }
        '\u{20}'..='\u{2f}' => {
            let intermediate = body.find(|letter: char| !matches!(letter, '\u{20}'..='\u{2f}'))?;
            matches!(body[intermediate..].chars().next()?, '\u{30}'..='\u{7e}')
                .then_some(before + intermediate + 1)
        }
        '\u{30}'..='\u{7e}' => Some(before),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(
            one_line("a \u{1b}[31mred\u{1b}[0m word\r\nand\tmore\n"),
            "a red word\\r\\nand\\tmore"
        );
        assert_eq!(
            one_line("\u{1b}]0;title\u{7}x\u{1b}]8;;http://a\u{1b}\\y\u{9b}1mz\u{1b}(B\u{1b}c."),
            "xyz."
        );
        assert_eq!(
            one_line("\u{1b}[2\u{7}\u{1b}"),
            "\\u{1b}[2\\u{7}\\u{1b}",
            "what only begins like a sequence"
        );
        assert_eq!(
            one_line("\u{202e}evil\u{2066}\u{200b}\u{2028}"),
            "\\u{202e}evil\\u{2066}\\u{200b}\\u{2028}"
        );
        assert_eq!(
            one_line("損失 ± 0.1 ❤\u{fe0f}\u{200d}🔥 מדד"),
            "損失 ± 0.1 ❤\u{fe0f}\u{200d}🔥 מדד",
            "scripts stay as they are"
        );
        assert_eq!(
            lines("one\r\n\ttwo\rthree\u{1b}[2J\n"),
            "one\n\ttwo\\rthree\n"
        );
        assert_eq!(escaped("a\u{1b}[1m"), "a\\u{1b}[1m");
    }

    #[test]
    fn logs_are_shown_as_a_terminal_would_without_what_it_obeys() {
        assert_eq!(
            log("10 %\r 50 %\r100 %\r\nan \u{1b}[31merror\u{1b}[0m\u{7}\r\n\tend"),
            "100 %\nan error\n\tend"
        );
        assert_eq!(log("\u{1b}]0;title\u{7}\0x\u{1b}[2J\u{9b}1m\u{8}y"), "xy");
        assert_eq!(
            log("loss\t0.1 ± 0.02\n\nend\n"),
            "loss\t0.1 ± 0.02\n\nend\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_control_character_survives(text in "(\\PC|\\p{Cc}|\u{1b}\\[|\u{1b}\\]|[\u{200e}-\u{206f}]){0,60}") {
            proptest::prop_assert!(!one_line(&text).chars().any(is_unsafe));
            proptest::prop_assert!(!lines(&text).chars().any(|letter| is_unsafe(letter) && !matches!(letter, '\n' | '\t')));
            proptest::prop_assert!(!log(&text).chars().any(|letter| is_unsafe(letter) && !matches!(letter, '\n' | '\t')));
        }
    }
}

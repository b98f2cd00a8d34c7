//! What a program says of its own failure at the end of its output: the last line of a Python
//! traceback, or a line that begins with or holds `error:`.

/// How many lines from the end are looked at for a line with `error:`.
const MAX_LINES: usize = 20;
/// How much of the line is shown, in characters.
const MAX_SHOWN: usize = 300;

/// Returns the line of an output's end that says why the program failed, if one is recognised.
pub(crate) fn last_words(output: &str) -> Option<String> {
    let line = of_traceback(output).or_else(|| with_error(output))?;
    Some(line.trim().chars().take(MAX_SHOWN).collect())
}

/// Whether an output ends as that of a program which refuses its arguments: argparse, click and
/// most others print how they are used.
pub(crate) fn is_about_usage(output: &str) -> bool {
    let mut lines = output.lines().rev().take(MAX_LINES * 5);
    with_error(output).is_some()
        && lines.any(|line| line.trim_start().to_lowercase().starts_with("usage:"))
}

/// The line after the last traceback's frames: the exception.
fn of_traceback(output: &str) -> Option<&str> {
    let (_, after) = output.rsplit_once("Traceback (most recent call last):")?;
    after
        .lines()
        .skip(1)
        .find(|line| !line.trim().is_empty() && !line.starts_with([' ', '\t']))
}

fn with_error(output: &str) -> Option<&str> {
    output
        .lines()
        .rev()
        .filter(|line| !line.trim().is_empty())
        .take(MAX_LINES)
        .find(|line| {
            let line = line.to_lowercase();
            line.trim_start().starts_with("error:") || line.contains(": error: ")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exception_of_a_traceback_is_found() {
        let output = "epoch 1\nTraceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    f()\n\
                      ValueError: lr must be positive\n";
        assert_eq!(
            last_words(output).as_deref(),
            Some("ValueError: lr must be positive")
        );
        let chained = "Traceback (most recent call last):\n  File\nKeyError: 'a'\n\n\
                       During handling of the above exception, another exception occurred:\n\n\
                       Traceback (most recent call last):\n  File\nmod.MyError\nand a line after it\n";
        assert_eq!(last_words(chained).as_deref(), Some("mod.MyError"));
        assert_eq!(
            last_words("Traceback (most recent call last):\n  File"),
            None
        );
    }

    #[test]
    fn argparse_and_click_are_recognised() {
        let argparse = "usage: t.py [-h] [--lr LR]\nt.py: error: unrecognized arguments: --x=1\n";
        assert_eq!(
            last_words(argparse).as_deref(),
            Some("t.py: error: unrecognized arguments: --x=1")
        );
        let click =
            "Usage: t.py [OPTIONS]\nTry 't.py --help' for help.\n\nError: No such option: --x\n";
        assert_eq!(
            last_words(click).as_deref(),
            Some("Error: No such option: --x")
        );
        assert!(is_about_usage(argparse) && is_about_usage(click));
        assert!(!is_about_usage("gcc: error: no input files\n"));
        assert_eq!(last_words("loss 0.1\nno words\n"), None);
    }
}

//! Text in pictures: how wide it is, and how it is cleaned and cut. Widths are those of DejaVu
//! Sans, the font of the PNGs and the first choice of the SVGs.

/// Advances of the printable ASCII letters, in hundredths of the size.
const ADVANCES: [u8; 95] = [
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 34, 34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75,
    79, 60, 79, 69, 63, 61, 73, 68, 99, 69, 61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35,
    63, 63, 28, 28, 58, 28, 97, 63, 61, 63, 63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84,
];

/// The width of text of that size. Letters outside the tables are taken as wide rather than narrow.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() / 100.0 * size
}

fn advance(letter: char) -> f64 {
    match letter {
        ' '..='~' => f64::from(ADVANCES[letter as usize - 32]),
        '⁻' => 53.0,
        '⁰'..='⁹' | '¹' | '²' | '³' => 40.0,
        '±' | '−' | '×' | '→' | '∞' => 84.0,
        '\u{300}'..='\u{36f}' => 0.0,
        '\u{a0}'..='\u{5ff}' => 70.0,
        _ => 100.0,
    }
}

/// Makes text one line, without letters that XML forbids or that change the direction of the
/// following text.
pub fn clean(text: &str) -> String {
    text.chars()
        .filter_map(clean_letter)
        .collect::<String>()
        .trim()
        .to_owned()
}

fn clean_letter(letter: char) -> Option<char> {
    match letter {
        '\n' | '\r' | '\t' => Some(' '),
        '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{fffe}'
        | '\u{ffff}' => None,
        letter if letter.is_control() => None,
        letter => Some(letter),
    }
}

/// Cuts text to a number of letters, with an ellipsis in place of the rest.
pub fn shorten(text: &str, max_letters: usize) -> String {
    if text.chars().count() <= max_letters {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max_letters.saturating_sub(1)).collect();
    kept.trim_end().to_owned() + "…"
}

/// Cuts text to a width, with an ellipsis in place of the rest.
pub(super) fn fit(text: &str, size: f64, max_width: f64) -> String {
    if width(text, size) <= max_width {
        return text.to_owned();
    }
    let letters = text.chars().count();
    (1..letters)
        .rev()
        .map(|count| shorten(text, count))
        .find(|cut| width(cut, size) <= max_width)
        .unwrap_or_else(|| "…".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn widths_follow_the_font() {
        assert!((width("mmm", 100.0) - 291.0).abs() < 1e-9);
        assert!(width("iii", 20.0) < width("mmm", 20.0) && width("漢", 20.0) == 20.0);
    }

    proptest! {
        #[test]
        fn cut_text_fits_and_is_clean(text in "\\PC*|.*", most in 30.0_f64..300.0) {
            let cut = fit(&clean(&text), 20.0, most);
            prop_assert!(width(&cut, 20.0) <= most);
            prop_assert!(!cut.chars().any(char::is_control));
        }

        #[test]
        fn shortened_text_is_a_prefix(text in "\\PC{0,40}", most in 2_usize..40) {
            let cut = shorten(&text, most);
            prop_assert!(cut.chars().count() <= most);
            prop_assert!(text.starts_with(cut.trim_end_matches('…').trim_end()));
        }
    }
}

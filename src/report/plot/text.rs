//! Text in pictures: how wide it is, what is to be cut or left out of it. Widths are those of
//! DejaVu Sans, in which PNGs are drawn and for which SVGs ask.

/// Advances of the printable ASCII letters, in hundredths of the size.
const ADVANCES: [u8; 95] = [
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 34, 34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75,
    79, 60, 79, 69, 63, 61, 73, 68, 99, 69, 61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35,
    63, 63, 28, 28, 58, 28, 97, 63, 61, 63, 63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84,
];

/// The width of text of that size. Letters beyond the tables count as wide rather than narrow.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let advance = |letter: char| match letter {
        ' '..='~' => f64::from(ADVANCES[letter as usize - 32]),
        '⁻' => 53.0,
        '⁰'..='⁹' | '¹' | '²' | '³' => 40.0,
        '±' | '−' | '×' | '→' | '∞' => 84.0,
        '\u{300}'..='\u{36f}' => 0.0,
        '\u{a0}'..='\u{5ff}' => 70.0,
        _ => 100.0,
    };
    text.chars().map(advance).sum::<f64>() / 100.0 * size
}

/// One line without letters that XML forbids or that change the direction of what follows.
pub fn clean(text: &str) -> String {
    let kept = |letter: char| match letter {
        '\n' | '\r' | '\t' => Some(' '),
        '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{fffe}'
        | '\u{ffff}' => None,
        letter if letter.is_control() => None,
        letter => Some(letter),
    };
    text.chars()
        .filter_map(kept)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// At most so many letters, an ellipsis in place of the rest.
pub fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept.trim_end().to_owned() + "…"
}

/// As much of the text as fits into a width, an ellipsis in place of the rest.
pub(super) fn fit(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.to_owned();
    }
    let letters = text.chars().count();
    (1..letters)
        .rev()
        .map(|count| shorten(text, count))
        .find(|cut| width(cut, size) <= most)
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
        fn shortened_text_is_a_beginning(text in "\\PC{0,40}", most in 2_usize..40) {
            let cut = shorten(&text, most);
            prop_assert!(cut.chars().count() <= most);
            prop_assert!(text.starts_with(cut.trim_end_matches('…').trim_end()));
        }
    }
}

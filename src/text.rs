//! Small texts for people that many places need: counts with their nouns, and numbers with commas.
//! Pure.

/// Returns a count with its noun: `1 trial`, `3 trials`, `79,525 trials`, `2 processes`.
pub fn count(number: impl TryInto<u64>, noun: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    let plural = match number {
        1 => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {noun}{plural}", thousands(number))
}

/// Returns the form of a word that goes with a count: `form(1, "is", "are")` is `is`.
pub fn form<'a>(number: impl TryInto<u64>, one: &'a str, many: &'a str) -> &'a str {
    match number.try_into() {
        Ok(1) => one,
        _ => many,
    }
}

/// Returns a number with commas: `79,525`.
pub fn thousands(number: impl Into<u128>) -> String {
    let digits = number.into().to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas_and_a_plural() {
        assert_eq!(count(1_u64, "trial"), "1 trial");
        assert_eq!(count(0_u64, "trial"), "0 trials");
        assert_eq!(count(79_525_usize, "trial"), "79,525 trials");
        assert_eq!(count(2_u64, "process"), "2 processes");
        assert_eq!(form(1_u64, "is", "are"), "is");
        assert_eq!(form(0_u64, "is", "are"), "are");
        assert_eq!(thousands(999_u64), "999");
        assert_eq!(thousands(1_000_000_u64), "1,000,000");
    }
}

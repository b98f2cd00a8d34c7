//! Numbers and booleans of the sweep file outside the parameters: counts, seeds, limits, published
//! figures.

use std::ops::RangeInclusive;

use super::problem::{Finding, Problems, Span, quoted};
use super::scalar;
use super::tree::{Entry, Fields, Kind, Scalar};

/// Reads a non-negative integer; reports anything else. `what` begins the message.
pub(super) fn whole(
    scalar: &Scalar,
    span: Span,
    what: &str,
    problems: &mut Problems<'_>,
) -> Option<u64> {
    let text = &*scalar.text;
    let is_digits = scalar.plain && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_plain_decimal = is_digits && (text.len() == 1 || !text.starts_with('0'));

    // The ledger holds integers up to `i64::MAX`.
    if is_plain_decimal && let Ok(number) = text.parse::<i64>() {
        return u64::try_from(number).ok();
    }

    let (rule, label, help) = if is_plain_decimal {
        (
            "at most 9,223,372,036,854,775,807",
            "too large",
            "write a smaller number",
        )
    } else {
        (
            "a whole number, 0 or greater",
            "not a whole number",
            "write it in plain digits, without quotes: 5",
        )
    };
    let message = format!("{what} must be {rule}, not {}", quoted(text));
    problems.report(span, message, label, help);
    None
}

/// Reads a whole number in a range; reports anything else.
pub(super) fn in_range(
    entry: &Entry,
    range: RangeInclusive<u64>,
    label: &str,
    help: String,
    problems: &mut Problems<'_>,
) -> Option<u32> {
    let key = quoted(&entry.key);

    let refusal = match &entry.value.kind {
        Kind::Scalar(scalar) => {
            let number = whole(scalar, entry.at(), &key, problems)?;
            if range.contains(&number) {
                return u32::try_from(number).ok();
            }
            format!(
                "must be from {} to {}, not {number}",
                range.start(),
                range.end()
            )
        }
        _ => format!("must be a whole number, not {}", entry.value.describe()),
    };

    problems.report(entry.at(), format!("{key} {refusal}"), label, help);
    None
}

/// Reads a number; reports anything else.
pub(super) fn float(entry: &Entry, problems: &mut Problems<'_>) -> Option<f64> {
    let refusal = match &entry.value.kind {
        Kind::Scalar(scalar) => match scalar::number(scalar) {
            Ok(number) => return Some(number),
            Err(refusal) => refusal,
        },
        _ => scalar::not_a_number(entry.value.describe()),
    };
    let message = format!("{}: {}", quoted(&entry.key), refusal.message);
    problems.add(Finding::new(entry.at(), message, refusal.label).help_opt(refusal.help));
    None
}

/// Reads a boolean, if the key is there; reports anything else.
pub(super) fn boolean(parts: &Fields<'_>, key: &str, problems: &mut Problems<'_>) -> Option<bool> {
    let part = parts.get(key)?;
    if let Kind::Scalar(scalar) = &part.value.kind
        && scalar.plain
    {
        match &*scalar.text {
            "true" => return Some(true),
            "false" => return Some(false),
            _ => {}
        }
    }

    let message = format!("{} must be true or false", quoted(key));
    let help = format!("write `{key}: true` or `{key}: false`");
    problems.report(part.at(), message, "neither", help);
    None
}

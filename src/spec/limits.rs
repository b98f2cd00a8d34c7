//! The `limits` blocks: how long a trial may take, how often it is retried, how many may fail. One
//! for the sweep and one for each arm, whose keys override the sweep's.

use std::time::Duration;

use super::model::Limit;
use super::problem::{Problems, quoted};
use super::tree::{Entry, Fields, Kind, fields};
use super::{keys, numbers};

const EXAMPLE: &str = "limits: {timeout: 2h, retries: 2, max_failures: 10}";
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

/// Longest duration that is accepted: a year, far from where clocks overflow.
const MAX_SECONDS: u64 = 366 * 86_400;

/// Reads the limits of a block.
pub(super) fn read(entry: &Entry, problems: &mut Problems<'_>) -> Limit {
    let Some(parts) = fields(entry, "`limits`", keys::LIMITS, EXAMPLE, problems) else {
        return Limit::default();
    };
    Limit {
        timeout: parts
            .get("timeout")
            .and_then(|part| duration(part, problems)),
        retries: number(&parts, "retries", 100, problems),
        max_failures: number(&parts, "max_failures", u64::from(u32::MAX), problems),
    }
}

fn number(parts: &Fields<'_>, key: &str, max: u64, problems: &mut Problems<'_>) -> Option<u32> {
    let part = parts.get(key)?;
    let label = match part.value.kind {
        Kind::Scalar(_) => "out of range",
        _ => "not a number",
    };
    let help = format!("write for example `{EXAMPLE}`");
    numbers::in_range(part, 0..=max, label, help, problems)
}

/// Reads a duration that is greater than zero.
pub(super) fn duration(entry: &Entry, problems: &mut Problems<'_>) -> Option<Duration> {
    let refusal = match &entry.value.kind {
        Kind::Scalar(scalar) => match parse_duration(&scalar.text) {
            Some(Duration::ZERO) => "must be greater than zero".to_owned(),
            Some(duration) => return Some(duration),
            None => format!("must be a duration, not {}", quoted(&scalar.text)),
        },
        _ => format!("must be a duration, not {}", entry.value.describe()),
    };
    problems.report(
        entry.at(),
        format!("{} {refusal}", quoted(&entry.key)),
        "not a duration",
        "write whole numbers with their units, the largest first: `90s`, `30m`, `1h30m`, `2d`",
    );
    None
}

/// Parses `1h30m`: whole numbers, each with its unit, from days to seconds.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }

    let mut rest = text;
    let mut seconds: u64 = 0;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        // Each unit comes at most once, since the iterator does not go back.
        let (unit, size) = units.find(|(unit, _)| after.starts_with(unit))?;
        rest = after[unit.len()..].trim_start();
        seconds = number
            .parse::<u64>()
            .ok()?
            .checked_mul(*size)?
            .checked_add(seconds)?;
    }
    (seconds <= MAX_SECONDS).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        let seconds = |text| parse_duration(text).map(|duration| duration.as_secs());
        assert_eq!(
            ["90s", "30m", "1h30m", "2d", " 1h 5s "].map(seconds),
            [90, 1800, 5400, 172_800, 3605].map(Some)
        );
        assert_eq!(
            [
                "",
                "5",
                "m",
                "1.5h",
                "30m1h",
                "1h1h",
                "1w",
                "-1s",
                "99999d",
                "99999999999999999999s"
            ]
            .map(seconds),
            [None; 10]
        );
    }
}

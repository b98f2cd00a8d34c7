//! The `limits` blocks: how long a trial may take, how often it is tried again, how many may fail.
//! One for the sweep, and one for each arm, whose keys go before the sweep's.

use std::time::Duration;

use super::keys;
use super::model::Limit;
use super::problem::{Finding, Problems, quoted};
use super::seeds::whole;
use super::tree::{Entry, Kind, fields};

const EXAMPLE: &str = "limits: {timeout: 2h, retries: 2, max_failures: 10}";
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

/// The limits of a block.
pub(super) fn read(entry: &Entry, problems: &mut Problems<'_>) -> Limit {
    let Some(parts) = fields(entry, "`limits`", keys::LIMITS, EXAMPLE, problems) else {
        return Limit::default();
    };
    let timeout = parts
        .get("timeout")
        .and_then(|part| duration(part, problems));
    let mut number = |key: &str, most: u64| {
        let part = parts.get(key)?;
        let Kind::Scalar(scalar) = &part.value.kind else {
            let message = format!(
                "{} must be a whole number, not {}",
                quoted(key),
                part.value.describe()
            );
            problems.add(
                Finding::new(part.at(), message, "not a number")
                    .help(format!("write for example `{EXAMPLE}`")),
            );
            return None;
        };
        let number = whole(scalar, part.at(), &quoted(key), problems)?;
        if number > most {
            let message = format!("{} must be from 0 to {most}, not {number}", quoted(key));
            problems.add(
                Finding::new(part.at(), message, "out of range")
                    .help(format!("write for example `{EXAMPLE}`")),
            );
            return None;
        }
        u32::try_from(number).ok()
    };
    Limit {
        timeout,
        retries: number("retries", 100),
        max_failures: number("max_failures", u64::from(u32::MAX)),
    }
}

pub(super) fn duration(entry: &Entry, problems: &mut Problems<'_>) -> Option<Duration> {
    let refusal = match &entry.value.kind {
        Kind::Scalar(scalar) => match parse(&scalar.text) {
            Some(Duration::ZERO) => "must be greater than zero".to_owned(),
            Some(duration) => return Some(duration),
            None => format!("must be a duration, not {}", quoted(&scalar.text)),
        },
        _ => format!("must be a duration, not {}", entry.value.describe()),
    };
    let finding = Finding::new(
        entry.at(),
        format!("{} {refusal}", quoted(&entry.key)),
        "not a duration",
    );
    problems.add(finding.help(
        "write whole numbers with their units, the largest first: `90s`, `30m`, `1h30m`, `2d`",
    ));
    None
}

/// `1h30m`: whole numbers, each with its unit, from days to seconds.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds: u64 = 0;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let (unit, size) = units.find(|(unit, _)| after.starts_with(unit))?;
        rest = after[unit.len()..].trim_start();
        seconds = number
            .parse::<u64>()
            .ok()?
            .checked_mul(*size)?
            .checked_add(seconds)?;
    }
    // A year is longer than anybody's trial, and far from where clocks overflow.
    (!text.trim().is_empty() && seconds <= 366 * 86_400).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        let seconds = |text| parse(text).map(|duration| duration.as_secs());
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

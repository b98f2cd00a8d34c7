//! The `seeds` block: which seeds the search uses and which the winners get. A count stands for a
//! range (0.. for the search, 1000.. for the winners), so that two counts never meet.

use std::collections::HashMap;

use super::MAX_SEEDS;
use super::keys;
use super::model::Seeds;
use super::problem::{Finding, Problems, Span, quoted};
use super::tree::{Entry, Kind, Scalar, fields};

const EXAMPLE: &str = "seeds: {tune: 5, final: 10}";
/// The first seed that a count of final seeds stands for.
const FINAL_START: u64 = 1000;

/// The seeds, and where to point for problems with each list as a whole.
pub(super) struct Read {
    pub seeds: Seeds,
    pub tune_span: Span,
}

/// One list of seeds: each seed and its place.
struct List {
    seeds: Vec<(u64, Span)>,
    span: Span,
}

pub(super) fn read(entry: &Entry, problems: &mut Problems<'_>) -> Option<Read> {
    let fields = fields(entry, "`seeds`", keys::SEEDS, EXAMPLE, problems)?;
    let mut one = |key: &str, start: u64| {
        if let Some(found) = fields.get(key) {
            return list(found, start, problems);
        }
        // Unknown keys have been reported, and are probably the missing ones.
        if fields.lacks(key) && fields.clean {
            let finding = Finding::new(
                entry.key_span,
                format!("`seeds` lacks `{key}`"),
                format!("no `{key}`"),
            );
            problems.add(finding.help(format!("write `{EXAMPLE}`; 0 for none")));
        }
        None
    };
    let (tune, last) = (one("tune", 0), one("final", FINAL_START));
    let (tune, last) = (tune?, last?);
    if tune.seeds.is_empty() && last.seeds.is_empty() {
        let finding = Finding::new(
            last.span,
            "neither tuning seeds nor final seeds: nothing would run",
            "none here",
        );
        problems.add(
            finding
                .also(tune.span, "and none here")
                .help(format!("write for example `{EXAMPLE}`")),
        );
        return None;
    }
    disjoint(&tune, &last, problems)?;
    let bare = |list: &List| list.seeds.iter().map(|(seed, _)| *seed).collect();
    Some(Read {
        seeds: Seeds {
            tune: bare(&tune),
            final_: bare(&last),
        },
        tune_span: tune.span,
    })
}

fn list(entry: &Entry, start: u64, problems: &mut Problems<'_>) -> Option<List> {
    let span = entry.at();
    match &entry.value.kind {
        Kind::Scalar(scalar) if !scalar.is_null() => {
            if scalar.text.parse::<f64>().is_err()
                && !scalar.text.bytes().all(|byte| byte.is_ascii_digit())
            {
                let message = format!(
                    "`{}` must be a count or a list of seeds, not {}",
                    entry.key,
                    quoted(&scalar.text)
                );
                let help = format!(
                    "write `{0}: 5` for the seeds {start} to {1}, or a list: `{0}: [7, 8]`",
                    entry.key,
                    start + 4
                );
                problems.add(Finding::new(span, message, "not seeds").help(help));
                return None;
            }
            let number = whole(scalar, span, &format!("`{}`", entry.key), problems)?;
            if number > MAX_SEEDS {
                let message = format!(
                    "`{}` asks for {number} seeds; a count may be at most {MAX_SEEDS}",
                    entry.key
                );
                let help = format!(
                    "write a smaller count; the single seed {number} is `{}: [{number}]`",
                    entry.key
                );
                problems.add(Finding::new(span, message, "too many").help(help));
                return None;
            }
            Some(List {
                seeds: (start..start + number).map(|seed| (seed, span)).collect(),
                span,
            })
        }
        Kind::List(items) => {
            let mut first: HashMap<u64, Span> = HashMap::new();
            let mut seeds = Vec::new();
            let mut good = true;
            for item in items.iter() {
                if problems.is_full() {
                    return None;
                }
                let at = item.span.or(entry.key_span);
                let Kind::Scalar(scalar) = &item.kind else {
                    let finding = Finding::new(
                        at,
                        format!("a seed must be a whole number, not {}", item.describe()),
                        "not a number",
                    );
                    problems.add(finding.help(format!("write `{}: [0, 1, 2]`", entry.key)));
                    good = false;
                    continue;
                };
                let Some(seed) = whole(scalar, at, "a seed", problems) else {
                    good = false;
                    continue;
                };
                if let Some(earlier) = first.insert(seed, at) {
                    let message = format!(
                        "seed {seed} is here twice, first in line {}",
                        problems.line(earlier)
                    );
                    problems.add(
                        Finding::new(at, message, "again")
                            .also(earlier, "first here")
                            .help("remove one of them"),
                    );
                    good = false;
                }
                seeds.push((seed, at));
            }
            good.then_some(List { seeds, span })
        }
        _ => {
            let message = format!(
                "`{}` must be a count or a list of seeds, not {}",
                entry.key,
                entry.value.describe()
            );
            problems.add(
                Finding::new(span, message, "not seeds")
                    .help(format!("write `{EXAMPLE}`, or lists: `tune: [0, 1, 2]`")),
            );
            None
        }
    }
}

/// A non-negative integer; reports anything else.
pub(super) fn whole(
    scalar: &Scalar,
    span: Span,
    what: &str,
    problems: &mut Problems<'_>,
) -> Option<u64> {
    let digits =
        scalar.plain && !scalar.text.is_empty() && scalar.text.bytes().all(|b| b.is_ascii_digit());
    let plain_decimal = digits && (scalar.text.len() == 1 || !scalar.text.starts_with('0'));
    // Beyond i64 the ledger could not hold it.
    match scalar.text.parse::<i64>() {
        Ok(number) if plain_decimal => u64::try_from(number).ok(),
        _ => {
            let (why, label, help) = match plain_decimal {
                true => (
                    "at most 9,223,372,036,854,775,807",
                    "too large",
                    "write a smaller number",
                ),
                false => (
                    "a whole number, 0 or greater",
                    "not a whole number",
                    "write it in plain digits, without quotes: 5",
                ),
            };
            let message = format!("{what} must be {why}, not {}", quoted(&scalar.text));
            problems.add(Finding::new(span, message, label).help(help));
            None
        }
    }
}

/// Final seeds must be fresh.
fn disjoint(tune: &List, last: &List, problems: &mut Problems<'_>) -> Option<()> {
    let tuning: HashMap<u64, Span> = tune.seeds.iter().copied().collect();
    let Some((seed, span, other)) = last
        .seeds
        .iter()
        .find_map(|(seed, span)| Some((*seed, *span, *tuning.get(seed)?)))
    else {
        return Some(());
    };
    let message = format!("seed {seed} is a tuning seed and a final seed");
    problems.add(Finding::new(span, message, "final").also(other, "tuning").help(
        "final seeds must be fresh, or the winner's figures are too good; a count of N stands for 0 to N-1 under `tune`, for 1000 to 1000+N-1 under `final`",
    ));
    None
}

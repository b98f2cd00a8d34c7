//! The `seeds` block: which seeds the search uses and which the selected points get. A count stands
//! for a range (from 0 for the search, from 1000 for the selected points), so that two counts are
//! always disjoint.

use std::collections::HashMap;

use super::command::SEED;
use super::free_text;
use super::model::Seeds;
use super::numbers::whole;
use super::problem::{Finding, Problems, Span, quoted};
use super::tree::{Entry, Fields, Kind, Node, Scalar, fields};
use super::{MAX_SEEDS, keys};

const EXAMPLE: &str = "seeds: {tune: 5, final: 10}";

/// Maximum length of the name of a seed.
const MAX_NAME: usize = 64;

/// The first seed that a count of final seeds stands for.
const FINAL_START: u64 = 1000;

/// The seeds, and where to point for problems with the tuning seeds as a whole.
pub(super) struct Read {
    pub seeds: Seeds,
    pub tune_span: Span,
    /// What programs call their seed.
    pub name: String,
    /// What the user should know.
    pub remark: Option<String>,
}

/// One list of seeds: each seed and its place.
struct List {
    seeds: Vec<(u64, Span)>,
    span: Span,
}

impl List {
    fn numbers(&self) -> Vec<u64> {
        self.seeds.iter().map(|(seed, _)| *seed).collect()
    }
}

/// Reads the block; None if a problem has been reported. `parameter` is the parameter that it names,
/// if the file has one.
pub(super) fn read(
    entry: &Entry,
    parameter: Option<&Entry>,
    problems: &mut Problems<'_>,
) -> Option<Read> {
    let fields = fields(entry, "`seeds`", keys::SEEDS, EXAMPLE, problems)?;
    let name = match fields.get("parameter") {
        Some(name) => free_text::line(name, MAX_NAME, false, problems)?,
        None => SEED.to_owned(),
    };

    // Both lists are read before one that is missing ends the reading, so that both are reported.
    let tune = match parameter {
        Some(parameter) => of_parameter(parameter, fields.get("tune"), problems),
        None => required_list(entry, &fields, "tune", 0, problems),
    };
    let finals = required_list(entry, &fields, "final", FINAL_START, problems);
    let tune = tune?;
    let finals = finals?;

    if tune.seeds.is_empty() && finals.seeds.is_empty() {
        let message = "neither tuning seeds nor final seeds: nothing would run";
        problems.add(
            Finding::new(finals.span, message, "none here")
                .also(tune.span, "and none here")
                .help(format!("write for example `{EXAMPLE}`")),
        );
        return None;
    }

    if !check_disjoint(&tune, &finals, problems) {
        return None;
    }

    Some(Read {
        seeds: Seeds {
            tune: tune.numbers(),
            final_: finals.numbers(),
        },
        tune_span: tune.span,
        name,
        remark: None,
    })
}

/// Reads the seeds of a file without `seeds` from its parameter `seed`.
pub(super) fn read_parameter(parameter: &Entry, problems: &mut Problems<'_>) -> Option<Read> {
    let tune = of_parameter(parameter, None, problems)?;
    let seeds = Seeds {
        tune: tune.numbers(),
        final_: Vec::new(),
    };
    let shown: Vec<String> = seeds.tune.iter().map(u64::to_string).collect();
    let shown = shown.join(", ");
    Some(Read {
        seeds,
        tune_span: tune.span,
        name: SEED.to_owned(),
        remark: Some(format!(
            "the values of the parameter `seed` are the tuning seeds ({shown}), and no point is trained again with fresh seeds: \
             `seeds: {{tune: [{shown}], final: 10}}` instead of it asks for that"
        )),
    })
}

/// The values of a parameter as seeds.
fn of_parameter(
    parameter: &Entry,
    tune: Option<&Entry>,
    problems: &mut Problems<'_>,
) -> Option<List> {
    let name = &parameter.key;
    if let Some(tune) = tune {
        let message = format!("tuning seeds under `tune` and as values of the parameter `{name}`");
        problems.add(
            Finding::new(tune.key_span, message, "here")
                .also(parameter.key_span, "and here")
                .help("keep one of them"),
        );
        return None;
    }

    let parts = match &parameter.value.kind {
        Kind::Map(parts) => parts.as_slice(),
        _ => &[],
    };
    let values = parts
        .iter()
        .find(|part| matches!(&*part.key, "value" | "values"));
    match values.map(|values| (values, &values.value.kind)) {
        Some((values, Kind::List(items))) if &*values.key == "values" && !items.is_empty() => {
            listed(values, items, problems)
        }
        Some((values, Kind::Scalar(_))) if &*values.key == "value" => {
            listed(values, std::slice::from_ref(&values.value), problems)
        }
        _ => {
            let message = format!("the parameter `{name}` holds no seeds");
            let help = format!("write `{name}: {{values: [0, 1, 2]}}`, or `{EXAMPLE}` instead");
            problems.report(parameter.at(), message, "no seeds", help);
            None
        }
    }
}

fn required_list(
    block: &Entry,
    fields: &Fields<'_>,
    key: &str,
    start: u64,
    problems: &mut Problems<'_>,
) -> Option<List> {
    if let Some(entry) = fields.get(key) {
        return list(entry, start, problems);
    }

    // Unknown keys have been reported, and are probably the missing ones.
    if fields.lacks(key) && fields.clean {
        problems.report(
            block.key_span,
            format!("`seeds` lacks `{key}`"),
            format!("no `{key}`"),
            format!("write `{EXAMPLE}`; 0 for none"),
        );
    }
    None
}

fn list(entry: &Entry, start: u64, problems: &mut Problems<'_>) -> Option<List> {
    match &entry.value.kind {
        Kind::Scalar(scalar) if !scalar.is_null() => counted(entry, scalar, start, problems),
        Kind::List(items) => listed(entry, items, problems),
        _ => {
            let key = &entry.key;
            let found = entry.value.describe();
            problems.report(
                entry.at(),
                format!("`{key}` must be a count or a list of seeds, not {found}"),
                "not seeds",
                format!("write `{EXAMPLE}`, or lists: `tune: [0, 1, 2]`"),
            );
            None
        }
    }
}

/// Reads a count of seeds.
fn counted(
    entry: &Entry,
    scalar: &Scalar,
    start: u64,
    problems: &mut Problems<'_>,
) -> Option<List> {
    let key = &entry.key;
    let span = entry.at();
    let is_number =
        scalar.text.parse::<f64>().is_ok() || scalar.text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        let found = quoted(&scalar.text);
        let end = start + 4;
        problems.report(
            span,
            format!("`{key}` must be a count or a list of seeds, not {found}"),
            "not seeds",
            format!("write `{key}: 5` for the seeds {start} to {end}, or a list: `{key}: [7, 8]`"),
        );
        return None;
    }

    let count = whole(scalar, span, &format!("`{key}`"), problems)?;
    if count > MAX_SEEDS {
        problems.report(
            span,
            format!("`{key}` asks for {count} seeds; a count may be at most {MAX_SEEDS}"),
            "too many",
            format!("write a smaller count; the single seed {count} is `{key}: [{count}]`"),
        );
        return None;
    }
    Some(List {
        seeds: (start..start + count).map(|seed| (seed, span)).collect(),
        span,
    })
}

/// Reads a list of seeds.
fn listed(entry: &Entry, items: &[Node], problems: &mut Problems<'_>) -> Option<List> {
    let mut first: HashMap<u64, Span> = HashMap::new();
    let mut seeds = Vec::new();
    let mut is_valid = true;
    for item in items {
        if problems.is_full() {
            return None;
        }

        let span = item.span.or(entry.key_span);
        let Kind::Scalar(scalar) = &item.kind else {
            let found = item.describe();
            problems.report(
                span,
                format!("a seed must be a whole number, not {found}"),
                "not a number",
                format!("write `{}: [0, 1, 2]`", entry.key),
            );
            is_valid = false;
            continue;
        };
        let Some(seed) = whole(scalar, span, "a seed", problems) else {
            is_valid = false;
            continue;
        };

        // A repeated seed stays in the list, so that it is also compared with the other list.
        if let Some(earlier) = first.insert(seed, span) {
            let line = problems.line(earlier);
            let message = format!("seed {seed} is here twice, first in line {line}");
            problems.add(
                Finding::new(span, message, "again")
                    .also(earlier, "first here")
                    .help("remove one of them"),
            );
            is_valid = false;
        }
        seeds.push((seed, span));
    }
    is_valid.then(|| List {
        seeds,
        span: entry.at(),
    })
}

/// Reports a final seed that is a tuning seed: final seeds must be fresh. Returns whether there is
/// none.
fn check_disjoint(tune: &List, finals: &List, problems: &mut Problems<'_>) -> bool {
    let tuning: HashMap<u64, Span> = tune.seeds.iter().copied().collect();
    for (seed, span) in &finals.seeds {
        let Some(tune_span) = tuning.get(seed) else {
            continue;
        };
        let message = format!("seed {seed} is a tuning seed and a final seed");
        problems.add(Finding::new(*span, message, "final").also(*tune_span, "tuning").help(
            "final seeds must be fresh, or the winner's figures are too good; a count of N stands for 0 to N-1 under `tune`, for 1000 to 1000+N-1 under `final`",
        ));
        return false;
    }
    true
}

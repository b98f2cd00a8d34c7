//! The `claims` block: sentences of a publication, each with what it means under the key of its
//! kind. Reads them into `Claim`s; `aggregate::claims` judges them.

use super::model::{Claim, ClaimKind, Goal, Metric, Way};
use super::problem::{Finding, Problems, Span, listed, quoted};
use super::task::{BUILTIN, HISTORY, METRICS, SWITCH_METRIC, goal_of};
use super::tree::{Entry, Fields, Kind, Node, did_you_mean, fields, known_fields};
use super::{MAX_CLAIMS, keys, scalar, words};

const EXAMPLE: &str = "claims: [{says: Hybrid reaches the highest test accuracy, highest: {arm: hybrid, metric: test_accuracy}}]";
/// A sentence may have so many characters.
pub(super) const MAX_SENTENCE: usize = 300;

/// What claims may speak of.
pub(super) struct Scope<'a> {
    /// The names of the file's arms, those included that could not be read.
    pub arms: &'a [&'a str],
    /// Whether the built-in task trains.
    pub builtin: bool,
    /// What selects points, where that could be read.
    pub metric: Option<&'a Metric>,
}

/// The claims; those that could not be read are left out, and reported.
pub(super) fn read(entry: &Entry, scope: &Scope<'_>, problems: &mut Problems<'_>) -> Vec<Claim> {
    let Kind::List(items) = &entry.value.kind else {
        let message = format!("`claims` must be a list, not {}", entry.value.describe());
        problems.add(
            Finding::new(entry.at(), message, "not a list")
                .help(format!("write for example `{EXAMPLE}`")),
        );
        return Vec::new();
    };
    if let Some(extra) = items.get(MAX_CLAIMS) {
        let message = format!(
            "the sweep makes {} claims; at most {MAX_CLAIMS} are possible",
            items.len()
        );
        problems.add(
            Finding::new(extra.span.or(entry.key_span), message, "one too many")
                .help("remove some of them"),
        );
    }
    let mut claims = Vec::new();
    for item in items.iter().take(MAX_CLAIMS) {
        if problems.is_full() {
            break;
        }
        claims.extend(claim(item, item.span.or(entry.key_span), scope, problems));
    }
    claims
}

fn claim(item: &Node, at: Span, scope: &Scope<'_>, problems: &mut Problems<'_>) -> Option<Claim> {
    let Kind::Map(entries) = &item.kind else {
        let message = format!("a claim must be a mapping, not {}", item.describe());
        problems.add(
            Finding::new(at, message, "not a claim").help(format!("write for example `{EXAMPLE}`")),
        );
        return None;
    };
    let parts = known_fields(entries, "a claim", keys::CLAIM, |_| None, problems);
    // A problem of the whole claim: to point at its first key says more than to underline all of
    // it.
    let place = entries.first().map_or(at, |first| first.key_span);
    if parts.lacks("says") {
        let finding = Finding::new(place, "the claim lacks `says`", "no sentence");
        problems.add(
            finding.help("write the sentence: `says: Hybrid reaches the highest test accuracy`"),
        );
    }
    let says = parts
        .get("says")
        .and_then(|entry| words::line(entry, MAX_SENTENCE, false, problems));
    let known: Vec<&'static str> = keys::CLAIM
        .iter()
        .map(|key| key.name)
        .filter(|name| *name != "says")
        .collect();
    let mut kinds = entries
        .iter()
        .filter_map(|entry| Some((known.iter().find(|name| **name == &*entry.key)?, entry)));
    let first = kinds.next();
    if let (Some((_, first)), Some((_, second))) = (first, kinds.next()) {
        let message = format!(
            "both `{}` and `{}`: a claim is of one kind",
            first.key, second.key
        );
        problems.add(
            Finding::new(second.key_span, message, "and this")
                .also(first.key_span, "this")
                .help("make two claims of it"),
        );
        return None;
    }
    let Some((&key, entry)) = first else {
        if known.iter().all(|name| parts.lacks(name)) {
            let finding = Finding::new(place, "the claim does not say what it means", "no kind");
            problems.add(finding.help(format!("add one of {}", listed(&known, "or"))));
        }
        return None;
    };
    let kind = Block::open(key, entry, scope, problems)?.kind()?;
    Some(Claim {
        says: says?,
        key,
        kind,
    })
}

/// The keys of each kind, and how to write it.
pub(super) fn of_kind(kind: &str) -> (&'static [keys::Key], &'static str) {
    match kind {
        "highest" => (
            keys::EXTREME,
            "highest: {arm: hybrid, metric: test_accuracy}",
        ),
        "lowest" => (keys::EXTREME, "lowest: {arm: sgd, metric: val_accuracy}"),
        "greater" => (
            keys::COMPARISON,
            "greater: {metric: test_accuracy, arm: adahessian, than: sgd}",
        ),
        "less" => (
            keys::COMPARISON,
            "less: {metric: test_loss, arm: adahessian, than: sgd}",
        ),
        "ratio" => (
            keys::RATIO,
            "ratio: {metric: training_seconds, of: adahessian, to: adam, is: 1.26, within: 0.1}",
        ),
        "at_least" => (keys::BOUND, "at_least: {metric: test_accuracy, value: 80}"),
        "at_most" => (keys::BOUND, "at_most: {metric: test_loss, value: 0.5}"),
        "saturates" => (
            keys::SATURATES,
            "saturates: {metric: train_loss, arms: [adahessian, hybrid], at: 4, within: 1}",
        ),
        _ => (
            keys::ALWAYS_ABOVE,
            "always_above: {metric: train_accuracy, than: val_accuracy}",
        ),
    }
}

/// What stands under the key of a claim's kind.
struct Block<'b, 's> {
    key: &'static str,
    entry: &'b Entry,
    parts: Fields<'b>,
    example: &'static str,
    scope: &'b Scope<'b>,
    problems: &'b mut Problems<'s>,
}

impl<'b, 's> Block<'b, 's> {
    fn open(
        key: &'static str,
        entry: &'b Entry,
        scope: &'b Scope<'b>,
        problems: &'b mut Problems<'s>,
    ) -> Option<Self> {
        let (known, example) = of_kind(key);
        let parts = fields(entry, &format!("`{key}`"), known, example, problems)?;
        Some(Self {
            key,
            entry,
            parts,
            example,
            scope,
            problems,
        })
    }

    fn kind(mut self) -> Option<ClaimKind> {
        let way = if matches!(self.key, "highest" | "greater" | "at_least") {
            Way::Up
        } else {
            Way::Down
        };
        match self.key {
            "highest" | "lowest" => {
                let (metric, arm, others) = (
                    self.final_metric("metric"),
                    self.arm("arm"),
                    self.arms("among"),
                );
                let (arm, others) = (arm?, others?);
                let others: Vec<usize> = others.into_iter().filter(|other| *other != arm).collect();
                if others.is_empty() {
                    let at = self
                        .parts
                        .get("among")
                        .map_or(self.entry.key_span, Entry::at);
                    let finding = Finding::new(
                        at,
                        format!("`{}` compares the arm with no other", self.key),
                        "no other arm",
                    );
                    self.problems.add(finding.help(
                        "name other arms under `among`, or leave it out where there are any",
                    ));
                    return None;
                }
                Some(ClaimKind::Beyond {
                    way,
                    metric: metric?,
                    arm,
                    others,
                })
            }
            "greater" | "less" => {
                let (metric, pair) = (self.final_metric("metric"), self.two_arms("arm", "than"));
                let (arm, other) = pair?;
                Some(ClaimKind::Beyond {
                    way,
                    metric: metric?,
                    arm,
                    others: vec![other],
                })
            }
            "ratio" => {
                let (metric, pair) = (self.final_metric("metric"), self.two_arms("of", "to"));
                let is = self.number("is", None, |x| x > 0.0, "greater than 0");
                let within = self.number(
                    "within",
                    Some(0.1),
                    |x| x > 0.0 && x < 1.0,
                    "greater than 0 and less than 1",
                );
                let (of, to) = pair?;
                Some(ClaimKind::Ratio {
                    metric: metric?,
                    of,
                    to,
                    is: is?,
                    within: within?,
                })
            }
            "at_least" | "at_most" => {
                let (metric, arms) = (self.final_metric("metric"), self.arms("arms"));
                let value = self.number("value", None, |_| true, "a number");
                Some(ClaimKind::Bound {
                    way,
                    metric: metric?,
                    arms: arms?,
                    value: value?,
                })
            }
            "saturates" => {
                let (metric, arms) = (self.history_metric("metric"), self.arms("arms"));
                let at = self.number("at", None, |x| x >= 1.0, "at least 1");
                let within = self.number("within", Some(1.0), |x| x >= 0.0, "0 or greater");
                let tolerance = self.number(
                    "tolerance",
                    Some(0.05),
                    |x| (0.0..1.0).contains(&x),
                    "at least 0 and less than 1",
                );
                let goal = self.goal(metric.as_deref());
                let (at, within, tolerance) = (at?, within?, tolerance?);
                Some(ClaimKind::Saturates {
                    metric: metric?,
                    goal: goal?,
                    arms: arms?,
                    at,
                    within,
                    tolerance,
                })
            }
            _ => {
                let (metric, than) = (self.history_metric("metric"), self.history_metric("than"));
                let arms = self.arms("arms");
                let (metric, than) = (metric?, than?);
                if metric == than {
                    self.twice("than", &metric);
                    return None;
                }
                Some(ClaimKind::AlwaysAbove {
                    metric,
                    than,
                    arms: arms?,
                })
            }
        }
    }

    /// The entry of a key that must be there.
    fn required(&mut self, key: &str) -> Option<&'b Entry> {
        if self.parts.lacks(key) {
            let finding = Finding::new(
                self.entry.key_span,
                format!("`{}` lacks `{key}`", self.key),
                format!("no `{key}`"),
            );
            self.problems
                .add(finding.help(format!("write for example `{}`", self.example)));
        }
        self.parts.get(key)
    }

    fn final_metric(&mut self, key: &str) -> Option<String> {
        let entry = self.required(key)?;
        self.metric(entry, METRICS, "reports no metric", "its metrics")
    }

    fn history_metric(&mut self, key: &str) -> Option<String> {
        let entry = self.required(key)?;
        self.metric(entry, HISTORY, "has no history of", "its history")
    }

    fn metric(&mut self, entry: &Entry, known: &[&str], lacks: &str, list: &str) -> Option<String> {
        let name = words::line(entry, 128, false, self.problems)?;
        if self.scope.builtin && name == SWITCH_METRIC {
            let says = format!(
                "a claim cannot be about {}, which not every trial reports",
                quoted(&name)
            );
            let finding = Finding::new(entry.at(), says, "no mean over all seeds");
            let help = "only hybrid trials that switched have it, and a mean over those alone would say nothing of the others: \
                        `trials.csv` of the report has each trial's";
            self.problems.add(finding.help(help));
            return None;
        }
        if self.scope.builtin && !known.contains(&&*name) {
            let finding = Finding::new(
                entry.at(),
                format!("{BUILTIN} {lacks} {}", quoted(&name)),
                "unknown metric",
            );
            self.problems
                .add(finding.help(did_you_mean(&name, known, list)));
            return None;
        }
        Some(name)
    }

    fn arm(&mut self, key: &str) -> Option<usize> {
        let entry = self.required(key)?;
        let name = words::line(entry, usize::MAX, false, self.problems)?;
        self.arm_of(&name, entry.at())
    }

    fn arm_of(&mut self, name: &str, at: Span) -> Option<usize> {
        let found = self.scope.arms.iter().position(|arm| *arm == name);
        if found.is_none() {
            // Names that fit into a help line.
            let shown: Vec<&str> = self
                .scope
                .arms
                .iter()
                .copied()
                .filter(|name| name.len() <= 32)
                .take(20)
                .collect();
            let finding = Finding::new(
                at,
                format!("there is no arm {}", quoted(name)),
                "unknown arm",
            );
            self.problems
                .add(finding.help(did_you_mean(name, &shown, "arms")));
        }
        found
    }

    fn two_arms(&mut self, one: &str, other: &str) -> Option<(usize, usize)> {
        let pair = (self.arm(one), self.arm(other));
        let (first, second) = (pair.0?, pair.1?);
        if first == second {
            self.twice(other, self.scope.arms[first]);
            return None;
        }
        Some((first, second))
    }

    /// Reports that something is compared with itself.
    fn twice(&mut self, key: &str, name: &str) {
        let at = self.parts.get(key).map_or(self.entry.key_span, Entry::at);
        let finding = Finding::new(
            at,
            format!("`{}` compares {} with itself", self.key, quoted(name)),
            "the same",
        );
        self.problems
            .add(finding.help(format!("write for example `{}`", self.example)));
    }

    /// A list of arms; all of them, where it is left out.
    fn arms(&mut self, key: &str) -> Option<Vec<usize>> {
        let Some(entry) = self.parts.get(key) else {
            return Some((0..self.scope.arms.len()).collect());
        };
        let items = match &entry.value.kind {
            Kind::List(items) if !items.is_empty() => items,
            other => {
                let found = if matches!(other, Kind::List(_)) {
                    "an empty list"
                } else {
                    entry.value.describe()
                };
                let finding = Finding::new(
                    entry.at(),
                    format!("`{key}` must be a list of arms, not {found}"),
                    "not a list",
                );
                let arm = self.scope.arms.first().copied().unwrap_or("sgd");
                self.problems.add(finding.help(format!(
                    "write `{key}: [{arm}]`, or leave it out for all arms"
                )));
                return None;
            }
        };
        let mut arms = Vec::new();
        let mut good = true;
        for item in items.iter() {
            let at = item.span.or(entry.key_span);
            let found = match &item.kind {
                Kind::Scalar(scalar) if !scalar.is_null() => self.arm_of(&scalar.text, at),
                _ => {
                    let finding = Finding::new(
                        at,
                        format!("an arm's name must be text, not {}", item.describe()),
                        "not a name",
                    );
                    self.problems.add(finding.help("write the arm's key"));
                    None
                }
            };
            match found {
                Some(arm) if arms.contains(&arm) => {
                    let message = format!("the arm {} is here twice", quoted(self.scope.arms[arm]));
                    self.problems
                        .add(Finding::new(at, message, "again").help("remove one of them"));
                    good = false;
                }
                Some(arm) => arms.push(arm),
                None => good = false,
            }
        }
        good.then_some(arms)
    }

    /// A number in a range; without `default` it must be there.
    fn number(
        &mut self,
        key: &str,
        default: Option<f64>,
        good: fn(f64) -> bool,
        rule: &str,
    ) -> Option<f64> {
        let entry = match (self.parts.get(key), default) {
            (Some(entry), _) => entry,
            (None, Some(default)) => return Some(default),
            (None, None) => self.required(key)?,
        };
        let refusal = match &entry.value.kind {
            Kind::Scalar(scalar) => match scalar::number(scalar) {
                Ok(number) if good(number) => return Some(number),
                Ok(number) => {
                    let finding = Finding::new(
                        entry.at(),
                        format!("`{key}` must be {rule}, not {number}"),
                        "out of range",
                    );
                    self.problems
                        .add(finding.help(format!("write for example `{}`", self.example)));
                    return None;
                }
                Err(refusal) => refusal,
            },
            _ => scalar::not_a_number(entry.value.describe()),
        };
        let message = format!("`{key}`: {}", refusal.message);
        self.problems
            .add(Finding::new(entry.at(), message, refusal.label).help_opt(refusal.help));
        None
    }

    /// Which way the metric gets better: as the file says, or as is known of the metric.
    fn goal(&mut self, metric: Option<&str>) -> Option<Goal> {
        if let Some(entry) = self.parts.get("goal") {
            let written = words::line(entry, 128, false, self.problems)?;
            return words::goal(entry, &written, self.problems);
        }
        let metric = metric?;
        match self.scope.metric {
            _ if self.scope.builtin => Some(goal_of(metric)),
            Some(selects) if selects.name == metric => Some(selects.goal),
            _ => {
                if self.parts.lacks("goal") {
                    let message = format!(
                        "`{}` lacks `goal`: which way {} gets better is not known",
                        self.key,
                        quoted(metric)
                    );
                    let finding = Finding::new(self.entry.key_span, message, "no `goal`");
                    self.problems
                        .add(finding.help("add `goal: minimize` or `goal: maximize`"));
                }
                None
            }
        }
    }
}

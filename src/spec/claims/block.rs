//! The mapping under the key of a claim's kind, and the values that it can hold: arms, metrics,
//! numbers.

use super::kinds::{kind_example, kind_keys};
use super::scope::Scope;
use crate::spec::model::Goal;
use crate::spec::problem::{Problems, Span, quoted};
use crate::spec::task::{BUILTIN, HISTORY, METRICS, SWITCH_METRIC, goal_of};
use crate::spec::tree::{Entry, Fields, Kind, did_you_mean, fields};
use crate::spec::{free_text, numbers};

/// Longest name, and maximum number of names, of arms in a line of help.
const MAX_LISTED_NAME: usize = 32;
const MAX_LISTED_ARMS: usize = 20;

/// The mapping under the key of a claim's kind.
pub(super) struct Block<'b, 's> {
    pub key: &'static str,
    pub entry: &'b Entry,
    pub parts: Fields<'b>,
    pub scope: &'b Scope<'b>,
    pub problems: &'b mut Problems<'s>,
}

impl<'b, 's> Block<'b, 's> {
    pub(super) fn open(
        key: &'static str,
        entry: &'b Entry,
        scope: &'b Scope<'b>,
        problems: &'b mut Problems<'s>,
    ) -> Option<Self> {
        let place = format!("`{key}`");
        let parts = fields(entry, &place, kind_keys(key), kind_example(key), problems)?;
        Some(Self {
            key,
            entry,
            parts,
            scope,
            problems,
        })
    }

    fn example_help(&self) -> String {
        format!("write for example `{}`", kind_example(self.key))
    }

    /// Where to point for a problem with the value of a key: the value, or the claim's key.
    pub(super) fn span_of(&self, key: &str) -> Span {
        self.parts.get(key).map_or(self.entry.key_span, Entry::at)
    }

    /// Returns the entry of a required key. Reports a missing one.
    fn required(&mut self, key: &str) -> Option<&'b Entry> {
        if self.parts.lacks(key) {
            self.problems.report(
                self.entry.key_span,
                format!("`{}` lacks `{key}`", self.key),
                format!("no `{key}`"),
                self.example_help(),
            );
        }
        self.parts.get(key)
    }

    /// Reads the name of a final metric.
    pub(super) fn final_metric(&mut self, key: &str) -> Option<String> {
        let entry = self.required(key)?;
        self.metric(entry, METRICS, "reports no metric", "its metrics")
    }

    /// Reads the name of a metric of the history.
    pub(super) fn history_metric(&mut self, key: &str) -> Option<String> {
        let entry = self.required(key)?;
        self.metric(entry, HISTORY, "has no history of", "its history")
    }

    fn metric(&mut self, entry: &Entry, known: &[&str], lacks: &str, list: &str) -> Option<String> {
        let name = free_text::line(entry, 128, false, self.problems)?;
        if !self.scope.builtin {
            return Some(name);
        }

        if name == SWITCH_METRIC {
            let shown = quoted(&name);
            self.problems.report(
                entry.at(),
                format!("a claim cannot be about {shown}, which not every trial reports"),
                "no mean over all seeds",
                "only hybrid trials that switched have it, and a mean over those alone would say nothing of the others: \
                 `trials.csv` of the report has each trial's",
            );
            return None;
        }
        if !known.contains(&&*name) {
            let message = format!("{BUILTIN} {lacks} {}", quoted(&name));
            let help = did_you_mean(&name, known, list);
            self.problems
                .report(entry.at(), message, "unknown metric", help);
            return None;
        }
        Some(name)
    }

    /// Reads the name of an arm, and returns the arm's number.
    pub(super) fn arm(&mut self, key: &str) -> Option<usize> {
        let entry = self.required(key)?;
        let name = free_text::line(entry, usize::MAX, false, self.problems)?;
        self.find_arm(&name, entry.at())
    }

    fn find_arm(&mut self, name: &str, span: Span) -> Option<usize> {
        let found = self.scope.arms.iter().position(|arm| *arm == name);
        if found.is_none() {
            let shown: Vec<&str> = self
                .scope
                .arms
                .iter()
                .copied()
                .filter(|name| name.len() <= MAX_LISTED_NAME)
                .take(MAX_LISTED_ARMS)
                .collect();
            let message = format!("there is no arm {}", quoted(name));
            let help = did_you_mean(name, &shown, "arms");
            self.problems.report(span, message, "unknown arm", help);
        }
        found
    }

    /// Reads the names of two different arms.
    pub(super) fn two_arms(&mut self, one: &str, other: &str) -> Option<[usize; 2]> {
        let first = self.arm(one);
        let second = self.arm(other);
        let pair = [first?, second?];
        if pair[0] == pair[1] {
            self.report_itself(other, self.scope.arms[pair[0]]);
            return None;
        }
        Some(pair)
    }

    /// Reports that something is compared with itself.
    pub(super) fn report_itself(&mut self, key: &str, name: &str) {
        let message = format!("`{}` compares {} with itself", self.key, quoted(name));
        let help = self.example_help();
        self.problems
            .report(self.span_of(key), message, "the same", help);
    }

    /// Reads a list of arms. All arms, if it is left out.
    pub(super) fn arms(&mut self, key: &str) -> Option<Vec<usize>> {
        let Some(entry) = self.parts.get(key) else {
            return Some((0..self.scope.arms.len()).collect());
        };
        let items = match &entry.value.kind {
            Kind::List(items) if !items.is_empty() => items,
            _ => {
                self.report_no_arms(entry);
                return None;
            }
        };

        let mut arms = Vec::new();
        let mut is_valid = true;
        for item in items.iter() {
            let span = item.span.or(entry.key_span);
            let found = match &item.kind {
                Kind::Scalar(scalar) if !scalar.is_null() => self.find_arm(&scalar.text, span),
                _ => {
                    let message = format!("an arm's name must be text, not {}", item.describe());
                    self.problems
                        .report(span, message, "not a name", "write the arm's key");
                    None
                }
            };

            match found {
                Some(arm) if arms.contains(&arm) => {
                    let message = format!("the arm {} is here twice", quoted(self.scope.arms[arm]));
                    self.problems
                        .report(span, message, "again", "remove one of them");
                    is_valid = false;
                }
                Some(arm) => arms.push(arm),
                None => is_valid = false,
            }
        }
        is_valid.then_some(arms)
    }

    fn report_no_arms(&mut self, entry: &Entry) {
        let key = &entry.key;
        let found = match &entry.value.kind {
            Kind::List(_) => "an empty list",
            _ => entry.value.describe(),
        };
        let arm = self.scope.arms.first().copied().unwrap_or("sgd");
        self.problems.report(
            entry.at(),
            format!("`{key}` must be a list of arms, not {found}"),
            "not a list",
            format!("write `{key}: [{arm}]`, or leave it out for all arms"),
        );
    }

    /// Reads a number that follows a rule. Without a default it is required.
    pub(super) fn number(
        &mut self,
        key: &str,
        default: Option<f64>,
        is_allowed: fn(f64) -> bool,
        rule: &str,
    ) -> Option<f64> {
        let entry = match (self.parts.get(key), default) {
            (Some(entry), _) => entry,
            (None, Some(default)) => return Some(default),
            (None, None) => self.required(key)?,
        };

        let number = numbers::float(entry, self.problems)?;
        if is_allowed(number) {
            return Some(number);
        }

        let message = format!("`{key}` must be {rule}, not {number}");
        let help = self.example_help();
        self.problems
            .report(entry.at(), message, "out of range", help);
        None
    }

    /// The direction in which a metric gets better: as the file says, or as is known of the metric.
    pub(super) fn goal(&mut self, metric: Option<&str>) -> Option<Goal> {
        if let Some(entry) = self.parts.get("goal") {
            let written = free_text::line(entry, 128, false, self.problems)?;
            return free_text::goal(entry, &written, self.problems);
        }

        let metric = metric?;
        if self.scope.builtin {
            return Some(goal_of(metric));
        }

        if let Some(selects) = self.scope.metric
            && selects.name == metric
        {
            return Some(selects.goal);
        }

        if self.parts.lacks("goal") {
            let name = quoted(metric);
            self.problems.report(
                self.entry.key_span,
                format!(
                    "`{}` lacks `goal`: which way {name} gets better is not known",
                    self.key
                ),
                "no `goal`",
                "add `goal: minimize` or `goal: maximize`",
            );
        }
        None
    }
}

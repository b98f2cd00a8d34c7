//! The keys of the sweep file that name the sweep, say who trains and what selects: `name`, `task`
//! and its alternatives, `method`, `metric`.

use super::state::{Document, MAIN};
use crate::spec::model::{At, Goal, Metric};
use crate::spec::problem::{Finding, brief, quoted};
use crate::spec::task::{BUILTIN, HISTORY, METRICS, SWITCH_METRIC, Task};
use crate::spec::tree::{Entry, Fields, Kind, did_you_mean, entries, known_fields};
use crate::spec::{foreign, free_text, keys, naming, program, similar};
use crate::tasks;

/// What the rules of other keys need to know about the task.
#[derive(Clone, Copy)]
pub(super) struct Trainer {
    /// Whether the built-in task trains. With a task that could not be read, only what every task
    /// would refuse is refused.
    pub builtin: bool,
    /// Whether the file is written as a W&B sweep: `program` or `command`, or nothing.
    pub wandb: bool,
}

impl Trainer {
    pub(super) fn new(task: Option<&Task>, fields: &Fields<'_>) -> Self {
        Self {
            builtin: matches!(task, Some(Task::BuiltIn(_))),
            wandb: match task {
                Some(task) => matches!(task, Task::Program(_)),
                None => fields.lacks("task") && fields.lacks("worker"),
            },
        }
    }
}

impl Document<'_, '_> {
    pub(super) fn name(&mut self, fields: &Fields<'_>) -> Option<String> {
        let is_program = fields.get("program").or(fields.get("command")).is_some();
        // W&B allows a sweep without a name, and any text as a name.
        if (is_program || fields.get("worker").is_some()) && fields.lacks("name") {
            let program = match fields.get("program") {
                Some(program) => naming::of_program(&self.line(program, usize::MAX, false)?),
                None => String::new(),
            };
            let name = [program, self.unnamed.clone()]
                .into_iter()
                .find(|name| !name.is_empty());
            return Some(name.unwrap_or_else(|| MAIN.to_owned()));
        }

        let entry = self.required(fields, "name", "name: my-sweep")?;
        let mut name = self.line(entry, usize::MAX, false)?;
        let folder = naming::folder_name(&name);
        if is_program && !folder.is_empty() {
            name = folder.clone();
        }

        if naming::is_name(&name) {
            return Some(name);
        }

        let suggestion = if folder.is_empty() {
            String::new()
        } else {
            format!("write `{folder}`: ")
        };
        self.problems.report(
            entry.at(),
            format!("{} cannot be the name of a folder of results", quoted(&name)),
            "not a good name",
            format!(
                "{suggestion}a name has at most {} letters, digits, dots, underscores and hyphens, a letter or digit first",
                naming::MAX_NAME
            ),
        );
        None
    }

    pub(super) fn task(&mut self, fields: &Fields<'_>) -> Option<Task> {
        let task = fields.get("task");
        let worker = fields.get("worker");
        let program = fields.get("program");
        let command = fields.get("command");

        let mut given: Vec<&Entry> = [task, worker, program.or(command)]
            .into_iter()
            .flatten()
            .collect();
        given.sort_by_key(|entry| entry.key_span.start);
        if let [first, second, ..] = given[..] {
            self.report_two_trainers(first, second);
            return None;
        }

        if let Some(entry) = task {
            return self.builtin_task(entry);
        }
        if let Some(entry) = worker {
            return program::worker(entry, self.problems).map(Task::Worker);
        }
        if program.is_some() || command.is_some() {
            return program::read(program, command, &self.parameters, self.problems)
                .map(Task::Program);
        }

        let is_missing = ["task", "worker", "program", "command"]
            .iter()
            .all(|key| fields.lacks(key));
        if is_missing {
            // These are put in backticks, and then read as two keys.
            self.missing.push((
                "task` or `program",
                "task: mnist-resnet18` or `program: train.py",
            ));
        }
        None
    }

    fn report_two_trainers(&mut self, first: &Entry, second: &Entry) {
        let message = format!(
            "both `{}` and `{}`: only one can train",
            first.key, second.key
        );
        self.problems.add(
            Finding::new(second.key_span, message, "and this")
                .also(first.key_span, "this")
                .help(
                    "keep `task` for the built-in trainer, `program` or `command` for a program that trains one trial, \
                     `worker` for one that speaks the worker protocol",
                ),
        );
    }

    fn builtin_task(&mut self, entry: &Entry) -> Option<Task> {
        let written = self.line(entry, usize::MAX, false)?;
        if let Some(task) = tasks::find(&written) {
            return Some(Task::BuiltIn(task));
        }

        let help = match similar::nearest(&written, &[BUILTIN]) {
            Some(_) => format!("did you mean `{BUILTIN}`?"),
            None => format!(
                "the built-in task is `{BUILTIN}`; a program of your own goes under `program`"
            ),
        };
        let message = format!("unknown task {}", quoted(&written));
        self.problems
            .report(entry.at(), message, "unknown task", help);
        None
    }

    pub(super) fn method(&mut self, fields: &Fields<'_>) {
        let Some(entry) = fields.get("method") else {
            return;
        };
        let Some(method) = self.line(entry, usize::MAX, false) else {
            return;
        };

        let (message, help) = match &*method {
            "grid" => return,
            "bayes" | "random" => (
                format!("the method `{method}` is not supported: pentagrid runs full grids only"),
                "write `method: grid`, and list the values of every parameter",
            ),
            _ => (
                format!("unknown method {}", quoted(&method)),
                "the only method is `grid`",
            ),
        };
        self.problems
            .report(entry.at(), message, "not a grid", help);
    }

    /// Reads `metric`. In a W&B sweep the goal may be left out, and is then W&B's default.
    pub(super) fn metric(&mut self, fields: &Fields<'_>, trainer: Trainer) -> Option<Metric> {
        const EXAMPLE: &str = "metric: {name: val_accuracy, goal: maximize}";

        let entry = self.required(fields, "metric", EXAMPLE)?;
        if let Kind::Scalar(scalar) = &entry.value.kind
            && !scalar.is_null()
        {
            let found = entry.value.describe();
            let name = brief(&scalar.text);
            self.problems.report(
                entry.at(),
                format!("`metric` must be a mapping with `name` and `goal`, not {found}"),
                "expected a mapping",
                format!("write `metric: {{name: {name}, goal: maximize}}`, or `minimize` if lower is better"),
            );
            return None;
        }

        let parts = entries(entry, EXAMPLE, self.problems)?;
        let parts = known_fields(
            parts,
            "`metric`",
            keys::METRIC,
            foreign::in_metric,
            self.problems,
        );
        for key in ["name", "goal"] {
            let is_optional = trainer.wandb && key == "goal";
            // Unknown keys have been reported, and are probably the missing ones.
            if parts.lacks(key) && parts.clean && !is_optional {
                self.problems.report(
                    entry.key_span,
                    format!("`metric` lacks `{key}`"),
                    format!("no `{key}`"),
                    format!("write `{EXAMPLE}`"),
                );
            }
        }

        let name = parts
            .get("name")
            .and_then(|entry| self.metric_name(entry, trainer.builtin));
        let goal = match parts.get("goal") {
            Some(entry) => self.metric_goal(entry),
            None if trainer.wandb && parts.lacks("goal") => Some(Goal::Minimize),
            None => None,
        };
        let at = match parts.get("at") {
            Some(entry) => self.metric_at(entry, name.as_deref(), trainer.builtin),
            None => Some(At::default()),
        };
        Some(Metric {
            name: name?,
            goal: goal?,
            at: at?,
        })
    }

    fn metric_name(&mut self, entry: &Entry, builtin: bool) -> Option<String> {
        let name = self.line(entry, 128, false)?;
        (!builtin || self.can_select(entry, &name)).then_some(name)
    }

    fn metric_goal(&mut self, entry: &Entry) -> Option<Goal> {
        let written = self.line(entry, 128, false)?;
        free_text::goal(entry, &written, self.problems)
    }

    /// Reads `at`. `name` is the metric's, if it could be read.
    fn metric_at(&mut self, entry: &Entry, name: Option<&str>, builtin: bool) -> Option<At> {
        const HELP: &str = "write `last`, `best` (of the history, with the other metrics of that epoch), or `mean_last_5`";

        let written = self.line(entry, 128, false)?;
        let Some(at) = At::from_name(&written) else {
            let message = format!("unknown value {} of `at`", quoted(&written));
            self.problems
                .report(entry.at(), message, "unknown value", HELP);
            return None;
        };
        if at == At::Last {
            return Some(at);
        }

        let name = name?;
        if builtin && !HISTORY.contains(&name) {
            let message = format!("{BUILTIN} does not report {} by epochs", quoted(name));
            let help = did_you_mean(name, HISTORY, "metrics by epochs");
            self.problems
                .report(entry.at(), message, "no history", help);
            return None;
        }
        if name.contains('"') {
            let message = "`at` cannot find a metric with a quotation mark in its name";
            self.problems.report(
                entry.at(),
                message,
                "a quotation mark",
                "report the metric under another name",
            );
            return None;
        }
        Some(at)
    }

    /// Whether the built-in task's metric of that name can select points. Reports why not.
    fn can_select(&mut self, entry: &Entry, name: &str) -> bool {
        // A wall-clock time differs from run to run, so the winner would too.
        let choices: Vec<&str> = METRICS
            .iter()
            .copied()
            .filter(|metric| *metric != "training_seconds")
            .collect();
        if choices.contains(&name) {
            return true;
        }

        let (message, label) = match name {
            "training_seconds" => (
                "a wall-clock time cannot select points: it differs from run to run".to_owned(),
                "a time",
            ),
            SWITCH_METRIC => (
                format!("not every trial reports `{SWITCH_METRIC}`"),
                "not always there",
            ),
            _ => (
                format!("{BUILTIN} reports no metric {}", quoted(name)),
                "unknown metric",
            ),
        };
        let help = did_you_mean(name, &choices, "metrics to select by");
        self.problems.report(entry.at(), message, label, help);
        false
    }
}

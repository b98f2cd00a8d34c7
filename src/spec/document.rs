//! Reads the whole sweep file: `read` is what the rest of the program calls. Walks the tree key by
//! key, collects every problem, and builds the `Spec` where there is none.

use std::collections::{BTreeMap, HashMap};

use super::model::{Arm, Axis, Goal, Limit, Limits, Metric, Resources, Seeds, Spec};
use super::parameters::Param;
use super::problem::{Diagnosis, Finding, Problems, Span, brief, listed, quoted};
use super::shape::{self, Layer, Leaf, Met, Shape};
use super::task::{BUILTIN, METRICS, SWITCH_METRIC, Task};
use super::tree::{Entry, Fields, Kind, Node, did_you_mean, entries, fields, known_fields};
use super::validate::{self, Draft};
use super::{
    MAX_ARMS, MAX_BYTES, MAX_PARAMETERS, affinity, builtin, claims, keys, launcher, limits, naming,
    parse, program, prune, published, resources, seeds, words,
};

/// The arm of a sweep without arms.
const MAIN: &str = "main";

/// Reads a sweep file. `file_name` is for the diagnosis, and names a sweep that has neither a name
/// nor a program.
pub fn read(text: &str, file_name: &str) -> Result<Spec, Diagnosis> {
    read_named(text, file_name, None)
}

/// The same, where a sweep with neither a name nor a program is called as its run directory.
pub fn read_named(text: &str, file_name: &str, run_dir: Option<&str>) -> Result<Spec, Diagnosis> {
    if text.len() > MAX_BYTES {
        return Err(Diagnosis::too_large(file_name, text.len() as u64));
    }
    let mut problems = Problems::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let spec = parse::parse(&mut problems).and_then(|root| {
        let unnamed = run_dir.map_or_else(|| naming::of_file(file_name), naming::folder_name);
        let mut document = Document {
            root: &root,
            problems: &mut problems,
            missing: Vec::new(),
            unnamed,
        };
        let spec = document.sweep();
        document.report_missing();
        spec
    });
    // Whatever yields no spec has been reported.
    match spec {
        Some(spec) if problems.is_empty() => Ok(spec),
        _ => Err(problems.into_diagnosis(file_name)),
    }
}

struct Document<'d, 's> {
    root: &'d Node,
    problems: &'d mut Problems<'s>,
    /// Keys that must be there and are not, each with how to write it.
    missing: Vec<(&'static str, &'static str)>,
    /// What a sweep without a name and a program is called.
    unnamed: String,
}

impl Document<'_, '_> {
    fn sweep(&mut self) -> Option<Spec> {
        let Kind::Map(root) = &self.root.kind else {
            let message = format!(
                "a sweep file is a mapping of keys to values, not {}",
                self.root.describe()
            );
            let glued = match &self.root.kind {
                Kind::Scalar(scalar) => scalar
                    .text
                    .split_whitespace()
                    .find_map(|word| word.split_once(':')),
                _ => None,
            };
            let help = match glued.filter(|(key, value)| !key.is_empty() && !value.is_empty()) {
                Some((key, value)) => format!(
                    "put a space after the colon: `{}: {}`",
                    brief(key),
                    brief(value)
                ),
                None => "begin with `name: my-sweep`".to_owned(),
            };
            self.problems
                .add(Finding::new(self.root.span, message, "not a mapping").help(help));
            return None;
        };
        let fields = known_fields(
            root,
            "the sweep file",
            keys::SWEEP,
            keys::foreign_to_sweep,
            self.problems,
        );
        let name = self.name(&fields);
        let description = fields
            .get("description")
            .map(|entry| self.line(entry, usize::MAX, true));
        let task = self.task(&fields);
        self.method(&fields);
        // With a task that could not be read, only what any task would refuse is refused.
        let builtin = matches!(task, Some(Task::MnistResnet18));
        let wandb = match &task {
            Some(task) => matches!(task, Task::Program(_)),
            None => fields.lacks("task") && fields.lacks("worker"),
        };
        let metric = self.metric(&fields, builtin, wandb);
        let prune = prune::read(&fields, metric.as_ref(), builtin, self.problems);
        let env = fields
            .get("env")
            .map(|block| program::environment(block, wandb, self.problems))
            .unwrap_or_default();
        let workdir = fields
            .get("workdir")
            .map(|entry| self.line(entry, usize::MAX, false));
        let launcher = fields
            .get("launcher")
            .map(|block| launcher::read(block, self.problems))
            .unwrap_or_default();
        let seeds = match self.required(&fields, "seeds", "seeds: {tune: 5, final: 10}") {
            Some(entry) => seeds::read(entry, self.problems),
            None => None,
        };
        let common = Layer::read(&fields, builtin, self.problems);
        let grids = self.common_grids(&fields, builtin);
        let own = self.arms(&fields, builtin);
        let limits = Limits {
            all: fields
                .get("limits")
                .map(|block| limits::read(block, self.problems))
                .unwrap_or_default(),
            arms: own.iter().flatten().map(|arm| arm.limits).collect(),
        };
        let task_known = task.as_ref();
        let otherwise = Resources::default();
        let resources = fields
            .get("resources")
            .map(|block| resources::read(block, (task_known, false), otherwise, self.problems));
        let resources = resources.unwrap_or_default();
        let of_arm = |block: Option<&Entry>, problems: &mut Problems<'_>| {
            block.map_or(resources, |block| {
                resources::read(block, (task_known, true), resources, problems)
            })
        };
        let arm_resources: Vec<Resources> = match &own {
            Some(arms) if arms.iter().any(|arm| arm.resources.is_some()) => arms
                .iter()
                .map(|arm| of_arm(arm.resources, self.problems))
                .collect(),
            _ => Vec::new(),
        };
        let mut drafts =
            self.drafts(&fields, name.as_deref(), (&common, &grids), own.as_deref())?;
        let affinity = fields
            .get("affinity")
            .map(|entry| affinity::read(entry, task_known, &drafts, self.problems));
        let published = match fields.get("published") {
            Some(entry) => published::read(entry, &self.arm_names(&fields), builtin, self.problems),
            None => BTreeMap::new(),
        };
        let claims = match fields.get("claims") {
            Some(entry) => {
                let scope = claims::Scope {
                    arms: &self.arm_names(&fields),
                    builtin,
                    metric: metric.as_ref(),
                };
                claims::read(entry, &scope, self.problems)
            }
            None => Vec::new(),
        };
        self.shapes(&common, &mut drafts);
        let seeds = self.rules(&fields, &drafts, seeds, builtin);
        let description = description.flatten();
        if !self.problems.is_empty() || !self.missing.is_empty() {
            return None;
        }
        let arms = drafts.into_iter().map(finished).collect();
        Some(Spec {
            name: name?,
            description,
            task: task?,
            metric: metric?,
            seeds: seeds?,
            prune,
            arms,
            limits,
            resources,
            arm_resources,
            affinity: affinity.unwrap_or_default(),
            env,
            workdir: workdir.flatten(),
            launcher,
            published,
            claims,
        })
    }

    /// The entry of a key that must be there.
    fn required<'n>(
        &mut self,
        fields: &Fields<'n>,
        key: &'static str,
        example: &'static str,
    ) -> Option<&'n Entry> {
        if fields.lacks(key) {
            self.missing.push((key, example));
        }
        fields.get(key)
    }

    /// One problem for all that is missing: it has no place of its own in the file.
    fn report_missing(&mut self) {
        if self.missing.is_empty() {
            return;
        }
        let names: Vec<String> = self
            .missing
            .iter()
            .map(|(key, _)| format!("`{key}`"))
            .collect();
        let examples: Vec<String> = self
            .missing
            .iter()
            .map(|(_, example)| format!("`{example}`"))
            .collect();
        let message = format!("the sweep file lacks {}", listed(&names, "and"));
        let start = self.root.span.start;
        let finding = Finding::new(Span::new(start, start), message, "somewhere here");
        self.problems
            .add(finding.help(format!("add {}", listed(&examples, "and"))));
    }

    fn line(&mut self, entry: &Entry, most: usize, several: bool) -> Option<String> {
        words::line(entry, most, several, self.problems)
    }

    fn name(&mut self, fields: &Fields<'_>) -> Option<String> {
        let own = fields.get("program").or(fields.get("command"));
        // W&B's names may be left out, and are free text.
        if own.is_some() && fields.lacks("name") {
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
        if own.is_some() && !folder.is_empty() {
            name = folder.clone();
        }
        let good = naming::is_name(&name);
        if !good {
            let near = match folder.is_empty() {
                true => String::new(),
                false => format!("write `{folder}`: "),
            };
            let finding = Finding::new(
                entry.at(),
                format!(
                    "{} cannot be the name of a folder of results",
                    quoted(&name)
                ),
                "not a good name",
            );
            self.problems.add(finding.help(format!(
                "{near}a name has at most {} letters, digits, dots, underscores and hyphens, a letter or digit first",
                naming::MAX_NAME
            )));
        }
        good.then_some(name)
    }

    fn task(&mut self, fields: &Fields<'_>) -> Option<Task> {
        let own = ["program", "command"].map(|key| fields.get(key));
        let mut given: Vec<&Entry> = [fields.get("task"), fields.get("worker"), own[0].or(own[1])]
            .into_iter()
            .flatten()
            .collect();
        given.sort_by_key(|entry| entry.key_span.start);
        match given[..] {
            [first, second, ..] => {
                let message = format!(
                    "both `{}` and `{}`: only one can train",
                    first.key, second.key
                );
                let finding =
                    Finding::new(second.key_span, message, "and this").also(first.key_span, "this");
                self.problems.add(finding.help(
                    "keep `task` for the built-in trainer, `program` or `command` for a program that trains one trial, \
                     `worker` for one that speaks the worker protocol",
                ));
                None
            }
            [entry] if &*entry.key == "task" => self.builtin_task(entry),
            [entry] if &*entry.key == "worker" => {
                program::worker(entry, self.problems).map(Task::Worker)
            }
            [_] => program::read(own[0], own[1], self.problems).map(Task::Program),
            [] => {
                if ["task", "worker", "program", "command"]
                    .iter()
                    .all(|key| fields.lacks(key))
                {
                    // In backticks, as they will be, these read as two keys.
                    self.missing.push((
                        "task` or `program",
                        "task: mnist-resnet18` or `program: train.py",
                    ));
                }
                None
            }
        }
    }

    fn builtin_task(&mut self, entry: &Entry) -> Option<Task> {
        let written = self.line(entry, usize::MAX, false)?;
        if written == BUILTIN {
            return Some(Task::MnistResnet18);
        }
        let help = match keys::nearest(&written, &[BUILTIN]) {
            Some(_) => format!("did you mean `{BUILTIN}`?"),
            None => format!(
                "the built-in task is `{BUILTIN}`; a program of your own goes under `program`"
            ),
        };
        self.problems.add(
            Finding::new(
                entry.at(),
                format!("unknown task {}", quoted(&written)),
                "unknown task",
            )
            .help(help),
        );
        None
    }

    fn method(&mut self, fields: &Fields<'_>) {
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
                "write `method: grid`, and list the values of every parameter".to_owned(),
            ),
            _ => (
                format!("unknown method {}", quoted(&method)),
                "the only method is `grid`".to_owned(),
            ),
        };
        self.problems
            .add(Finding::new(entry.at(), message, "not a grid").help(help));
    }

    /// `metric`. In a file as W&B has them the goal may be left out, and is W&B's.
    fn metric(&mut self, fields: &Fields<'_>, builtin: bool, wandb: bool) -> Option<Metric> {
        const EXAMPLE: &str = "metric: {name: val_accuracy, goal: maximize}";
        let entry = self.required(fields, "metric", EXAMPLE)?;
        if let Kind::Scalar(scalar) = &entry.value.kind
            && !scalar.is_null()
        {
            let message = format!(
                "`metric` must be a mapping with `name` and `goal`, not {}",
                entry.value.describe()
            );
            let name = brief(&scalar.text);
            let help = format!(
                "write `metric: {{name: {name}, goal: maximize}}`, or `minimize` if lower is better"
            );
            self.problems
                .add(Finding::new(entry.at(), message, "expected a mapping").help(help));
            return None;
        }
        let parts = entries(entry, EXAMPLE, self.problems)?;
        let parts = known_fields(
            parts,
            "`metric`",
            keys::METRIC,
            keys::foreign_to_metric,
            self.problems,
        );
        let mut part = |key: &str| {
            let found = parts.get(key);
            // Unknown keys have been reported, and are probably the missing ones.
            if parts.lacks(key) && parts.clean && !(wandb && key == "goal") {
                let finding = Finding::new(
                    entry.key_span,
                    format!("`metric` lacks `{key}`"),
                    format!("no `{key}`"),
                );
                self.problems
                    .add(finding.help(format!("write `{EXAMPLE}`")));
            }
            found.and_then(|found| Some((found, self.line(found, 128, false)?)))
        };
        let (name, goal) = (part("name"), part("goal"));
        let goal = match goal {
            None if wandb && parts.lacks("goal") => Some(Goal::Minimize),
            goal => goal.and_then(|(entry, goal)| words::goal(entry, &goal, self.problems)),
        };
        let name =
            name.and_then(|(entry, name)| (!builtin || self.selects(entry, &name)).then_some(name));
        Some(Metric {
            name: name?,
            goal: goal?,
        })
    }

    /// Whether the built-in task's metric of that name can select points.
    fn selects(&mut self, entry: &Entry, name: &str) -> bool {
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
        self.problems
            .add(Finding::new(entry.at(), message, label).help(did_you_mean(
                name,
                &choices,
                "metrics to select by",
            )));
        false
    }

    fn arms<'n>(&mut self, fields: &Fields<'n>, builtin: bool) -> Option<Vec<ArmBlock<'n>>> {
        let entry = fields.get("arms")?;
        let arms = entries(
            entry,
            "arms: {sgd: {parameters: {...}}, adam: {parameters: {...}}}",
            self.problems,
        );
        let arms = arms.unwrap_or_default();
        if arms.is_empty() && matches!(entry.value.kind, Kind::Map(_)) {
            self.problems.add(
                Finding::new(entry.at(), "`arms` is empty", "no arms")
                    .help("name an arm, or remove `arms` for a sweep with one grid"),
            );
        }
        if let Some(extra) = arms.get(MAX_ARMS) {
            let message = format!(
                "the sweep has {} arms; at most {MAX_ARMS} are possible",
                arms.len()
            );
            self.problems.add(
                Finding::new(extra.key_span, message, "one too many")
                    .help("split the sweep into several files"),
            );
        }
        let mut read = Vec::new();
        for arm in arms.iter().take(MAX_ARMS) {
            self.arm_name(arm);
            let Some(parts) = self::fields(
                arm,
                "an arm",
                keys::ARM,
                "{label: ..., parameters: {...}}",
                self.problems,
            ) else {
                continue;
            };
            let label = parts
                .get("label")
                .and_then(|label| self.line(label, 100, false));
            let own = Layer::read(&parts, builtin, self.problems);
            let grids = parts
                .get("grids")
                .map(|grids| shape::grids(grids, builtin, self.problems))
                .unwrap_or_default();
            let limits = parts
                .get("limits")
                .map(|block| limits::read(block, self.problems))
                .unwrap_or_default();
            let resources = parts.get("resources");
            read.push(ArmBlock {
                entry: arm,
                label,
                own,
                grids,
                limits,
                resources,
            });
        }
        Some(read)
    }

    /// The grids of a sweep without arms.
    fn common_grids(&mut self, fields: &Fields<'_>, builtin: bool) -> Vec<(Layer, Span)> {
        let Some(entry) = fields.get("grids") else {
            return Vec::new();
        };
        if let Some(arms) = fields.get("arms") {
            let finding = Finding::new(
                entry.key_span,
                "both `grids` and `arms`: the grids belong to no arm",
                "grids of which arm?",
            );
            self.problems.add(
                finding
                    .also(arms.key_span, "the arms")
                    .help("write `grids` in the arm whose union they are"),
            );
        }
        shape::grids(entry, builtin, self.problems)
    }

    /// The names of the arms, also of those that could not be read.
    fn arm_names<'n>(&self, fields: &Fields<'n>) -> Vec<&'n str> {
        match fields.get("arms").map(|arms| &arms.value.kind) {
            Some(Kind::Map(arms)) => arms.iter().map(|arm| &*arm.key).collect(),
            _ => vec![MAIN],
        }
    }

    fn arm_name(&mut self, arm: &Entry) {
        let name = &*arm.key;
        if !naming::is_arm(name) {
            let near: String = name
                .to_lowercase()
                .chars()
                .map(|c| {
                    if c.is_whitespace() || c == '.' {
                        '_'
                    } else {
                        c
                    }
                })
                .collect();
            let rule = format!(
                "an arm's name has at most {} lower-case letters, digits, underscores and hyphens",
                naming::MAX_ARM
            );
            let help = if naming::is_arm(&near) {
                format!("write `{near}`: {rule}; `label` is free text")
            } else {
                format!("{rule}; `label` is free text")
            };
            self.problems.add(
                Finding::new(
                    arm.key_span,
                    format!("{} cannot be an arm's name", quoted(name)),
                    "not a good name",
                )
                .help(help),
            );
        }
    }

    /// The arms with all their parameters. Nothing where none could be read, which has been
    /// reported.
    fn drafts<'n>(
        &mut self,
        fields: &Fields<'n>,
        name: Option<&str>,
        (common, grids): (&'n Layer, &'n [(Layer, Span)]),
        own: Option<&'n [ArmBlock<'n>]>,
    ) -> Option<Vec<Draft<'n>>> {
        let drafts: Vec<Draft<'n>> = match own {
            Some(arms) => arms
                .iter()
                .map(|arm| {
                    let place = format!("arm {}", quoted(&arm.entry.key));
                    Draft {
                        name: arm.entry.key.to_string(),
                        label: arm
                            .label
                            .clone()
                            .unwrap_or_else(|| arm.entry.key.to_string()),
                        span: arm.entry.key_span,
                        leaves: self.leaves(
                            &[common, &arm.own],
                            &arm.grids,
                            arm.entry.key_span,
                            &place,
                        ),
                        place,
                        has_key: true,
                        shape: None,
                    }
                })
                .collect(),
            None => {
                let block = match fields.get("parameters").or(fields.get("grids")) {
                    Some(block) => block,
                    None => self.required(
                        fields,
                        "parameters",
                        "parameters: {lr: {values: [0.01, 0.1]}}",
                    )?,
                };
                vec![Draft {
                    name: MAIN.to_owned(),
                    label: name.unwrap_or(MAIN).to_owned(),
                    span: block.key_span,
                    leaves: self.leaves(&[common], grids, block.key_span, "the sweep"),
                    place: "the sweep".to_owned(),
                    has_key: false,
                    shape: None,
                }]
            }
        };
        let mut labels: HashMap<&str, &Draft<'_>> = HashMap::new();
        for draft in &drafts {
            if let Some(first) = labels.insert(&draft.label, draft) {
                let message = format!(
                    "the arms {} and {} have the same label",
                    quoted(&first.name),
                    quoted(&draft.name)
                );
                self.problems.add(
                    Finding::new(draft.span, message, "the same label")
                        .also(first.span, "as here")
                        .help("the tables could not tell them apart: give each its own `label`"),
                );
            }
        }
        Some(drafts)
    }

    /// The grids of an arm: one, if it is no union.
    fn leaves<'n>(
        &mut self,
        outer: &[&'n Layer],
        grids: &'n [(Layer, Span)],
        span: Span,
        place: &str,
    ) -> Vec<Leaf<'n>> {
        if grids.is_empty() {
            return vec![Leaf::new(
                outer.to_vec(),
                span,
                place.to_owned(),
                self.problems,
            )];
        }
        let leaf = |(number, (layer, span)): (usize, &'n (Layer, Span))| {
            let layers = outer.iter().copied().chain([layer]).collect();
            Leaf::new(
                layers,
                *span,
                format!("grid {} of {place}", number + 1),
                self.problems,
            )
        };
        grids.iter().enumerate().map(leaf).collect()
    }

    /// Lays out the grids that are not plain products, and reports rules that do nothing.
    fn shapes(&mut self, common: &Layer, drafts: &mut [Draft<'_>]) {
        let (mut regions, mut met) = (0, Met::default());
        for draft in drafts
            .iter_mut()
            .filter(|draft| !draft.is_plain() && !draft.is_broken())
        {
            draft.shape = shape::shaped(&draft.leaves, &mut regions, &mut met, self.problems);
        }
        // Of parameters that could not be read it is not known what they take.
        if drafts.iter().any(|draft| draft.is_broken()) {
            return;
        }
        let laid = drafts
            .iter()
            .all(|draft| draft.is_plain() || draft.shape.is_some());
        let all: Vec<&Leaf<'_>> = drafts.iter().flat_map(|draft| &draft.leaves).collect();
        shape::unmet(common, &all, &met, laid, self.problems);
        for draft in drafts.iter() {
            let own: Vec<&Leaf<'_>> = draft.leaves.iter().collect();
            let depth = usize::from(draft.has_key);
            if let Some(layer) = own
                .first()
                .and_then(|leaf| leaf.layers.get(depth))
                .filter(|_| depth > 0)
            {
                shape::unmet(layer, &own, &met, laid, self.problems);
            }
            for leaf in &own {
                if let Some(layer) = leaf.layers.get(depth + 1) {
                    shape::unmet(layer, &[leaf], &met, laid, self.problems);
                }
            }
        }
    }

    /// The rules between the parts.
    fn rules(
        &mut self,
        fields: &Fields<'_>,
        drafts: &[Draft<'_>],
        read: Option<seeds::Read>,
        builtin: bool,
    ) -> Option<Seeds> {
        for draft in drafts {
            for leaf in &draft.leaves {
                if leaf.params.len() > MAX_PARAMETERS {
                    let message = format!(
                        "{} has {} parameters; at most {MAX_PARAMETERS} are possible",
                        leaf.place,
                        leaf.params.len()
                    );
                    self.problems.add(
                        Finding::new(leaf.span, message, "too many")
                            .help("leave out what never changes: your program can hold it"),
                    );
                    return None;
                }
                validate::groups(leaf, self.problems);
                if !builtin && leaf.params.is_empty() && self.problems.is_empty() {
                    let finding = Finding::new(
                        leaf.span,
                        format!("{} has no parameters", leaf.place),
                        "no parameters",
                    );
                    self.problems
                        .add(finding.help("add `parameters: {lr: {values: [0.01, 0.1]}}`"));
                }
            }
            if builtin {
                builtin::check(draft, self.problems);
            }
        }
        let seeds::Read { seeds, tune_span } = read?;
        if seeds.tune.is_empty() {
            validate::untuned(drafts, tune_span, self.problems);
        }
        let span = fields
            .get("arms")
            .or(fields.get("parameters"))
            .or(fields.get("grids"))
            .map_or(tune_span, |entry| entry.key_span);
        validate::size(drafts, &seeds, span, self.problems);
        Some(seeds)
    }
}

/// An arm as written.
struct ArmBlock<'n> {
    entry: &'n Entry,
    label: Option<String>,
    own: Layer,
    grids: Vec<(Layer, Span)>,
    limits: Limit,
    resources: Option<&'n Entry>,
}

/// An arm that has been checked.
fn finished(draft: Draft<'_>) -> Arm {
    let (axes, grids) = match draft.shape {
        Some(shape) => shape,
        None => (
            draft
                .leaves
                .iter()
                .flat_map(|leaf| &leaf.params)
                .map(|param| axis(param))
                .collect(),
            Vec::new(),
        ),
    };
    Arm {
        axes,
        shape: Shape { grids },
        name: draft.name,
        label: draft.label,
    }
}

fn axis(param: &Param) -> Axis {
    Axis {
        name: param.name.clone(),
        values: param
            .values
            .iter()
            .map(|(value, _)| value.clone())
            .collect(),
    }
}

//! Reads the whole sweep file: `read` is what the rest of the program calls. Walks the tree key by
//! key, collects every problem, and builds the `Spec` if there is none.

use super::arms::ArmBlock;
use super::check;
use super::head::Trainer;
use super::state::Document;
use crate::spec::model::{Limits, Resources, Spec};
use crate::spec::problem::{Diagnosis, Problems, brief};
use crate::spec::shape::Layer;
use crate::spec::task::Task;
use crate::spec::tree::{Entry, Fields, Kind, Node, known_fields};
use crate::spec::{
    MAX_BYTES, affinity, claims, environment, foreign, keys, launcher, limits, naming, numbers,
    parse, prune, published, resources, seed_parameter, seeds, sources,
};

/// Reads a sweep file. `file_name` is for the diagnosis, and names a sweep that has neither a name
/// nor a program.
pub fn read(text: &str, file_name: &str) -> Result<Spec, Diagnosis> {
    read_named(text, file_name, None)
}

/// Like `read`, but a sweep that has neither a name nor a program is named after its run directory.
pub fn read_named(text: &str, file_name: &str, run_dir: Option<&str>) -> Result<Spec, Diagnosis> {
    if text.len() > MAX_BYTES {
        return Err(Diagnosis::too_large(file_name, text.len() as u64));
    }

    let mut problems = Problems::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let spec = parse::parse(&mut problems).and_then(|root| {
        let unnamed = run_dir.map_or_else(|| naming::of_file(file_name), naming::folder_name);
        let (root, seed) = seed_parameter::take(root);
        let mut document = Document::new(&root, unnamed, &mut problems);
        let spec = document.sweep(seed.as_ref());
        document.report_missing();
        spec
    });

    // Every reason for a missing spec has been reported.
    match spec {
        Some(spec) if problems.is_empty() => Ok(spec),
        _ => Err(problems.into_diagnosis(file_name)),
    }
}

impl<'d> Document<'d, '_> {
    /// Reads the sweep. `seed` is the parameter whose values are the tuning seeds.
    fn sweep(&mut self, seed: Option<&Entry>) -> Option<Spec> {
        let fields = self.root_fields()?;
        let name = self.name(&fields);
        let description = fields
            .get("description")
            .and_then(|entry| self.line(entry, usize::MAX, true));
        let mut task = self.task(&fields);
        self.method(&fields);

        let trainer = Trainer::new(task.as_ref(), &fields);
        let builtin = trainer.builtin;
        let metric = self.metric(&fields, trainer);
        let sources = sources::read(
            &fields,
            task.as_ref(),
            metric.as_ref(),
            &self.parameters,
            self.problems,
        );
        let prune = prune::read(&fields, metric.as_ref(), builtin, self.problems);

        let env = fields
            .get("env")
            .map(|block| environment::read(block, trainer.wandb, &self.parameters, self.problems))
            .unwrap_or_default();
        let workdir = fields
            .get("workdir")
            .and_then(|entry| self.line(entry, usize::MAX, false));
        let launcher = fields
            .get("launcher")
            .map(|block| launcher::read(block, self.problems))
            .unwrap_or_default();
        let seeds = match (fields.get("seeds"), seed) {
            (None, Some(parameter)) => seeds::read_parameter(parameter, self.problems),
            _ => self
                .required(&fields, "seeds", "seeds: {tune: 5, final: 10}")
                .and_then(|entry| seeds::read(entry, seed, self.problems)),
        };
        let seed_name = seeds.as_ref().map(|read| read.name.clone());
        let remarks: Vec<String> = seeds
            .iter()
            .filter_map(|read| read.remark.clone())
            .collect();

        let common = Layer::read(&fields, builtin, self.problems);
        let grids = self.common_grids(&fields, builtin);
        let arms = self.arms(&fields, builtin);
        let limits = Limits {
            all: fields
                .get("limits")
                .map(|block| limits::read(block, self.problems))
                .unwrap_or_default(),
            arms: arms.iter().flatten().map(|arm| arm.limits).collect(),
        };

        let resources = self.resources(&fields, task.as_ref());
        let arm_resources = arms
            .as_deref()
            .map(|arms| self.arm_resources(arms, task.as_ref(), resources))
            .unwrap_or_default();

        let mut drafts = match &arms {
            Some(arms) => self.arm_drafts(&common, arms),
            None => vec![self.main_draft(&fields, name.as_deref(), &common, &grids)?],
        };
        self.check_labels(&drafts);
        self.complete_program(&fields, task.as_mut(), seed_name.as_deref(), &env, &drafts);

        let affinity = fields
            .get("affinity")
            .map(|entry| affinity::read(entry, task.as_ref(), &drafts, self.problems))
            .unwrap_or_default();
        let arm_names = Document::arm_names(&fields);
        let published = fields
            .get("published")
            .map(|entry| published::read(entry, &arm_names, builtin, self.problems))
            .unwrap_or_default();

        let timed = numbers::boolean(&fields, "timed", self.problems);
        let scope = claims::Scope {
            arms: &arm_names,
            builtin,
            metric: metric.as_ref(),
        };
        let claims = fields
            .get("claims")
            .map(|entry| claims::read(entry, &scope, self.problems))
            .unwrap_or_default();

        // Only parameters without problems are laid out and counted.
        self.lay_out(&common, &mut drafts);
        let seeds = self.check(&fields, &drafts, seeds, builtin);
        if !self.problems.is_empty() || !self.missing.is_empty() {
            return None;
        }

        Some(Spec {
            name: name?,
            description,
            task: task?,
            metric: metric?,
            sources,
            seeds: seeds?,
            prune,
            arms: drafts.into_iter().map(check::finished).collect(),
            limits,
            resources,
            arm_resources,
            affinity,
            env,
            workdir,
            launcher,
            published,
            claims,
            timed,
            remarks,
        })
    }

    /// The keys of the file; None if it is not a mapping.
    fn root_fields(&mut self) -> Option<Fields<'d>> {
        if let Kind::Map(entries) = &self.root.kind {
            return Some(known_fields(
                entries,
                "the sweep file",
                keys::SWEEP,
                foreign::in_sweep,
                self.problems,
            ));
        }

        let message = format!(
            "a sweep file is a mapping of keys to values, not {}",
            self.root.describe()
        );
        let help = match key_without_space(self.root) {
            Some((key, value)) => {
                let fixed = format!("{}: {}", brief(key), brief(value));
                format!("put a space after the colon: `{fixed}`")
            }
            None => "begin with `name: my-sweep`".to_owned(),
        };
        self.problems
            .report(self.root.span, message, "not a mapping", help);
        None
    }

    fn resources(&mut self, fields: &Fields<'_>, task: Option<&Task>) -> Resources {
        let Some(block) = fields.get("resources") else {
            return Resources::default();
        };
        let scope = resources::Scope {
            task,
            of_arm: false,
            inherited: Resources::default(),
        };
        resources::read(block, &scope, self.problems)
    }

    /// The resources of each arm; empty if no arm has its own.
    fn arm_resources(
        &mut self,
        arms: &[ArmBlock<'_>],
        task: Option<&Task>,
        common: Resources,
    ) -> Vec<Resources> {
        if arms.iter().all(|arm| arm.resources.is_none()) {
            return Vec::new();
        }

        let scope = resources::Scope {
            task,
            of_arm: true,
            inherited: common,
        };

        arms.iter()
            .map(|arm| match arm.resources {
                Some(block) => resources::read(block, &scope, self.problems),
                None => common,
            })
            .collect()
    }
}

/// The first `key:value` of a text, which YAML takes for a text because there is no space after the
/// colon.
fn key_without_space(root: &Node) -> Option<(&str, &str)> {
    let Kind::Scalar(scalar) = &root.kind else {
        return None;
    };
    scalar
        .text
        .split_whitespace()
        .find_map(|word| word.split_once(':'))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
}

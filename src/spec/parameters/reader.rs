//! Reads a `parameters` block: nested groups, and each parameter with its keys.

use super::param::Param;
use crate::spec::clause;
use crate::spec::problem::{Finding, Problems, brief, quoted};
use crate::spec::tree::{Entry, Fields, Kind, entries, known_fields};
use crate::spec::{MAX_PARAMETERS, foreign, keys};

/// How parameters are written, for help.
const EXAMPLE: &str = "parameters: {lr: {values: [0.01, 0.1]}, epochs: {value: 15}}";

/// Reads a `parameters` block.
pub(in crate::spec) struct Reader<'p, 's> {
    /// Whether the built-in task's list of parameters applies.
    pub builtin: bool,
    pub problems: &'p mut Problems<'s>,
}

impl Reader<'_, '_> {
    /// Reads the parameters of a block, in order.
    pub fn block(&mut self, entry: &Entry) -> Vec<Param> {
        let mut params = Vec::new();
        self.nested(entry, "", &mut params);
        params
    }

    fn nested(&mut self, block: &Entry, prefix: &str, params: &mut Vec<Param>) {
        let Some(entries) = entries(block, EXAMPLE, self.problems) else {
            return;
        };
        if entries.is_empty() {
            let message = format!("{} is empty", quoted(&block.key));
            let help = "name a parameter, or remove the key";
            self.problems
                .report(block.at(), message, "nothing in it", help);
        }

        for entry in entries {
            if self.problems.is_full() {
                return;
            }
            if params.len() >= MAX_PARAMETERS {
                let message = format!("more than {MAX_PARAMETERS} parameters");
                let help = "leave out what never changes: your program can hold it";
                self.problems
                    .report(entry.key_span, message, "one too many", help);
                return;
            }
            if self.check_name(entry) {
                let name = if prefix.is_empty() {
                    entry.key.to_string()
                } else {
                    format!("{prefix}.{}", entry.key)
                };
                self.parameter(entry, name, params);
            }
        }
    }

    /// Reads a parameter, or a group of parameters.
    fn parameter(&mut self, entry: &Entry, name: String, params: &mut Vec<Param>) {
        let Kind::Map(parts) = &entry.value.kind else {
            self.report_no_mapping(entry, &name);
            let builtin = self.builtin_param(entry, &name);
            let param = Param {
                broken: true,
                ..Param::new(entry, name, builtin)
            };
            self.push(param, params);
            return;
        };

        let before = self.problems.len();
        let parts: Vec<Entry> = parts
            .iter()
            .filter(|part| !is_plain_distribution(part))
            .cloned()
            .collect();
        let fields = known_fields(
            &parts,
            &format!("the parameter {}", quoted(&name)),
            keys::PARAMETER,
            foreign::in_parameter,
            self.problems,
        );
        let is_clean = self.problems.len() == before;

        let value = fields.get("value");
        let values = fields.get("values");
        let group = fields.get("parameters");
        match (value, values, group) {
            (None, None, Some(group)) => {
                self.check_group(&fields);
                self.nested(group, &name, params);
                return;
            }
            (Some(a), Some(b), _) | (Some(a), None, Some(b)) | (None, Some(a), Some(b)) => {
                self.report_both(&name, a, b);
            }
            // An unknown key has been reported, and is probably the missing one misspelt.
            (None, None, None) if is_clean => self.report_no_value(entry, &name),
            _ => {}
        }

        // The type of a known parameter is the task's, so a declared one matters only without it.
        let builtin = self.builtin_param(entry, &name);
        let declared = fields
            .get("type")
            .and_then(|ty| self.declared_type(ty, builtin));

        let condition = fields.get("when");
        let when = condition.and_then(|when| clause::clauses(when, self.problems));
        let is_condition_broken = when.is_some() != condition.is_some();
        let mut param = Param {
            ty: builtin.map(|param| param.ty).or(declared),
            when,
            broken: !is_clean || is_condition_broken,
            ..Param::new(entry, name, builtin)
        };

        if let Some(list) = values {
            self.list(list, &mut param);
        } else if let Some(one) = value {
            self.value(one, &one.value, &mut param);
        } else {
            param.broken = true;
        }
        self.push(param, params);
    }

    /// Adds a parameter, unless the built-in task does not know it, which has been reported.
    fn push(&self, param: Param, params: &mut Vec<Param>) {
        if !self.builtin || param.builtin.is_some() {
            params.push(param);
        }
    }

    fn report_no_mapping(&mut self, entry: &Entry, name: &str) {
        let key = &entry.key;
        let help = match &entry.value.kind {
            Kind::List(_) => format!("write `{key}: {{values: [...]}}`"),
            Kind::Scalar(scalar) if scalar.is_null() => {
                format!("write `{key}: {{value: ...}}` or `{key}: {{values: [...]}}`")
            }
            Kind::Scalar(scalar) => format!("write `{key}: {{value: {}}}`", brief(&scalar.text)),
            Kind::Map(_) => String::new(),
        };
        let name = quoted(name);
        self.problems.report(
            entry.at(),
            format!("the parameter {name} must be a mapping with `value` or `values`"),
            format!("{}, not a mapping", entry.value.describe()),
            help,
        );
    }

    fn check_group(&mut self, fields: &Fields<'_>) {
        if let Some(ty) = fields.get("type") {
            self.problems.report(
                ty.key_span,
                "a group of parameters has no type",
                "not here",
                "give each nested parameter its own `type`",
            );
        }
        if let Some(when) = fields.get("when") {
            self.problems.report(
                when.key_span,
                "a group of parameters has no condition",
                "not here",
                "give each nested parameter its own `when`",
            );
        }
    }

    fn report_both(&mut self, name: &str, first: &Entry, second: &Entry) {
        let message = format!(
            "the parameter {} has both `{}` and `{}`",
            quoted(name),
            first.key,
            second.key
        );
        self.problems.add(
            Finding::new(second.key_span, message, "and this")
                .also(first.key_span, "this")
                .help("keep one of them"),
        );
    }

    fn report_no_value(&mut self, entry: &Entry, name: &str) {
        let key = &entry.key;
        let message = format!("the parameter {} has no value", quoted(name));
        let help = format!(
            "write `{key}: {{value: ...}}` for one value or `{key}: {{values: [...]}}` for several"
        );
        self.problems
            .report(entry.key_span, message, "no `value`, no `values`", help);
    }
}

/// Whether it is W&B's way to say that a list of values is a list of values, which changes nothing.
fn is_plain_distribution(part: &Entry) -> bool {
    if &*part.key != "distribution" {
        return false;
    }
    match &part.value.kind {
        Kind::Scalar(scalar) => matches!(&*scalar.text, "categorical" | "constant"),
        _ => false,
    }
}

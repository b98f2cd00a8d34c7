//! Reads a `parameters` block: nested groups, and each parameter with its keys.

use super::param::Param;
use crate::spec::clause;
use crate::spec::problem::{Finding, Problems, brief, quoted};
use crate::spec::tree::{Entry, Fields, Kind, entries, known_fields};
use crate::spec::{MAX_PARAMETERS, args_forms, foreign, keys};

/// How parameters are written, for help.
const EXAMPLE: &str = "parameters: {lr: {values: [0.01, 0.1]}, epochs: {value: 15}}";

/// Keys that hold or describe the values of a parameter; it has one of them, or both `min` and `max`.
const SOURCES: [&str; 7] = [
    "value",
    "values",
    "parameters",
    "linspace",
    "logspace",
    "range",
    "min",
];

/// Reads a `parameters` block.
pub(in crate::spec) struct Reader<'p, 's> {
    /// Whether the built-in task's list of parameters applies.
    pub builtin: bool,
    pub problems: &'p mut Problems<'s>,
}

impl Reader<'_, '_> {
    /// Reads the parameters of a block, in order.
    pub(crate) fn block(&mut self, entry: &Entry) -> Vec<Param> {
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
        let fields = known_fields(
            parts,
            &format!("the parameter {}", quoted(&name)),
            keys::PARAMETER,
            foreign::in_parameter,
            self.problems,
        );
        let is_clean = self.problems.len() == before;

        let given: Vec<&Entry> = SOURCES.iter().filter_map(|key| fields.get(key)).collect();
        match given.as_slice() {
            [group] if &*group.key == "parameters" => {
                self.check_group(&fields);
                self.nested(group, &name, params);
                return;
            }
            // An unknown key has been reported, and is probably the missing one misspelt.
            [] if is_clean => self.report_no_value(entry, &name),
            [first, second, ..] => self.report_both(&name, first, second),
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
            form: fields
                .get("args")
                .map(|form| args_forms::read(form, self.problems)),
            broken: !is_clean || is_condition_broken,
            ..Param::new(entry, name, builtin)
        };

        match given.first() {
            Some(source) => self.source(source, &fields, &mut param),
            None => param.broken = true,
        }
        self.push(param, params);
    }

    /// Reads the values of a parameter from the key that holds or describes them.
    fn source(&mut self, source: &Entry, fields: &Fields<'_>, param: &mut Param) {
        match &*source.key {
            "min" | "max" => return self.bounds(fields, param),
            "value" => self.value(source, &source.value, param),
            "values" => self.list(source, param),
            _ => self.described(source, param),
        }

        // W&B's way to say that a list of values is a list of values changes nothing.
        if let Some(distribution) = fields.get("distribution")
            && !is_plain_distribution(distribution)
        {
            param.broken = true;
            self.report_random(distribution);
        }
        if let Some(step) = fields.get("q") {
            param.broken = true;
            self.report_random(step);
        }
    }

    /// Adds a parameter, unless the built-in task does not know it, which has been reported.
    /// Reports one that the block has already, written otherwise: `a.b` is `b` in the group `a`.
    fn push(&mut self, param: Param, params: &mut Vec<Param>) {
        if self.builtin && param.builtin.is_none() {
            return;
        }

        match params.iter().find(|other| other.name == param.name) {
            Some(other) => {
                let message = format!("the parameter {} is here twice", quoted(&param.name));
                self.problems.add(
                    Finding::new(param.span, message, "again")
                        .also(other.span, "first here")
                        .help("keep one of them: a dot in a name is a group around the rest of it"),
                );
            }
            None => params.push(param),
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

/// Whether a `distribution` is that of a list of values or of one value.
fn is_plain_distribution(entry: &Entry) -> bool {
    match &entry.value.kind {
        Kind::Scalar(scalar) => matches!(&*scalar.text, "categorical" | "constant"),
        _ => false,
    }
}

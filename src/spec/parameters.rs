//! The `parameters` blocks, flattened: nested names joined by dots, each parameter with its values
//! and their places. Rules of a single parameter live here (type, range, repeats); rules between
//! them in `validate`.

use std::collections::HashMap;

use super::ParamValue;
use super::problem::{Finding, Problems, Span, brief, listed, quoted};
use super::scalar;
use super::shape::{self, Clause};
use super::task::{BUILTIN, OptimizerKind, PARAMS, ParamType, TaskParam};
use super::tree::{Entry, Kind, Node, did_you_mean, known_fields};
use super::{MAX_PARAMETERS, keys};

/// A parameter as written.
#[derive(Debug)]
pub(super) struct Param {
    /// Its full name.
    pub name: String,
    /// The place of its (last) name.
    pub span: Span,
    /// Its values and their places; incomplete where `broken`.
    pub values: Vec<(ParamValue, Span)>,
    /// Something about it has been reported, so that nothing should be concluded from its values.
    pub broken: bool,
    /// The type of its values, where that is known.
    pub ty: Option<ParamType>,
    /// The condition under which it exists; None: always.
    pub when: Option<Vec<Clause>>,
    /// Values that are there before: their numbers, and those of the earlier ones. Only a `zip` may
    /// tell them apart.
    pub repeats: Vec<(usize, usize)>,
    /// The built-in task's entry of that name.
    pub builtin: Option<&'static TaskParam>,
}

/// How a parameter is written, for help.
const EXAMPLE: &str = "parameters: {lr: {values: [0.01, 0.1]}, epochs: {value: 15}}";

/// Reads a `parameters` block.
pub(super) struct Reader<'p, 's> {
    /// Whether the built-in task's list of parameters applies.
    pub builtin: bool,
    pub problems: &'p mut Problems<'s>,
}

impl Reader<'_, '_> {
    /// The parameters of a block, in order.
    pub fn block(&mut self, entry: &Entry) -> Vec<Param> {
        let mut params = Vec::new();
        self.nested(entry, "", &mut params);
        params
    }

    fn nested(&mut self, block: &Entry, prefix: &str, params: &mut Vec<Param>) {
        let Some(entries) = super::tree::entries(block, EXAMPLE, self.problems) else {
            return;
        };
        if entries.is_empty() {
            self.problems.add(
                Finding::new(
                    block.at(),
                    format!("{} is empty", quoted(&block.key)),
                    "nothing in it",
                )
                .help("name a parameter, or remove the key"),
            );
        }
        for entry in entries {
            if self.problems.is_full() {
                return;
            }
            if params.len() >= MAX_PARAMETERS {
                let message = format!("more than {MAX_PARAMETERS} parameters");
                let finding = Finding::new(entry.key_span, message, "one too many");
                self.problems
                    .add(finding.help("leave out what never changes: your program can hold it"));
                return;
            }
            if self.name_is_good(entry) {
                let name = if prefix.is_empty() {
                    entry.key.to_string()
                } else {
                    format!("{prefix}.{}", entry.key)
                };
                self.parameter(entry, name, params);
            }
        }
    }

    fn name_is_good(&mut self, entry: &Entry) -> bool {
        let name = &*entry.key;
        let finding = if matches!(name, "seed" | "random_seed" | "seeds") {
            let message = format!(
                "{} is not a hyper-parameter: seeds are an axis of their own",
                quoted(name)
            );
            Finding::new(entry.key_span, message, "a seed")
                .help("name them at the top of the file: `seeds: {tune: 5, final: 10}`")
        } else if name.contains('.') {
            Finding::new(
                entry.key_span,
                format!("the parameter name {} contains a dot", quoted(name)),
                "has a dot",
            )
            .help(self.undotted(name))
        } else if name.len() > 64 || name.trim() != name || name.chars().any(char::is_control) {
            Finding::new(
                entry.key_span,
                format!("{} cannot be a parameter's name", quoted(name)),
                "not a name",
            )
            .help("use at most 64 bytes, without control characters and outer spaces")
        } else {
            return true;
        };
        self.problems.add(finding);
        false
    }

    /// How to write a name with dots.
    fn undotted(&self, name: &str) -> String {
        let parts: Vec<&str> = name.split('.').collect();
        let last = parts.last().copied().unwrap_or_default();
        if self.builtin && TaskParam::find(last).is_some() {
            return format!("the task has no nested parameters: write `{last}`");
        }
        if name.len() > 64 || parts.len() > 4 || parts.iter().any(|part| part.is_empty()) {
            return "dots join nested parameters: use another character in names".to_owned();
        }
        let nested = parts
            .iter()
            .rev()
            .skip(1)
            .fold(format!("{last}: ..."), |inner, part| {
                format!("{part}: {{parameters: {{{inner}}}}}")
            });
        format!("nest it: {nested}")
    }

    fn parameter(&mut self, entry: &Entry, name: String, params: &mut Vec<Param>) {
        let Kind::Map(parts) = &entry.value.kind else {
            let help = match &entry.value.kind {
                Kind::List(_) => format!("write `{}: {{values: [...]}}`", entry.key),
                Kind::Scalar(scalar) if scalar.is_null() => {
                    format!(
                        "write `{0}: {{value: ...}}` or `{0}: {{values: [...]}}`",
                        entry.key
                    )
                }
                Kind::Scalar(scalar) => {
                    format!("write `{}: {{value: {}}}`", entry.key, brief(&scalar.text))
                }
                Kind::Map(_) => String::new(),
            };
            let message = format!(
                "the parameter {} must be a mapping with `value` or `values`",
                quoted(&name)
            );
            self.problems.add(
                Finding::new(
                    entry.at(),
                    message,
                    format!("{}, not a mapping", entry.value.describe()),
                )
                .help(help),
            );
            self.push_broken(entry, name, params);
            return;
        };
        let before = self.problems.len();
        // W&B's way to say that a list is a list changes nothing.
        let plain = |part: &&Entry| {
            let says = |word: &str| matches!(&part.value.kind, Kind::Scalar(scalar) if &*scalar.text == word);
            !(&*part.key == "distribution" && (says("categorical") || says("constant")))
        };
        let parts: Vec<Entry> = parts.iter().filter(plain).cloned().collect();
        let fields = known_fields(
            &parts,
            &format!("the parameter {}", quoted(&name)),
            keys::PARAMETER,
            keys::foreign_to_parameter,
            self.problems,
        );
        let clean = self.problems.len() == before;
        let (value, values, group) = (
            fields.get("value"),
            fields.get("values"),
            fields.get("parameters"),
        );
        let both = |a: &Entry, b: &Entry, problems: &mut Problems<'_>| {
            let message = format!(
                "the parameter {} has both `{}` and `{}`",
                quoted(&name),
                a.key,
                b.key
            );
            problems.add(
                Finding::new(b.key_span, message, "and this")
                    .also(a.key_span, "this")
                    .help("keep one of them"),
            );
        };
        match (value, values, group) {
            (None, None, Some(group)) => {
                if let Some(ty) = fields.get("type") {
                    let finding =
                        Finding::new(ty.key_span, "a group of parameters has no type", "not here");
                    self.problems
                        .add(finding.help("give each nested parameter its own `type`"));
                }
                if let Some(when) = fields.get("when") {
                    let finding = Finding::new(
                        when.key_span,
                        "a group of parameters has no condition",
                        "not here",
                    );
                    self.problems
                        .add(finding.help("give each nested parameter its own `when`"));
                }
                self.nested(group, &name, params);
                return;
            }
            (Some(a), Some(b), _) | (Some(a), None, Some(b)) | (None, Some(a), Some(b)) => {
                both(a, b, self.problems)
            }
            // An unknown key has been reported, and is probably the missing one misspelt.
            (None, None, None) if clean => {
                let message = format!("the parameter {} has no value", quoted(&name));
                self.problems.add(Finding::new(entry.key_span, message, "no `value`, no `values`").help(format!(
                    "write `{0}: {{value: ...}}` for one value or `{0}: {{values: [...]}}` for several",
                    entry.key
                )));
            }
            _ => {}
        }
        let builtin = self.known(entry, &name);
        let declared = fields
            .get("type")
            .and_then(|ty| self.declared_type(ty, builtin));
        let ty = builtin.map(|param| param.ty).or(declared);
        let condition = fields.get("when");
        let when = condition.and_then(|when| shape::clauses(when, self.problems));
        let broken = !clean || when.is_some() != condition.is_some();
        let mut param = Param {
            ty,
            when,
            broken,
            ..Param::new(entry, name, builtin)
        };
        if let Some(list) = values {
            self.list(list, ty, &mut param);
        } else if let Some(one) = value {
            self.one(one, &one.value, ty, &mut param);
        } else {
            param.broken = true;
        }
        // Unknown to the built-in task: reported, and of no further use.
        if !self.builtin || param.builtin.is_some() {
            params.push(param);
        }
    }

    fn push_broken(&mut self, entry: &Entry, name: String, params: &mut Vec<Param>) {
        let builtin = self.known(entry, &name);
        if !self.builtin || builtin.is_some() {
            params.push(Param {
                broken: true,
                ..Param::new(entry, name, builtin)
            });
        }
    }

    /// The built-in task's parameter of that name; reports an unknown one.
    fn known(&mut self, entry: &Entry, name: &str) -> Option<&'static TaskParam> {
        if !self.builtin {
            return None;
        }
        let found = TaskParam::find(name);
        if found.is_none() {
            let names: Vec<&str> = PARAMS.iter().map(|param| param.name).collect();
            let last = name.rsplit('.').next().unwrap_or(name);
            let help = match (synonym(name), TaskParam::find(last)) {
                (Some(meant), _) => format!("the task calls it `{meant}`"),
                (None, Some(flat)) => format!(
                    "the task has no nested parameters: write `{}` beside the others",
                    flat.name
                ),
                _ => did_you_mean(name, &names, "its parameters"),
            };
            let message = format!("{} is not a parameter of {BUILTIN}", quoted(name));
            self.problems
                .add(Finding::new(entry.key_span, message, "unknown parameter").help(help));
        }
        found
    }

    fn declared_type(&mut self, entry: &Entry, builtin: Option<&TaskParam>) -> Option<ParamType> {
        const NAMES: [(&str, ParamType); 4] = [
            ("float", ParamType::Float),
            ("int", ParamType::Int),
            ("bool", ParamType::Bool),
            ("text", ParamType::Text),
        ];
        const OTHERS: [(&str, &str); 9] = [
            ("str", "text"),
            ("string", "text"),
            ("integer", "int"),
            ("boolean", "bool"),
            ("double", "float"),
            ("number", "float"),
            ("real", "float"),
            ("f64", "float"),
            ("i64", "int"),
        ];
        let (written, shown) = match &entry.value.kind {
            Kind::Scalar(scalar) if !scalar.text.is_empty() => {
                (&*scalar.text, quoted(&scalar.text))
            }
            _ => ("", entry.value.describe().to_owned()),
        };
        let Some((_, ty)) = NAMES.iter().find(|(name, _)| *name == written) else {
            let near = OTHERS
                .iter()
                .find(|(other, _)| other.eq_ignore_ascii_case(written))
                .map(|(_, name)| *name);
            let help = match near {
                Some(near) => format!("did you mean `{near}`? types: float, int, bool and text"),
                None => did_you_mean(written, &NAMES.map(|(name, _)| name), "types"),
            };
            let message = format!("{shown} is not a type");
            self.problems
                .add(Finding::new(entry.at(), message, "unknown type").help(help));
            return None;
        };
        if let Some(param) = builtin.filter(|param| param.ty != *ty) {
            let wanted = scalar::type_words(param.ty);
            let message = format!(
                "`{}` of {BUILTIN} is {wanted}, not of type {written}",
                param.name
            );
            self.problems.add(
                Finding::new(entry.at(), message, "another type")
                    .help("remove `type`: the task knows it"),
            );
        }
        Some(*ty)
    }

    fn list(&mut self, entry: &Entry, ty: Option<ParamType>, param: &mut Param) {
        let Kind::List(items) = &entry.value.kind else {
            param.broken = true;
            let message = format!(
                "`values` of {} must be a list, not {}",
                quoted(&param.name),
                entry.value.describe()
            );
            self.problems
                .add(Finding::new(entry.at(), message, "not a list").help(
                    match &entry.value.kind {
                        Kind::Scalar(scalar) if !scalar.is_null() => {
                            format!(
                                "write `values: [{}]`, or `value` for a single one",
                                brief(&scalar.text)
                            )
                        }
                        _ => "write `values: [a, b]`, or `value: a` for a single one".to_owned(),
                    },
                ));
            return;
        };
        if items.is_empty() {
            param.broken = true;
            let message = format!("`values` of {} is empty", quoted(&param.name));
            self.problems.add(
                Finding::new(entry.at(), message, "no values").help("list at least one value"),
            );
        }
        for item in items.iter() {
            if self.problems.is_full() {
                param.broken = true;
                return;
            }
            self.one(entry, item, ty, param);
        }
        param.find_repeats();
    }

    /// One value, found under the key of `entry`.
    fn one(&mut self, entry: &Entry, node: &Node, ty: Option<ParamType>, param: &mut Param) {
        let span = node.span.or(entry.key_span);
        let Kind::Scalar(scalar) = &node.kind else {
            param.broken = true;
            let message = format!(
                "a value of {} must be a number, text or a boolean, not {}",
                quoted(&param.name),
                node.describe()
            );
            let help = match &node.kind {
                Kind::List(_) if &*entry.key == "value" => {
                    "use `values` for a list of values to try; a list that is one value is written as text: \"[a, b]\""
                }
                Kind::List(_) => {
                    "list the values themselves, [a, b], without inner brackets; a list that is one value is written as text: \"[a, b]\""
                }
                _ => {
                    "nest parameters with `parameters`: {group: {parameters: {name: {value: ...}}}}"
                }
            };
            self.problems
                .add(Finding::new(span, message, "not a single value").help(help));
            return;
        };
        let value = match scalar::value(scalar, ty) {
            Ok(value) => value,
            Err(refusal) => {
                param.broken = true;
                let message = format!("{}: {}", param.name, refusal.message);
                self.problems
                    .add(Finding::new(span, message, refusal.label).help_opt(refusal.help));
                return;
            }
        };
        if let Some(known) = param.builtin {
            if !known.range.contains(&value) {
                param.broken = true;
                let message = format!(
                    "{} must be {}, not {}",
                    param.name,
                    known.range.describe(),
                    brief(&scalar.text)
                );
                let help = if known.help.starts_with(known.name) {
                    known.help.to_owned()
                } else {
                    format!("{}: {}", known.name, known.help)
                };
                self.problems
                    .add(Finding::new(span, message, "out of range").help(help));
                return;
            }
            if let ("optimizer", ParamValue::Text(name)) = (known.name, &value)
                && OptimizerKind::from_name(name).is_none()
            {
                param.broken = true;
                let names = OptimizerKind::ALL.map(OptimizerKind::name);
                let message = format!("unknown optimizer {}", quoted(name));
                self.problems.add(
                    Finding::new(span, message, "unknown optimizer").help(did_you_mean(
                        name,
                        &names,
                        "optimizers",
                    )),
                );
                return;
            }
        }
        param.values.push((value, span));
    }
}

impl Param {
    fn new(entry: &Entry, name: String, builtin: Option<&'static TaskParam>) -> Self {
        let (values, repeats) = (Vec::new(), Vec::new());
        Self {
            name,
            span: entry.key_span,
            values,
            broken: false,
            ty: None,
            when: None,
            repeats,
            builtin,
        }
    }

    /// Takes down which values come twice.
    fn find_repeats(&mut self) {
        let mut first: HashMap<(&'static str, String), usize> = HashMap::new();
        for (number, (value, _)) in self.values.iter().enumerate() {
            let earlier = *first
                .entry((value.kind(), value.to_string()))
                .or_insert(number);
            if earlier != number {
                self.repeats.push((number, earlier));
            }
        }
    }

    /// Reports the values that come twice.
    pub fn report_repeats(&self, problems: &mut Problems<'_>) {
        for (again, earlier) in &self.repeats {
            if problems.is_full() {
                return;
            }
            let (value, span) = &self.values[*again];
            let earlier = self.values[*earlier].1;
            let shown = if matches!(value, ParamValue::Text(_)) {
                quoted(&value.to_string())
            } else {
                value.to_string()
            };
            let line = problems.line(earlier);
            let message = format!(
                "{}: the value {} is here twice, first in line {line}",
                self.name, shown
            );
            // `1.10` and `1.1`: a version, perhaps.
            let written = |span: Span| {
                problems
                    .source()
                    .get(span.start..span.end)
                    .unwrap_or_default()
            };
            let bare = |text: &str| {
                text.starts_with(|letter: char| letter.is_ascii_digit() || "+-.".contains(letter))
            };
            let (this, that) = (written(*span), written(earlier));
            let help = match this != that && bare(this) && bare(that) {
                true => "they are one number: remove one of them, or quote both if they are texts",
                false => "remove one of them",
            };
            problems.add(
                Finding::new(*span, message, "again")
                    .also(earlier, "first here")
                    .help(help),
            );
        }
    }
}

/// What other programs call our parameters.
fn synonym(name: &str) -> Option<&'static str> {
    Some(match name {
        "learning_rate" | "eta" | "alpha" => "lr",
        "beta" => "momentum",
        "beta_1" | "b1" => "beta1",
        "beta_2" | "b2" => "beta2",
        "epsilon" => "eps",
        "batch" | "bs" => "batch_size",
        "epoch" | "num_epochs" | "n_epochs" => "epochs",
        "threshold" => "tl",
        "opt" => "optimizer",
        _ => return None,
    })
}

/// "sgd, adam and hybrid".
pub(super) fn optimizer_list(optimizers: &[OptimizerKind]) -> String {
    listed(
        &optimizers
            .iter()
            .map(|kind| kind.name())
            .collect::<Vec<_>>(),
        "and",
    )
}

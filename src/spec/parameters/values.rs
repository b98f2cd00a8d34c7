//! Values of a parameter: their types, and the ranges of the built-in task's parameters.

use super::param::Param;
use super::reader::Reader;
use crate::spec::collection;
use crate::spec::problem::{Finding, Span, brief, quoted};
use crate::spec::scalar::{self, Refusal};
use crate::spec::task::{BUILTIN, OptimizerKind, ParamType, TaskParam};
use crate::spec::tree::{Entry, Kind, Node, Scalar, did_you_mean};
use pentagrid_protocol::ParamValue;

const TYPES: [(&str, ParamType); 4] = [
    ("float", ParamType::Float),
    ("int", ParamType::Int),
    ("bool", ParamType::Bool),
    ("text", ParamType::Text),
];

/// Names of types in other programs, and ours.
const FOREIGN_TYPES: [(&str, &str); 9] = [
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

impl Reader<'_, '_> {
    /// Reads `type`.
    pub(super) fn declared_type(
        &mut self,
        entry: &Entry,
        builtin: Option<&TaskParam>,
    ) -> Option<ParamType> {
        let written = match &entry.value.kind {
            Kind::Scalar(scalar) => &*scalar.text,
            _ => "",
        };
        let Some((_, ty)) = TYPES.iter().find(|(name, _)| *name == written) else {
            self.report_unknown_type(entry, written);
            return None;
        };

        if let Some(param) = builtin.filter(|param| param.ty != *ty) {
            let wanted = scalar::type_words(param.ty);
            self.problems.report(
                entry.at(),
                format!(
                    "`{}` of {BUILTIN} is {wanted}, not of type {written}",
                    param.name
                ),
                "another type",
                "remove `type`: the task knows it",
            );
        }
        Some(*ty)
    }

    fn report_unknown_type(&mut self, entry: &Entry, written: &str) {
        let shown = if written.is_empty() {
            entry.value.describe().to_owned()
        } else {
            quoted(written)
        };

        let foreign = FOREIGN_TYPES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(written));
        let help = match foreign {
            Some((_, meant)) => format!("did you mean `{meant}`? types: float, int, bool and text"),
            None => did_you_mean(written, &TYPES.map(|(name, _)| name), "types"),
        };
        let message = format!("{shown} is not a type");
        self.problems
            .report(entry.at(), message, "unknown type", help);
    }

    /// Reads `values`.
    pub(super) fn list(&mut self, entry: &Entry, param: &mut Param) {
        let name = quoted(&param.name);
        let Kind::List(items) = &entry.value.kind else {
            param.broken = true;
            let found = entry.value.describe();
            let help = match &entry.value.kind {
                Kind::Scalar(scalar) if !scalar.is_null() => {
                    let text = brief(&scalar.text);
                    format!("write `values: [{text}]`, or `value` for a single one")
                }
                _ => "write `values: [a, b]`, or `value: a` for a single one".to_owned(),
            };
            let message = format!("`values` of {name} must be a list, not {found}");
            self.problems
                .report(entry.at(), message, "not a list", help);
            return;
        };

        if items.is_empty() {
            param.broken = true;
            let message = format!("`values` of {name} is empty");
            let help = "list at least one value";
            self.problems.report(entry.at(), message, "no values", help);
        }
        for item in items.iter() {
            if self.problems.is_full() {
                param.broken = true;
                return;
            }
            self.value(entry, item, param);
        }
        param.find_repeats();
    }

    /// Reads one value, found under the key of `entry`, and adds it to the parameter.
    pub(super) fn value(&mut self, entry: &Entry, node: &Node, param: &mut Param) {
        let span = node.span.or(entry.key_span);
        match &node.kind {
            Kind::Scalar(scalar) => self.scalar(entry, scalar, span, param),
            _ if param.ty.is_some() => {
                param.broken = true;
                self.report_no_scalar(entry, node, param);
            }
            _ => match collection::value(node) {
                Ok(value) => param.values.push((value, span)),
                Err(refusal) => {
                    param.broken = true;
                    self.report_refusal(span, refusal, param);
                }
            },
        }
    }

    /// Reads a value that is no collection, and adds it to the parameter.
    pub(super) fn scalar(&mut self, entry: &Entry, scalar: &Scalar, span: Span, param: &mut Param) {
        let value = scalar::value(scalar, param.ty).and_then(|value| {
            let is_macro = matches!(&value, ParamValue::Text(text) if text.contains("${"));
            if is_macro && param.builtin.is_none() {
                scalar::refuse_macro(&scalar.text)
            } else {
                Ok(value)
            }
        });
        match value {
            Ok(value) if self.is_allowed(&value, scalar, span, param) => {
                param.values.push((value, span));
            }
            Ok(_) => param.broken = true,
            Err(refusal) => {
                param.broken = true;
                self.report_refusal(span.or(entry.key_span), refusal, param);
            }
        }
    }

    fn report_refusal(&mut self, span: Span, refusal: Refusal, param: &Param) {
        let message = format!("{}: {}", param.name, refusal.message);
        self.problems
            .add(Finding::new(span, message, refusal.label).help_opt(refusal.help));
    }

    fn report_no_scalar(&mut self, entry: &Entry, node: &Node, param: &Param) {
        let help = match &node.kind {
            Kind::List(_) if &*entry.key == "value" => "use `values` for a list of values to try",
            Kind::List(_) => "list the values themselves, [a, b], without inner brackets",
            _ => "nest parameters with `parameters`: {group: {parameters: {name: {value: ...}}}}",
        };

        let wanted = param.ty.map_or("a value", scalar::type_words);
        let message = format!(
            "a value of {} must be {wanted}, not {}",
            quoted(&param.name),
            node.describe()
        );
        let span = node.span.or(entry.key_span);
        self.problems
            .report(span, message, "not a single value", help);
    }

    /// Whether the built-in task allows a value. Reports why not.
    fn is_allowed(
        &mut self,
        value: &ParamValue,
        scalar: &Scalar,
        span: Span,
        param: &Param,
    ) -> bool {
        let Some(known) = param.builtin else {
            return true;
        };

        if !known.range.contains(value) {
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
            self.problems.report(span, message, "out of range", help);
            return false;
        }

        if let ("optimizer", ParamValue::Text(name)) = (known.name, value)
            && OptimizerKind::from_name(name).is_none()
        {
            let names = OptimizerKind::ALL.map(OptimizerKind::name);
            let message = format!("unknown optimizer {}", quoted(name));
            let help = did_you_mean(name, &names, "optimizers");
            self.problems
                .report(span, message, "unknown optimizer", help);
            return false;
        }
        true
    }
}

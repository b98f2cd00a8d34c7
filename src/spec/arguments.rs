//! Hyper-parameters as arguments of a command line: the styles of W&B's macros, Python's spelling of
//! values, Hydra's quotes, and what the sweep file says of lists, null and booleans under `args`.

use std::collections::BTreeMap;
use std::fmt;

use pentagrid_protocol::ParamValue;

/// How hyper-parameters are written as arguments. The first variants are named after W&B's macros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgsStyle {
    /// `--lr=0.1`
    Equals,
    /// `--lr 0.1`
    NoEquals,
    /// `lr=0.1`
    NoHyphens,
    /// `--lr=0.1`; a boolean is `--nesterov` or left out.
    NoBooleanFlags,
    /// `+lr=0.1`, quoted for Hydra.
    AppendHydra,
    /// `++lr=0.1`, quoted for Hydra.
    OverrideHydra,
    /// `lr=0.1`, quoted for Hydra.
    Hydra,
}

/// How an argument is written that is no number or text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArgsForm {
    /// Lists.
    pub lists: ListForm,
    /// Null.
    pub null: NullForm,
    /// Booleans.
    pub booleans: BooleanForm,
}

/// How a list is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListForm {
    /// `--hidden=[64, 64]`
    #[default]
    Literal,
    /// `--hidden 64 64`, for `nargs='+'` of argparse.
    Words,
}

/// How null is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NullForm {
    /// `--decay=None`
    #[default]
    Literal,
    /// Not at all.
    Omit,
}

/// How booleans are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BooleanForm {
    /// `--augment=True`, `--augment=False`
    #[default]
    Literal,
    /// `--augment`, `--no-augment`, for `BooleanOptionalAction` of argparse.
    Flags,
    /// `--augment` or nothing, for `store_true` of argparse.
    StoreTrue,
}

/// The forms of all arguments of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArgsForms {
    /// Of all parameters without a form of their own.
    pub all: ArgsForm,
    /// Of single parameters, by name.
    pub own: BTreeMap<String, ArgsForm>,
}

/// What is not as by default, as the sweep file has it: `{lists: words}`; empty if nothing is.
impl fmt::Display for ArgsForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = match self.lists {
            ListForm::Literal => None,
            ListForm::Words => Some("lists: words"),
        };
        let null = match self.null {
            NullForm::Literal => None,
            NullForm::Omit => Some("null: omit"),
        };
        let booleans = match self.booleans {
            BooleanForm::Literal => None,
            BooleanForm::Flags => Some("booleans: flags"),
            BooleanForm::StoreTrue => Some("booleans: store_true"),
        };
        let parts: Vec<&str> = [lists, null, booleans].into_iter().flatten().collect();
        match parts.is_empty() {
            true => Ok(()),
            false => write!(f, "{{{}}}", parts.join(", ")),
        }
    }
}

impl ArgsForms {
    /// Returns what is not as by default, as words for a fingerprint.
    pub fn settings(&self) -> Vec<String> {
        let own = self.own.iter().map(|(name, form)| (name.as_str(), form));
        std::iter::once(("args", &self.all))
            .chain(own)
            .map(|(name, form)| format!("{name}: {form}"))
            .filter(|setting| !setting.ends_with(": "))
            .collect()
    }

    /// Returns the form of a parameter's arguments.
    pub fn of(&self, parameter: &str) -> ArgsForm {
        self.own.get(parameter).copied().unwrap_or(self.all)
    }
}

impl ArgsStyle {
    /// The styles, with the names of their macros.
    pub const ALL: [(&'static str, Self); 7] = [
        ("args", Self::Equals),
        ("args_no_equals", Self::NoEquals),
        ("args_no_hyphens", Self::NoHyphens),
        ("args_no_boolean_flags", Self::NoBooleanFlags),
        ("args_append_hydra", Self::AppendHydra),
        ("args_override_hydra", Self::OverrideHydra),
        ("args_hydra", Self::Hydra),
    ];

    /// Returns the style of a macro's name.
    pub fn of_macro(name: &str) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, style)| style)
    }

    /// Returns the macro, as the sweep file has it.
    pub fn macro_text(self) -> String {
        let found = Self::ALL.into_iter().find(|(_, style)| *style == self);
        found.map_or_else(String::new, |(name, _)| format!("${{{name}}}"))
    }

    /// Returns the words of one parameter.
    pub fn argument(self, name: &str, value: &ParamValue, form: ArgsForm) -> Vec<String> {
        if form.null == NullForm::Omit && *value == ParamValue::Null {
            return Vec::new();
        }

        match self {
            Self::NoHyphens => vec![format!("{name}={}", spelled(value))],
            Self::AppendHydra => vec![format!("+{name}={}", hydra(value))],
            Self::OverrideHydra => vec![format!("++{name}={}", hydra(value))],
            Self::Hydra => vec![format!("{name}={}", hydra(value))],
            Self::Equals | Self::NoEquals | Self::NoBooleanFlags => self.option(name, value, form),
        }
    }

    /// The words of a parameter as an option with hyphens.
    fn option(self, name: &str, value: &ParamValue, form: ArgsForm) -> Vec<String> {
        let booleans = match self {
            Self::NoBooleanFlags => BooleanForm::StoreTrue,
            _ => form.booleans,
        };
        match (value, booleans, form.lists) {
            (ParamValue::Bool(true), BooleanForm::Flags | BooleanForm::StoreTrue, _) => {
                vec![format!("--{name}")]
            }
            (ParamValue::Bool(false), BooleanForm::Flags, _) => vec![format!("--no-{name}")],
            (ParamValue::Bool(false), BooleanForm::StoreTrue, _) => Vec::new(),
            (ParamValue::List(items), _, ListForm::Words) => std::iter::once(format!("--{name}"))
                .chain(items.iter().map(spelled))
                .collect(),
            _ if self == Self::NoEquals => vec![format!("--{name}"), spelled(value)],
            _ => vec![format!("--{name}={}", spelled(value))],
        }
    }
}

/// A value as an argument, spelled as Python does, like W&B: `True`, `None`, `[64, 64]`,
/// `{'name': 'sgd'}`. Python's `ast.literal_eval` reads it.
pub(super) fn spelled(value: &ParamValue) -> String {
    match value {
        ParamValue::Text(text) => text.clone(),
        other => python(other),
    }
}

/// A value as Python's `repr` writes it.
fn python(value: &ParamValue) -> String {
    match value {
        ParamValue::Bool(true) => "True".to_owned(),
        ParamValue::Bool(false) => "False".to_owned(),
        ParamValue::Null => "None".to_owned(),
        ParamValue::Text(text) => python_text(text),
        ParamValue::List(items) => {
            let items: Vec<String> = items.iter().map(python).collect();
            format!("[{}]", items.join(", "))
        }
        ParamValue::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(name, value)| format!("{}: {}", python_text(name), python(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        ParamValue::Int(_) | ParamValue::Float(_) => value.to_string(),
    }
}

/// A text in Python's quotes: single ones, unless only these are in it.
fn python_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::from(quote);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            letter if letter == quote => out.extend(['\\', letter]),
            letter => out.push(letter),
        }
    }
    out.push(quote);
    out
}

/// A value in the grammar of Hydra's overrides (Hydra 1.3, "Basic Override syntax").
fn hydra(value: &ParamValue) -> String {
    match value {
        ParamValue::Text(text) => hydra_text(text),
        ParamValue::List(items) => {
            let items: Vec<String> = items.iter().map(hydra).collect();
            format!("[{}]", items.join(","))
        }
        ParamValue::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(name, value)| format!("{name}:{}", hydra(value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        ParamValue::Bool(_) | ParamValue::Null | ParamValue::Int(_) | ParamValue::Float(_) => {
            value.to_string()
        }
    }
}

/// A text for Hydra: bare where Hydra reads the same text, else in single quotes.
fn hydra_text(text: &str) -> String {
    let is_word = text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_-./".contains(letter));
    let lower = text.to_ascii_lowercase();
    let is_literal = matches!(&*lower, "true" | "false" | "null" | "nan" | "inf");
    if is_word && !is_literal {
        return text.to_owned();
    }

    // Backslashes count only before a quote, the closing one included.
    let mut out = String::from("'");
    let mut backslashes = 0;
    for letter in text.chars() {
        if letter == '\'' {
            out.extend(std::iter::repeat_n('\\', backslashes + 1));
        }
        backslashes = if letter == '\\' { backslashes + 1 } else { 0 };
        out.push(letter);
    }
    out.extend(std::iter::repeat_n('\\', backslashes));
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> ParamValue {
        serde_json::from_str(json).unwrap()
    }

    fn shown(style: ArgsStyle, json: &str, form: ArgsForm) -> String {
        style.argument("x", &value(json), form).join(" | ")
    }

    #[test]
    fn values_are_spelled_as_python_does() {
        let spelled = |json| shown(ArgsStyle::Equals, json, ArgsForm::default());
        assert_eq!(spelled("null"), "--x=None");
        assert_eq!(spelled("[64, 64]"), "--x=[64, 64]");
        assert_eq!(
            spelled(r#"{"name": "it's", "lr": 0.1, "on": true, "off": [null]}"#),
            r#"--x={'lr': 0.1, 'name': "it's", 'off': [None], 'on': True}"#
        );
        assert_eq!(spelled(r#"["a\\b\n'\""]"#), r#"--x=['a\\b\n\'"']"#);
        assert_eq!(
            shown(ArgsStyle::NoEquals, "[1]", ArgsForm::default()),
            "--x | [1]"
        );
    }

    #[test]
    fn forms_of_lists_null_and_booleans() {
        let form = ArgsForm {
            lists: ListForm::Words,
            null: NullForm::Omit,
            booleans: BooleanForm::Flags,
        };
        assert_eq!(shown(ArgsStyle::Equals, "[64, 64]", form), "--x | 64 | 64");
        assert_eq!(shown(ArgsStyle::Equals, "null", form), "");
        assert_eq!(shown(ArgsStyle::Equals, "true", form), "--x");
        assert_eq!(shown(ArgsStyle::NoEquals, "false", form), "--no-x");
        let store_true = ArgsForm {
            booleans: BooleanForm::StoreTrue,
            ..form
        };
        assert_eq!(shown(ArgsStyle::Equals, "false", store_true), "");
        assert_eq!(shown(ArgsStyle::Hydra, "false", store_true), "x=false");
    }

    #[test]
    fn texts_are_quoted_for_hydra() {
        for (text, expected) in [
            ("adam", "adam"),
            ("a/b-c.d_1", "a/b-c.d_1"),
            ("x,y", "'x,y'"),
            ("DP (Offline)", "'DP (Offline)'"),
            ("true", "'true'"),
            ("1e-3", "'1e-3'"),
            ("", "''"),
            ("it's", r"'it\'s'"),
            (r"a\", r"'a\\'"),
            (r"a\b", r"'a\b'"),
            (r"a\'", r"'a\\\''"),
            ("${x}", "'${x}'"),
        ] {
            let value = ParamValue::Text(text.to_owned());
            assert_eq!(
                ArgsStyle::Hydra.argument("k", &value, ArgsForm::default()),
                [format!("k={expected}")]
            );
        }
        assert_eq!(
            shown(
                ArgsStyle::OverrideHydra,
                r#"{"a": [1, "x y", null, true]}"#,
                ArgsForm::default()
            ),
            "++x={a:[1,'x y',null,true]}"
        );
    }
}

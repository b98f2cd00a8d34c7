//! The command line of the user's program that trains one trial: words with macros, and what they
//! become for a trial. `program` reads them from the sweep file, `schedule` starts them, `show`
//! prints them.

use std::collections::BTreeMap;

use super::arguments::{ArgsForm, ArgsForms, spelled};
use crate::shell::shell_quoted;

pub use super::arguments::ArgsStyle;
use pentagrid_protocol::{Config, ParamValue};

/// A program that is started once for every trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The words of its command line: the program, then its arguments. At least one.
    pub words: Vec<Word>,
    /// The script that the sweep file names under `program`.
    pub script: Option<String>,
    /// How lists, null and booleans are written as arguments.
    pub forms: ArgsForms,
    /// What the program calls its seed.
    pub seed_name: String,
}

impl Program {
    /// A program of these words, without settings.
    pub fn new(words: Vec<Word>, script: Option<String>) -> Self {
        Self {
            words,
            script,
            forms: ArgsForms::default(),
            seed_name: SEED.to_owned(),
        }
    }
}

/// A word of a command line, as the sweep file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// All hyper-parameters, and the seed unless it is placed elsewhere: any number of words.
    Args(ArgsStyle),
    /// One word.
    Text(Vec<Piece>),
}

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text.
    Plain(String),
    /// The seed.
    Seed,
    /// The trial's id.
    Trial,
    /// The trial's folder.
    Dir,
    /// All hyper-parameters as one JSON object, without the seed.
    ArgsJson,
    /// The path of a file with that object.
    ArgsJsonFile,
    /// The value of a hyper-parameter.
    Parameter(String),
    /// A variable of the environment in which pentagrid was started.
    Variable(String),
    /// The Python interpreter.
    Interpreter,
}

/// The values to fill a command line with.
#[derive(Clone, Debug)]
pub struct Filling<'a> {
    /// The hyper-parameters.
    pub config: &'a Config,
    /// The seed.
    pub seed: u64,
    /// The trial's id.
    pub trial: &'a str,
    /// The trial's folder, absolute.
    pub dir: &'a str,
    /// The Python interpreter.
    pub interpreter: &'a str,
}

impl<'a> Filling<'a> {
    /// The values of no trial, for texts that do not depend on one.
    pub fn of_no_trial(interpreter: &'a str) -> Self {
        const NO_CONFIG: &Config = &Config(BTreeMap::new());
        Self {
            config: NO_CONFIG,
            seed: 0,
            trial: "",
            dir: "",
            interpreter,
        }
    }
}

/// What a program calls its seed, unless the sweep file says otherwise.
pub const SEED: &str = "seed";

/// The name of the file of hyper-parameters in a trial's folder.
pub const CONFIG_FILE: &str = "config.json";

/// A variable of the environment that a command line needs is not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} is not set")]
pub struct UnsetVariable(pub String);

/// The command line as the sweep file has it.
impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            match word {
                Word::Args(style) => f.write_str(&style.macro_text())?,
                Word::Text(pieces) => pieces.iter().try_for_each(|piece| piece.fmt(f))?,
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Piece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain(text) => f.write_str(text),
            Self::Seed => f.write_str("${seed}"),
            Self::Trial => f.write_str("${trial}"),
            Self::Dir => f.write_str("${dir}"),
            Self::ArgsJson => f.write_str("${args_json}"),
            Self::ArgsJsonFile => f.write_str("${args_json_file}"),
            Self::Parameter(name) => write!(f, "${{{name}}}"),
            Self::Variable(name) => write!(f, "${{envvar:{name}}}"),
            Self::Interpreter => f.write_str("${interpreter}"),
        }
    }
}

impl Program {
    /// The first word, if it is the same for all trials.
    pub fn first(&self) -> Option<&str> {
        let Some(Word::Text(pieces)) = self.words.first() else {
            return None;
        };
        match pieces.as_slice() {
            [Piece::Plain(text)] => Some(text),
            _ => None,
        }
    }

    /// The pieces of all words but `${args}`.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.words.iter().flat_map(|word| match word {
            Word::Text(pieces) => pieces.as_slice(),
            Word::Args(_) => &[],
        })
    }

    /// Returns what beside the words decides how hyper-parameters and seed are given; empty if all is
    /// as by default.
    pub fn settings(&self) -> Vec<String> {
        let mut settings = self.forms.settings();
        if self.seed_name != SEED {
            settings.push(format!("seed: {}", self.seed_name));
        }
        settings
    }

    /// Returns the command line for a trial. `variable` looks a variable of the environment up.
    ///
    /// # Errors
    /// If a variable is not set.
    pub fn fill(
        &self,
        filling: &Filling<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<String>, UnsetVariable> {
        let mut line = Vec::new();
        for word in &self.words {
            match word {
                Word::Args(style) => line.extend(self.arguments(*style, filling)),
                Word::Text(pieces) => line.push(fill(pieces, filling, variable)?),
            }
        }
        Ok(line)
    }

    /// Returns the places of words with variables of the environment in the command line of a
    /// trial.
    pub fn secret_words(&self, filling: &Filling<'_>) -> Vec<usize> {
        let mut place = 0;
        let mut found = Vec::new();
        for word in &self.words {
            match word {
                Word::Args(style) => place += self.arguments(*style, filling).len(),
                Word::Text(pieces) => {
                    if holds_variable(pieces) {
                        found.push(place);
                    }
                    place += 1;
                }
            }
        }
        found
    }

    /// Returns the command line for a trial as the user would type it into a shell, with variables
    /// of the environment by their names.
    pub fn shell(&self, filling: &Filling<'_>) -> String {
        let mut words: Vec<String> = Vec::new();
        for word in &self.words {
            match word {
                Word::Args(style) => {
                    let arguments = self.arguments(*style, filling);
                    words.extend(arguments.iter().map(|word| shell_quoted(word)));
                }
                Word::Text(pieces) => words.push(shell(pieces, filling)),
            }
        }
        words.join(" ")
    }

    /// The hyper-parameters and the seed as arguments, but for those that have a place of their own.
    fn arguments(&self, style: ArgsStyle, filling: &Filling<'_>) -> Vec<String> {
        let placed: Vec<&str> = self
            .pieces()
            .filter_map(|piece| match piece {
                Piece::Parameter(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let mut arguments: Vec<String> = filling
            .config
            .0
            .iter()
            .filter(|(name, _)| !placed.contains(&name.as_str()))
            .flat_map(|(name, value)| style.argument(name, value, self.forms.of(name)))
            .collect();

        let seed_is_placed = self.pieces().any(|piece| *piece == Piece::Seed);
        if !seed_is_placed {
            let seed = ParamValue::Int(i64::try_from(filling.seed).unwrap_or(i64::MAX));
            arguments.extend(style.argument(&self.seed_name, &seed, ArgsForm::default()));
        }
        arguments
    }
}

/// Whether a text contains a variable of the environment, which may be a secret.
pub fn holds_variable(pieces: &[Piece]) -> bool {
    pieces
        .iter()
        .any(|piece| matches!(piece, Piece::Variable(_)))
}

/// Returns the text of a word for a trial. `variable` looks a variable of the environment up.
///
/// # Errors
/// If a variable is not set.
pub fn fill(
    pieces: &[Piece],
    filling: &Filling<'_>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, UnsetVariable> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Variable(name) => {
                let value = variable(name).ok_or_else(|| UnsetVariable(name.clone()))?;
                text.push_str(&value);
            }
            other => text.push_str(&filled(other, filling)),
        }
    }
    Ok(text)
}

/// Returns the text of a word as the user would type it into a shell, with variables of the
/// environment by their names.
pub fn shell(pieces: &[Piece], filling: &Filling<'_>) -> String {
    if !holds_variable(pieces) {
        let text: String = pieces.iter().map(|piece| filled(piece, filling)).collect();
        return shell_quoted(&text);
    }
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Variable(name) => format!("\"${name}\""),
            other => shell_quoted(&filled(other, filling)),
        })
        .collect()
}

/// Returns a configuration as a JSON object. Dots nest: `a.b` is `b` in the object `a`, unless `a`
/// is a parameter itself; then `a.b` stands beside it under its whole name.
pub fn nested_json(config: &Config) -> String {
    let mut root = serde_json::Map::new();
    for (name, value) in &config.0 {
        let value = serde_json::to_value(value).unwrap_or_default();
        insert_nested(&mut root, nested_path(config, name), value);
    }
    serde_json::Value::Object(root).to_string()
}

/// Splits a parameter's name into the groups around it and its key in the innermost one.
fn nested_path<'n>(config: &Config, name: &'n str) -> Vec<&'n str> {
    let mut path = Vec::new();
    let mut begin = 0;
    for (dot, _) in name.match_indices('.') {
        if config.0.contains_key(&name[..dot]) {
            break;
        }
        path.push(&name[begin..dot]);
        begin = dot + 1;
    }
    path.push(&name[begin..]);
    path
}

fn insert_nested(
    object: &mut serde_json::Map<String, serde_json::Value>,
    path: Vec<&str>,
    value: serde_json::Value,
) {
    let mut path = path.into_iter();
    let Some(key) = path.next_back() else {
        return;
    };

    let mut group = object;
    for name in path {
        let inner = group
            .entry(name)
            .or_insert_with(|| serde_json::Map::new().into());
        // No parameter has the name of a group (`nested_path`).
        let serde_json::Value::Object(inner) = inner else {
            return;
        };
        group = inner;
    }
    group.insert(key.to_owned(), value);
}

/// The text of a piece for a trial; nothing for a variable of the environment.
fn filled(piece: &Piece, filling: &Filling<'_>) -> String {
    match piece {
        Piece::Plain(text) => text.clone(),
        Piece::Seed => filling.seed.to_string(),
        Piece::Trial => filling.trial.to_owned(),
        Piece::Dir => filling.dir.to_owned(),
        Piece::ArgsJson => nested_json(filling.config),
        Piece::ArgsJsonFile => format!("{}/{CONFIG_FILE}", filling.dir),
        Piece::Interpreter => filling.interpreter.to_owned(),
        // The sweep file was refused if a configuration lacks it.
        Piece::Parameter(name) => filling.config.get(name).map_or_else(String::new, spelled),
        Piece::Variable(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        [
            ("lr".to_owned(), ParamValue::Float(1e-4)),
            ("nesterov".to_owned(), ParamValue::Bool(true)),
            ("amsgrad".to_owned(), ParamValue::Bool(false)),
            ("opt.name".to_owned(), ParamValue::Text("it's Adam".into())),
        ]
        .into_iter()
        .collect()
    }

    fn lines(words: Vec<Word>) -> (Result<Vec<String>, UnsetVariable>, String) {
        let config = config();
        let filling = Filling {
            config: &config,
            seed: 7,
            trial: "k7m2p9x4qa-7",
            dir: "/runs/a b",
            interpreter: "python3",
        };
        let program = Program::new(words, None);
        let variable = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        (program.fill(&filling, &variable), program.shell(&filling))
    }

    #[test]
    fn arguments_are_written_in_each_style() {
        let styles = [
            ArgsStyle::Equals,
            ArgsStyle::NoEquals,
            ArgsStyle::NoHyphens,
            ArgsStyle::NoBooleanFlags,
            ArgsStyle::AppendHydra,
            ArgsStyle::OverrideHydra,
            ArgsStyle::Hydra,
        ];
        let shown: Vec<String> = styles
            .into_iter()
            .map(|style| lines(vec![Word::Args(style)]).0.unwrap().join(" "))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        --amsgrad=False --lr=0.0001 --nesterov=True --opt.name=it's Adam --seed=7
        --amsgrad False --lr 0.0001 --nesterov True --opt.name it's Adam --seed 7
        amsgrad=False lr=0.0001 nesterov=True opt.name=it's Adam seed=7
        --lr=0.0001 --nesterov --opt.name=it's Adam --seed=7
        +amsgrad=false +lr=0.0001 +nesterov=true +opt.name='it\'s Adam' +seed=7
        ++amsgrad=false ++lr=0.0001 ++nesterov=true ++opt.name='it\'s Adam' ++seed=7
        amsgrad=false lr=0.0001 nesterov=true opt.name='it\'s Adam' seed=7
        "#);
    }

    #[test]
    fn macros_are_filled_and_shown_without_secrets() {
        let words = vec![
            Word::Text(vec![Piece::Interpreter]),
            Word::Text(vec![
                Piece::Plain("--key=".into()),
                Piece::Variable("HOME".into()),
            ]),
            Word::Text(vec![
                Piece::Plain("--out=".into()),
                Piece::Dir,
                Piece::Plain("/".into()),
                Piece::Trial,
            ]),
            Word::Text(vec![Piece::ArgsJson]),
            Word::Text(vec![Piece::ArgsJsonFile]),
            Word::Text(vec![Piece::Plain("--random-state".into()), Piece::Seed]),
            Word::Args(ArgsStyle::NoHyphens),
        ];
        let (line, shell) = lines(words);
        insta::assert_snapshot!(line.unwrap().join("\n"), @r#"
        python3
        --key=/root
        --out=/runs/a b/k7m2p9x4qa-7
        {"amsgrad":false,"lr":0.0001,"nesterov":true,"opt":{"name":"it's Adam"}}
        /runs/a b/config.json
        --random-state7
        amsgrad=False
        lr=0.0001
        nesterov=True
        opt.name=it's Adam
        "#);
        insta::assert_snapshot!(shell, @r#"python3 --key="$HOME" '--out=/runs/a b/k7m2p9x4qa-7' '{"amsgrad":false,"lr":0.0001,"nesterov":true,"opt":{"name":"it'\''s Adam"}}' '/runs/a b/config.json' --random-state7 amsgrad=False lr=0.0001 nesterov=True 'opt.name=it'\''s Adam'"#);
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        assert_eq!(
            lines(vec![Word::Text(vec![Piece::Variable("NO_SUCH".into())])]).0,
            Err(UnsetVariable("NO_SUCH".to_owned()))
        );
    }

    /// The parameters of an object by their names with dots.
    fn flattened(
        prefix: &str,
        object: &serde_json::Value,
        into: &mut Vec<(String, serde_json::Value)>,
    ) {
        for (name, value) in object.as_object().unwrap() {
            let name = format!("{prefix}{name}");
            match value.is_object() {
                true => flattened(&format!("{name}."), value, into),
                false => into.push((name, value.clone())),
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn nested_parameters_are_the_flat_ones(names in proptest::collection::btree_set("[a-b\"][-!a]?(\\.[a-b][-a]?){0,3}", 1..12)) {
            let config: Config = names.iter().zip(1..).map(|(name, value)| (name.clone(), ParamValue::Int(value))).collect();
            let mut found = Vec::new();
            flattened("", &serde_json::from_str(&nested_json(&config)).unwrap(), &mut found);
            let given: Vec<_> = config.0.iter().map(|(name, value)| (name.clone(), serde_json::to_value(value).unwrap())).collect();
            proptest::prop_assert_eq!(found, given);
        }
    }
}

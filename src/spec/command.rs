//! The command line of a program of the user's that trains one trial: words with macros, and what
//! they become for a trial. `program` reads them from the sweep file, `schedule` starts them,
//! `show` prints them.

use super::{Config, ParamValue};

/// A program that is started once for every trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The words of its command line; the first is the program. At least one.
    pub words: Vec<Word>,
    /// The script that the sweep file names under `program`.
    pub script: Option<String>,
}

/// A word of a command line, as the sweep file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// All hyper-parameters, and the seed unless it stands elsewhere: any number of words.
    Args(ArgsStyle),
    /// One word.
    Text(Vec<Piece>),
}

/// How hyper-parameters are written as arguments; the names of W&B's macros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgsStyle {
    /// `--lr=0.1`
    Equals,
    /// `--lr 0.1`
    NoEquals,
    /// `lr=0.1`
    NoHyphens,
    /// `--lr=0.1`, and of booleans `--nesterov` or nothing.
    NoBooleanFlags,
    /// `+lr=0.1`
    AppendHydra,
    /// `++lr=0.1`
    OverrideHydra,
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
    /// All hyper-parameters as one JSON object, the seed not among them.
    ArgsJson,
    /// The path of a file with that object.
    ArgsJsonFile,
    /// A variable of the environment that pentagrid was started in.
    Variable(String),
    /// The Python interpreter.
    Interpreter,
}

/// What a command line is filled with.
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

/// The name of the file of hyper-parameters in a trial's folder.
pub const CONFIG_FILE: &str = "config.json";

/// As the sweep file has it.
impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            f.write_str(if index > 0 { " " } else { "" })?;
            match word {
                Word::Args(style) => f.write_str(style.name())?,
                Word::Text(pieces) => pieces.iter().try_for_each(|piece| write!(f, "{piece}"))?,
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
            Self::Variable(name) => write!(f, "${{envvar:{name}}}"),
            Self::Interpreter => f.write_str("${interpreter}"),
        }
    }
}

impl ArgsStyle {
    /// The macro.
    fn name(self) -> &'static str {
        match self {
            Self::Equals => "${args}",
            Self::NoEquals => "${args_no_equals}",
            Self::NoHyphens => "${args_no_hyphens}",
            Self::NoBooleanFlags => "${args_no_boolean_flags}",
            Self::AppendHydra => "${args_append_hydra}",
            Self::OverrideHydra => "${args_override_hydra}",
        }
    }
}

impl Program {
    /// The first word, where it is the same for all trials.
    pub fn first(&self) -> Option<&str> {
        match self.words.first() {
            Some(Word::Text(pieces)) => match pieces.as_slice() {
                [Piece::Plain(text)] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// The pieces of all words, those of `${args}` aside.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.words.iter().flat_map(|word| match word {
            Word::Text(pieces) => pieces.as_slice(),
            Word::Args(_) => &[],
        })
    }

    /// The command line for a trial. `variable` gives the value of a variable of the environment.
    ///
    /// # Errors
    /// The name of a variable that is not set.
    pub fn fill(
        &self,
        filling: &Filling<'_>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<String>, String> {
        let mut line = Vec::new();
        for word in &self.words {
            match word {
                Word::Args(style) => line.extend(self.arguments(*style, filling)),
                Word::Text(pieces) => line.push(fill(pieces, filling, variable)?),
            }
        }
        Ok(line)
    }

    /// Places in the command line for a trial of words with variables of the environment.
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

    /// The command line for a trial as one types it into a shell; variables of the environment by
    /// their names.
    pub fn shell(&self, filling: &Filling<'_>) -> String {
        let words = self.words.iter().flat_map(|word| match word {
            Word::Args(style) => self
                .arguments(*style, filling)
                .iter()
                .map(|word| shell_quoted(word))
                .collect(),
            Word::Text(pieces) => vec![shell(pieces, filling)],
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn arguments(&self, style: ArgsStyle, filling: &Filling<'_>) -> Vec<String> {
        let seed = (
            "seed".to_owned(),
            ParamValue::Int(i64::try_from(filling.seed).unwrap_or(i64::MAX)),
        );
        let placed = self.pieces().any(|piece| *piece == Piece::Seed);
        let pairs = filling
            .config
            .0
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        let pairs = pairs.chain((!placed).then_some(seed));
        // Python's spelling, which W&B gives: a script that compares with "True" must not be
        // deceived.
        let spelled = |value: ParamValue| match value {
            ParamValue::Bool(true) => "True".to_owned(),
            ParamValue::Bool(false) => "False".to_owned(),
            other => other.to_string(),
        };
        let argument = |(name, value): (String, ParamValue)| match (style, value) {
            (ArgsStyle::NoBooleanFlags, ParamValue::Bool(true)) => vec![format!("--{name}")],
            (ArgsStyle::NoBooleanFlags, ParamValue::Bool(false)) => Vec::new(),
            (ArgsStyle::Equals | ArgsStyle::NoBooleanFlags, value) => {
                vec![format!("--{name}={}", spelled(value))]
            }
            (ArgsStyle::NoEquals, value) => vec![format!("--{name}"), spelled(value)],
            (ArgsStyle::NoHyphens, value) => vec![format!("{name}={}", spelled(value))],
            (ArgsStyle::AppendHydra, value) => vec![format!("+{name}={}", spelled(value))],
            (ArgsStyle::OverrideHydra, value) => vec![format!("++{name}={}", spelled(value))],
        };
        pairs.flat_map(argument).collect()
    }
}

/// Whether a variable of the environment stands in a text: it may be a secret.
pub fn holds_variable(pieces: &[Piece]) -> bool {
    pieces
        .iter()
        .any(|piece| matches!(piece, Piece::Variable(_)))
}

/// The text of a word for a trial.
///
/// # Errors
/// The name of a variable that is not set.
pub fn fill(
    pieces: &[Piece],
    filling: &Filling<'_>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Variable(name) => text.push_str(&variable(name).ok_or_else(|| name.clone())?),
            other => text.push_str(&known(other, filling)),
        }
    }
    Ok(text)
}

/// The same as one types it into a shell; variables of the environment by their names.
pub fn shell(pieces: &[Piece], filling: &Filling<'_>) -> String {
    if !holds_variable(pieces) {
        return shell_quoted(
            &pieces
                .iter()
                .map(|piece| known(piece, filling))
                .collect::<String>(),
        );
    }
    let part = |piece: &Piece| match piece {
        Piece::Variable(name) => format!("\"${name}\""),
        other => shell_quoted(&known(other, filling)),
    };
    pieces.iter().map(part).collect()
}

/// A configuration as a JSON object, nested parameters as objects in it: as the sweep file has
/// them.
pub fn nested_json(config: &Config) -> String {
    let mut root = serde_json::Map::new();
    for (name, value) in &config.0 {
        put(
            &mut root,
            name,
            serde_json::to_value(value).unwrap_or_default(),
        );
    }
    serde_json::Value::Object(root).to_string()
}

fn put(
    object: &mut serde_json::Map<String, serde_json::Value>,
    path: &str,
    value: serde_json::Value,
) {
    let Some((group, rest)) = path.split_once('.') else {
        object.insert(path.to_owned(), value);
        return;
    };
    // No name is both a parameter and a group: `validate::groups`.
    if let serde_json::Value::Object(group) = object
        .entry(group)
        .or_insert_with(|| serde_json::Map::new().into())
    {
        put(group, rest, value);
    }
}

fn known(piece: &Piece, filling: &Filling<'_>) -> String {
    match piece {
        Piece::Plain(text) => text.clone(),
        Piece::Seed => filling.seed.to_string(),
        Piece::Trial => filling.trial.to_owned(),
        Piece::Dir => filling.dir.to_owned(),
        Piece::ArgsJson => nested_json(filling.config),
        Piece::ArgsJsonFile => format!("{}/{CONFIG_FILE}", filling.dir),
        Piece::Interpreter => filling.interpreter.to_owned(),
        Piece::Variable(_) => String::new(),
    }
}

/// A word as a POSIX shell reads it as that word.
pub fn shell_quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./=:,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A path as a POSIX shell reads it, for command lines that are shown to be typed.
pub fn shell_path(path: &std::path::Path) -> String {
    shell_quoted(&path.display().to_string())
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

    fn filled(words: Vec<Word>) -> (Result<Vec<String>, String>, String) {
        let config = config();
        let filling = Filling {
            config: &config,
            seed: 7,
            trial: "k7m2p9x4qa-7",
            dir: "/runs/a b",
            interpreter: "python3",
        };
        let program = Program {
            words,
            script: None,
        };
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
        ];
        let shown: Vec<String> = styles
            .into_iter()
            .map(|style| filled(vec![Word::Args(style)]).0.unwrap().join(" "))
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @"
        --amsgrad=False --lr=0.0001 --nesterov=True --opt.name=it's Adam --seed=7
        --amsgrad False --lr 0.0001 --nesterov True --opt.name it's Adam --seed 7
        amsgrad=False lr=0.0001 nesterov=True opt.name=it's Adam seed=7
        --lr=0.0001 --nesterov --opt.name=it's Adam --seed=7
        +amsgrad=False +lr=0.0001 +nesterov=True +opt.name=it's Adam +seed=7
        ++amsgrad=False ++lr=0.0001 ++nesterov=True ++opt.name=it's Adam ++seed=7
        ");
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
        let (line, shell) = filled(words);
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
            filled(vec![Word::Text(vec![Piece::Variable("NO_SUCH".into())])]).0,
            Err("NO_SUCH".to_owned())
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
            let is_group = |name: &String| names.iter().any(|other| other.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.')));
            let config: Config = names.iter().filter(|name| !is_group(name)).zip(1..).map(|(name, value)| (name.clone(), ParamValue::Int(value))).collect();
            let mut found = Vec::new();
            flattened("", &serde_json::from_str(&nested_json(&config)).unwrap(), &mut found);
            let given: Vec<_> = config.0.iter().map(|(name, value)| (name.clone(), serde_json::to_value(value).unwrap())).collect();
            proptest::prop_assert_eq!(found, given);
        }

        #[test]
        fn a_quoted_word_is_the_same_word_to_a_shell(word in "[^\0]{0,20}") {
            let output = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", shell_quoted(&word))]).output().unwrap();
            proptest::prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}

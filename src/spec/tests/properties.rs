//! Properties: no text makes the reader panic, every place lies in the source, and the way in which
//! a file is written does not change its meaning.

use proptest::prelude::*;

use super::good;
use crate::cli::diagnosis::render;
use crate::spec::read;

const PAPER: &str = include_str!("../../../sweeps/paper.yaml");

/// Every grid shape.
const SHAPES: &str = "name: t
task: mnist-resnet18
metric: {name: val_accuracy, goal: maximize}
seeds: {tune: 2, final: 3}
parameters: {lr: {values: [0.1, 0.1, 1]}, batch_size: {values: [50, 100, 100]}, epochs: {values: [1, 2]}}
zip: [lr, batch_size]
exclude: [{optimizer: adam, lr: 1}]
arms:
  both:
    parameters:
      optimizer: {values: [sgd, sgd_momentum, adam]}
      momentum: {values: [0.5, 0.9], when: {optimizer: sgd_momentum}}
    exclude: [{momentum: 0.9, epochs: [1]}]
  union:
    grids:
      - parameters: {optimizer: {value: adam}, beta1: {values: [0.8, 0.9]}}
      - {parameters: {optimizer: {values: [sgd, adam]}}, exclude: [{optimizer: sgd, batch_size: 50}]}
";

/// Reads a text, and checks that the diagnosis is sound if there is one.
fn is_sound(text: &str) {
    let Err(diagnosis) = read(text, "sweep.yaml") else {
        return;
    };
    assert!((1..=20).contains(&diagnosis.problems.len()));
    let lines = diagnosis.source.split('\n').count();
    for problem in &diagnosis.problems {
        for span in
            std::iter::once(&problem.span).chain(problem.also.as_ref().map(|(span, _)| span))
        {
            let marked = diagnosis.source.get(span.clone());
            assert!(
                marked.is_some_and(|marked| !marked.contains('\n')),
                "{problem:?}"
            );
        }
        assert!(
            (1..=lines).contains(&problem.line) && problem.column >= 1,
            "{problem:?}"
        );
        let before = &diagnosis.source[..problem.span.start];
        assert_eq!(problem.line, before.matches('\n').count() + 1);
        assert!(
            !problem.message.is_empty() && !problem.message.contains(['\n', '\u{1b}']),
            "{problem:?}"
        );
    }
    assert!(
        diagnosis
            .problems
            .is_sorted_by_key(|problem| problem.span.start)
    );
    let drawn = render(&diagnosis, false, 80);
    assert!(
        !drawn.contains(['\u{1b}', '\r']) && !drawn.contains("Failed to read"),
        "{drawn}"
    );
}

/// Pieces of sweep files, good and bad.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "name", "task", "worker", "metric", "seeds", "parameters", "arms", "zip", "exclude", "when", "grids", "published", "value", "values", "type", "label",
            "claims", "says", "highest", "ratio", "saturates", "always_above", "images", "tune", "final", "mean", "std", "n", "goal", "optimizer", "lr", "seed", "mnist-resnet18", "val_accuracy", "maximize", "sgd", "float",
            "1e-4", "010", "yes", "~", ".inf", "3", "-1", "99999999999999999999", "<<", "&a", "*a", "!!str", "β", "𝒙",
        ]).prop_map(str::to_owned),
        4 => prop::sample::select(vec![": ", ":\n  ", ":\n    ", "\n", "\n  ", "- ", "{", "}", "[", "]", ", ", "\"", "'", "#", "|", ">", "?", "\t", "\r\n", "---\n", "%", "\u{feff}", "\u{1b}[31m"]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        is_sound(&text);
    }

    #[test]
    fn any_yaml_like_text_is_read_or_refused(pieces in prop::collection::vec(piece(), 0..60)) {
        is_sound(&pieces.concat());
    }

    #[test]
    fn any_damage_to_grid_shapes_is_survived(edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..9, piece()), 1..4)) {
        let mut text: Vec<char> = SHAPES.chars().collect();
        for (at, length, new) in edits {
            let at = at.index(text.len());
            text.splice(at..(at + length).min(text.len()), new.chars());
        }
        is_sound(&text.into_iter().collect::<String>());
    }

    #[test]
    fn any_damage_to_a_good_file_is_survived(edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..30, piece()), 1..4)) {
        let mut text: Vec<char> = PAPER.chars().collect();
        for (at, length, new) in edits {
            let at = at.index(text.len());
            text.splice(at..(at + length).min(text.len()), new.chars());
        }
        is_sound(&text.into_iter().collect::<String>());
    }

    #[test]
    fn how_a_file_is_written_does_not_matter(sweep in sweep(), style in any::<u64>()) {
        let plain = good(&sweep.write(0));
        prop_assert_eq!(plain.arms.len(), sweep.arms.len());
        prop_assert_eq!(plain, good(&sweep.write(style)));
    }
}

#[test]
fn the_file_of_all_shapes_is_good() {
    assert_eq!(
        crate::grid::Grid::new(&good(SHAPES)).len(),
        2 * (3 + 2 * 3 + 2) - 3 + 2 * (2 * 2 + 2 + 2)
    );
}

/// Parameters and their values.
type Params = Vec<(String, Vec<Spelt>)>;

/// The content of a file.
#[derive(Clone, Debug)]
struct Sweep {
    common: Params,
    arms: Vec<(String, Params)>,
}

/// A value that can be written in several ways.
#[derive(Clone, Debug)]
enum Spelt {
    Float(f64),
    Int(i64),
    Text(String),
    Bool(bool),
}

fn sweep() -> impl Strategy<Value = Sweep> {
    let value = prop_oneof![
        prop::num::f64::NORMAL.prop_map(Spelt::Float),
        any::<i64>().prop_map(Spelt::Int),
        "[a-z]{0,3} ?[:#é\"'\\\\]?[a-z]{1,3}".prop_map(Spelt::Text),
        any::<bool>().prop_map(Spelt::Bool),
    ];
    let name = "[a-z][a-z0-9_]{0,6}";
    let params = move |least: usize| {
        prop::collection::btree_map(name, prop::collection::vec(value.clone(), 1..4), least..4)
            .prop_map(|params| {
                params
                    .into_iter()
                    .filter(|(name, _)| !name.starts_with("seed"))
                    .map(|(name, mut values)| {
                        let mut seen = std::collections::HashSet::new();
                        values.retain(|value| seen.insert(format!("{value:?}")));
                        (name, values)
                    })
                    .collect::<Vec<_>>()
            })
    };
    let arms = prop::collection::btree_map("[a-z][a-z0-9_-]{0,6}", params(0), 1..4);
    (params(1), arms).prop_map(|(mut common, arms)| {
        common.push(("always".to_owned(), vec![Spelt::Int(1)]));
        Sweep {
            common,
            arms: arms.into_iter().collect(),
        }
    })
}

impl Sweep {
    /// The file, in a style that the bits of a number choose; 0 quotes every key.
    fn write(&self, style: u64) -> String {
        let mut style = Style(style);
        let mut parts = vec![
            format!("{}: {}\n", style.key("name"), style.text("t")),
            format!(
                "{}: [w, {}]\n",
                style.key("worker"),
                style.text("two words")
            ),
            format!(
                "{}: {{\"name\": {}, goal: minimize}}\n",
                style.key("metric"),
                style.text("loss")
            ),
            format!(
                "seeds: {}\n",
                [
                    "{tune: 2, final: 3}",
                    "{final: [1000, 1001, 1002], tune: [0, 1]}",
                    "\n  tune: 2\n  final: 3"
                ][style.take(3)]
            ),
            format!("parameters:{}", style.parameters(&self.common, 2)),
        ];
        let mut arms = "arms:\n".to_owned();
        for (name, params) in &self.arms {
            arms.push_str(&format!(
                "  {}:\n    label: {}\n",
                style.key(name),
                style.text(name)
            ));
            if !params.is_empty() {
                arms.push_str(&format!("    parameters:{}", style.parameters(params, 6)));
            }
        }
        parts.push(arms);
        for index in 0..parts.len() {
            let other = style.take(parts.len());
            parts.swap(index, other);
        }
        let mut file = parts.concat();
        if style.take(2) == 1 {
            file = format!("---\n# a comment\n\n{file}# the end\n...\n");
        }
        if style.take(2) == 1 {
            file = format!("\u{feff}{}", file.replace('\n', "\r\n"));
        }
        file
    }
}

struct Style(u64);

impl Style {
    /// A choice from a number of possibilities.
    fn take(&mut self, choices: usize) -> usize {
        let choice = (self.0 % choices as u64) as usize;
        self.0 = (self.0 / choices as u64)
            .rotate_left(17)
            .wrapping_mul(if self.0 == 0 {
                0
            } else {
                0x9e37_79b9_7f4a_7c15
            });
        choice
    }

    fn key(&mut self, key: &str) -> String {
        [
            format!("\"{key}\""),
            key.to_owned(),
            format!("'{key}'"),
            format!("\"{key}\" "),
        ][self.take(4)]
        .clone()
    }

    fn text(&mut self, text: &str) -> String {
        let double = serde_json::Value::from(text).to_string();
        let single = format!("'{}'", text.replace('\'', "''"));
        // Without quotes only if no character has a meaning in YAML.
        let plain =
            if text.len() > 4 && text.bytes().all(|b| b.is_ascii_lowercase()) && text != "false" {
                text.to_owned()
            } else {
                double.clone()
            };
        [double, single, plain][self.take(3)].clone()
    }

    fn value(&mut self, value: &Spelt) -> String {
        match value {
            Spelt::Float(x) => [
                format!("{x:?}"),
                format!("{x:e}"),
                format!("{x:?}").replace('e', "E"),
            ][self.take(3)]
            .clone(),
            Spelt::Int(x) => [
                x.to_string(),
                if *x >= 0 {
                    format!("+{x}")
                } else {
                    x.to_string()
                },
            ][self.take(2)]
            .clone(),
            Spelt::Text(text) => self.text(text),
            Spelt::Bool(true) => ["true", "True", "TRUE"][self.take(3)].to_owned(),
            Spelt::Bool(false) => ["false", "False", "FALSE"][self.take(3)].to_owned(),
        }
    }

    fn parameters(&mut self, params: &[(String, Vec<Spelt>)], indent: usize) -> String {
        let flow = self.take(2) == 0;
        let pad = " ".repeat(indent);
        let mut out = String::new();
        for (index, (name, values)) in params.iter().enumerate() {
            let name = self.key(name);
            let spelt: Vec<String> = values.iter().map(|value| self.value(value)).collect();
            let block = !flow && self.take(2) == 1;
            let values = if block {
                let items: String = spelt
                    .iter()
                    .map(|value| format!("\n{pad}    - {value}  # one"))
                    .collect();
                format!("\n{pad}  values:{items}")
            } else if spelt.len() == 1 && self.take(2) == 1 {
                format!(" {{value: {}}}", spelt[0])
            } else {
                format!(
                    " {{\"values\": [{}]}}",
                    spelt.join([", ", " , ", ",\n            "][self.take(3)])
                )
            };
            match flow {
                true => out.push_str(&format!(
                    "{}{name}:{values}",
                    if index == 0 { " {" } else { ", " }
                )),
                false => out.push_str(&format!("\n{pad}{name}:{values}")),
            }
        }
        out.push_str(if flow { "}\n" } else { "\n" });
        out
    }
}

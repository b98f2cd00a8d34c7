//! What of a trial reaches its program: its hyper-parameters and its seed, by the command line or
//! by variables of the sweep file's. A program that gets neither does the same in every trial,
//! which the results do not tell.

use super::command::{CONFIG_FILE, Piece, Program, Word};
use super::model::Spec;
use super::task::Task;

/// What reaches a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    /// Its hyper-parameters.
    pub parameters: bool,
    /// Its seed.
    pub seed: bool,
}

impl Handover {
    /// By the words of its command line, and by what the sweep file says under `env`.
    pub fn of(program: &Program, env: &[(String, Vec<Piece>)]) -> Self {
        let seed_is_placed = program.pieces().any(|piece| *piece == Piece::Seed);
        let of_word = |word: &Word| match word {
            Word::Args(_) => Self {
                parameters: true,
                seed: !seed_is_placed,
            },
            Word::Text(pieces) => Self::of_pieces(pieces),
        };
        let words = program.words.iter().map(of_word);
        words
            .chain(env.iter().map(|(_, pieces)| Self::of_pieces(pieces)))
            .fold(Self::default(), Self::or)
    }

    /// By a text that names the variables which every program finds: a script, or what a shell is
    /// to do.
    pub fn of_text(text: &str) -> Self {
        Self {
            parameters: text.contains("PENTAGRID_CONFIG"),
            seed: text.contains("PENTAGRID_SEED"),
        }
    }

    /// By either.
    pub fn or(self, other: Self) -> Self {
        Self {
            parameters: self.parameters || other.parameters,
            seed: self.seed || other.seed,
        }
    }

    fn of_pieces(pieces: &[Piece]) -> Self {
        let in_folder = pieces.windows(2).any(|pair| {
            matches!(pair, [Piece::Dir, Piece::Plain(text)] if text.strip_prefix('/').is_some_and(|file| file.starts_with(CONFIG_FILE)))
        });
        let of_piece = |piece: &Piece| match piece {
            Piece::Seed => Self {
                parameters: false,
                seed: true,
            },
            Piece::ArgsJson | Piece::ArgsJsonFile => Self {
                parameters: true,
                seed: false,
            },
            Piece::Plain(text) => Self::of_text(text),
            Piece::Trial | Piece::Dir | Piece::Variable(_) | Piece::Interpreter => Self::default(),
        };
        pieces.iter().map(of_piece).fold(
            Self {
                parameters: in_folder,
                seed: false,
            },
            Self::or,
        )
    }

    /// What to tell the user of it, if anything is missing. One seed needs no handing over.
    pub fn warning(self, spec: &Spec) -> Option<&'static str> {
        if !matches!(spec.task, Task::Program(_)) {
            return None;
        }
        let several_seeds = spec.seeds.tune.len() + spec.seeds.final_.len() > 1;
        match (self.parameters, self.seed || !several_seeds) {
            (true, true) => None,
            (false, _) if !self.seed && several_seeds => Some(
                "neither parameters nor seed reach the program by its command line: unless it reads PENTAGRID_CONFIG and \
                 PENTAGRID_SEED, all trials do the same; add \"${args}\" to `command`",
            ),
            (false, _) => Some(
                "the parameters do not reach the program by its command line: unless it reads PENTAGRID_CONFIG, all points do the \
                 same; add \"${args}\" to `command`",
            ),
            (true, false) => Some(
                "the seed does not reach the program by its command line: unless it reads PENTAGRID_SEED, all seeds give the same; \
                 add \"${seed}\" to `command`",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a sweep file with this head.
    fn told(head: &str, seeds: &str) -> &'static str {
        let text = format!(
            "name: n\n{head}\nmetric: {{name: loss, goal: minimize}}\nseeds: {seeds}\nparameters: {{lr: {{values: [1, 2]}}}}\n"
        );
        let spec = crate::spec::read(&text, "t.yaml").unwrap_or_else(|error| panic!("{error}"));
        let Task::Program(program) = &spec.task else {
            return "no program";
        };
        let warning = Handover::of(program, &spec.env)
            .warning(&spec)
            .unwrap_or("fine");
        warning.split(" reach").next().unwrap()
    }

    #[test]
    fn what_does_not_reach_a_program_is_told() {
        let cases = [
            ("program: t.py", "fine"),
            (
                "command: [python3, t.py, -c, base.yaml]",
                "neither parameters nor seed",
            ),
            ("command: [python3, t.py, \"${args}\"]", "fine"),
            (
                "command: [python3, t.py, \"${args_no_hyphens}\", --seed, \"${seed}\"]",
                "fine",
            ),
            (
                "command: [python3, t.py, --seed, \"${seed}\"]",
                "the parameters do not",
            ),
            (
                "command: [python3, t.py, \"${args_json}\"]",
                "the seed does not",
            ),
            (
                "command: [python3, t.py, \"--config=${args_json_file}\", \"${seed}\"]",
                "fine",
            ),
            (
                "command: [python3, t.py, \"${dir}/config.json\", \"${seed}\"]",
                "fine",
            ),
            (
                "command: [python3, t.py, --out, \"${dir}/${trial}\"]",
                "neither parameters nor seed",
            ),
            (
                "command: [sh, -c, 'python3 t.py $PENTAGRID_CONFIG $PENTAGRID_SEED']",
                "fine",
            ),
            (
                "command: [sh, -c, 'python3 t.py $PENTAGRID_CONFIG']",
                "the seed does not",
            ),
            (
                "command: [sh, -c, 'python3 t.py --seed $PENTAGRID_SEED']",
                "the parameters do not",
            ),
            (
                "command: [python3, t.py]\nenv: {CONFIG: \"${args_json}\", SEED: \"${seed}\"}",
                "fine",
            ),
            (
                "command: [python3, t.py]\nenv: {SEED: \"${seed}\"}",
                "the parameters do not",
            ),
            (
                "command: [python3, t.py]\nenv: {DATA: /data}",
                "neither parameters nor seed",
            ),
            ("worker: [w]", "no program"),
        ];
        for (head, expected) in cases {
            let found = told(head, "{tune: 2, final: 0}");
            assert_eq!(found, expected, "{head}");
        }
    }

    #[test]
    fn one_seed_needs_no_handing_over() {
        assert_eq!(
            told("command: [t, \"${args_json}\"]", "{tune: 1, final: 0}"),
            "fine"
        );
        assert_eq!(
            told("command: [t, \"${args_json}\"]", "{tune: 1, final: 1}"),
            "the seed does not"
        );
        assert_eq!(
            told("command: [t]", "{tune: 1, final: 0}"),
            "the parameters do not"
        );
    }
}

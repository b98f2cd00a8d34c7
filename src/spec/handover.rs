//! What a trial's program receives: the hyper-parameters and the seed, on the command line or in
//! environment variables of the sweep file. A program that receives neither does the same in every
//! trial, which the results do not show.

use super::command::{CONFIG_FILE, Piece, Program, Word};
use super::model::{MetricsSource, Spec};
use super::task::Task;

/// What a program receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    /// Whether it receives its hyper-parameters.
    pub parameters: bool,
    /// Whether it receives its seed.
    pub seed: bool,
    /// What a shell keeps of the command line to itself.
    pub kept: Option<KeptByShell>,
}

/// Words of a command line that `sh -c TEXT` does not hand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptByShell {
    /// All that follow the text, which names none of them.
    All,
    /// The first one, which is `$0`.
    First,
}

impl Handover {
    /// What a program receives by the words of its command line and by `env`.
    pub fn of(program: &Program, env: &[(String, Vec<Piece>)]) -> Self {
        let seed_is_placed = program.pieces().any(|piece| *piece == Piece::Seed);

        let kept = kept_by_shell(&program.words);
        let received = match kept {
            Some((text, _)) => &program.words[..=text],
            None => &program.words[..],
        };
        let mut handover = Self {
            kept: kept.map(|(_, kept)| kept),
            ..Self::default()
        };
        for word in received {
            handover = handover.or(match word {
                Word::Args(_) => Self {
                    parameters: true,
                    seed: !seed_is_placed,
                    ..Self::default()
                },
                Word::Text(pieces) => Self::of_pieces(pieces),
            });
        }
        for (_, pieces) in env {
            handover = handover.or(Self::of_pieces(pieces));
        }
        handover
    }

    /// What is received by a text that names the variables of every program: a script, or a line
    /// that a shell runs.
    pub fn of_text(text: &str) -> Self {
        Self {
            parameters: text.contains("PENTAGRID_CONFIG"),
            seed: text.contains("PENTAGRID_SEED"),
            kept: None,
        }
    }

    /// What is received in `wandb.config`, which holds the hyper-parameters and the seed.
    pub fn of_sources(sources: &[MetricsSource]) -> Self {
        let has_config = sources.contains(&MetricsSource::Wandb);
        Self {
            parameters: has_config,
            seed: has_config,
            kept: None,
        }
    }

    /// What is received in either way.
    pub fn or(self, other: Self) -> Self {
        Self {
            parameters: self.parameters || other.parameters,
            seed: self.seed || other.seed,
            kept: self.kept.or(other.kept),
        }
    }

    fn of_pieces(pieces: &[Piece]) -> Self {
        let handover = Self {
            parameters: names_config_file(pieces),
            ..Self::default()
        };
        pieces.iter().map(Self::of_piece).fold(handover, Self::or)
    }

    fn of_piece(piece: &Piece) -> Self {
        match piece {
            Piece::Seed => Self {
                seed: true,
                ..Self::default()
            },
            Piece::ArgsJson | Piece::ArgsJsonFile | Piece::Parameter(_) => Self {
                parameters: true,
                ..Self::default()
            },
            Piece::Plain(text) => Self::of_text(text),
            Piece::Trial | Piece::Dir | Piece::Variable(_) | Piece::Interpreter => Self::default(),
        }
    }

    /// Returns a warning if something is missing. A single seed need not be received.
    pub fn warning(self, spec: &Spec) -> Option<&'static str> {
        if !matches!(spec.task, Task::Program(_)) {
            return None;
        }
        let has_several_seeds = spec.seeds.tune.len() + spec.seeds.final_.len() > 1;
        let lacks_seed = has_several_seeds && !self.seed;

        match (self.parameters, lacks_seed) {
            (true, false) => None,
            _ if self.kept == Some(KeptByShell::All) => Some(
                "what follows the text of `sh -c` in `command` reaches no program, since the text names neither \"$@\" nor $1: \
                 unless the program reads PENTAGRID_CONFIG and PENTAGRID_SEED, trials do the same; write \"$@\" behind the program in \
                 the text",
            ),
            _ if self.kept == Some(KeptByShell::First) => Some(
                "the first word behind the text of `sh -c` in `command` is $0 of the shell, and not in \"$@\": unless the program reads \
                 PENTAGRID_CONFIG and PENTAGRID_SEED, it lacks an argument; write the word `sh` between the text and the arguments",
            ),
            (false, true) => Some(
                "neither parameters nor seed reach the program by its command line: unless it reads PENTAGRID_CONFIG and \
                 PENTAGRID_SEED, all trials do the same; add \"${args}\" to `command`",
            ),
            (false, false) => Some(
                "the parameters do not reach the program by its command line: unless it reads PENTAGRID_CONFIG, all points do the \
                 same; add \"${args}\" to `command`",
            ),
            (true, true) => Some(
                "the seed does not reach the program by its command line: unless it reads PENTAGRID_SEED, all seeds give the same; \
                 add \"${seed}\" to `command`",
            ),
        }
    }
}

/// Whether a text names the file of hyper-parameters in the trial's folder.
fn names_config_file(pieces: &[Piece]) -> bool {
    pieces.windows(2).any(|pair| {
        let [Piece::Dir, Piece::Plain(text)] = pair else {
            return false;
        };
        text.strip_prefix('/')
            .is_some_and(|file| file.starts_with(CONFIG_FILE))
    })
}

/// Whether a shell on the command line keeps words to itself: the place of its text, and which.
fn kept_by_shell(words: &[Word]) -> Option<(usize, KeptByShell)> {
    let is_shell = |word: &Word| {
        plain(word).is_some_and(|word| {
            let name = word.rsplit('/').next().unwrap_or_default();
            ["sh", "bash", "dash", "zsh", "ksh"].contains(&name)
        })
    };
    let shell = words.iter().position(is_shell)?;

    // `-c`, also among other options: `-ec`, `-l -c`.
    let options = words[shell + 1..]
        .iter()
        .map_while(|word| plain(word).filter(|word| word.starts_with('-')));
    let place = options
        .enumerate()
        .find(|(_, option)| !option.starts_with("--") && option.ends_with('c'));
    let text = shell + 1 + place?.0 + 1;
    let Word::Text(pieces) = words.get(text)? else {
        return None;
    };
    let following = words.get(text + 1)?;

    let names = |sign: fn(char) -> bool| {
        pieces.iter().any(|piece| match piece {
            Piece::Plain(text) => names_argument(text, sign),
            _ => false,
        })
    };
    if !names(|sign| sign == '@' || sign == '*' || ('1'..='9').contains(&sign)) {
        // `$0` alone takes one word.
        let is_first = names(|sign| sign == '0') && words.len() == text + 2;
        return (!is_first).then_some((text, KeptByShell::All));
    }
    let is_lost = plain(following).is_none() && !names(|sign| sign == '0');
    is_lost.then_some((text, KeptByShell::First))
}

/// Whether a shell's text names one of its arguments by such a sign: `$@`, `${@}`, `$1`.
fn names_argument(text: &str, sign: fn(char) -> bool) -> bool {
    text.match_indices('$').any(|(at, _)| {
        let rest = &text[at + 1..];
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.starts_with(sign)
    })
}

/// The text of a word that is the same for all trials.
fn plain(word: &Word) -> Option<&str> {
    match word {
        Word::Text(pieces) => match pieces.as_slice() {
            [Piece::Plain(text)] => Some(text),
            _ => None,
        },
        Word::Args(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The warning for a sweep file that begins like this.
    fn warning(head: &str, seeds: &str) -> &'static str {
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
        warning.split(" reach").next().unwrap().trim()
    }

    #[test]
    fn a_program_that_lacks_something_gets_a_warning() {
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
            (
                "command: [sh, -c, 'python3 t.py', x, \"${args}\"]",
                "what follows the text of `sh -c` in `command`",
            ),
            (
                "command: [/bin/bash, -e, -uc, 'python3 t.py $HOME', \"${args}\"]",
                "what follows the text of `sh -c` in `command`",
            ),
            (
                "command: [sh, -c, 'python3 t.py \"$@\"', x, \"${args}\"]",
                "fine",
            ),
            (
                "command: [sh, -c, 'python3 t.py $1 $2', x, \"${args}\"]",
                "fine",
            ),
            (
                "command: [sh, -c, 'python3 t.py \"$@\"', \"${args}\"]",
                "the first word behind the text of `sh -c` in `command` is $0 of the shell, and not in \"$@\": unless the program reads PENTAGRID_CONFIG and PENTAGRID_SEED, it lacks an argument; write the word `sh` between the text and the arguments",
            ),
            (
                "command: [sh, -c, 'python3 t.py \"$0\" \"$@\"', \"${args}\"]",
                "fine",
            ),
            ("command: [sh, run.sh, \"${args}\"]", "fine"),
            ("worker: [w]", "no program"),
        ];
        for (head, expected) in cases {
            let found = warning(head, "{tune: 2, final: 0}");
            assert_eq!(found, expected, "{head}");
        }
    }

    #[test]
    fn a_single_seed_need_not_be_received() {
        assert_eq!(
            warning("command: [t, \"${args_json}\"]", "{tune: 1, final: 0}"),
            "fine"
        );
        assert_eq!(
            warning("command: [t, \"${args_json}\"]", "{tune: 1, final: 1}"),
            "the seed does not"
        );
        assert_eq!(
            warning("command: [t]", "{tune: 1, final: 0}"),
            "the parameters do not"
        );
    }
}

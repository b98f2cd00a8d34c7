//! Workers behind a program that carries stdin and stdout to another place: ssh, kubectl exec, docker run. The environment and the
//! working folder travel with the command line.

use std::time::Duration;

use super::launcher::{CommandLine, Place, agent_words};
use crate::schedule::processes::MARK;
use crate::spec::CommandSpec;
use crate::spec::command::shell_quoted;

/// A worker that hears nothing of its coordinator for so long ends itself.
pub const SILENCE: Duration = Duration::from_secs(120);
/// Starts the words behind it in the folder that is its first word. POSIX, so that it works in the smallest container.
const IN_FOLDER: &str = "cd -- \"$0\" && exec env \"$@\"";

/// How such a program is called.
#[derive(Clone, Debug)]
pub struct Prefix {
    words: Vec<String>,
    /// Whether the other side's shell reads the command once more.
    quote: bool,
    agent: Option<String>,
    /// How long a worker may take to say hello.
    pub start: Option<Duration>,
    /// As for `Launcher::silence`.
    pub silence: Duration,
}

impl Prefix {
    /// As the sweep file says. `own` is where this program is, for an agent that has no place of its own.
    pub fn new(spec: &CommandSpec, own: &str, programs: bool) -> Self {
        let name = spec.prefix.first().map_or("", |first| first.rsplit('/').next().unwrap_or(first));
        Self {
            words: spec.prefix.clone(),
            // ssh joins its arguments into one line.
            quote: spec.quote.unwrap_or(name == "ssh"),
            // A program says nothing by itself: without an agent nobody would know how it ended.
            agent: spec.agent.clone().or_else(|| programs.then(|| own.to_owned())),
            start: spec.start,
            silence: spec.heartbeat.unwrap_or(SILENCE),
        }
    }

    /// Whether an agent stands beside what is started.
    pub fn has_agent(&self, program: bool) -> bool {
        program || self.agent.is_some()
    }

    /// The prefix, and behind it the worker's environment, folder and words.
    pub fn wrap(&self, line: CommandLine, place: Place<'_>) -> CommandLine {
        let mut words: Vec<String> = Vec::new();
        if let Some(folder) = &line.workdir {
            words.extend(["sh".to_owned(), "-c".to_owned(), IN_FOLDER.to_owned(), folder.display().to_string()]);
        } else {
            words.push("env".to_owned());
        }
        words.extend(line.environment.iter().map(|(name, value)| format!("{name}={value}")));
        if let Some(agent) = &self.agent {
            words.extend(agent_words(agent, self.silence, place));
            words.push("--".to_owned());
        }
        words.extend(line.command);
        if self.quote {
            words = words.iter().map(|word| shell_quoted(word)).collect();
        }
        let slot = place.slot.to_string();
        let prefix = self.words.iter().map(|word| word.replace("${slot}", &slot));
        CommandLine {
            command: prefix.chain(words).collect(),
            // By its mark what a killed coordinator left is found; on this side that is the prefix's own process.
            environment: [(MARK.to_owned(), place.mark.to_owned())].into(),
            without: Vec::new(),
            workdir: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(spec: &CommandSpec, program: bool) -> Vec<String> {
        let line = CommandLine {
            command: ["train it", "--lr=0.1", "$HOME"].map(str::to_owned).into(),
            environment: [("A".to_owned(), "x y".to_owned())].into(),
            without: Vec::new(),
            workdir: Some("/data/my sweep".into()),
        };
        let metrics = program.then_some(std::path::Path::new("/m"));
        let place = Place { slot: 3, worker: 7, mark: "/runs/a", metrics };
        let prefix = Prefix::new(spec, "/bin/pentagrid", program);
        let made = prefix.wrap(line, place);
        assert_eq!(made.environment, [(MARK.to_owned(), "/runs/a".to_owned())].into());
        made.command
    }

    #[test]
    fn what_ssh_joins_is_quoted_and_the_rest_is_not() {
        let spec = |words: &[&str]| CommandSpec {
            prefix: words.iter().map(|word| (*word).to_owned()).collect(),
            ..CommandSpec::default()
        };
        insta::assert_debug_snapshot!(wrapped(&spec(&["/usr/bin/ssh", "gpu${slot}"]), false), @r#"
[
    "/usr/bin/ssh",
    "gpu3",
    "sh",
    "-c",
    "'cd -- \"$0\" && exec env \"$@\"'",
    "'/data/my sweep'",
    "'A=x y'",
    "'train it'",
    "--lr=0.1",
    "'$HOME'",
]
"#);
        insta::assert_debug_snapshot!(wrapped(&spec(&["docker", "run", "-i", "image"]), true), @r#"
[
    "docker",
    "run",
    "-i",
    "image",
    "sh",
    "-c",
    "cd -- \"$0\" && exec env \"$@\"",
    "/data/my sweep",
    "A=x y",
    "/bin/pentagrid",
    "agent",
    "--silence",
    "120",
    "--run",
    "/runs/a",
    "--metrics",
    "/m",
    "--",
    "train it",
    "--lr=0.1",
    "$HOME",
]
"#);
    }
}

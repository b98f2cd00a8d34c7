//! Workers behind a program that carries stdin and stdout to another place: ssh, kubectl exec,
//! docker run. The environment and the working folder travel with the command line.

use std::collections::BTreeMap;
use std::time::Duration;

use super::launcher::{CommandLine, Hidden, Place, agent_words};
use crate::protocol::{ToAgent, encode_line};
use crate::shell::shell_quoted;
use crate::spec::CommandSpec;

/// A worker that hears nothing of its coordinator for so long ends itself.
pub const SILENCE: Duration = Duration::from_secs(120);
/// Starts the words behind it in the folder that is its first word. POSIX, so that it works in the
/// smallest container.
const IN_FOLDER: &str = "cd -- \"$0\" && exec env \"$@\"";
/// The same, with variables that are the first lines of its stdin (`lines_for_shell`). A shell
/// reads no further than the line's end.
const IN_FOLDER_WITH_SECRETS: &str = "cd -- \"$0\" && while IFS= read -r _pg && [ -n \"$_pg\" ]; do \
    _pgv=$(printf '%b.' \"${_pg#*=}\"); export \"${_pg%%=*}=${_pgv%.}\"; done && unset _pg _pgv && exec env \"$@\"";

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
    /// As the sweep file says. `own` is where this program is, for an agent that has no place of
    /// its own.
    pub fn new(spec: &CommandSpec, own: &str, programs: bool) -> Self {
        let name = spec
            .prefix
            .first()
            .map_or("", |first| first.rsplit('/').next().unwrap_or(first));
        Self {
            words: spec.prefix.clone(),
            // ssh joins its arguments into one line.
            quote: spec.quote.unwrap_or(name == "ssh"),
            // A program says nothing by itself: without an agent nobody would know how it ended.
            agent: spec
                .agent
                .clone()
                .or_else(|| programs.then(|| own.to_owned())),
            start: spec.start,
            silence: spec.heartbeat.unwrap_or(SILENCE),
        }
    }

    /// The words of the prefix, as the sweep file has them.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether an agent stands beside what is started.
    pub fn has_agent(&self, program: bool) -> bool {
        program || self.agent.is_some()
    }

    /// The prefix, and behind it the worker's environment, folder and words.
    ///
    /// What may be a secret goes over its stdin: command lines are shown by `ps`, and printed by
    /// some prefixes.
    pub fn wrap(&self, mut line: CommandLine, place: Place<'_>) -> CommandLine {
        let secret_words = line.take_secret_words();
        let is_secret = |name: &String| line.secret.contains(name);
        let (secret, open): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut line.environment)
                .into_iter()
                .partition(|(name, _)| is_secret(name));
        let secrets = !secret.is_empty() || !secret_words.is_empty();
        let script = if secrets && self.agent.is_none() {
            IN_FOLDER_WITH_SECRETS
        } else {
            IN_FOLDER
        };
        let folder = line
            .workdir
            .as_ref()
            .map_or(".".to_owned(), |folder| folder.display().to_string());
        let mut words = vec!["sh".to_owned(), "-c".to_owned(), script.to_owned(), folder];
        words.extend(open.iter().map(|(name, value)| format!("{name}={value}")));
        let first_lines = match &self.agent {
            Some(agent) => {
                words.extend(agent_words(agent, self.silence, place, secrets));
                words.push("--".to_owned());
                if secrets {
                    encode_line(&ToAgent::Secrets {
                        environment: secret,
                        words: secret_words,
                    })
                } else {
                    String::new()
                }
            }
            None if secrets => lines_for_shell(&secret),
            None => String::new(),
        };
        words.extend(line.command);
        if self.quote {
            words = words.iter().map(|word| shell_quoted(word)).collect();
        }
        let slot = place.slot.to_string();
        let prefix = self.words.iter().map(|word| word.replace("${slot}", &slot));
        CommandLine {
            command: prefix.chain(words).collect(),
            // By its mark what a killed coordinator left is found; on this side that is the
            // prefix's own process.
            environment: place.mark.variables().into(),
            first_lines: Hidden(first_lines),
            ..CommandLine::default()
        }
    }
}

/// Variables as `IN_FOLDER_WITH_SECRETS` reads them: a line each, in the escapes of `printf %b`,
/// and an empty line.
fn lines_for_shell(variables: &BTreeMap<String, String>) -> String {
    let escaped = |value: &str| value.replace('\\', "\\0134").replace('\n', "\\0012");
    let line = |(name, value): (&String, &String)| format!("{name}={}\n", escaped(value));
    variables
        .iter()
        .map(line)
        .chain(["\n".to_owned()])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::processes::Mark;

    fn wrapped(spec: &CommandSpec, program: bool) -> Vec<String> {
        let line = CommandLine {
            command: ["train it", "--lr=0.1", "$HOME"].map(str::to_owned).into(),
            environment: [("A".to_owned(), "x y".to_owned())].into(),
            workdir: Some("/data/my sweep".into()),
            ..CommandLine::default()
        };
        let metrics = program.then_some(std::path::Path::new("/m"));
        let mark = Mark {
            dir: "/runs/a".to_owned(),
            id: "f00d".to_owned(),
            legacy: false,
        };
        let place = Place {
            slot: 3,
            worker: 7,
            mark: &mark,
            metrics,
        };
        let prefix = Prefix::new(spec, "/bin/pentagrid", program);
        let made = prefix.wrap(line, place);
        assert_eq!(made.environment, mark.variables().into());
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

    /// What a prefix starts that hands its words over as they are, given the lines on its stdin.
    fn started(words: &[String], first_lines: &str, rest: &str) -> String {
        use std::io::Write;
        let mut child = std::process::Command::new(&words[0])
            .args(&words[1..])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all((first_lines.to_owned() + rest).as_bytes())
            .unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn secrets_come_by_stdin_and_not_by_the_command_line() {
        let value = "it's \"a\" $HOME `b` \\n \\ and\ntwo lines\n";
        let line = CommandLine {
            command: ["sh", "-c", "printf '%s|' \"$KEY\" \"$A\" \"$EMPTY\"; cat"]
                .map(str::to_owned)
                .into(),
            environment: [("KEY", value), ("A", "x y"), ("EMPTY", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            workdir: Some("/".into()),
            secret: vec!["KEY".to_owned(), "EMPTY".to_owned()],
            ..CommandLine::default()
        };
        let spec = CommandSpec {
            prefix: vec!["env".to_owned()],
            ..CommandSpec::default()
        };
        let mark = Mark {
            dir: "/r".to_owned(),
            id: "f00d".to_owned(),
            legacy: false,
        };
        let place = Place {
            slot: 0,
            worker: 1,
            mark: &mark,
            metrics: None,
        };
        let made = Prefix::new(&spec, "/bin/pentagrid", false).wrap(line.clone(), place);
        assert!(!format!("{made:?}").contains("it's"), "{made:?}");
        assert_eq!(
            started(&made.command, &made.first_lines.0, "and the worker's\n"),
            format!("{value}|x y||and the worker's\n")
        );
        let spec = CommandSpec {
            agent: Some("/bin/agent".to_owned()),
            ..spec
        };
        let line = CommandLine {
            secret_words: vec![2],
            ..line
        };
        let made = Prefix::new(&spec, "/bin/pentagrid", true).wrap(line, place);
        assert_eq!(
            made.command[5..],
            [
                "A=x y",
                "/bin/agent",
                "agent",
                "--silence",
                "120",
                "--run",
                "/r",
                "--secrets",
                "--",
                "sh",
                "-c",
                "${secret}"
            ]
        );
        assert!(
            made.first_lines.0.starts_with("{\"agent\":\"secrets\","),
            "{}",
            made.first_lines.0
        );
    }
}

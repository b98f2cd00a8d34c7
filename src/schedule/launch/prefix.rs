//! Workers behind a program that forwards stdin and stdout: ssh, kubectl exec, docker run. The
//! environment and the working folder are part of the command line.

use std::collections::BTreeMap;
use std::time::Duration;

use super::command_line::{CommandLine, Hidden, Place, agent_words};
use crate::protocol::{ToAgent, encode_line};
use crate::shell::shell_quoted;
use crate::spec::CommandSpec;

/// How long the coordinator may be silent before a worker ends itself, unless the sweep file says
/// otherwise.
pub(super) const DEFAULT_SILENCE: Duration = Duration::from_secs(120);
/// Shell script that enters the folder in its first word and starts the words behind it. It is
/// POSIX, so that it works in the smallest container.
const IN_FOLDER: &str = "cd -- \"$0\" && exec env \"$@\"";
/// The same, with variables from the first lines of stdin (`lines_for_shell`). A shell reads no
/// further than the end of a line.
const IN_FOLDER_WITH_SECRETS: &str = "cd -- \"$0\" && while IFS= read -r _pg && [ -n \"$_pg\" ]; do \
    _pgv=$(printf '%b.' \"${_pg#*=}\"); export \"${_pg%%=*}=${_pgv%.}\"; done && unset _pg _pgv && exec env \"$@\"";

/// How such a program is called.
#[derive(Clone, Debug)]
pub struct Prefix {
    words: Vec<String>,
    /// Whether a shell on the other side parses the command again.
    quote: bool,
    agent: Option<String>,
    /// How long a worker may take to say hello.
    pub start: Option<Duration>,
    /// As for `Launcher::silence`.
    pub silence: Duration,
}

impl Prefix {
    /// The launcher that the sweep file describes. `own` is the path of this program, for an agent
    /// whose path is not given.
    pub fn new(spec: &CommandSpec, own: &str, programs: bool) -> Self {
        let name = spec
            .prefix
            .first()
            .map_or("", |first| first.rsplit('/').next().unwrap_or(first));
        Self {
            words: spec.prefix.clone(),
            // ssh joins its arguments into one line.
            quote: spec.quote.unwrap_or(name == "ssh"),
            // Without an agent it would not be known how a program ended.
            agent: spec
                .agent
                .clone()
                .or_else(|| programs.then(|| own.to_owned())),
            start: spec.start,
            silence: spec.heartbeat.unwrap_or(DEFAULT_SILENCE),
        }
    }

    /// The words of the prefix, as in the sweep file.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether an agent runs beside the process.
    pub fn has_agent(&self, program: bool) -> bool {
        program || self.agent.is_some()
    }

    /// Returns the prefix, and behind it the worker's environment, folder and command line.
    ///
    /// Values that may be secrets go over its stdin: `ps` shows command lines, and some prefixes
    /// print them.
    pub fn wrap(&self, mut line: CommandLine, place: Place<'_>) -> CommandLine {
        let secret_words = line.take_secret_words();
        let (secret, open): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut line.environment)
                .into_iter()
                .partition(|(name, _)| line.secret.contains(name));
        let has_secrets = !secret.is_empty() || !secret_words.is_empty();
        let script = if has_secrets && self.agent.is_none() {
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
                words.extend(agent_words(agent, self.silence, place, has_secrets));
                words.push("--".to_owned());
                if has_secrets {
                    encode_line(&ToAgent::Secrets {
                        environment: secret,
                        words: secret_words,
                    })
                } else {
                    String::new()
                }
            }
            None if has_secrets => lines_for_shell(&secret),
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
            // What a killed coordinator left running is found by its mark; on this machine that is
            // the prefix's own process.
            environment: place.mark.variables().into(),
            first_lines: Hidden(first_lines),
            ..CommandLine::default()
        }
    }
}

/// Formats variables for `IN_FOLDER_WITH_SECRETS`: a line each, with the escapes of `printf %b`,
/// and an empty line.
fn lines_for_shell(variables: &BTreeMap<String, String>) -> String {
    let mut lines = String::new();
    for (name, value) in variables {
        let escaped = value.replace('\\', "\\0134").replace('\n', "\\0012");
        lines += &format!("{name}={escaped}\n");
    }
    lines + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::WorkerId;
    use crate::schedule::run_mark::Mark;
    use crate::schedule::slot_index::SlotIndex;

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
            slot: SlotIndex(3),
            worker: WorkerId(7),
            mark: &mark,
            metrics,
        };
        let prefix = Prefix::new(spec, "/bin/pentagrid", program);
        let made = prefix.wrap(line, place);
        assert_eq!(made.environment, mark.variables().into());
        made.command
    }

    #[test]
    fn words_are_quoted_for_ssh_only() {
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

    /// The output of a prefix that starts its words unchanged, with these lines on its stdin.
    fn output_of(words: &[String], first_lines: &str, rest: &str) -> String {
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
    fn secrets_are_on_stdin_and_not_on_the_command_line() {
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
            slot: SlotIndex(0),
            worker: WorkerId(1),
            mark: &mark,
            metrics: None,
        };
        let made = Prefix::new(&spec, "/bin/pentagrid", false).wrap(line.clone(), place);
        assert!(!format!("{made:?}").contains("it's"), "{made:?}");
        assert_eq!(
            output_of(&made.command, &made.first_lines.0, "and the worker's\n"),
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

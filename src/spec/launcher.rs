//! The `launcher` block: how workers and trials' programs are started. It changes no result, so
//! that it is no part of any id, and a sweep may go on with another one.

use std::time::Duration;

use super::keys;
use super::limits::duration;
use super::problem::{Finding, Problems, listed, quoted};
use super::seeds::whole;
use super::tree::{Entry, Fields, Kind, did_you_mean, fields};
use super::words;

const EXAMPLE: &str = "launcher: {kind: slurm, max_workers: 8, partition: gpu}";
const KINDS: [&str; 3] = ["local", "slurm", "command"];
/// More workers than that are a slip of the pen.
const MOST: u64 = 10_000;

/// How workers and trials' programs are started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LauncherSpec {
    /// As processes of this machine.
    #[default]
    Local,
    /// By `srun`.
    Slurm(SlurmSpec),
    /// By another program that carries stdin and stdout: `ssh`, `kubectl exec`, `docker run`.
    Command(CommandSpec),
}

/// What is asked of Slurm. What is None is left to Slurm, or found out when the sweep is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlurmSpec {
    /// The most workers at a time.
    pub max_workers: Option<u32>,
    /// Whether workers are steps of the allocation that pentagrid runs in, and not jobs of their
    /// own.
    pub steps: Option<bool>,
    /// The partition.
    pub partition: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// The time limit of each worker, as Slurm writes it.
    pub time: Option<String>,
    /// How many GPUs each worker gets.
    pub gpus: Option<u32>,
    /// How many CPUs each worker gets.
    pub cpus: Option<u32>,
    /// How much memory each worker gets, as Slurm writes it.
    pub mem: Option<String>,
    /// Further options of `srun`.
    pub args: Vec<String>,
    /// Where pentagrid is on the nodes.
    pub agent: Option<String>,
    /// A worker that hears nothing of its coordinator for so long ends itself.
    pub heartbeat: Option<Duration>,
}

/// How another program starts workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandSpec {
    /// The program and its arguments, before the worker's own.
    pub prefix: Vec<String>,
    /// How many workers.
    pub workers: Option<u32>,
    /// Whether the other side's shell reads the command once more, so that every word must be
    /// quoted.
    pub quote: Option<bool>,
    /// Where pentagrid is on the other side.
    pub agent: Option<String>,
    /// How long a worker may take to say hello.
    pub start: Option<Duration>,
    /// As for Slurm.
    pub heartbeat: Option<Duration>,
}

/// The keys that only one kind has.
const OF_SLURM: [&str; 10] = [
    "max_workers",
    "steps",
    "partition",
    "account",
    "qos",
    "time",
    "gpus",
    "cpus",
    "mem",
    "args",
];
const OF_COMMAND: [&str; 4] = ["prefix", "workers", "quote", "start"];

/// What the block says.
pub(super) fn read(entry: &Entry, problems: &mut Problems<'_>) -> LauncherSpec {
    let none = LauncherSpec::Local;
    let Some(parts) = fields(entry, "`launcher`", keys::LAUNCHER, EXAMPLE, problems) else {
        return none;
    };
    let Some(kind) = parts.get("kind") else {
        if parts.lacks("kind") {
            let finding = Finding::new(entry.key_span, "`launcher` lacks `kind`", "no `kind`");
            problems.add(finding.help(format!(
                "write for example `{EXAMPLE}`; {}",
                listed(&KINDS.map(quoted), "or")
            )));
        }
        return none;
    };
    let Some(written) = words::line(kind, usize::MAX, false, problems) else {
        return none;
    };
    let (own, others): (&[&str], Vec<&str>) = match &*written {
        "local" => (
            &[],
            [&OF_SLURM[..], &OF_COMMAND[..], &["agent", "heartbeat"]].concat(),
        ),
        "slurm" => (&OF_SLURM, OF_COMMAND.to_vec()),
        "command" => (&OF_COMMAND, OF_SLURM.to_vec()),
        _ => {
            let message = format!("unknown launcher {}", quoted(&written));
            let help = match &*written {
                "ssh" | "docker" | "kubectl" | "podman" | "apptainer" | "singularity" => {
                    format!(
                        "write `launcher: {{kind: command, prefix: [{written}, ...]}}` (docs/launchers.md)"
                    )
                }
                _ => did_you_mean(&written, &KINDS, "launchers"),
            };
            problems.add(Finding::new(kind.at(), message, "unknown launcher").help(help));
            return none;
        }
    };
    for other in others.into_iter().filter_map(|key| parts.get(key)) {
        let message = format!(
            "{} is no key of the launcher `{written}`",
            quoted(&other.key)
        );
        let known: Vec<String> = own.iter().map(|key| format!("`{key}`")).collect();
        let help = if own.is_empty() {
            "remove it".to_owned()
        } else {
            format!("its keys: {}", listed(&known, "and"))
        };
        problems.add(Finding::new(other.key_span, message, "of another launcher").help(help));
    }
    match &*written {
        "slurm" => LauncherSpec::Slurm(slurm(&parts, problems)),
        "command" => LauncherSpec::Command(command(entry, &parts, problems)),
        _ => none,
    }
}

fn slurm(parts: &Fields<'_>, problems: &mut Problems<'_>) -> SlurmSpec {
    SlurmSpec {
        max_workers: number(parts, "max_workers", 1, problems),
        steps: yes(parts, "steps", problems),
        partition: word(parts, "partition", problems),
        account: word(parts, "account", problems),
        qos: word(parts, "qos", problems),
        time: parts.get("time").and_then(|part| time(part, problems)),
        gpus: number(parts, "gpus", 0, problems),
        cpus: number(parts, "cpus", 1, problems),
        mem: word(parts, "mem", problems),
        args: parts
            .get("args")
            .and_then(|part| list(part, problems))
            .unwrap_or_default(),
        agent: word(parts, "agent", problems),
        heartbeat: parts
            .get("heartbeat")
            .and_then(|part| heartbeat(part, problems)),
    }
}

fn command(entry: &Entry, parts: &Fields<'_>, problems: &mut Problems<'_>) -> CommandSpec {
    const HELP: &str = "write `launcher: {kind: command, prefix: [ssh, host]}`: each word an item; there is no shell";
    let prefix = match parts.get("prefix") {
        Some(part) => list(part, problems).unwrap_or_default(),
        None if parts.lacks("prefix") => {
            let message = "the launcher `command` lacks `prefix`";
            problems.add(Finding::new(entry.key_span, message, "no `prefix`").help(HELP));
            Vec::new()
        }
        None => Vec::new(),
    };
    if let Some(part) = parts
        .get("prefix")
        .filter(|part| matches!(&part.value.kind, Kind::List(items) if items.is_empty()))
    {
        problems.add(Finding::new(part.at(), "`prefix` is empty", "no program").help(HELP));
    }
    CommandSpec {
        prefix,
        workers: number(parts, "workers", 1, problems),
        quote: yes(parts, "quote", problems),
        agent: word(parts, "agent", problems),
        start: parts.get("start").and_then(|part| duration(part, problems)),
        heartbeat: parts
            .get("heartbeat")
            .and_then(|part| heartbeat(part, problems)),
    }
}

fn word(parts: &Fields<'_>, key: &str, problems: &mut Problems<'_>) -> Option<String> {
    words::line(parts.get(key)?, 1000, false, problems)
}

fn number(parts: &Fields<'_>, key: &str, least: u64, problems: &mut Problems<'_>) -> Option<u32> {
    let part = parts.get(key)?;
    let refusal = match &part.value.kind {
        Kind::Scalar(scalar) => {
            let number = whole(scalar, part.at(), &quoted(key), problems)?;
            if (least..=MOST).contains(&number) {
                return u32::try_from(number).ok();
            }
            format!("must be from {least} to {MOST}, not {number}")
        }
        _ => format!("must be a whole number, not {}", part.value.describe()),
    };
    let finding = Finding::new(
        part.at(),
        format!("{} {refusal}", quoted(key)),
        "not a number of that kind",
    );
    problems.add(finding.help(format!("write for example `{EXAMPLE}`")));
    None
}

fn yes(parts: &Fields<'_>, key: &str, problems: &mut Problems<'_>) -> Option<bool> {
    let part = parts.get(key)?;
    match &part.value.kind {
        Kind::Scalar(scalar) if scalar.plain && matches!(&*scalar.text, "true" | "false") => {
            Some(&*scalar.text == "true")
        }
        _ => {
            let message = format!("{} must be true or false", quoted(key));
            problems.add(
                Finding::new(part.at(), message, "neither")
                    .help(format!("write `{key}: true` or `{key}: false`")),
            );
            None
        }
    }
}

fn list(part: &Entry, problems: &mut Problems<'_>) -> Option<Vec<String>> {
    let Kind::List(items) = &part.value.kind else {
        let message = format!(
            "{} must be a list of words, not {}",
            quoted(&part.key),
            part.value.describe()
        );
        let help = format!(
            "write each word as an item: `{}: [a, b]`; there is no shell",
            part.key
        );
        problems.add(Finding::new(part.at(), message, "not a list").help(help));
        return None;
    };
    let mut words = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match &item.kind {
            Kind::Scalar(scalar)
                if !scalar.is_null() && !scalar.text.is_empty() && !scalar.text.contains('\0') =>
            {
                words.push(scalar.text.to_string());
            }
            _ => {
                let message = format!(
                    "word {} of {} must be text, not {}",
                    index + 1,
                    quoted(&part.key),
                    item.describe()
                );
                problems.add(
                    Finding::new(item.span.or(part.key_span), message, "not a word")
                        .help("write a text"),
                );
            }
        }
    }
    (words.len() == items.len()).then_some(words)
}

/// A time limit: our durations, or Slurm's own way to write them. Slurm counts in minutes.
fn time(part: &Entry, problems: &mut Problems<'_>) -> Option<String> {
    if let Kind::Scalar(scalar) = &part.value.kind {
        let text = scalar.text.trim();
        let slurms = text.starts_with(|c: char| c.is_ascii_digit())
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || b":-".contains(&b))
            && text.ends_with(|c: char| c.is_ascii_digit());
        if slurms {
            return Some(text.to_owned());
        }
        if let Some(duration) = super::limits::parse(text).filter(|duration| !duration.is_zero()) {
            return Some(duration.as_secs().div_ceil(60).to_string());
        }
    }
    let finding = Finding::new(part.at(), "`time` must be a time limit", "not a time");
    problems.add(finding.help(
        "write it as `4h` or `1h30m`, or as Slurm has it: `4:00:00`, `2-00:00`, `90` (minutes)",
    ));
    None
}

fn heartbeat(part: &Entry, problems: &mut Problems<'_>) -> Option<Duration> {
    let found = duration(part, problems)?;
    if found < Duration::from_secs(3) {
        let finding = Finding::new(
            part.at(),
            "`heartbeat` must be 3 seconds or more",
            "too short",
        );
        problems.add(finding.help("write for example `heartbeat: 2m`, which is the default"));
        return None;
    }
    Some(found)
}

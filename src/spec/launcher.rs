//! The `launcher` block: how workers and programs are started. It changes no result, so it is no
//! part of any id, and a sweep can be resumed with another launcher.

use std::time::Duration;

use super::limits::{duration, parse_duration};
use super::model::{CommandSpec, LauncherSpec, SlurmSpec};
use super::problem::{Problems, listed, quoted};
use super::tree::{Entry, Fields, Kind, did_you_mean, fields};
use super::{free_text, keys, numbers};

const EXAMPLE: &str = "launcher: {kind: slurm, max_workers: 8, partition: gpu}";
const KINDS: [&str; 3] = ["local", "slurm", "command"];

/// Maximum number of workers, GPUs or CPUs. More are taken for a mistake.
const MAX_COUNT: u64 = 10_000;

/// Shortest heartbeat that is accepted.
const MIN_HEARTBEAT: Duration = Duration::from_secs(3);

/// The keys that only Slurm has.
const SLURM_KEYS: [&str; 10] = [
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

/// The keys that only the launcher `command` has.
const COMMAND_KEYS: [&str; 4] = ["prefix", "workers", "quote", "start"];

/// The keys that both have.
const REMOTE_KEYS: [&str; 2] = ["agent", "heartbeat"];

/// Reads the block.
pub(super) fn read(entry: &Entry, problems: &mut Problems<'_>) -> LauncherSpec {
    let Some(parts) = fields(entry, "`launcher`", keys::LAUNCHER, EXAMPLE, problems) else {
        return LauncherSpec::Local;
    };
    let Some(kind) = parts.get("kind") else {
        if parts.lacks("kind") {
            let kinds = listed(&KINDS.map(quoted), "or");
            problems.report(
                entry.key_span,
                "`launcher` lacks `kind`",
                "no `kind`",
                format!("write for example `{EXAMPLE}`; {kinds}"),
            );
        }
        return LauncherSpec::Local;
    };

    let Some(written) = free_text::line(kind, usize::MAX, false, problems) else {
        return LauncherSpec::Local;
    };

    match &*written {
        "local" => {
            let others = [&SLURM_KEYS[..], &COMMAND_KEYS, &REMOTE_KEYS].concat();
            refuse_keys(&parts, &written, &others, &[], problems);
            LauncherSpec::Local
        }
        "slurm" => {
            refuse_keys(&parts, &written, &COMMAND_KEYS, &SLURM_KEYS, problems);
            LauncherSpec::Slurm(slurm(&parts, problems))
        }
        "command" => {
            refuse_keys(&parts, &written, &SLURM_KEYS, &COMMAND_KEYS, problems);
            LauncherSpec::Command(command(entry, &parts, problems))
        }
        _ => {
            report_unknown_kind(kind, &written, problems);
            LauncherSpec::Local
        }
    }
}

/// Reports the keys of other launchers. `own` are those of this one.
fn refuse_keys(
    parts: &Fields<'_>,
    kind: &str,
    others: &[&str],
    own: &[&str],
    problems: &mut Problems<'_>,
) {
    for other in others.iter().filter_map(|key| parts.get(key)) {
        let help = if own.is_empty() {
            "remove it".to_owned()
        } else {
            let own: Vec<String> = own.iter().map(|key| format!("`{key}`")).collect();
            format!("its keys: {}", listed(&own, "and"))
        };

        let key = quoted(&other.key);
        let message = format!("{key} is no key of the launcher `{kind}`");
        problems.report(other.key_span, message, "of another launcher", help);
    }
}

fn report_unknown_kind(kind: &Entry, written: &str, problems: &mut Problems<'_>) {
    let help = match written {
        "ssh" | "docker" | "kubectl" | "podman" | "apptainer" | "singularity" => format!(
            "write `launcher: {{kind: command, prefix: [{written}, ...]}}` (docs/launchers.md)"
        ),
        _ => did_you_mean(written, &KINDS, "launchers"),
    };
    let message = format!("unknown launcher {}", quoted(written));
    problems.report(kind.at(), message, "unknown launcher", help);
}

fn slurm(parts: &Fields<'_>, problems: &mut Problems<'_>) -> SlurmSpec {
    SlurmSpec {
        max_workers: number(parts, "max_workers", 1, problems),
        steps: numbers::boolean(parts, "steps", problems),
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
        None => {
            if parts.lacks("prefix") {
                let message = "the launcher `command` lacks `prefix`";
                problems.report(entry.key_span, message, "no `prefix`", HELP);
            }
            Vec::new()
        }
    };
    if let Some(part) = parts.get("prefix")
        && matches!(&part.value.kind, Kind::List(items) if items.is_empty())
    {
        problems.report(part.at(), "`prefix` is empty", "no program", HELP);
    }

    CommandSpec {
        prefix,
        workers: number(parts, "workers", 1, problems),
        quote: numbers::boolean(parts, "quote", problems),
        agent: word(parts, "agent", problems),
        start: parts.get("start").and_then(|part| duration(part, problems)),
        heartbeat: parts
            .get("heartbeat")
            .and_then(|part| heartbeat(part, problems)),
    }
}

fn word(parts: &Fields<'_>, key: &str, problems: &mut Problems<'_>) -> Option<String> {
    free_text::line(parts.get(key)?, 1000, false, problems)
}

fn number(parts: &Fields<'_>, key: &str, least: u64, problems: &mut Problems<'_>) -> Option<u32> {
    numbers::in_range(
        parts.get(key)?,
        least..=MAX_COUNT,
        "not a number of that kind",
        format!("write for example `{EXAMPLE}`"),
        problems,
    )
}

fn list(part: &Entry, problems: &mut Problems<'_>) -> Option<Vec<String>> {
    let key = quoted(&part.key);
    let Kind::List(items) = &part.value.kind else {
        let found = part.value.describe();
        problems.report(
            part.at(),
            format!("{key} must be a list of words, not {found}"),
            "not a list",
            format!(
                "write each word as an item: `{}: [a, b]`; there is no shell",
                part.key
            ),
        );
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
                let number = index + 1;
                let found = item.describe();
                let message = format!("word {number} of {key} must be text, not {found}");
                let span = item.span.or(part.key_span);
                problems.report(span, message, "not a word", "write a text");
            }
        }
    }
    (words.len() == items.len()).then_some(words)
}

/// Reads a time limit for Slurm: one of our durations, which becomes minutes, or a time in Slurm's
/// own notation.
fn time(part: &Entry, problems: &mut Problems<'_>) -> Option<String> {
    if let Kind::Scalar(scalar) = &part.value.kind {
        let text = scalar.text.trim();
        if is_slurm_time(text) {
            return Some(text.to_owned());
        }
        if let Some(duration) = parse_duration(text).filter(|duration| !duration.is_zero()) {
            return Some(duration.as_secs().div_ceil(60).to_string());
        }
    }
    problems.report(
        part.at(),
        "`time` must be a time limit",
        "not a time",
        "write it as `4h` or `1h30m`, or as Slurm has it: `4:00:00`, `2-00:00`, `90` (minutes)",
    );
    None
}

fn is_slurm_time(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_digit())
        && text.ends_with(|letter: char| letter.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b":-".contains(&byte))
}

fn heartbeat(part: &Entry, problems: &mut Problems<'_>) -> Option<Duration> {
    let found = duration(part, problems)?;
    if found >= MIN_HEARTBEAT {
        return Some(found);
    }
    problems.report(
        part.at(),
        "`heartbeat` must be 3 seconds or more",
        "too short",
        "write for example `heartbeat: 2m`, which is the default",
    );
    None
}

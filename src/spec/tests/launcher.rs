//! Correct `launcher` blocks, and mistakes in them.

use std::time::Duration;

use super::{WORKER, each, good};
use crate::spec::{CommandSpec, LauncherSpec, SlurmSpec};

const X: &str = "parameters: {x: {values: [1, 2]}}\n";

fn file(launcher: &str) -> String {
    format!("{WORKER}{X}launcher: {launcher}\n")
}

#[test]
fn launchers_are_read() {
    let read = |launcher: &str| good(&file(launcher)).launcher;
    assert_eq!(good(&format!("{WORKER}{X}")).launcher, LauncherSpec::Local);
    assert_eq!(read("{kind: local}"), LauncherSpec::Local);
    assert_eq!(
        read("{kind: slurm}"),
        LauncherSpec::Slurm(SlurmSpec::default())
    );
    let all = "{kind: slurm, max_workers: 20, steps: false, partition: gpu, account: a1, qos: q, time: 1h30m, gpus: 0, cpus: 4, \
               mem: 8G, args: [--constraint=a100, -v], agent: /opt/pentagrid, heartbeat: 5m}";
    insta::assert_debug_snapshot!(read(all), @r#"
Slurm(
    SlurmSpec {
        max_workers: Some(
            20,
        ),
        steps: Some(
            false,
        ),
        partition: Some(
            "gpu",
        ),
        account: Some(
            "a1",
        ),
        qos: Some(
            "q",
        ),
        time: Some(
            "90",
        ),
        gpus: Some(
            0,
        ),
        cpus: Some(
            4,
        ),
        mem: Some(
            "8G",
        ),
        args: [
            "--constraint=a100",
            "-v",
        ],
        agent: Some(
            "/opt/pentagrid",
        ),
        heartbeat: Some(
            300s,
        ),
    },
)
"#);
    let time = |time: &str| match read(&format!("{{kind: slurm, time: {time}}}")) {
        LauncherSpec::Slurm(slurm) => slurm.time.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        ["4h", "90s", "90", "4:00:00", "2-00:00"].map(time),
        ["240", "2", "90", "4:00:00", "2-00:00"]
    );
    let command = CommandSpec {
        prefix: ["ssh", "-p", "22", "gpu${slot}"].map(str::to_owned).into(),
        workers: Some(4),
        quote: Some(false),
        agent: None,
        start: Some(Duration::from_secs(600)),
        heartbeat: None,
    };
    let written = "{kind: command, prefix: [ssh, -p, 22, 'gpu${slot}'], workers: 4, quote: false, start: 10m}";
    assert_eq!(read(written), LauncherSpec::Command(command));
}

#[test]
fn bad_launchers() {
    insta::assert_snapshot!(each(&[
        &file("slurm"),
        &file("{max_workers: 3}"),
        &file("{kind: slrum}"),
        &file("{kind: slurm, prefix: [ssh], max_worker: 3}"),
        &file("{kind: local, partition: gpu}"),
        &file("{kind: command}"),
        &file("{kind: command, prefix: []}"),
        &file("{kind: command, prefix: ssh host, quote: maybe}"),
        &file("{kind: slurm, max_workers: 0, gpus: -1, time: soon, heartbeat: 1s, args: [[1]]}"),
    ]), @r#"
sweep.yaml:
  × `launcher` must be a mapping, not a single value
   ╭─[sweep.yaml:6:11]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ launcher: slurm
   ·           ──┬──
   ·             ╰── expected a mapping
   ╰────
  help: write it as `launcher: {kind: slurm, max_workers: 8, partition: gpu}`

  × `launcher` lacks `kind`
   ╭─[sweep.yaml:6:1]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ launcher: {max_workers: 3}
   · ────┬───
   ·     ╰── no `kind`
   ╰────
  help: write for example `launcher: {kind: slurm, max_workers: 8, partition: gpu}`; `local`,
        `slurm` or `command`

  × unknown launcher `slrum`
   ╭─[sweep.yaml:6:18]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ launcher: {kind: slrum}
   ·                  ──┬──
   ·                    ╰── unknown launcher
   ╰────
  help: did you mean `slurm`? launchers: local, slurm and command

  × `prefix` is no key of the launcher `slurm`
   ╭─[sweep.yaml:6:25]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ launcher: {kind: slurm, prefix: [ssh], max_worker: 3}
   ·                         ───┬──
   ·                            ╰── of another launcher
   ╰────
  help: its keys: `max_workers`, `steps`, `partition`, `account`, `qos`, `time`, `gpus`, `cpus`,
        `mem` and `args`

  × unknown key `max_worker` in `launcher`
   ╭─[sweep.yaml:6:40]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ launcher: {kind: slurm, prefix: [ssh], max_worker: 3}
   ·                                        ─────┬────
   ·                                             ╰── unknown key
   ╰────
  help: did you mean `max_workers`? known keys: kind, max_workers, steps, partition, account, qos,
        time, gpus, cpus, mem, args, prefix, workers, quote, start, agent and heartbeat

2 problems
  × `partition` is no key of the launcher `local`
   ╭─[sweep.yaml:6:25]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ launcher: {kind: local, partition: gpu}
   ·                         ────┬────
   ·                             ╰── of another launcher
   ╰────
  help: remove it

  × the launcher `command` lacks `prefix`
   ╭─[sweep.yaml:6:1]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ launcher: {kind: command}
   · ────┬───
   ·     ╰── no `prefix`
   ╰────
  help: write `launcher: {kind: command, prefix: [ssh, host]}`: each word an item; there is no
        shell

  × `prefix` is empty
   ╭─[sweep.yaml:6:35]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ launcher: {kind: command, prefix: []}
   ·                                   ─┬
   ·                                    ╰── no program
   ╰────
  help: write `launcher: {kind: command, prefix: [ssh, host]}`: each word an item; there is no
        shell

  × `prefix` must be a list of words, not a single value
   ╭─[sweep.yaml:6:35]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ launcher: {kind: command, prefix: ssh host, quote: maybe}
   ·                                   ────┬───
   ·                                       ╰── not a list
   ╰────
  help: write each word as an item: `prefix: [a, b]`; there is no shell

  × `quote` must be true or false
   ╭─[sweep.yaml:6:52]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ launcher: {kind: command, prefix: ssh host, quote: maybe}
   ·                                                    ──┬──
   ·                                                      ╰── neither
   ╰────
  help: write `quote: true` or `quote: false`

2 problems
  × `max_workers` must be from 1 to 10000, not 0
   ╭─[sweep.yaml:6:38]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ …auncher: {kind: slurm, max_workers: 0, gpus: -1, time: soon, heartbeat: 1s, args: [[1]]}
   ·                                      ┬
   ·                                      ╰── not a number of that kind
   ╰────
  help: write for example `launcher: {kind: slurm, max_workers: 8, partition: gpu}`

  × `gpus` must be a whole number, 0 or greater, not `-1`
   ╭─[sweep.yaml:6:47]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ …auncher: {kind: slurm, max_workers: 0, gpus: -1, time: soon, heartbeat: 1s, args: [[1]]}
   ·                                               ─┬
   ·                                                ╰── not a whole number
   ╰────
  help: write it in plain digits, without quotes: 5

  × `time` must be a time limit
   ╭─[sweep.yaml:6:57]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ …auncher: {kind: slurm, max_workers: 0, gpus: -1, time: soon, heartbeat: 1s, args: [[1]]}
   ·                                                         ──┬─
   ·                                                           ╰── not a time
   ╰────
  help: write it as `4h` or `1h30m`, or as Slurm has it: `4:00:00`, `2-00:00`, `90` (minutes)

  × `heartbeat` must be 3 seconds or more
   ╭─[sweep.yaml:6:74]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ …auncher: {kind: slurm, max_workers: 0, gpus: -1, time: soon, heartbeat: 1s, args: [[1]]}
   ·                                                                          ─┬
   ·                                                                           ╰── too short
   ╰────
  help: write for example `heartbeat: 2m`, which is the default

  × word 1 of `args` must be text, not a list
   ╭─[sweep.yaml:6:85]
 5 │ parameters: {x: {values: [1, 2]}}
 6 │ …auncher: {kind: slurm, max_workers: 0, gpus: -1, time: soon, heartbeat: 1s, args: [[1]]}
   ·                                                                                     ─┬─
   ·                                                                                      ╰── not a word
   ╰────
  help: write a text

5 problems
"#);
}

#[test]
fn a_launcher_is_no_part_of_any_id() {
    let plain = good(&format!("{WORKER}{X}"));
    let slurm = good(&file("{kind: slurm, max_workers: 3}"));
    assert!(crate::plan::SpecChanges::between(&plain, &slurm).is_cosmetic());
    let ids = |spec| {
        crate::grid::Grid::new(spec).arms()[0]
            .ids()
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&plain), ids(&slurm));
}

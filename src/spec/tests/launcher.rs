//! `launcher`.

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
    assert_eq!(read("{kind: slurm}"), LauncherSpec::Slurm(SlurmSpec::default()));
    let all = "{kind: slurm, max_workers: 20, steps: false, partition: gpu, account: a1, qos: q, time: 1h30m, gpus: 0, cpus: 4, \
               mem: 8G, args: [--constraint=a100, -v], agent: /opt/pentagrid, heartbeat: 5m}";
    insta::assert_debug_snapshot!(read(all), @"");
    let time = |time: &str| match read(&format!("{{kind: slurm, time: {time}}}")) {
        LauncherSpec::Slurm(slurm) => slurm.time.unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(["4h", "90s", "90", "4:00:00", "2-00:00"].map(time), ["240", "2", "90", "4:00:00", "2-00:00"]);
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
    ]), @"");
}

#[test]
fn a_launcher_is_no_part_of_any_id() {
    let plain = good(&format!("{WORKER}{X}"));
    let slurm = good(&file("{kind: slurm, max_workers: 3}"));
    assert!(crate::plan::SpecChanges::between(&plain, &slurm).is_cosmetic());
    let ids = |spec| crate::grid::Grid::new(spec).arms()[0].ids().collect::<Vec<_>>();
    assert_eq!(ids(&plain), ids(&slurm));
}

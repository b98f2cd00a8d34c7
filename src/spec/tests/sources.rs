//! `metrics`, and `at` under `metric`.

use super::{BUILTIN, WORKER, each, good};
use crate::spec::At;

const PARAMETERS: &str = "parameters: {lr: {values: [1, 2]}}\n";
const OWN: &str =
    "program: train.py\nname: t\nmetric: {name: acc, goal: maximize}\nseeds: {tune: 1, final: 1}\n";

fn file(metrics: &str) -> String {
    format!("{OWN}metrics: {metrics}\n{PARAMETERS}")
}

#[test]
fn sources_are_read() {
    let sources = |metrics: &str| -> String {
        let spec = good(&file(metrics));
        let sources: Vec<String> = spec.sources.iter().map(ToString::to_string).collect();
        sources.join(" | ")
    };
    let read = [
        "wandb",
        "tensorboard",
        "trainer_state",
        "{tensorboard: '/logs/${trial}'}",
        "{csv: '${dir}/metrics.csv'}",
        "[wandb, {json: eval/results.json}, {stdout: pairs}]",
        "{csv: a.csv, stdout: 'acc=(?P<acc>[0-9.]+)'}",
    ];
    insta::assert_snapshot!(read.map(sources).join("\n"), @"
    wandb
    tensorboard
    trainer_state
    {tensorboard: /logs/${trial}}
    {csv: ${dir}/metrics.csv}
    wandb | {json: eval/results.json} | {stdout: pairs}
    {csv: a.csv} | {stdout: acc=(?P<acc>[0-9.]+)}
    ");
    assert!(good(&format!("{OWN}{PARAMETERS}")).sources.is_empty());
}

#[test]
fn bad_sources() {
    insta::assert_snapshot!(each(&[
        &file("wandbb"),
        &file("csv"),
        &file("stdout"),
        &file("[]"),
        &file("[[wandb]]"),
        &file("{wandb: runs}"),
        &file("{cvs: a.csv}"),
        &file("{csv: ../a.csv}"),
        &file("{csv: '${nope}.csv'}"),
        &file("{json: }"),
        &file("{stdout: 'acc=([0-9.]+'}"),
        &file("{stdout: 'acc=(?=[0-9.]+)'}"),
        &file("{stdout: 'Epoch (?P<epoch>\\d+): ([0-9.]+)'}"),
        &file("{stdout: 'Epoch (?P<epoch>\\d+): loss (?P<loss>[0-9.]+)'}"),
        &format!("{WORKER}metrics: wandb\n{PARAMETERS}"),
        &format!(
            "{BUILTIN}metrics: wandb\nparameters: {{optimizer: {{value: sgd}}, lr: {{values: [0.1, 0.2]}}, epochs: {{value: 1}}}}\n"
        ),
    ]));
}

#[test]
fn the_value_of_a_history_is_chosen() {
    let metric = |at: &str| {
        format!(
            "program: train.py\nmetric: {{name: acc, goal: maximize, at: {at}}}\nseeds: {{tune: 1, final: 1}}\n{PARAMETERS}"
        )
    };
    let at = |text: &str| good(&metric(text)).metric.at;
    assert_eq!(
        ["last", "best", "mean_last_5"].map(at),
        [At::Last, At::Best, At::MeanLast(5)]
    );
    assert_eq!(good(&format!("{OWN}{PARAMETERS}")).metric.at, At::Last);
    let builtin = |name: &str| {
        let text = BUILTIN.replace(
            "{name: val_accuracy, goal: maximize}",
            &format!("{{name: {name}, goal: maximize, at: best}}"),
        );
        format!(
            "{text}parameters: {{optimizer: {{value: sgd}}, lr: {{values: [0.1, 0.2]}}, epochs: {{value: 1}}}}\n"
        )
    };
    assert_eq!(good(&builtin("val_accuracy")).metric.at, At::Best);
    insta::assert_snapshot!(each(&[
        &metric("max"),
        &metric("mean_last_0"),
        &metric("[best]"),
        &builtin("test_accuracy"),
        &metric("best").replace("name: acc", "name: 'a\"b'"),
    ]));
}

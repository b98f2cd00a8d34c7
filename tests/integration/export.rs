//! `export`: the files that other tools open. That they do open them is `scripts/check-export.sh`'s to show, with the tools themselves.

use crate::support::Test;

const ODD: &str = "name: odd
worker: [WORKER]
metric: {name: score, goal: maximize}
seeds: {tune: 1, final: 1}
limits: {retries: 0}
parameters: {x: {values: [1, 2.5]}, note: {value: 'a <b> & \"c\"'}, epochs: {value: 2}}
arms:
  good: {label: Good, parameters: {behaviour: {value: well}}}
  odd: {parameters: {behaviour: {values: [error, diverge]}}}
";

#[test]
fn a_sweep_with_failed_and_diverged_trials_in_every_format() {
    let test = Test::with_spec(ODD);
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"]).expect(3);
    let export = |format: &str| test.run(&["export", "runs/odd", "--format", format, "--out", "out"]).expect(0).all();
    let said: Vec<String> = ["csv", "parquet", "tensorboard", "optuna", "junit"].map(export).into();
    insta::assert_snapshot!(said.join("\n"));
    let text = |name: &str| std::fs::read_to_string(test.path(name)).unwrap();
    // Times differ from run to run.
    insta::with_settings!({filters => vec![
        (r#"time="[0-9.]+""#, r#"time="[TIME]""#),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "[TIME]"),
    ]}, {
        insta::assert_snapshot!("junit", text("out/junit.xml"));
        insta::assert_snapshot!("optuna", text("out/optuna.journal"));
    });
    assert_eq!(text("out/trials.csv"), std::fs::read_to_string(test.path("reports/odd/trials.csv")).unwrap());
    assert_eq!(text("out/history.csv"), std::fs::read_to_string(test.path("reports/odd/history.csv")).unwrap());
    for file in ["trials.parquet", "history.parquet"] {
        let bytes = std::fs::read(test.path("out").join(file)).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "{file}");
    }
    // A folder for each trial, and none twice after a second export.
    export("tensorboard");
    let runs: Vec<_> = ["good", "odd"]
        .iter()
        .flat_map(|arm| std::fs::read_dir(test.path("out/tensorboard").join(arm)).unwrap())
        .map(|run| std::fs::read_dir(run.unwrap().path()).unwrap().count())
        .collect();
    let trials = test.count("runs/odd", "SELECT count(*) FROM trial");
    assert_eq!(runs, vec![1; trials as usize]);
    // Every number of Optuna's journal is JSON that Python reads: NaN is spelled without quotes, and no value is NaN.
    assert!(text("out/optuna.journal").contains(r#""score":NaN"#));
    assert!(!text("out/optuna.journal").contains(r#""value":NaN"#));
}

#[test]
fn what_cannot_be_exported_is_told() {
    let test = Test::new();
    insta::assert_snapshot!(test.run(&["export", "nowhere", "--format", "csv"]).expect(2).stderr, @r#"
    error: nowhere holds no sweep: there is no ledger.sqlite in it
    start one with `pentagrid run SPEC --dir nowhere`
    "#);
    insta::assert_snapshot!(test.run(&["export", "nowhere", "--format", "excel"]).expect(2).stderr, @r#"
    error: invalid value 'excel' for '--format <FORMAT>'
      [possible values: csv, parquet, tensorboard, optuna, junit]

    For more information, try '--help'.
    "#);
}

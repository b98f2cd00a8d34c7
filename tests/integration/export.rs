//! `export`: the files that other tools open. That they do open them is `scripts/check-export.sh`'s
//! to show, with the tools themselves.

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
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(3);
    let export = |format: &str| {
        test.run(&["export", "runs/odd", "--format", format, "--out", "out"])
            .expect(0)
            .all()
    };
    let said: Vec<String> = ["csv", "parquet", "tensorboard", "optuna", "junit"]
        .map(export)
        .into();
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
    assert_eq!(
        text("out/trials.csv"),
        std::fs::read_to_string(test.path("reports/odd/trials.csv")).unwrap()
    );
    assert_eq!(
        text("out/history.csv"),
        std::fs::read_to_string(test.path("reports/odd/history.csv")).unwrap()
    );
    for file in ["trials.parquet", "history.parquet"] {
        let bytes = std::fs::read(test.path("out").join(file)).unwrap();
        assert!(
            bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"),
            "{file}"
        );
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
    // Every number of Optuna's journal is JSON that Python reads: NaN is spelled without quotes,
    // and no value is NaN.
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

/// The most memory that a run of the program has held, in KiB.
fn peak(test: &Test, arguments: &[&str]) -> u64 {
    let mut child = test.start(arguments);
    let mut peak = 0;
    let status = loop {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = peak.max(
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
                .unwrap_or(0),
        );
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    };
    assert!(status.success(), "{}", test.stderr());
    peak
}

#[test]
fn a_long_history_needs_no_more_memory_than_a_short_one() {
    let test = Test::with_spec(
        "name: long\nprogram: train.sh\ncommand: [\"./train.sh\"]\nmetric: {name: loss, goal: minimize}\n\
         seeds: {tune: 1, final: 0}\nparameters: {x: {values: [1, 2]}}\n",
    );
    test.write_script(
        "printf '{\"epoch\": 1, \"loss\": 1, \"acc\": 2}\\n{\"loss\": 1}\\n' > $PENTAGRID_METRICS",
    );
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    let commands = [
        &["report", "runs/long"][..],
        &["show", "runs/long", "d415"],
        &["export", "runs/long", "--format", "parquet"],
        &["export", "runs/long", "--format", "tensorboard"],
    ];
    let short = commands.map(|command| peak(&test, command));
    test.ledger("runs/long")
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
             INSERT INTO epoch SELECT min(t.id), 'epoch', i, json_object('loss', 1.0 / i, 'acc', i * 0.5) FROM n, trial t GROUP BY i;",
        )
        .unwrap();
    for (command, short) in commands.iter().zip(short) {
        // All rows in memory at a time would be a hundred MiB and more.
        let long = peak(&test, command);
        assert!(
            long < short + 48 * 1024,
            "{command:?}: {long} KiB, {short} KiB with a short history"
        );
    }
    let lines = |name: &str| {
        std::fs::read_to_string(test.path(name))
            .unwrap()
            .lines()
            .count()
    };
    assert_eq!(
        lines("reports/long/history.csv"),
        1 + 200_000 + 1,
        "every row is there"
    );
    assert!(
        lines("reports/long/figures/history_loss.csv") < 2100,
        "a curve is thinned"
    );
}

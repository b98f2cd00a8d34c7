//! `metrics`: scripts that log as they always did. The files are those that the libraries wrote
//! (`tests/fixtures/metrics`); `scripts/check-scripts.sh` runs the libraries themselves.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Ran, Test};

/// A sweep of `train.sh` over two points, with one trial of each.
fn sweep(metric: &str, metrics: &str, script: &str) -> Test {
    let test = Test::new();
    test.write_script(script);
    write_spec(&test, metric, metrics);
    test
}

fn write_spec(test: &Test, metric: &str, metrics: &str) {
    let fixtures = fixtures();
    test.write_spec(&format!(
        "name: toy\nprogram: ./train.sh\nmetric: {metric}\n{metrics}seeds: {{tune: 1, final: 0}}\nlimits: {{retries: 0}}\n\
         env: {{F: {}}}\nparameters: {{lr: {{values: [1, 2]}}}}\n",
        fixtures.display()
    ));
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/metrics")
}

#[track_caller]
fn run(test: &Test, code: i32) -> Ran {
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(code)
}

/// The metrics of the trial with `lr: 1`, as JSON.
#[track_caller]
fn finals(test: &Test) -> String {
    trial(test)["metrics"].to_string()
}

/// The trial with `lr: 1`.
#[track_caller]
fn trial(test: &Test) -> Value {
    let lines = test.run(&["trials", "runs/toy", "--json"]).expect(0).stdout;
    lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|trial| trial["config"]["lr"] == 1)
        .unwrap()
}

/// The rows of its history, a line each.
#[track_caller]
fn history(test: &Test) -> Vec<String> {
    let sql = "SELECT e.unit || ' ' || e.position || ' ' || e.metrics FROM epoch e
               JOIN trial t ON t.id = e.trial JOIN point p USING (point)
               WHERE json_extract(p.config, '$.lr') = 1 ORDER BY e.unit, e.position";
    let ledger = test.ledger("runs/toy");
    let mut statement = ledger.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// What the first failed attempt said.
#[track_caller]
fn failure(test: &Test) -> String {
    let sql = "SELECT kind || ': ' || message FROM attempt WHERE outcome = 'failed' ORDER BY id";
    let message: String = test
        .ledger("runs/toy")
        .query_row(sql, [], |row| row.get(0))
        .unwrap();
    let trial = trial(test)["trial"].as_str().unwrap().to_owned();
    let folder = test.path("runs/toy/trials");
    message
        .replace(&folder.display().to_string(), "[TRIALS]")
        .replace(&trial, "[TRIAL]")
}

/// Makes a run of W&B in the trial's folder.
const WANDB: &str = "W=$WANDB_DIR/wandb/offline-run-20261130_100000-$1\nmkdir -p $W\n";

#[test]
fn a_script_of_wandb_runs_as_it_is() {
    // The first part of the file has come while the script still runs.
    let script = format!(
        "{WANDB}cp $PENTAGRID_DIR/wandb-config.yaml $PENTAGRID_DIR/seen; echo $WANDB_MODE $WANDB_SWEEP_PARAM_PATH >> $PENTAGRID_DIR/seen\n\
         head -c 5000 $F/run-fixture.wandb > $W/run-a.wandb; ln -s $W $WANDB_DIR/wandb/latest-run\n\
         while [ ! -e {{go}} ]; do sleep 0.05; done; tail -c +5001 $F/run-fixture.wandb >> $W/run-a.wandb"
    );
    let test = sweep("{name: best, goal: maximize}", "metrics: wandb\n", "");
    let go = test.path("go");
    test.write_script(&script.replace("{go}", &go.display().to_string()));
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    test.wait_for(
        "runs/toy",
        "SELECT count(*) FROM epoch WHERE unit = 'epoch'",
        4,
    );
    std::fs::write(go, "").unwrap();
    assert!(child.wait().unwrap().success(), "{}", test.stderr());

    assert_eq!(
        finals(&test),
        r#"{"bad":"-Infinity","best":0.7,"n.x":1.0,"train/loss":0.3,"val.acc":0.5,"val/loss":0.9}"#
    );
    assert_eq!(trial(&test)["notes"].to_string(), r#"{"text":"hi"}"#);
    let rows = history(&test);
    assert_eq!(rows.len(), 6, "{rows:?}");
    assert_eq!(
        rows[1],
        r#"epoch 1.0 {"bad":"NaN","step":2.0,"val.acc":0.9,"val/loss":0.1}"#
    );
    assert_eq!(rows[3], r#"step 1.0 {"train/loss":0.5}"#);

    let id = trial(&test)["trial"].as_str().unwrap().to_owned();
    let folder = test.path(&format!("runs/toy/trials/{id}"));
    let seen = std::fs::read_to_string(folder.join("seen")).unwrap();
    let shown = folder.display().to_string();
    insta::assert_snapshot!(seen.replace(&shown, "[FOLDER]"), @r#"
    wandb_version: 1

    "lr":
      value: 1

    "seed":
      value: 0
    offline [FOLDER]/wandb-config.yaml
    "#);
    // The line that runs it again prepares the same.
    let rerun = test.run(&["show", "runs/toy", &id]).expect(0).stdout;
    assert!(
        rerun.contains("WANDB_MODE=offline") && rerun.contains("wandb-config.yaml"),
        "{rerun}"
    );
}

#[test]
fn variables_of_the_sweep_file_win_over_those_for_wandb() {
    let test = Test::new();
    test.write_script("echo \"{\\\"mode\\\": \\\"$WANDB_MODE $WANDB_DIR\\\", \\\"a\\\": 1}\"");
    test.write_spec(
        "name: toy\nprogram: ./train.sh\nmetric: {name: a}\nmetrics: wandb\nseeds: {tune: 1, final: 0}\n\
         env: {WANDB_MODE: online, WANDB_DIR: /elsewhere}\nparameters: {lr: {values: [1, 2]}}\n",
    );
    run(&test, 0);
    assert_eq!(
        trial(&test)["notes"].to_string(),
        r#"{"mode":"online /elsewhere"}"#
    );
}

#[test]
fn of_several_runs_the_first_counts_and_the_others_add() {
    let script = format!(
        "{WANDB}cp $F/run-fixture.wandb $W/run-a.wandb\nW=${{W}}b; mkdir $W; cp $F/run-fixture.wandb $W/run-b.wandb"
    );
    let test = sweep("{name: val/loss}", "metrics: wandb\n", &script);
    run(&test, 0);
    assert!(finals(&test).contains(r#""val/loss":0.9"#));
    let notes = trial(&test)["notes"].to_string();
    assert!(
        notes.contains("2 runs report \\\"val/loss\\\": the first counts, wandb/offline-run-2026"),
        "{notes}"
    );
}

#[test]
fn the_best_epoch_is_selected_by_and_reported() {
    let best = "{name: val/loss, goal: minimize, at: best}";
    // Of the second point the losses are .5 .5 .5: its last one is lower, its best one is not.
    let script = "case $1 in --lr=1) L=(.9 .1 .9) A=(1 2 3);; *) L=(.5 .5 .5) A=(4 5 6);; esac\n\
                  for e in 0 1 2; do echo \"epoch=$e val/loss=${L[e]} acc=${A[e]}\"; done; echo test=7";
    let test = sweep(best, "metrics: {stdout: pairs}\n", script);
    run(&test, 0);
    let selected = |test: &Test| {
        let table = std::fs::read_to_string(test.path("reports/toy/report.md")).unwrap();
        table.contains("| toy | lr = 1 |")
    };
    let right = r#"{"acc":2.0,"test":7.0,"val/loss":0.1}"#;
    assert_eq!(finals(&test), right);
    assert!(selected(&test));

    // Tables, views and exports agree.
    let view = |sql: &str| -> String {
        test.ledger("runs/toy")
            .query_row(sql, [], |row| row.get(0))
            .unwrap()
    };
    let of_trials = "SELECT \"val/loss\" || ' ' || acc || ' ' || test || ' ' || metrics FROM trials WHERE lr = 1";
    assert_eq!(
        view(of_trials),
        format!("0.1 2.0 7.0 {}", r#"{"acc":2.0,"test":7.0,"val/loss":0.1}"#)
    );
    assert_eq!(
        view(
            "SELECT \"mean_val/loss\" || ' ' || mean_acc FROM summary WHERE json_extract(config, '$.lr') = 1"
        ),
        "0.1 2.0"
    );
    let csv = std::fs::read_to_string(test.path("reports/toy/trials.csv")).unwrap();
    assert!(csv.contains(",0.1") && csv.contains(",2"), "{csv}");
    let verified = test
        .run(&["verify", "runs/toy", "-n", "2"])
        .expect(0)
        .stdout;
    assert!(
        verified.contains("2 of 2 trials gave the same"),
        "{verified}"
    );

    // The rule changes, and nothing runs again.
    for (at, metrics, is_first) in [
        ("last", r#"{"acc":3.0,"test":7.0,"val/loss":0.9}"#, false),
        (
            "mean_last_2",
            r#"{"acc":2.5,"test":7.0,"val/loss":0.5}"#,
            true,
        ),
        ("best", right, true),
    ] {
        write_spec(
            &test,
            &best.replace("best}", &format!("{at}}}")),
            "metrics: {stdout: pairs}\n",
        );
        let refused = run(&test, 2).stderr;
        assert!(refused.contains("metric: minimize val/loss"), "{refused}");
        let ran = test
            .run(&[
                "run",
                "sweep.yaml",
                "--devices",
                "cpu:2",
                "--accept-changes",
            ])
            .expect(0);
        assert_eq!(finals(&test), metrics, "{at}: {}", ran.all());
        assert_eq!(selected(&test), is_first, "{at}");
    }
    assert_eq!(test.count("runs/toy", "SELECT count(*) FROM attempt"), 2);
}

#[test]
fn event_files_of_tensorboard_are_read() {
    let script = "mkdir -p $PENTAGRID_DIR/logs/run; cp $F/events.* $PENTAGRID_DIR/logs/run";
    let test = sweep(
        "{name: val/acc, goal: maximize, at: best}",
        "metrics: tensorboard\n",
        script,
    );
    run(&test, 0);
    assert_eq!(finals(&test), r#"{"train/loss":"NaN","val/acc":0.9}"#);
    assert_eq!(history(&test)[0], r#"epoch 0.0 {"step":0.0,"val/acc":0.1}"#);

    // Elsewhere, in a folder that the sweep file names.
    let test = sweep(
        "{name: val/acc, goal: maximize}",
        "metrics: {tensorboard: '${envvar:HOME}/logs/${trial}'}\n",
        "mkdir -p $HOME/logs/$PENTAGRID_TRIAL/train; cp $F/events.* $HOME/logs/$PENTAGRID_TRIAL/train",
    );
    let home = test.path("home");
    let ran = test
        .command(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .env("HOME", home)
        .output()
        .unwrap();
    // The folder `train` is a part of the names.
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(
        said.contains("it reported train/train/loss, train/val/acc"),
        "{said}"
    );
}

#[test]
fn tables_are_read_as_they_are_written_anew() {
    // As Lightning does it: with a new column all is written again.
    let script = "T=$PENTAGRID_DIR/lightning_logs/version_0; mkdir -p $T; cd $T\n\
                  printf 'epoch,step,train_loss\\n0,1,0.9\\n' > metrics.csv; sleep 1.5\n\
                  printf 'epoch,step,train_loss,val_acc\\n0,1,0.9,\\n0,1,,0.5\\n1,3,0.7,\\n1,3,,0.25\\n' > metrics.csv";
    let test = sweep(
        "{name: val_acc, goal: maximize}",
        "metrics: {csv: metrics.csv}\n",
        script,
    );
    run(&test, 0);
    assert_eq!(finals(&test), r#"{"train_loss":0.7,"val_acc":0.25}"#);
    assert_eq!(
        history(&test),
        [
            r#"epoch 0.0 {"step":1.0,"train_loss":0.9,"val_acc":0.5}"#,
            r#"epoch 1.0 {"step":3.0,"train_loss":0.7,"val_acc":0.25}"#,
        ]
    );
}

#[test]
fn the_state_of_a_trainer_is_read() {
    let script = "cd $PENTAGRID_DIR; mkdir checkpoint-2\n\
                  echo '{\"log_history\": [{\"epoch\": 0.33, \"step\": 2, \"loss\": 0.9}]}' > checkpoint-2/trainer_state.json\n\
                  echo '{\"epoch\": 1.0, \"eval_acc\": 0.1}' > all_results.json\n\
                  echo '{\"log_history\": [{\"epoch\": 0.33, \"step\": 2, \"loss\": 0.9}, {\"epoch\": 1.0, \"step\": 6, \"eval_acc\": 0.5}]}' > trainer_state.json";
    let test = sweep(
        "{name: eval_acc, goal: maximize}",
        "metrics: trainer_state\n",
        script,
    );
    run(&test, 0);
    assert_eq!(finals(&test), r#"{"eval_acc":0.5,"loss":0.9}"#);
    assert_eq!(
        history(&test),
        [
            r#"epoch 0.33 {"loss":0.9,"step":2.0}"#,
            r#"epoch 1.0 {"eval_acc":0.5,"step":6.0}"#,
        ]
    );
}

#[test]
fn output_under_a_progress_bar_is_read() {
    let script = "for e in 1 2; do printf '\\r 50%%|# | loss 9\\r100%%|##|Epoch %s: val acc %s.5%%\\n' $e $e >&2; done";
    let pattern = "metrics: {stdout: 'Epoch (?P<epoch>\\d+): val acc (?P<acc>[0-9.]+)%'}\n";
    let test = sweep("{name: acc, goal: maximize}", pattern, script);
    run(&test, 0);
    assert_eq!(finals(&test), r#"{"acc":2.5}"#);
    assert_eq!(
        history(&test),
        [r#"epoch 1.0 {"acc":1.5}"#, r#"epoch 2.0 {"acc":2.5}"#]
    );
}

#[test]
fn a_script_that_knows_only_steps_has_curves_by_steps() {
    let script = "for s in 10 20 30; do echo \"step: $s loss: $s.5\"; done";
    let test = sweep("{name: loss}", "metrics: {stdout: pairs}\n", script);
    run(&test, 0);
    assert_eq!(history(&test)[2], r#"step 30.0 {"loss":30.5}"#);
    let curve = std::fs::read_to_string(test.path("reports/toy/figures/history_loss.svg"))
        .unwrap_or_else(|error| panic!("{error}: {:?}", test.figures("reports/toy")));
    assert!(curve.contains("Step"), "{curve}");
}

#[test]
fn sources_add_to_what_a_program_reports_itself() {
    let script = "echo '{\"acc\": 3}' >> $PENTAGRID_METRICS; echo '{\"acc\": 1, \"nested\": {\"loss\": 2}}' > $PENTAGRID_DIR/results.json";
    let test = sweep(
        "{name: acc, goal: maximize}",
        "metrics: [{json: results.json}, {stdout: pairs}]\n",
        script,
    );
    run(&test, 0);
    assert_eq!(finals(&test), r#"{"acc":3.0,"nested.loss":2.0}"#);
}

#[test]
fn files_of_an_earlier_attempt_do_not_count() {
    let script = "cd $PENTAGRID_DIR; [ -e again ] && { echo '{\"acc\": 2}' > new.json; exit 0; }\n\
                  touch again; echo 'epoch,acc,old' > a.csv; echo 1,9,9 >> a.csv; exit 3";
    let test = sweep(
        "{name: acc, goal: maximize}",
        "metrics: [{json: new.json}, {csv: a.csv}]\n",
        script,
    );
    let text = std::fs::read_to_string(test.path("sweep.yaml")).unwrap();
    test.write_spec(&text.replace("retries: 0", "retries: 1"));
    run(&test, 0);
    assert_eq!(finals(&test), r#"{"acc":2.0}"#);
}

#[test]
fn damaged_files_are_a_failure_that_says_where() {
    let failed = |metrics: &str, script: &str| {
        let test = sweep("{name: acc}", metrics, script);
        run(&test, 3);
        failure(&test)
    };
    let said = [
        failed(
            "metrics: wandb\n",
            &format!("{WANDB}head -c 5000 $F/run-fixture.wandb > $W/run-a.wandb"),
        ),
        failed(
            "metrics: wandb\n",
            &format!("{WANDB}sed 's/train/other/' $F/run-fixture.wandb > $W/run-a.wandb"),
        ),
        failed(
            "metrics: tensorboard\n",
            "echo hello, this is not an event file > $PENTAGRID_DIR/events.out.tfevents.1",
        ),
        failed(
            "metrics: {csv: a.csv}\n",
            "printf 'epoch,acc\\n1,2,3\\n' > $PENTAGRID_DIR/a.csv",
        ),
        failed(
            "metrics: {json: a.json}\n",
            "truncate -s 99000000 $PENTAGRID_DIR/a.json",
        ),
        failed(
            "metrics: trainer_state\n",
            "echo '{\"log' > $PENTAGRID_DIR/trainer_state.json",
        ),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_missing_metric_names_the_key_that_would_read_it() {
    let failed = |metrics: &str, script: &str| {
        let test = sweep("{name: acc}", metrics, script);
        run(&test, 3);
        failure(&test)
    };
    let said = [
        failed(
            "",
            "mkdir -p $PENTAGRID_DIR/wandb/offline-run-1-a; cp $F/run-fixture.wandb $PENTAGRID_DIR/wandb/offline-run-1-a/run-a.wandb",
        ),
        failed(
            "",
            "cd $PENTAGRID_DIR; cp $F/events.* .; touch metrics.csv trainer_state.json",
        ),
        failed(
            "metrics: tensorboard\n",
            "cd $PENTAGRID_DIR; cp $F/events.* .; touch metrics.csv",
        ),
        failed("metrics: wandb\n", "exit 0"),
        failed("metrics: {stdout: pairs}\n", "echo loss=1 acc=high"),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_changed_source_is_told() {
    let test = sweep("{name: acc}", "", "echo acc=1; echo '{\"acc\": 2}'");
    run(&test, 0);
    write_spec(&test, "{name: acc}", "metrics: {stdout: pairs}\n");
    let said = run(&test, 2).stderr;
    assert!(said.contains("(metrics: {stdout: pairs})"), "{said}");
}

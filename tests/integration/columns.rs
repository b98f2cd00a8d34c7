//! Names that users give to parameters and metrics, also as each other or as columns of our own:
//! told apart in every file, by one rule.

use std::collections::BTreeSet;

use crate::support::Test;

/// Parameters and metrics named as each other and as our own columns.
fn odd() -> Test {
    let test = Test::with_spec(
        "name: odd\nprogram: train.sh\ncommand: [\"./train.sh\"]\nmetric: {name: loss, goal: minimize}\nseeds: {tune: 1, final: 1}\n\
         parameters: {lr: {values: [0.5, 0.25]}, n: {value: 7}, arm: {value: left}, loss_mean: {value: 3}}\n",
    );
    test.write_script(
        "for e in 1 2; do echo \"{\\\"epoch\\\": $e, \\\"loss\\\": $e, \\\"lr\\\": 9, \\\"late\\\": 4}\"; done > $PENTAGRID_METRICS\n\
         echo '{\"loss\": 2, \"lr\": 8, \"seed\": 5, \"state\": 6, \"point\": 1, \"trial\": 2}' >> $PENTAGRID_METRICS",
    );
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    test
}

fn headings(text: &str) -> Vec<String> {
    let names: Vec<String> = text
        .lines()
        .next()
        .unwrap()
        .split(',')
        .map(str::to_owned)
        .collect();
    let different: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(different.len(), names.len(), "{names:?}");
    names
}

#[test]
fn no_file_has_two_columns_of_one_name() {
    let test = odd();
    let read = |name: &str| std::fs::read_to_string(test.path(name)).unwrap();
    let trials = "trial,arm,point,seed,phase,state,version,lr,param_n,param_arm,loss_mean,late,loss,metric_lr,metric_point,metric_seed,metric_state,metric_trial";
    let names = headings(&read("reports/odd/trials.csv"));
    assert_eq!(names, trials.split(',').collect::<Vec<_>>());
    assert_eq!(
        names,
        headings(&test.run(&["trials", "runs/odd", "--csv"]).expect(0).stdout)
    );
    assert!(
        headings(&read("reports/odd/history.csv")).contains(&"metric_lr".to_owned()),
        "the same name in every file"
    );
    let points = headings(&read("reports/odd/points.csv"));
    for name in [
        "n",
        "param_n",
        "param_arm",
        "lr",
        "metric_lr_mean",
        "metric_lr_n",
        "loss_mean",
        "metric_loss_mean",
    ] {
        assert!(points.contains(&name.to_owned()), "{name} in {points:?}");
    }
    headings(&read("reports/odd/table1.csv"));
    for figure in test
        .figures("reports/odd")
        .iter()
        .filter(|name| name.ends_with(".csv"))
    {
        headings(&read(&format!("reports/odd/figures/{figure}")));
    }

    // The value of the metric is not that of the parameter.
    let row: Vec<String> = read("reports/odd/trials.csv")
        .lines()
        .nth(1)
        .unwrap()
        .split(',')
        .map(str::to_owned)
        .collect();
    let cell = |name: &str| row[names.iter().position(|other| other == name).unwrap()].as_str();
    assert_eq!(
        (
            cell("lr"),
            cell("metric_lr"),
            cell("metric_seed"),
            cell("param_n")
        ),
        ("0.5", "8.0", "5.0", "7")
    );
    let sql = "SELECT lr || ' ' || metric_lr || ' ' || metric_seed || ' ' || seed || ' ' || param_n FROM trials WHERE lr = 0.5 AND phase = 'tune'";
    let found = test.text("runs/odd", sql);
    assert_eq!(found, "0.5 8.0 5.0 0 7");

    for format in ["csv", "parquet", "tensorboard", "optuna", "junit"] {
        test.run(&["export", "runs/odd", "--format", format])
            .expect(0);
    }
    assert_eq!(names, headings(&read("exports/odd/trials.csv")));
    assert!(
        read("exports/odd/junit.xml").contains("param_arm=left")
            && read("exports/odd/junit.xml").contains("param_n=7")
    );
    for line in read("exports/odd/optuna.journal")
        .lines()
        .filter(|line| line.contains("user_attrs"))
    {
        let attributes = line
            .split("\"user_attrs\":{")
            .nth(1)
            .unwrap()
            .split('}')
            .next()
            .unwrap();
        let keys: Vec<&str> = attributes
            .split(',')
            .map(|pair| pair.split(':').next().unwrap())
            .collect();
        assert_eq!(
            keys.iter().collect::<BTreeSet<_>>().len(),
            keys.len(),
            "{attributes}"
        );
        assert!(
            keys.contains(&"\"metric_seed\"") && keys.contains(&"\"seed\""),
            "{attributes}"
        );
    }
}

#[test]
fn the_views_have_a_column_for_each_metric_that_trials_report() {
    let test = Test::with_spec(
        "name: t\nprogram: train.sh\ncommand: [\"./train.sh\"]\nmetric: {name: val_acc, goal: maximize}\nseeds: {tune: 2, final: 0}\n\
         parameters: {x: {values: [1, 2]}}\n",
    );
    test.write_script(
        "echo '{\"epoch\": 1, \"val_acc\": 0.25, \"train_loss\": 3}' > $PENTAGRID_METRICS\n\
         echo '{\"val_acc\": 0.5, \"test_acc\": 0.75}' >> $PENTAGRID_METRICS",
    );
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    assert_eq!(
        test.text(
            "runs/t",
            "SELECT test_acc || ' ' || val_acc FROM trials LIMIT 1"
        ),
        "0.75 0.5"
    );
    assert_eq!(
        test.text(
            "runs/t",
            "SELECT mean_test_acc || ' ' || mean_val_acc || ' ' || n_test_acc FROM summary LIMIT 1"
        ),
        "0.75 0.5 2"
    );
    assert_eq!(
        test.text(
            "runs/t",
            "SELECT train_loss || ' ' || val_acc FROM history LIMIT 1"
        ),
        "3.0 0.25"
    );

    // A metric that only later trials report comes to the others.
    test.write_spec(
        "name: t\nprogram: train.sh\ncommand: [\"./train.sh\"]\nmetric: {name: val_acc, goal: maximize}\nseeds: {tune: 2, final: 0}\n\
         parameters: {x: {values: [1, 2, 3]}}\n",
    );
    test.write_script("echo '{\"val_acc\": 1e308, \"late\": 1}' > $PENTAGRID_METRICS");
    let reader = test.ledger("runs/t");
    let mut old = reader
        .prepare("SELECT count(test_acc) FROM trials")
        .unwrap();
    assert_eq!(old.query_row([], |row| row.get::<_, i64>(0)).unwrap(), 4);
    test.run(&[
        "run",
        "sweep.yaml",
        "-q",
        "--devices",
        "cpu:1",
        "--accept-changes",
    ])
    .expect(0);
    assert_eq!(
        old.query_row([], |row| row.get::<_, i64>(0)).unwrap(),
        4,
        "a statement that was made before still holds"
    );
    assert_eq!(
        test.text(
            "runs/t",
            "SELECT count(*) || ' ' || count(test_acc) || ' ' || count(late) FROM trials"
        ),
        "6 4 2"
    );
    assert_eq!(
        test.text(
            "runs/t",
            "SELECT group_concat(mean_val_acc = 1e308) FROM summary WHERE n_late = 2"
        ),
        "1",
        "large numbers have a mean"
    );
}

/// A program whose trials report the JSON lines of `script`, one trial after the other: `x` is the
/// number of the trial's point.
fn reporting(metric: &str, script: &str) -> Test {
    let test = Test::with_spec(&format!(
        "name: t\nprogram: train.sh\ncommand: [\"./train.sh\"]\nmetric: {{name: {metric}, goal: minimize}}\n\
         seeds: {{tune: 1, final: 0}}\nparameters: {{x: {{values: [1, 2, 3]}}}}\n"
    ));
    test.write_script(&format!(
        "x=$(tr -dc 0-9 < \"$PENTAGRID_CONFIG\")\nm=$PENTAGRID_METRICS\n{script}"
    ));
    test
}

#[test]
fn names_with_control_characters_have_a_column_or_none_and_never_stop_the_sweep() {
    let test = reporting(
        "loss",
        r#"printf '%s\n' '{"epoch": 1, "loss": 3, "b\u0000": 1, "c\\d": 7}' '{"loss": 1, "a\u0000": 1, "tab\tor": 2, "back\\slash": 3, "quo\"te": 4, "bell\u0007": 5, "it'\''s": 6}' > $m"#,
    );
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    assert_eq!(
        test.text("runs/t", 
            "SELECT loss || ' ' || \"tab\tor\" || ' ' || \"back\\slash\" || ' ' || \"bell\u{7}\" || ' ' || \"it's\" FROM trials LIMIT 1"
        ),
        "1.0 2.0 3.0 5.0 6.0"
    );
    assert_eq!(
        test.text(
            "runs/t",
            "SELECT \"mean_back\\slash\" || ' ' || \"n_tab\tor\" FROM summary LIMIT 1"
        ),
        "3.0 1"
    );
    assert_eq!(
        test.text(
            "runs/t",
            "SELECT loss || ' ' || \"c\\d\" FROM history LIMIT 1"
        ),
        "3.0 7.0"
    );
    // What has no column is in the JSON.
    assert_eq!(
        test.text("runs/t", 
            "SELECT group_concat(j.value) FROM trials t, json_each(t.metrics) j WHERE j.key LIKE 'quo%' AND t.seed = 0"
        ),
        "4.0,4.0,4.0"
    );
    assert_eq!(
        test.count(
            "runs/t",
            "SELECT count(*) FROM pragma_table_info('trials') WHERE name LIKE 'a%' AND name <> 'arm' OR name LIKE 'quo%'"
        ),
        0
    );
    test.run(&["resume", "runs/t", "-q"]).expect(0);
    for format in ["csv", "parquet", "optuna", "tensorboard", "junit"] {
        test.run(&["export", "runs/t", "--format", format])
            .expect(0);
    }
}

#[test]
fn a_column_keeps_its_name_when_later_trials_report_others() {
    let test = reporting(
        "Val",
        r#"case $x in
             1) echo '{"Val": 1, "loss": 0.1}';;
             2) echo '{"Val": 2, "loss": 0.2, "Loss": 77, "val": 88, "X": 9}';;
             *) echo '{"Val": 3, "LOSS": 99}';;
           esac > $m"#,
    );
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    assert_eq!(
        test.text(
            "runs/t",
            "SELECT group_concat(loss ORDER BY position) FROM trials"
        ),
        "0.1,0.2",
        "the first that was reported"
    );
    assert_eq!(
        test.text(
            "runs/t",
            "SELECT group_concat(val ORDER BY position) FROM trials"
        ),
        "1.0,2.0,3.0",
        "the sweep file's metric"
    );
    assert_eq!(
        test.text(
            "runs/t",
            "SELECT metric_loss || ' ' || metric_val || ' ' || metric_x FROM trials WHERE x = 2"
        ),
        "77.0 88.0 9.0"
    );
    let read = |name: &str| std::fs::read_to_string(test.path(name)).unwrap();
    let names = headings(&read("reports/t/trials.csv"));
    for name in [
        "loss",
        "Val",
        "metric_Loss",
        "metric_val",
        "metric_metric_LOSS",
        "metric_X",
    ] {
        assert!(names.contains(&name.to_owned()), "{name} in {names:?}");
    }
    assert!(headings(&read("reports/t/points.csv")).contains(&"loss_mean".to_owned()));
    assert_eq!(
        names,
        headings(&test.run(&["trials", "runs/t", "--csv"]).expect(0).stdout)
    );
}

//! Every command on a finished sweep, and what `--help` says.

use std::io::Read;

use crate::support::{TOY, Test, fake_worker, filters};

/// A toy sweep that has been run.
fn finished() -> Test {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    test
}

#[test]
fn a_sweep_ends_with_its_tables_on_stdout() {
    let test = Test::with_spec(TOY);
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    assert_eq!(ran.stderr, "");
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn progress_in_plain_lines_names_every_phase() {
    let test = Test::with_spec(TOY);
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:1"])
        .expect(0);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(
        lines[0], "tuning phase: 14 trials on 1 slot",
        "{}",
        ran.stderr
    );
    assert!(
        lines.contains(&"final phase: 6 trials on 1 slot"),
        "{}",
        ran.stderr
    );
    assert!(
        lines.last().unwrap().starts_with("[6/6] "),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_second_run_has_nothing_to_do_and_says_the_same() {
    let test = finished();
    let before = test.report("reports/toy");
    let attempts = test.count("runs/toy", "SELECT count(*) FROM attempt");
    let workers = test.count("runs/toy", "SELECT count(*) FROM worker");
    test.run(&["resume", "runs/toy", "-q"]).expect(0);
    assert_eq!(test.report("reports/toy"), before);
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM attempt"),
        attempts
    );
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM worker"),
        workers,
        "no worker is started for nothing"
    );
}

#[test]
fn a_report_is_written_again_if_its_files_are_gone_or_changed() {
    let test = finished();
    let first = test.run(&["resume", "runs/toy", "-q"]).expect(0).stdout;
    for name in ["table1.csv", "figures/sensitivity_near.svg"] {
        std::fs::remove_file(test.path("reports/toy").join(name)).unwrap();
        test.run(&["run", "sweep.yaml", "-q"]).expect(0);
        assert!(test.path("reports/toy").join(name).exists(), "{name}");
    }
    std::fs::write(test.path("reports/toy/table1.txt"), "mine").unwrap();
    let again = test.run(&["resume", "runs/toy", "-q"]).expect(0).stdout;
    assert_eq!(again, first);
    assert_ne!(
        std::fs::read_to_string(test.path("reports/toy/table1.txt")).unwrap(),
        "mine"
    );
}

/// The same by the library, as `examples/embed.rs` uses it.
#[test]
fn a_program_that_embeds_the_library_runs_a_sweep_to_its_tables() {
    let test = Test::with_spec(TOY);
    let embed = fake_worker().with_file_name("embed");
    let output = std::process::Command::new(embed)
        .arg("sweep.yaml")
        .current_dir(test.path(""))
        .output()
        .unwrap();
    let tables = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
    let again = test.run(&["report", "runs/toy"]).expect(0).stdout;
    assert_eq!(tables, again);
}

#[test]
fn a_report_has_every_figure_that_makes_sense() {
    let test = finished();
    let names: Vec<String> = test
        .figures("reports/toy")
        .into_iter()
        .filter(|name| !name.ends_with(".png"))
        .collect();
    insta::assert_snapshot!(names.join("\n"));
    let page = std::fs::read_to_string(test.path("reports/toy/report.md")).unwrap();
    for name in names.iter().filter_map(|name| name.strip_suffix(".svg")) {
        assert!(page.contains(&format!("](figures/{name}.png)")), "{name}");
        assert!(
            std::fs::read(test.path(&format!("reports/toy/figures/{name}.png")))
                .unwrap()
                .starts_with(b"\x89PNG"),
            "{name}"
        );
    }
    // A figure of an earlier spec goes, a file of the user's stays.
    std::fs::write(test.path("reports/toy/figures/mine.svg"), "mine").unwrap();
    test.write_spec(&TOY.replace("{values: [1, 2, 3]}", "{value: 3}"));
    test.run(&["run", "sweep.yaml", "-q", "--accept-changes"])
        .expect(0);
    let left = test.figures("reports/toy");
    assert!(
        !left.contains(&"sensitivity_near.svg".to_owned()) && left.contains(&"mine.svg".to_owned()),
        "{left:?}"
    );
}

#[test]
fn status_counts_arm_by_arm() {
    let test = finished();
    insta::assert_snapshot!(test.run(&["status", "runs/toy"]).expect(0).all());
    let json: serde_json::Value =
        serde_json::from_str(&test.run(&["status", "runs/toy", "--json"]).expect(0).stdout)
            .unwrap();
    assert_eq!(json["state"], "finished");
    assert_eq!(json["arms"][1]["tune"]["done"], 8);
    assert_eq!(json["arms"][0]["final"]["planned"], 3);
}

#[test]
fn trials_are_listed_for_people_and_programs() {
    let test = finished();
    insta::assert_snapshot!(
        test.run(&["trials", "runs/toy", "--arm", "near"])
            .expect(0)
            .all()
    );
    let json = test
        .run(&["trials", "runs/toy", "--state", "done", "--json"])
        .expect(0)
        .stdout;
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(json.lines().count(), 20);
    assert_eq!(
        (
            first["arm"].as_str(),
            first["config"]["x"].as_i64(),
            first["metrics"]["score"].as_f64()
        ),
        (Some("near"), Some(1), Some(96.0))
    );
    let csv = test
        .run(&["trials", "runs/toy", "--csv", "--arm", "far"])
        .expect(0)
        .stdout;
    assert_eq!(
        csv.lines().next().unwrap(),
        "trial,arm,point,seed,phase,state,version,epochs,x,deep.a,score,training_seconds,val_loss"
    );
    assert_eq!(csv.lines().count(), 1 + 8 + 3);
    insta::assert_snapshot!(test.run(&["trials", "runs/toy", "--arm", "nearby"]).expect(2).stderr, @r#"error: the sweep has no arm "nearby"; its arms are near, far"#);
}

#[test]
fn show_tells_everything_about_a_trial() {
    let test = finished();
    let id = test.run(&["trials", "runs/toy"]).stdout[..12].to_owned();
    insta::with_settings!({filters => filters()}, {
        insta::assert_snapshot!(test.run(&["show", "runs/toy", &id]).expect(0).all());
    });
    let short = test
        .run(&["show", "runs/toy", &format!("{}-{}", &id[..4], &id[11..])])
        .expect(0);
    assert!(short.stdout.starts_with(&id), "a prefix is enough");
    insta::assert_snapshot!(test.run(&["show", "runs/toy", &id[..10]]).expect(2).stderr);
    insta::assert_snapshot!(test.run(&["show", "runs/toy", "zzz"]).expect(2).stderr, @r#"error: the sweep has no trial "zzz"; `pentagrid trials DIR` lists them"#);
}

#[test]
fn verify_tells_the_same_from_the_different() {
    let test = finished();
    let same = test
        .run(&["verify", "runs/toy", "-n", "4", "--devices", "cpu:2"])
        .expect(0);
    assert!(
        same.stdout
            .ends_with("4 of 4 trials gave the same metrics and history, bit for bit\n"),
        "{}",
        same.stdout
    );
    let ledger = test.ledger("runs/toy");
    ledger
        .execute(
            "UPDATE trial SET metrics = replace(metrics, '96.0', '96.00000000000001')",
            [],
        )
        .unwrap();
    let id: String = ledger
        .query_row(
            "SELECT trial FROM trials WHERE score = 96.00000000000001 AND arm = 'near'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let differs = test
        .run(&["verify", "runs/toy", "--trial", &id, "--devices", "cpu:1"])
        .expect(3);
    insta::assert_snapshot!(differs.stdout);
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM attempt"),
        20,
        "verify writes nothing into the ledger"
    );
}

#[test]
fn the_ledger_answers_plain_sql() {
    let test = finished();
    let ledger = test.ledger("runs/toy");
    let rows: Vec<String> = ledger
        .prepare("SELECT arm, x, \"deep.a\", n, printf('%.4f', mean_score) FROM summary JOIN trials USING (arm, position, point, phase) GROUP BY 1, 2, 3, phase ORDER BY mean_score DESC LIMIT 3")
        .unwrap()
        .query_map([], |row| {
            let text = |n| row.get::<_, rusqlite::types::Value>(n).map(|value| format!("{value:?}"));
            Ok([text(0)?, text(1)?, text(2)?, text(3)?, text(4)?].join(" "))
        })
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    insta::assert_snapshot!(rows.join("\n"));
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM history WHERE arm = 'near' AND epoch = 3"
        ),
        9
    );
    let (outcome, devices): (String, String) = ledger
        .query_row("SELECT outcome, devices FROM session", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!((outcome.as_str(), devices.as_str()), ("done", "cpu cpu"));
}

#[test]
fn plan_shows_what_is_left_and_touches_nothing() {
    let test = Test::with_spec(TOY);
    insta::assert_snapshot!(
        test.run(&["plan", "sweep.yaml", "--devices", "cpu:2"])
            .expect(0)
            .all()
    );
    assert!(!test.path("runs").exists());
    let listed = test.run(&["plan", "sweep.yaml", "--trials"]).expect(0);
    assert_eq!(listed.stdout.lines().count(), 14);
    insta::assert_snapshot!(listed.stderr, @"plus 6 final trials for the best point of each arm, chosen after tuning");
    test.run(&["run", "sweep.yaml", "-q"]).expect(0);
    let after = test.run(&["plan", "sweep.yaml"]).expect(0).stdout;
    assert!(
        after.contains("runs/toy: 0 tuning and 0 final trials left"),
        "{after}"
    );
    assert_eq!(
        test.run(&["plan", "sweep.yaml", "--trials"])
            .expect(0)
            .stdout,
        ""
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let test = finished();
    let mut child = test
        .command(&["trials", "runs/toy"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_directory_without_a_sweep_is_told_apart() {
    let test = Test::new();
    for verb in ["status", "trials", "report", "verify", "resume"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(test.run(&[verb, "runs/none"]).expect(2).stderr, @"
            error: runs/none holds no sweep: there is no ledger.sqlite in it
            start one with `pentagrid run SPEC --dir runs/none`
            ");
        }
    }
    assert!(!test.path("runs").exists(), "looking makes nothing");
}

#[test]
fn help_says_what_each_command_does() {
    let test = Test::new();
    let mut all = test.run(&["--help"]).expect(0).stdout;
    for verb in [
        "plan",
        "run",
        "resume",
        "status",
        "watch",
        "serve",
        "trials",
        "show",
        "verify",
        "report",
        "export",
        "schema",
        "completions",
        "man",
    ] {
        let help = test.run(&[verb, "--help"]).expect(0).stdout;
        // The common options are the same everywhere: once is enough.
        let own = help.split("\nOutput:").next().unwrap();
        all.push_str(&format!("\n===== {verb}\n{own}\n"));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn bad_usage_ends_with_2() {
    let test = Test::new();
    test.run(&["frobnicate"]).expect(2);
    test.run(&["run"]).expect(2);
    insta::assert_snapshot!(test.run(&["run", "none.yaml"]).expect(2).stderr, @"error: cannot read none.yaml: No such file or directory (os error 2)");
    test.write_spec(TOY);
    let stderr = test
        .run(&["run", "sweep.yaml", "--devices", "gpu"])
        .expect(2)
        .stderr;
    assert!(
        stderr.contains("--devices \"gpu\": expected auto, cpu, cpu:N, cuda, or cuda:I,J,..."),
        "{stderr}"
    );
    assert!(!test.path("runs").exists(), "bad usage changes nothing");
}

#[test]
fn completions_and_schema_go_to_stdout() {
    let test = Test::new();
    assert!(
        test.run(&["completions", "bash"])
            .expect(0)
            .stdout
            .contains("_pentagrid()")
    );
    let page = test.run(&["man"]).expect(0).stdout;
    assert!(
        page.contains(".TH pentagrid 1") && page.contains("pentagrid\\-export(1)"),
        "{page}"
    );
    let page = test.run(&["man", "run"]).expect(0).stdout;
    assert!(
        page.contains(".TH pentagrid-run 1") && page.contains("\\-\\-no\\-sharing"),
        "{page}"
    );
    let unknown = test.run(&["man", "walk"]).expect(2).stderr;
    assert!(
        unknown.starts_with("error: there is no command \"walk\"; there are plan, run,"),
        "{unknown}"
    );
    let schema: serde_json::Value =
        serde_json::from_str(&test.run(&["schema"]).expect(0).stdout).unwrap();
    assert!(schema["properties"]["seeds"].is_object());
}

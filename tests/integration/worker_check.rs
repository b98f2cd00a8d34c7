//! `worker-check` against good and bad workers.

use crate::support::{Test, fake_worker};

fn check(arguments: &[&str], code: i32) -> String {
    let worker = fake_worker().display().to_string();
    let (options, worker_options) = arguments.split_at(
        arguments
            .iter()
            .position(|a| *a == "--")
            .unwrap_or(arguments.len()),
    );
    let mut all = vec!["worker-check"];
    all.extend(options);
    all.extend(["--", &worker]);
    all.extend(worker_options.iter().skip(1));
    let ran = Test::new().run(&all).expect(code);
    ran.stdout + &ran.stderr
}

#[test]
fn a_good_worker_passes() {
    let config = r#"{"x": 1, "epoch_ms": 30}"#;
    insta::assert_snapshot!(check(&["--metric", "score", "--config", config], 0), @r#"
ok    says hello: fake_worker 1 on thin air
ok    runs a trial: 2 epochs, then score, training_seconds, val_loss
ok    numbers its epochs: 1 to 2
ok    gives the same again for the same configuration and seed: bit for bit, wall-clock times aside
ok    answers every trial of a bundle: 2 of 2
ok    uses the seed: other seeds, other metrics
ok    shares work without changing a number: what two trials have in common was computed once
ok    leaves when its stdin is closed and it has nothing to do: the worker ended with exit code 0
ok    leaves when its stdin is closed in the middle of a trial: the worker ended with exit code 0
9 checks, nothing against the protocol
"#);
}

#[test]
fn bad_workers_are_told_what_is_wrong() {
    let behaviour = |name: &str| format!("{{\"behaviour\": \"{name}\", \"epoch_ms\": 50}}");
    let of = |name: &str| check(&["--metric", "score", "--config", &behaviour(name)], 3);
    let mut said: Vec<String> = [
        "crash",
        "error",
        "junk",
        "twice",
        "old-news",
        "no-metric",
        "done-twice",
        "liar",
    ]
    .iter()
    .map(|name| format!("== {name}\n{}", of(name)))
    .collect();
    for option in ["--no-start", "--chatty", "--old-protocol"] {
        said.push(format!("== {option}\n{}", check(&["--", option], 3)));
    }
    said.push(format!(
        "== hang\n{}",
        check(&["--patience", "1", "--config", &behaviour("hang")], 3)
    ));
    said.push(format!(
        "== --ignore-eof\n{}",
        check(
            &["--config", r#"{"epoch_ms": 50}"#, "--", "--ignore-eof"],
            3
        )
    ));
    let text = said.join("\n");
    assert!(
        text.contains("The end of what it wrote on stderr:\n  | fake_worker: told not to start\n"),
        "{text}"
    );
    insta::with_settings!({filters => vec![
        (r"check\d{5}-\d", "[TRIAL]"),
        // Whether it still came to writing is a matter of chance.
        (r"\nThe end of what it wrote on stderr:\n(  \| .*\n)+", ""),
    ]}, { insta::assert_snapshot!(text) });
}

#[test]
fn bad_usage_is_told() {
    let test = Test::new();
    let nothing = test
        .run(&["worker-check", "--", "/no/such/program"])
        .expect(2)
        .stderr;
    insta::assert_snapshot!(nothing, @r#"error: cannot start "/no/such/program": No such file or directory (os error 2)"#);
    insta::assert_snapshot!(test.run(&["worker-check", "--config", "lr=1", "--", "true"]).expect(2).stderr, @r#"
error: --config "lr=1" is no JSON object of parameters: expected value at line 1 column 1
write for example --config '{"lr": 0.1}'
"#);
}

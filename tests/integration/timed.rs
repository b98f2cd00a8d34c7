//! Final trials use all slots, unless their times are shown.

use crate::support::Test;

fn sweep(more: &str) -> Test {
    let test = Test::with_spec(&format!(
        "name: toy\ncommand: [./train.sh, \"${{args}}\"]\nmetric: {{name: score, goal: maximize}}\n\
         seeds: {{tune: 1, final: 2}}\nparameters: {{x: {{values: [1, 2]}}}}\n{more}\n"
    ));
    test.write_script(
        "#!/bin/sh\necho '{\"score\": 1, \"training_seconds\": 2}' >> \"$PENTAGRID_METRICS\"\n",
    );
    test
}

fn final_phase(test: &Test) -> String {
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(0);
    let line = ran
        .stderr
        .lines()
        .find(|line| line.starts_with("final phase:"));
    line.unwrap_or_default().to_owned()
        + if ran.stdout.contains("Table II:") {
            ", with times"
        } else {
            ""
        }
}

#[test]
fn final_trials_that_report_times_run_one_at_a_time() {
    let line = "final phase: 2 trials on 1 slot, one at a time on each device: they are timed (`timed: false` in the sweep file uses all slots), with times";
    assert_eq!(final_phase(&sweep("")), line);
}

#[test]
fn final_trials_without_times_use_all_slots() {
    let line = "final phase: 2 trials on 2 slots";
    assert_eq!(final_phase(&sweep("timed: false")), line);

    let test = sweep("");
    test.write_script("#!/bin/sh\necho '{\"score\": 1}' >> \"$PENTAGRID_METRICS\"\n");
    assert_eq!(final_phase(&test), line);
}

#[test]
fn a_change_of_timed_asks_for_consent() {
    let test = sweep("timed: false");
    final_phase(&test);
    let text = std::fs::read_to_string(test.path("sweep.yaml")).unwrap();
    test.write_spec(&text.replace("timed: false", "timed: true"));
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(2);
    assert!(ran.stderr.contains("timed: false → true"), "{}", ran.stderr);
}

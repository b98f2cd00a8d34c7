//! Programs that train one trial each: examples, macros, metrics, faults, what a killed coordinator
//! leaves.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pentagrid::schedule::start_ticks;

use crate::support::{Ran, Test, filters, wait_until};

const DONE: &str = "SELECT count(*) FROM trial WHERE state = 'done'";

fn examples() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples"))
}

/// A folder with a copy of the examples.
fn with_examples() -> Test {
    let test = Test::new();
    for name in [
        "train.py",
        "train.sh",
        "sweep.yaml",
        "shell.yaml",
        "wandb.yaml",
    ] {
        std::fs::copy(examples().join("programs").join(name), test.path(name)).unwrap();
    }
    test
}

#[test]
fn a_python_program_gives_tables_and_curves() {
    let test = with_examples();
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(0);
    insta::assert_snapshot!(ran.stdout);
    assert_eq!(
        test.count("runs/line", "SELECT count(*) FROM epoch"),
        (3 * 9 + 2 * 5) * 20
    );
    assert!(
        test.figures("reports/line")
            .iter()
            .any(|name| name.ends_with(".png"))
    );
    let again = test
        .run(&["verify", "runs/line", "-n", "3"])
        .expect(0)
        .stdout;
    assert!(
        again.ends_with("3 of 3 trials gave the same metrics and history, bit for bit\n"),
        "{again}"
    );
}

#[test]
fn a_shell_program_gives_its_last_line() {
    let test = with_examples();
    let ran = test
        .run(&["run", "shell.yaml", "--devices", "cpu:2"])
        .expect(0);
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn a_sweep_file_of_wandb_runs_as_it_is() {
    let test = with_examples();
    let ran = test
        .run(&["run", "wandb.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    assert!(
        ran.stdout.contains("lr = 0.1  (loss 0.785"),
        "{}",
        ran.stdout
    );
    assert_eq!(test.count("runs/from-wandb", DONE), 14);
}

#[test]
fn a_worker_in_python_needs_no_library() {
    let test = Test::new();
    let worker = examples().join("worker.py").display().to_string();
    let checked = test
        .run(&[
            "worker-check",
            "--metric",
            "loss",
            "--devices",
            "cpu",
            "--",
            "python3",
            &worker,
        ])
        .expect(0)
        .stdout;
    assert!(
        checked.ends_with("9 checks, nothing against the protocol\n"),
        "{checked}"
    );
    test.write_spec(&format!(
        "name: toy\nworker: [python3, {worker}]\nmetric: {{name: loss, goal: minimize}}\nseeds: {{tune: 2, final: 2}}\n\
         parameters: {{lr: {{values: [0.1, 0.3]}}, epochs: {{value: 5}}}}\n"
    ));
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    assert_eq!(test.count("runs/toy", "SELECT count(*) FROM epoch"), 30);
}

/// A sweep of a shell script of so many trials.
fn script(text: &str, more: &str) -> Test {
    let test = Test::with_spec(&format!(
        "name: toy\ncommand: [./train.sh, \"${{args}}\"]\nmetric: {{name: score, goal: maximize}}\n\
         seeds: {{tune: 1, final: 0}}\nparameters: {{x: {{values: [1, 2]}}}}\n{more}\n"
    ));
    test.write_script(text);
    test
}

fn run(test: &Test) -> Ran {
    test.run(&["run", "sweep.yaml", "--devices", "cpu:1"])
}

#[test]
fn a_program_is_told_of_its_trial() {
    let more = "env: {FROM_SPEC: 'seed ${seed} of ${trial}', SECRET: '${envvar:PENTAGRID_TEST_SECRET}'}\nworkdir: inner\nresources: {threads: 3}";
    let text =
        "pwd; env | grep -E '^(PENTAGRID|FROM_SPEC|SECRET|OMP|CUDA_VIS)' | sort; echo \"args: $@\"; cat \"$PENTAGRID_CONFIG\"
                echo '{\"score\": 1}'";
    let test = script(text, more);
    std::fs::create_dir(test.path("inner")).unwrap();
    std::fs::rename(test.path("train.sh"), test.path("inner/train.sh")).unwrap();
    let output = test
        .command(&["run", "sweep.yaml", "--devices", "cpu:1", "-vv"])
        .env("PENTAGRID_TEST_SECRET", "hunter2")
        .output();
    let output = output.unwrap();
    let said =
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let logs = test.path("runs/toy/trials");
    let mut folders: Vec<_> = std::fs::read_dir(&logs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    let log = std::fs::read_to_string(folders[0].join("output.log")).unwrap();
    let dir = test.path("").canonicalize().unwrap();
    let log = log.replace(&format!("{}", dir.display()), "[DIR]");
    let changing = vec![
        (r"[0-9a-hj-km-np-tv-z]{10}-0", "[TRIAL]"),
        (r"metrics-\d+-[0-9a-f]{4}", "metrics-[ATTEMPT]"),
        (r"RUN_ID=[0-9a-f]{16}", "RUN_ID=[ID]"),
    ];
    insta::with_settings!({filters => changing}, { insta::assert_snapshot!(log, @r#"
[DIR]/inner
CUDA_VISIBLE_DEVICES=
FROM_SPEC=seed 0 of [TRIAL]
OMP_NUM_THREADS=3
PENTAGRID_CONFIG=[DIR]/runs/toy/trials/[TRIAL]/config.json
PENTAGRID_DEVICE=cpu
PENTAGRID_DIR=[DIR]/runs/toy/trials/[TRIAL]
PENTAGRID_METRICS=[DIR]/runs/toy/trials/[TRIAL]/metrics-[ATTEMPT].jsonl
PENTAGRID_RUN=[DIR]/runs/toy
PENTAGRID_RUN_ID=[ID]
PENTAGRID_SEED=0
PENTAGRID_TEST_SECRET=hunter2
PENTAGRID_TRIAL=[TRIAL]
SECRET=hunter2
args: --x=2 --seed=0
{"x":2}
{"score": 1}
"#) });
    // The secret reached the program, which printed it; pentagrid itself has written it nowhere.
    assert!(!said.contains("hunter2"), "{said}");
    let ledger = std::fs::read(test.path("runs/toy/ledger.sqlite")).unwrap();
    assert!(!ledger.windows(7).any(|bytes| bytes == b"hunter2"));
    let id = folders[0].file_name().unwrap().to_str().unwrap().to_owned();
    let shown = test.run(&["show", "runs/toy", &id]).expect(0).stdout;
    let rerun = shown.split("Run it again:\n").nth(1).unwrap();
    insta::with_settings!({filters => vec![(r"[0-9a-hj-km-np-tv-z]{10}-0", "[TRIAL]")]}, { insta::assert_snapshot!(rerun, @r#"
cd [DIR]/inner && rm -rf /tmp/pentagrid-[TRIAL] && mkdir /tmp/pentagrid-[TRIAL] && printf '%s\n' '{"x":2}' > /tmp/pentagrid-[TRIAL]/config.json &&
env PENTAGRID_TRIAL=[TRIAL] PENTAGRID_SEED=0 PENTAGRID_DIR=/tmp/pentagrid-[TRIAL] PENTAGRID_CONFIG=/tmp/pentagrid-[TRIAL]/config.json PENTAGRID_METRICS=/tmp/pentagrid-[TRIAL]/metrics.jsonl PENTAGRID_RUN=/tmp/pentagrid-[TRIAL] PENTAGRID_DEVICE=cpu CUDA_VISIBLE_DEVICES='' OMP_NUM_THREADS=3 MKL_NUM_THREADS=3 OPENBLAS_NUM_THREADS=3 NUMEXPR_NUM_THREADS=3 VECLIB_MAXIMUM_THREADS=3 RAYON_NUM_THREADS=3 FROM_SPEC='seed 0 of [TRIAL]' SECRET="$PENTAGRID_TEST_SECRET" \
./train.sh --x=2 --seed=0
"#) });
    // The line that is shown does run it again.
    let mut shell = std::process::Command::new("sh");
    let again = shell
        .args([
            "-c",
            &rerun.replace("[DIR]", &test.path("").display().to_string()),
        ])
        .env("PENTAGRID_TEST_SECRET", "x");
    let again = String::from_utf8(again.output().unwrap().stdout).unwrap();
    std::fs::remove_dir_all(std::env::temp_dir().join(format!("pentagrid-{id}"))).unwrap();
    assert!(
        again.ends_with("{\"score\": 1}\n") && again.contains(&format!("seed 0 of {id}")),
        "{again}"
    );
}

#[test]
fn programs_fail_in_ways_that_are_told_apart() {
    let faults = [
        ("exit code", "echo about to fail; exit 3"),
        ("signal", "kill -SEGV $$"),
        ("no metrics", "exit 0"),
        ("another metric", "echo '{\"loss\": 1}'"),
        (
            "a bad line",
            "echo 'epoch 1' > $PENTAGRID_METRICS; sleep 100",
        ),
        (
            "half a line",
            "printf '{\"epoch\": 1, \"score\": 1}\\n{\"epoch\": 2' > $PENTAGRID_METRICS",
        ),
        (
            "no number",
            "echo '{\"score\": \"high\"}' > $PENTAGRID_METRICS",
        ),
        (
            "binary",
            "head -c 3000000 /dev/zero > $PENTAGRID_METRICS; sleep 100",
        ),
        ("a flood", "yes | head -c 20000000 | tr -d '\\n'"),
        (
            "a pipe",
            "rm $PENTAGRID_METRICS; mkfifo $PENTAGRID_METRICS; sleep 100",
        ),
        (
            "shorter",
            "echo '{\"epoch\": 1, \"score\": 1}' > $PENTAGRID_METRICS; sleep 3; echo > $PENTAGRID_METRICS; sleep 100",
        ),
        (
            "overwritten",
            "for v in 9 5 1; do echo \"{\\\"score\\\": $v}\" > $PENTAGRID_METRICS; sleep 0.5; done",
        ),
        (
            "cut short",
            "printf '{\"epoch\": 1, \"sc' > $PENTAGRID_METRICS; echo CUDA out of memory; kill -KILL $$",
        ),
        (
            "memory",
            "echo 'RuntimeError: CUDA out of memory. Tried to allocate 9 GiB' >&2; exit 1",
        ),
        ("time", "sleep 100"),
    ];
    let said: Vec<String> = std::thread::scope(|scope| {
        let one = |(name, text): (&'static str, &'static str)| {
            let limit = if name == "time" { "2s" } else { "60s" };
            let test = script(text, &format!("limits: {{retries: 0, timeout: {limit}}}"));
            run(&test).expect(3);
            let sql = "SELECT kind || ' x' || count(*) || ': ' || max(message) FROM attempt";
            let message: String = test
                .ledger("runs/toy")
                .query_row(sql, [], |row| row.get(0))
                .unwrap();
            format!("{name}: {message}")
        };
        let threads = faults.map(|fault| scope.spawn(move || one(fault)));
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_it_prints_does_no_harm() {
    let text = "head -c 100000 /dev/urandom; yes x | head -c 3000000 | tr -d '\\n'; printf '\\n{\"score\": 5}\\n'; printf 'bye'";
    let test = script(text, "");
    run(&test).expect(0);
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM trials WHERE score = 5"),
        2
    );
}

#[test]
fn a_failed_trial_is_shown_with_the_end_of_its_output_and_can_be_tried_again() {
    let test = script(
        "echo seed $PENTAGRID_SEED; echo Traceback: no data >&2; exit 1",
        "limits: {retries: 0}",
    );
    let ran = run(&test).expect(3);
    insta::with_settings!({filters => filters()}, { insta::assert_snapshot!(ran.stderr, @r#"
tuning phase: 2 trials on 1 slot
trial d415hwh25a-0 (toy x=1, seed 0): exit: the program ended with exit code 1; failed, no retries left
trial cm3ch8jysj-0 (toy x=2, seed 0): exit: the program ended with exit code 1; failed, no retries left
warning: 2 trials failed, no retries left: see `pentagrid trials runs/toy --state failed`; `pentagrid resume runs/toy --retry-failed` runs them again
warning: toy: no point is selected: 2 points without a result for every tuning seed (d415hwh25a: seed 0; cm3ch8jysj: seed 0)
"#) });
    let list = test
        .run(&["trials", "runs/toy", "--state", "failed"])
        .expect(0)
        .stdout;
    let shown = test
        .run(&["show", "runs/toy", &list[..12]])
        .expect(0)
        .stdout;
    assert!(
        shown.contains("  | seed 0\n  | Traceback: no data\n"),
        "{shown}"
    );
    test.write_script("echo '{\"score\": 1}'");
    test.run(&["resume", "runs/toy", "--retry-failed", "-q"])
        .expect(0);
    assert_eq!(test.count("runs/toy", DONE), 2);
}

#[test]
fn what_cannot_start_is_told_before_anything_starts() {
    let test = script("exit 0", "");
    let mut said = Vec::new();
    let mut refuse = |test: &Test| {
        said.push(test.run(&["run", "sweep.yaml"]).expect(2).stderr);
        assert!(!test.path("runs").exists(), "nothing was made");
    };
    std::fs::set_permissions(
        test.path("train.sh"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    refuse(&test);
    std::fs::remove_file(test.path("train.sh")).unwrap();
    refuse(&test);
    let spec = |lines: &str| {
        Test::with_spec(&format!(
            "name: toy\n{lines}\nmetric: {{name: score, goal: maximize}}\nseeds: {{tune: 1, final: 0}}\nparameters: {{x: {{values: [1, 2]}}}}\n"
        ))
    };
    refuse(&spec("command: [no-such-program, '${args}']"));
    refuse(&spec("program: no_such.py"));
    refuse(&spec(
        "command: [sh, -c, 'exit ${envvar:PENTAGRID_NO_A} ${envvar:PENTAGRID_NO_B}']\nenv: {X: '${envvar:PENTAGRID_NO_A}'}",
    ));
    refuse(&spec("command: [sh, '${args}']\nworkdir: no/such/folder"));
    insta::assert_snapshot!(said.join("\n"));
}

/// A script that says its process id and waits, with a grandchild that ignores SIGTERM.
const STUBBORN: &str = "trap '' TERM; (trap '' TERM; while true; do sleep 1; done) & echo \"pids $$ $!\"; while true; do sleep 1; done";

/// Processes that the scripts have named.
fn named(test: &Test) -> Vec<u32> {
    let folders = std::fs::read_dir(test.path("runs/toy/trials"))
        .into_iter()
        .flatten();
    let logs = folders.filter_map(|folder| {
        std::fs::read_to_string(folder.unwrap().path().join("output.log")).ok()
    });
    let lines: Vec<String> = logs
        .flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines
        .iter()
        .filter_map(|line| line.strip_prefix("pids "))
        .flat_map(|pids| pids.split(' ').map(|pid| pid.parse().unwrap()))
        .collect()
}

fn all_gone(test: &Test) {
    let pids = named(test);
    assert!(pids.len() >= 2);
    wait_until("all processes are gone", || {
        pids.iter().all(|&pid| start_ticks(pid).is_none())
    });
}

#[test]
fn a_timeout_ends_the_grandchildren_too() {
    let test = script(STUBBORN, "limits: {timeout: 1s, retries: 0}");
    run(&test).expect(3);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE kind = 'timeout'"
        ),
        2
    );
    all_gone(&test);
}

#[test]
fn ctrl_c_ends_programs_and_the_second_does_not_wait() {
    let test = script(STUBBORN, "");
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    wait_until("both run", || named(&test).len() == 4);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    wait_until("it is stopping", || test.stderr().contains("stopping"));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    all_gone(&test);
    test.write_script("echo '{\"score\": 1}'");
    test.run(&["resume", "runs/toy", "-q"]).expect(0);
}

#[test]
fn a_huge_metrics_file_keeps_nobody_waiting() {
    let text = "yes '{\"loss\": 1}' | head -c 30000000 > $PENTAGRID_METRICS; echo '{\"score\": 2}' >> $PENTAGRID_METRICS";
    let test = script(text, "");
    run(&test).expect(0);
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM trials WHERE score = 2"),
        2
    );
}

#[test]
fn what_a_program_started_has_its_grace_too() {
    let child =
        "trap 'sleep 0.5; touch saved; exit 0' TERM; touch ready; while true; do sleep 0.05; done";
    let test = script("bash ./child.sh; true", "");
    std::fs::write(test.path("child.sh"), child).unwrap();
    let mut coordinator = test.start(&["run", "sweep.yaml", "--devices", "cpu:1"]);
    wait_until("the child is there", || test.path("ready").exists());
    kill(Pid::from_raw(coordinator.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(coordinator.wait().unwrap().code(), Some(130));
    assert!(
        test.path("saved").exists(),
        "the child was killed before it had put its things in order"
    );
}

#[test]
fn a_child_that_left_the_group_is_ended_with_the_sweep() {
    let test = script(
        "setsid sleep 600 & echo \"pids $! $!\"; echo '{\"score\": 1}'",
        "",
    );
    run(&test).expect(0);
    all_gone(&test);
}

#[test]
fn reruns_do_not_meet_what_others_left() {
    let text = "if [ -e $PENTAGRID_DIR/checkpoint ]; then echo '{\"score\": 2}'; else touch $PENTAGRID_DIR/checkpoint; echo '{\"score\": 1}'; fi";
    let test = script(text, "");
    run(&test).expect(0);
    for _ in 0..2 {
        test.run(&["verify", "runs/toy", "-n", "2"]).expect(0);
    }
    assert!(
        !test.path("runs/toy/verify").exists(),
        "reruns leave nothing"
    );
}

#[test]
fn the_path_of_the_sweep_file_counts() {
    let test = Test::with_spec(
        "name: toy\ncommand: [my-train, '${args}']\nenv: {PATH: './bin:${envvar:PATH}'}\nmetric: {name: score, goal: maximize}\n\
         seeds: {tune: 1, final: 0}\nparameters: {x: {values: [1, 2], distribution: categorical}}\n",
    );
    std::fs::create_dir(test.path("bin")).unwrap();
    test.write_script("echo '{\"score\": 1}'");
    std::fs::rename(test.path("train.sh"), test.path("bin/my-train")).unwrap();
    run(&test).expect(0);
    assert_eq!(test.count("runs/toy", DONE), 2);
}

#[test]
fn a_program_that_ends_well_when_told_to_end_has_no_result() {
    let text = "trap 'exit 0' TERM; echo '{\"epoch\": 1, \"score\": 1}' >> $PENTAGRID_METRICS; while true; do sleep 0.05; done";
    let test = script(text, "limits: {timeout: 1s, retries: 0}");
    run(&test).expect(3);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE kind = 'timeout'"
        ),
        2
    );
    let test = script(text, "");
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:1"]);
    test.wait_for("runs/toy", "SELECT count(*) FROM epoch", 1);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(test.count("runs/toy", DONE), 0);
    assert_eq!(
        test.count(
            "runs/toy",
            "SELECT count(*) FROM attempt WHERE outcome = 'interrupted'"
        ),
        1
    );
}

#[test]
fn epochs_may_begin_with_0_and_nested_parameters_stay_nested() {
    let text = "cat $PENTAGRID_CONFIG; echo \"$@\"; echo '{\"epoch\": 0, \"score\": 1}' >> $PENTAGRID_METRICS";
    let spec = "name: toy\ncommand: [./train.sh, '${args}', '${args_json}']\nmetric: {name: score, goal: maximize}\nseeds: {tune: 1, final: 0}\n\
                parameters: {opt: {parameters: {lr: {value: 0.1}, nesterov: {value: true}}}, x: {values: [1]}}\n";
    let test = Test::with_spec(spec);
    test.write_script(text);
    run(&test).expect(0);
    assert_eq!(
        test.count("runs/toy", "SELECT count(*) FROM history WHERE epoch = 0"),
        1
    );
    let folder = std::fs::read_dir(test.path("runs/toy/trials"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let log = std::fs::read_to_string(folder.join("output.log")).unwrap();
    insta::assert_snapshot!(log, @r#"
{"opt":{"lr":0.1,"nesterov":true},"x":1}
--opt.lr=0.1 --opt.nesterov=True --x=1 --seed=0 {"opt":{"lr":0.1,"nesterov":true},"x":1}
"#);
}

#[test]
fn what_a_killed_coordinator_left_running_is_ended_grandchildren_and_all() {
    let test = script(STUBBORN, "");
    let mut child = test.start(&["run", "sweep.yaml", "--devices", "cpu:2"]);
    wait_until("both run", || named(&test).len() == 4);
    child.kill().unwrap();
    child.wait().unwrap();
    let pids = named(&test);
    // One leader is gone, too: only the mark in its child's environment tells whose it is.
    kill(Pid::from_raw(pids[0] as i32), Signal::SIGKILL).unwrap();
    assert!(
        pids[1..].iter().all(|&pid| start_ticks(pid).is_some()),
        "the test needs processes that outlive their coordinator"
    );
    test.write_script("echo '{\"score\": 1}'");
    let ran = test
        .run(&["run", "sweep.yaml", "--devices", "cpu:2"])
        .expect(0);
    assert!(
        ran.stderr
            .contains("that a killed coordinator had left running"),
        "{}",
        ran.stderr
    );
    wait_until("all processes are gone", || {
        pids.iter().all(|&pid| start_ticks(pid).is_none())
    });
    assert_eq!(test.count("runs/toy", "SELECT sum(failures) FROM trial"), 0);
}

#[test]
fn a_sweep_goes_on_from_another_folder() {
    let test = script("pwd; exit 1", "limits: {retries: 0}");
    run(&test).expect(3);
    test.write_script("pwd; echo '{\"score\": 1}'");
    let elsewhere = tempfile::tempdir().unwrap();
    let runs = test.path("runs/toy").display().to_string();
    let mut resume = test.command(&["resume", &runs, "--retry-failed", "-q"]);
    assert!(
        resume
            .current_dir(elsewhere.path())
            .status()
            .unwrap()
            .success()
    );
    assert!(
        test.path("reports/toy/table1.txt").exists() && !elsewhere.path().join("reports").exists(),
        "beside the one before"
    );
}

/// A second attempt finds what the first one's program kept, but has its own log and metrics.
#[test]
fn a_second_attempt_does_not_mix_its_files_with_those_of_the_first() {
    // Says what it found, but for the files of single attempts. The first attempt fails, having
    // written more than the second one will.
    let text = r#"
cd "$PENTAGRID_DIR"
echo "found $(echo $(ls | grep -v -e -[0-9])), $(cat config.json)"
echo '{"epoch": 1, "score": 9}' >> "$PENTAGRID_METRICS"
[ -e kept ] || { echo '{"epoch": 2, "score": 9}' >> "$PENTAGRID_METRICS"; touch kept; exit 5; }
echo '{"score": 1}'
"#;
    let test = script(text, "limits: {retries: 1}");
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:2"])
        .expect(0);

    let done = test.count("runs/toy", DONE);
    let epochs = test.count("runs/toy", "SELECT count(*) FROM epoch");
    assert_eq!(epochs, done, "of second attempts alone");
    let ids = test.run(&["trials", "runs/toy", "--csv"]).expect(0).stdout;
    for id in ids
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').next())
    {
        let folder = test.path("runs/toy/trials").join(id);
        let first = std::fs::read_to_string(folder.join("output.log")).unwrap();
        assert!(first.contains("found config.json output.log, {"), "{first}");
        let shown = test.run(&["show", "runs/toy", id]).expect(0).stdout;
        assert!(
            shown.contains("found config.json kept output.log, {")
                && shown.matches("found config.json").count() == 1,
            "only the last attempt's part: {shown}"
        );
    }
}

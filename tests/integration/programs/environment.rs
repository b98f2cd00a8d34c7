//! What a program is given, and the files that it finds.

use super::{run, script};
use crate::support::{DONE, Test};

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
"#); });
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
"#); });
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
fn a_sweep_resumes_from_another_folder() {
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

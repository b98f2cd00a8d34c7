//! The built-in task run by the coordinator: training on MNIST images, with bit-identical results
//! in every way of running a sweep.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use pentagrid_protocol::{
    FailureKind, FromWorker, ToWorker, TrialRequest, decode_line, encode_line,
};

use crate::support::Test;

/// Two small arms; 12 images and one epoch of three steps, so that a trial is short.
const SMALL: &str = "
name: small
task: mnist-resnet18
metric: {name: val_accuracy, goal: maximize}
seeds: {tune: 2, final: 1}
parameters: {epochs: {value: 1}, batch_size: {value: 4}, train_images: {value: 12}}
arms:
  sgd: {label: SGD, parameters: {optimizer: {value: sgd}, lr: {values: [0.01, 0.1]}}}
  adahessian: {label: AdaHessian, parameters: {optimizer: {value: adahessian}, lr: {value: 0.1}}}
";

fn trainer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pentagrid-trainer"));
    command
        .env_remove("PENTAGRID_DEVICE")
        .env_remove("PENTAGRID_THREADS");
    command
}

/// On a CPU packs are not faster, but everything else is as on a GPU: bundles, packs, answers trial
/// by trial, the records. Trials take one step, by rules that do not divide by small numbers:
/// further steps would make rounding grow.
#[test]
fn packs_give_the_results_of_single_trials_up_to_rounding() {
    let spec = SMALL.replace("batch_size: {value: 4}", "batch_size: {value: 12}");
    let spec = spec.replace("lr: {value: 0.1}", "lr: {value: 0.1}, eps: {value: 1}");
    assert!(
        spec.contains("value: 12}, train_images: {value: 12}") && spec.contains("eps: {value: 1}")
    );
    let alone = Test::with_spec(&spec);
    let packed = Test::with_spec(&spec);
    alone
        .run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    packed
        .run(&[
            "run",
            "sweep.yaml",
            "-q",
            "--devices",
            "cpu:1",
            "--pack",
            "2",
        ])
        .expect(0);
    let expected = losses(&alone);
    let found = losses(&packed);
    assert_eq!((expected.len(), found.len()), (6, 6));
    for ((trial, expected), (same, found)) in expected.iter().zip(&found) {
        assert_eq!(trial, same);
        assert!(
            (found / expected - 1.0).abs() < 1e-3,
            "{trial}: {found} instead of {expected}"
        );
    }
    assert_ne!(expected, found, "nothing was packed");
    let noted = "SELECT count(*) FROM worker WHERE libraries LIKE 'libtorch 2.11.0%, packs of up to 2 trials'";
    assert_eq!(
        (
            packed.count("runs/small", noted) > 0,
            alone.count("runs/small", noted)
        ),
        (true, 0)
    );
    // Final trials are timed: each trains by itself.
    assert_eq!(
        packed.count(
            "runs/small",
            "SELECT count(*) FROM trials WHERE phase = 'final' AND state = 'done'"
        ),
        2
    );
}

/// The training loss of each tuning trial, by id.
fn losses(test: &Test) -> Vec<(String, f64)> {
    let ledger = test.ledger("runs/small");
    let sql = "SELECT trial, json_extract(metrics, '$.train_loss') FROM trials WHERE phase = 'tune' ORDER BY trial";
    let mut statement = ledger.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// What a worker did with a pack.
struct PackRun {
    /// The last message about each trial.
    ends: BTreeMap<String, FromWorker>,
    /// Whether a trial ended before another one was trained.
    halved: bool,
    /// The worker's largest address space in KiB.
    peak: u64,
}

/// A trial that differs from the others by its learning rate.
fn request(place: u64) -> TrialRequest {
    let config = format!(
        r#"{{"optimizer": "sgd", "lr": {}e-3, "epochs": 1, "batch_size": 20, "train_images": 20}}"#,
        place + 1
    );
    TrialRequest {
        trial: format!("trial-{place}"),
        seed: 1,
        config: serde_json::from_str(&config).unwrap(),
    }
}

/// Lets a worker train that many trials as one pack, with an address space of `space` KiB.
fn train_a_pack(count: u64, space: Option<u64>) -> PackRun {
    let limit = space.map_or("unlimited".to_owned(), |space| space.to_string());
    let mut command = Command::new("bash");
    command
        .args(["-c", r#"ulimit -v "$0" && exec "$1""#, &limit])
        .arg(trainer().get_program());
    command
        .env_remove("PENTAGRID_DEVICE")
        .env_remove("PENTAGRID_THREADS")
        .env("PENTAGRID_PACK", count.to_string());
    let mut worker = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = worker.stdin.take().unwrap();
    let run = ToWorker::Run {
        bundle: (0..count).map(request).collect(),
        share: false,
    };
    stdin.write_all(encode_line(&run).as_bytes()).unwrap();

    let mut ends = BTreeMap::new();
    let mut halved = false;
    for line in BufReader::new(worker.stdout.take().unwrap()).split(b'\n') {
        let message: FromWorker = decode_line(&line.unwrap()).unwrap();
        match &message {
            FromWorker::Done { trial, .. } | FromWorker::Failed { trial, .. } => {
                drop(ends.insert(trial.clone(), message));
            }
            FromWorker::Epoch { .. } => halved |= !ends.is_empty(),
            _ => {}
        }
        if ends.len() as u64 == count {
            break;
        }
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.id())).unwrap();
    let peak = status.lines().find_map(|line| {
        line.strip_prefix("VmPeak:")?
            .trim()
            .strip_suffix(" kB")?
            .parse()
            .ok()
    });
    drop(stdin);
    worker.wait().unwrap();
    PackRun {
        ends,
        halved,
        peak: peak.unwrap(),
    }
}

/// With a real lack of memory, in which libtorch's allocator is refused, a trial that fails says
/// so, and no other trial fails with it.
#[test]
fn a_pack_that_does_not_fit_is_halved() {
    const COUNT: u64 = 8;
    let alone = train_a_pack(1, None).peak;
    let whole = train_a_pack(COUNT, None);
    let together = whole.peak;
    assert!(
        !whole.halved && together > alone + (100 << 10),
        "{alone} and {together} KiB"
    );

    // With less memory than the whole pack takes, its half or quarter fits. Which of them varies,
    // because a failed attempt leaves some memory behind.
    let mut seen = false;
    for quarter in [3, 2, 1] {
        let space = alone + (together - alone) * quarter / 4;
        let PackRun { ends, halved, .. } = train_a_pack(COUNT, Some(space));
        assert_eq!(ends.len() as u64, COUNT, "a trial was lost");
        for (trial, end) in &ends {
            match (end, &whole.ends[trial]) {
                (
                    FromWorker::Done { metrics, .. },
                    FromWorker::Done {
                        metrics: expected, ..
                    },
                ) => {
                    let [found, expected] =
                        [metrics, expected].map(|metrics| metrics.get("train_loss").unwrap());
                    assert!(
                        (found / expected - 1.0).abs() < 1e-3,
                        "{trial}: {found} {expected}"
                    );
                }
                (FromWorker::Failed { kind, .. }, _) => {
                    assert_eq!(*kind, FailureKind::OutOfMemory, "{end:?}");
                }
                other => panic!("{other:?}"),
            }
        }
        seen |= halved;
    }
    assert!(seen, "no pack was halved");
}

#[test]
fn results_are_bit_identical_in_every_way_of_running_a_sweep() {
    let one = Test::with_spec(SMALL);
    one.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    let other = Test::with_spec(SMALL);
    other
        .run(&[
            "run",
            "sweep.yaml",
            "-q",
            "--devices",
            "cpu:2",
            "--shuffle",
            "3",
            "--bundle",
            "2",
        ])
        .expect(0);
    assert_eq!(one.report("reports/small"), other.report("reports/small"));

    let verified = other
        .run(&["verify", "runs/small", "-n", "2", "--devices", "cpu:1"])
        .expect(0);
    assert!(
        verified
            .stdout
            .ends_with("2 of 2 trials gave the same metrics and history, bit for bit\n"),
        "{}",
        verified.stdout
    );

    let list = one.run(&["trials", "runs/small", "--state", "done"]).stdout;
    assert_eq!(list.lines().count(), 6 + 2);
    assert_eq!(
        one.count(
            "runs/small",
            "SELECT count(*) FROM history WHERE val_accuracy BETWEEN 0 AND 100 AND seconds > 0"
        ),
        8
    );
    let table = std::fs::read_to_string(one.path("reports/small/table2.csv")).unwrap();
    assert!(
        table.lines().count() == 3 && table.contains("training_seconds_mean"),
        "{table}"
    );

    // The line that `show` prints reruns the same trial.
    let id = list.split_whitespace().next().unwrap();
    let shown = one.run(&["show", "runs/small", id]).expect(0).stdout;
    let line = shown.lines().last().unwrap().trim();
    assert!(
        line.contains("pentagrid-trainer --seed 0 --config '{"),
        "{line}"
    );
    let again = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(again.status.success());
    let Ok(FromWorker::Done { metrics, .. }) = decode_line(
        again
            .stdout
            .trim_ascii()
            .rsplit(|&byte| byte == b'\n')
            .next()
            .unwrap(),
    ) else {
        panic!("{}", String::from_utf8_lossy(&again.stdout));
    };
    let recorded: String = one
        .ledger("runs/small")
        .query_row("SELECT metrics FROM trials WHERE trial = ?", [id], |row| {
            row.get(0)
        })
        .unwrap();
    let recorded: pentagrid_protocol::Metrics = serde_json::from_str(&recorded).unwrap();
    assert_eq!(
        metrics.numbers.without_wall_clock(),
        recorded.without_wall_clock()
    );
}

/// Hybrid with three thresholds, of which two are crossed at the first epoch and one never, and its
/// first phase as another arm.
const FAMILY: &str = "
name: family
task: mnist-resnet18
metric: {name: val_accuracy, goal: maximize}
seeds: {tune: 2, final: 1}
parameters: {epochs: {value: 2}, batch_size: {value: 4}, train_images: {value: 8}, momentum: {value: 0.9}}
arms:
  hybrid:
    label: Hybrid
    parameters:
      optimizer: {value: hybrid}
      tl: {values: [1000.0, 2000.0, -1.0]}
      lr1: {values: [0.002, 0.001]}
      lr2: {value: 0.01}
  momentum: {label: SGD with momentum, parameters: {optimizer: {value: sgd_momentum}, lr: {value: 0.002}}}
";

#[test]
fn trials_that_share_their_beginnings_have_the_same_results() {
    let lone = Test::with_spec(FAMILY);
    lone.run(&[
        "run",
        "sweep.yaml",
        "-q",
        "--devices",
        "cpu:1",
        "--no-sharing",
    ])
    .expect(0);
    let shared = Test::with_spec(FAMILY);
    shared
        .run(&["run", "sweep.yaml", "-q", "--devices", "cpu:1"])
        .expect(0);
    assert_eq!(
        lone.report("reports/family"),
        shared.report("reports/family")
    );
    // Trials that share a computation have the same time: of the seven trials of each seed, four
    // are different computations.
    let different = "SELECT count(DISTINCT json_extract(metrics, '$.training_seconds')) FROM trials WHERE phase = 'tune'";
    assert_eq!(
        (
            lone.count("runs/family", different),
            shared.count("runs/family", different)
        ),
        (14, 8)
    );
    let alike = "SELECT count(*) FROM trials WHERE same_as IS NOT NULL";
    assert_eq!(
        (
            lone.count("runs/family", alike),
            shared.count("runs/family", alike)
        ),
        (0, 6)
    );
    // Computed by themselves, the trials have the results that they shared.
    shared
        .run(&[
            "verify",
            "runs/family",
            "-n",
            "14",
            "-q",
            "--devices",
            "cpu:2",
        ])
        .expect(0);
}

#[test]
fn provenance_names_what_trained() {
    let test = Test::with_spec(SMALL);
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:2"])
        .expect(0);
    let text = std::fs::read_to_string(test.path("reports/small/provenance.json")).unwrap();
    let provenance: serde_json::Value = serde_json::from_str(&text).unwrap();
    let trainer = &provenance["trained_by"][0];
    assert_eq!(trainer["program"], "pentagrid-trainer");
    let libraries = trainer["libraries"].as_str().unwrap();
    assert!(libraries.starts_with("libtorch 2.11.0"), "{libraries}");
    assert_eq!(
        (trainer["threads"].as_u64(), trainer["trials"].as_u64()),
        (Some(1), Some(8))
    );
    assert_eq!(provenance["runs"][0]["outcome"], "done");
    assert_eq!(provenance["spec_blake3"].as_str().unwrap().len(), 64);
}

#[test]
fn only_the_trainer_loads_libtorch() {
    let needs = |program: &Path| {
        let output = Command::new("ldd")
            .arg(program)
            .output()
            .expect("ldd is a part of glibc");
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("libtorch")
    };
    assert!(needs(Path::new(env!("CARGO_BIN_EXE_pentagrid-trainer"))));
    assert!(
        !needs(&crate::pentagrid()),
        "with libtorch the coordinator would take a quarter of a second to start"
    );
}

#[test]
fn a_trainer_ends_at_once_when_its_coordinator_is_gone() {
    let mut child = trainer()
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert!(
        line.starts_with(r#"{"type":"hello","protocol":1,"program":"pentagrid-trainer""#),
        "{line}"
    );
    let mut stdin = child.stdin.take().unwrap();
    let long = r#"{"type":"run","bundle":[{"trial":"t","seed":0,"config":{"optimizer":"adahessian","lr":0.1,"epochs":10000}}]}"#;
    std::io::Write::write_all(&mut stdin, format!("{long}\n").as_bytes()).unwrap();
    line.clear();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "{\"type\":\"started\",\"trial\":\"t\"}\n");
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

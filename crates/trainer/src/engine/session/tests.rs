//! Tests of trials in a session: determinism, the protocol `as_run`, Hybrid, and shared work.

use super::*;
use crate::margins::assert_ratio;
use crate::model::Mode;
use crate::optim::gradients;
use pentagrid_protocol::task::{AS_RUN_METRICS, METRICS};
use tch::{Kind, Tensor};

/// A trial that has run.
struct Run {
    rows: Vec<Metrics>,
    metrics: Metrics,
    taken: Taken,
}

/// A tiny trial: two epochs of two steps, without wall-clock times.
fn run_in(session: &mut Session, json: &str, seed: u64) -> Run {
    run_with(session, json, seed, Sharing::None)
}

fn run_with(session: &mut Session, json: &str, seed: u64, sharing: Sharing<'_>) -> Run {
    let mut config: Config = serde_json::from_str(json).unwrap();
    for (name, value) in [("epochs", 2), ("batch_size", 4), ("train_images", 8)] {
        config
            .0
            .entry(name.to_owned())
            .or_insert(pentagrid_protocol::ParamValue::Int(value));
    }
    let mut rows = Vec::new();
    let outcome = session.run(&config, seed, sharing, &mut |epoch, row| {
        rows.push(row.without_wall_clock());
        assert_eq!(epoch as usize, rows.len());
    });
    let outcome = outcome.unwrap();
    Run {
        rows,
        metrics: outcome.metrics,
        taken: outcome.taken,
    }
}

fn session(kind: Kind) -> Session {
    Session::small(kind, 8)
}

fn run(json: &str, seed: u64) -> Run {
    run_in(&mut session(Kind::Float), json, seed)
}

const MOMENTUM: &str = r#"{"optimizer": "sgd_momentum", "lr": 0.005, "momentum": 0.9}"#;

#[test]
fn a_trial_run_twice_is_the_same_bit_for_bit() {
    for json in [
        r#"{"optimizer": "adam", "lr": 0.001}"#,
        r#"{"optimizer": "adahessian", "lr": 0.1}"#,
    ] {
        let (first, second) = (run(json, 3), run(json, 3));
        assert_eq!(first.rows, second.rows);
        assert_eq!(
            first.metrics.without_wall_clock(),
            second.metrics.without_wall_clock()
        );
        assert_ne!(first.rows, run(json, 4).rows);
    }
}

/// No trial influences the next one in the same process.
#[test]
fn neighbours_in_a_session_change_nothing() {
    let mut session = session(Kind::Float);
    run_in(&mut session, r#"{"optimizer": "sgd", "lr": 10}"#, 1);
    run_in(
        &mut session,
        r#"{"optimizer": "adahessian", "lr": 0.1, "epochs": 1}"#,
        2,
    );
    assert_eq!(
        run_in(&mut session, MOMENTUM, 2).rows,
        run(MOMENTUM, 2).rows
    );
}

#[test]
fn the_metrics_are_those_that_the_task_names() {
    let outcome = run(MOMENTUM, 1);
    let mut expected = METRICS.to_vec();
    expected.sort_unstable();
    assert_eq!(
        outcome
            .metrics
            .0
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        expected
    );
    assert_eq!(outcome.rows.len(), 2);
    let names: Vec<&str> = outcome.rows[0].0.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "grad_norm_conv1",
            "grad_norm_fc",
            "train_accuracy",
            "train_loss",
            "val_accuracy",
            "val_loss"
        ]
    );
    assert_eq!(
        outcome.metrics.get("val_loss"),
        outcome.rows[1].get("val_loss")
    );
}

/// With one batch per epoch, the epoch's norm is that of the batch's gradient at the weights before
/// the step.
#[test]
fn the_history_holds_the_norms_of_the_gradients() {
    let mut session = session(Kind::Double);
    let json = r#"{"optimizer": "sgd", "lr": 0.01, "batch_size": 8, "epochs": 1}"#;
    let row = run_in(&mut session, json, 6).rows.remove(0);
    let network = session.network(6, 8).unwrap();
    let sets = session.sets(None).unwrap();
    let logits = network.forward(&sets.train.images, Mode::Train).unwrap();
    let gradients = gradients(
        &logits.cross_entropy_for_logits(&sets.train.labels),
        network.parameters(),
        false,
    )
    .unwrap();
    let conv1 = mean_norm(&gradients[0].squeeze_dim(1));
    let fc = mean_norm(&gradients[gradients.len() - 2]);
    for (name, expected) in [("grad_norm_conv1", conv1), ("grad_norm_fc", fc)] {
        let found = row.get(name).unwrap();
        assert_ratio(name, found, expected, 1e-6);
    }
}

/// The mean spectral norm of matrices.
fn mean_norm(matrices: &Tensor) -> f64 {
    let norms = matrices.linalg_norm(2.0, [-2, -1].as_slice(), false, Kind::Double);
    norms.mean(Kind::Double).double_value(&[])
}

/// The same training under both protocols: only what is measured differs.
#[test]
fn as_run_measures_on_the_test_images() {
    let as_run = MOMENTUM.replace('}', r#", "epochs": 4, "protocol": "as_run"}"#);
    let paper = MOMENTUM.replace('}', r#", "epochs": 4}"#);
    let theirs = run(&as_run, 2);
    let ours = run(&paper, 2);
    for (theirs, ours) in theirs.rows.iter().zip(&ours.rows) {
        for name in ["train_loss", "train_accuracy", "grad_norm_conv1"] {
            assert_eq!(theirs.get(name), ours.get(name), "{name}");
        }
        assert_eq!(
            theirs.get("grad_norm_fc"),
            ours.get("grad_norm_fc").map(|norm| norm / 64.0)
        );
        assert_ne!(theirs.get("val_loss"), ours.get("val_loss"));
    }
    assert_eq!(
        theirs.metrics.get("val_loss"),
        ours.metrics.get("test_loss")
    );
    assert_eq!(
        theirs.metrics.get("heldout_val_loss"),
        ours.metrics.get("val_loss")
    );
    assert_eq!(
        theirs.metrics.get("heldout_val_accuracy"),
        ours.metrics.get("val_accuracy")
    );
    // The test metrics are those of the epoch with the lowest loss on the test images.
    let losses: Vec<f64> = theirs
        .rows
        .iter()
        .map(|row| row.get("val_loss").unwrap())
        .collect();
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(theirs.metrics.get("test_loss"), Some(lowest));
    let epoch = losses.iter().position(|loss| *loss == lowest).unwrap() + 1;
    assert_eq!(theirs.metrics.get("checkpoint_epoch"), Some(epoch as f64));
    assert!(theirs.metrics.get("step_seconds") < theirs.metrics.get("training_seconds"));
    let names: Vec<&str> = theirs.metrics.0.keys().map(String::as_str).collect();
    let mut expected = [METRICS, AS_RUN_METRICS].concat();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

/// Hybrid's threshold is compared with the loss on the test images too. Here it lies between the
/// loss on the validation images and that on the test images.
#[test]
fn as_run_switches_by_the_test_images() {
    let json = |tl: f64, protocol: &str| {
        format!(
            r#"{{"optimizer": "hybrid", "lr1": 0.005, "momentum": 0.9, "lr2": 0.1, "tl": {tl}, "protocol": "{protocol}"}}"#
        )
    };
    let losses = ["paper", "as_run"].map(|protocol| {
        run(&json(-1.0, protocol), 5).rows[0]
            .get("val_loss")
            .unwrap()
    });
    let tl = (losses[0] + losses[1]) / 2.0;
    let switches = ["paper", "as_run"]
        .map(|protocol| run(&json(tl, protocol), 5).rows[0].get("switched").unwrap() == 1.0);
    assert_eq!(switches, losses.map(|loss| loss < tl));
}

#[test]
fn hybrid_that_never_switches_is_sgd_with_momentum_bit_for_bit() {
    let hybrid = run(
        r#"{"optimizer": "hybrid", "lr1": 0.005, "momentum": 0.9, "lr2": 0.1, "tl": -1}"#,
        5,
    );
    let momentum = run(MOMENTUM, 5);
    assert_eq!(
        hybrid.metrics.without_wall_clock(),
        momentum.metrics.without_wall_clock()
    );
    for (mut ours, theirs) in hybrid.rows.into_iter().zip(momentum.rows) {
        assert_eq!(ours.0.remove("switched").unwrap().0, 0.0);
        assert_eq!(ours, theirs);
    }
}

#[test]
fn hybrid_switches_once_and_reports_when() {
    let json = r#"{"optimizer": "hybrid", "lr1": 0.005, "momentum": 0.9, "lr2": 0.1, "tl": 1e9, "epochs": 3}"#;
    let hybrid = run(json, 5);
    assert_eq!(
        hybrid
            .rows
            .iter()
            .map(|row| row.get("switched").unwrap())
            .collect::<Vec<_>>(),
        [1.0, 0.0, 0.0]
    );
    assert_eq!(hybrid.metrics.get("switch_epoch"), Some(1.0));
    let momentum = run(MOMENTUM, 5);
    assert_eq!(
        hybrid.rows[0].get("val_loss"),
        momentum.rows[0].get("val_loss")
    );
    assert_ne!(
        hybrid.rows[1].get("val_loss"),
        momentum.rows[1].get("val_loss")
    );
}

/// SGD with momentum, then hybrid trials with the same beginning. For each epoch at which a trial
/// can switch there is a threshold that does it, for the first epoch two; two thresholds are never
/// crossed. Each has two second phases.
fn family(protocol: &str) -> Vec<String> {
    let common = format!(r#""momentum": 0.9, "epochs": 4, "protocol": "{protocol}""#);
    let momentum = |lr: f64| format!(r#"{{"optimizer": "sgd_momentum", "lr": {lr}, {common}}}"#);
    let lows_at = |lr| {
        let mut lows: Vec<f64> = Vec::new();
        for row in run(&momentum(lr), 1).rows {
            let loss = row.get("val_loss").unwrap();
            if lows.last().is_none_or(|low| loss < *low) {
                lows.push(loss);
            }
        }
        (lr, lows)
    };
    // Steps on four images vary a lot: rounding decides at which rate the loss falls more than
    // once.
    let mut rates = [
        0.002, 0.001, 0.0005, 0.0002, 0.0001, 0.00005, 0.00002, 0.00001,
    ]
    .into_iter()
    .map(lows_at);
    let (lr, lows) = rates
        .find(|(_, lows)| lows.len() > 1)
        .expect("all switches would be at the first epoch");
    let never = [lows[lows.len() - 1], -1.0];
    let thresholds = std::iter::once(1e9)
        .chain(lows.into_iter().map(|low| low * (1.0 + 1e-9)))
        .chain(never);
    let hybrid = |(tl, lr2): (f64, f64)| {
        format!(r#"{{"optimizer": "hybrid", "lr1": {lr}, "lr2": {lr2}, "tl": {tl}, {common}}}"#)
    };
    let grid = thresholds.flat_map(|tl| [0.1, 0.01].map(|lr2| (tl, lr2)));
    std::iter::once(momentum(lr))
        .chain(grid.map(hybrid))
        .collect()
}

#[test]
fn shared_trials_are_bit_for_bit_as_by_themselves_in_any_order() {
    for protocol in ["paper", "as_run"] {
        let mut trials: Vec<_> = family(protocol)
            .into_iter()
            .map(|json| (run(&json, 1), json))
            .collect();
        for _ in 0..2 {
            let mut session = session(Kind::Float);
            for (by_itself, json) in &trials {
                let shared = run_with(&mut session, json, 1, Sharing::As(json));
                assert_eq!(shared.rows, by_itself.rows, "{json}");
                assert_eq!(
                    shared.metrics.without_wall_clock(),
                    by_itself.metrics.without_wall_clock(),
                    "{json}"
                );
            }
            trials.reverse();
        }
    }
}

/// Trials that share a computation have the same times, to the last bit; a trial that trains by
/// itself has its own.
#[test]
fn a_bundle_computes_common_work_once_and_a_lone_trial_everything() {
    let mut session = session(Kind::Float);
    let family = family("paper");
    let seconds = |outcome: &Run| outcome.metrics.get("training_seconds").unwrap().to_bits();
    let outcomes: Vec<Run> = family
        .iter()
        .map(|json| run_with(&mut session, json, 1, Sharing::As(json)))
        .collect();
    let shared: Vec<u64> = outcomes.iter().map(seconds).collect();
    let never = shared.len() - 4;
    assert_eq!(shared[never..], [shared[0]; 4]);
    assert_eq!(shared[1..3], shared[3..5]);
    assert_eq!(
        shared[3..never].iter().collect::<HashSet<_>>().len(),
        never - 3
    );
    let lone = run_with(&mut session, &family[0], 1, Sharing::None);
    assert_ne!(seconds(&lone), shared[0]);
    assert_eq!(lone.taken, Taken::default());
    // What trials report as reused is what they did reuse: the ending of the first trial with the
    // same one, else the epochs up to the switch.
    for (place, outcome) in outcomes.iter().enumerate() {
        let first = shared
            .iter()
            .position(|seconds| *seconds == shared[place])
            .unwrap();
        let same_as = (first != place).then(|| family[first].clone());
        let switch = outcome
            .metrics
            .get("switch_epoch")
            .map_or(4, |epoch| epoch as u32);
        let epochs = match (place, &same_as) {
            (0, _) => 0,
            (_, Some(_)) => 4,
            (_, None) => switch,
        };
        assert_eq!(
            outcome.taken,
            Taken { same_as, epochs },
            "{}",
            family[place]
        );
    }
}

/// Everything works in double precision too. After one step, by a rule that does not divide by
/// small numbers, the two differ by rounding alone; later steps and smaller denominators would make
/// it grow.
#[test]
fn double_precision_agrees_with_single() {
    let rules = [
        r#"{"optimizer": "sgd", "lr": 0.01, "epochs": 1, "batch_size": 8}"#,
        r#"{"optimizer": "adam", "lr": 0.01, "eps": 1, "epochs": 1, "batch_size": 8}"#,
        r#"{"optimizer": "adahessian", "lr": 0.01, "eps": 1, "epochs": 1, "batch_size": 8}"#,
    ];
    for json in rules {
        let double = run_in(&mut session(Kind::Double), json, 2);
        let single = run(json, 2);
        for name in ["grad_norm_conv1", "grad_norm_fc", "train_loss", "val_loss"] {
            let [double, single] =
                [&double, &single].map(|outcome| outcome.rows[0].get(name).unwrap());
            assert_ratio(
                format!("{name} in single precision, {json}"),
                single,
                double,
                1e-4,
            );
        }
    }
}

#[test]
fn a_diverged_trial_is_a_result() {
    let outcome = run(r#"{"optimizer": "sgd", "lr": 1e30}"#, 1);
    assert!(!outcome.metrics.get("train_loss").unwrap().is_finite());
    assert!((0.0..=100.0).contains(&outcome.metrics.get("val_accuracy").unwrap()));
}

#[test]
fn more_images_than_there_are_is_a_bad_configuration() {
    let config =
        serde_json::from_str(r#"{"optimizer": "sgd", "lr": 0.1, "train_images": 9}"#).unwrap();
    let error = session(Kind::Float)
        .run(&config, 0, Sharing::None, &mut |_, _| {})
        .unwrap_err();
    assert!(matches!(error, TrialError::BadConfig(_)));
    insta::assert_snapshot!(error, @"train_images: 9 are wanted, but the training set has 8 images");
}

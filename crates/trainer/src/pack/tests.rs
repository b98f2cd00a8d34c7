//! Packs against single trials: the same numbers to rounding, for every optimizer and mixed
//! hyper-parameters; no model influences its neighbours.

use std::rc::Rc;

use pentagrid_protocol::Metrics;
use pentagrid_protocol::{Config, ParamValue};
use tch::Kind;

use super::native::Reference;
use super::{Event, Operations, PackKey, PackOptions, run};
use crate::engine::{Session, Sharing};
use crate::margins::{assert_ratio, assert_within};
use crate::settings::Settings;

const SGD: [&str; 2] = [
    r#"{"optimizer": "sgd", "lr": 0.01}"#,
    r#"{"optimizer": "sgd", "lr": 0.001}"#,
];

const MOMENTUM: [&str; 2] = [
    r#"{"optimizer": "sgd_momentum", "lr": 0.002, "momentum": 0.9}"#,
    r#"{"optimizer": "sgd_momentum", "lr": 0.001, "momentum": 0.5, "dampening": 0.5}"#,
];

const ADAM: [&str; 2] = [
    r#"{"optimizer": "adam", "lr": 0.0001}"#,
    r#"{"optimizer": "adam", "lr": 0.001, "beta1": 0.5, "beta2": 0.9, "eps": 0.01}"#,
];

const ADAHESSIAN: [&str; 2] = [
    r#"{"optimizer": "adahessian", "lr": 0.00001}"#,
    r#"{"optimizer": "adahessian", "lr": 0.01, "beta1": 0.5, "beta2": 0.9, "eps": 0.1, "hessian_power": 0.5}"#,
];

/// The rows and the final metrics, both without wall-clock times.
type Outcome = (Vec<Metrics>, Metrics);

/// A session with few images, and its precision.
struct Few {
    kind: Kind,
    session: Session,
    operations: Option<Rc<dyn Operations>>,
    /// Training images, and images per batch. With fewer, batch norm would amplify rounding.
    images: [i64; 2],
}

impl Few {
    fn new(kind: Kind) -> Self {
        // One step in single precision: training makes rounding grow. Two in double, so that the
        // optimizers' states count.
        let images = if kind == Kind::Double {
            [20, 10]
        } else {
            [16, 16]
        };
        Self {
            kind,
            session: Session::small(kind, 32),
            operations: None,
            images,
        }
    }

    /// The configuration, with one epoch and few images where it does not say otherwise.
    fn config(&self, json: &str) -> Config {
        let mut config: Config = serde_json::from_str(json).unwrap();
        let [images, batch] = self.images;
        for (name, value) in [
            ("epochs", 1),
            ("batch_size", batch),
            ("train_images", images),
        ] {
            config
                .0
                .entry(name.to_owned())
                .or_insert(ParamValue::Int(value));
        }
        config
    }
}

fn single(few: &mut Few, json: &str, seed: u64) -> Outcome {
    let mut rows = Vec::new();
    let config = few.config(json);
    let outcome = few
        .session
        .run(&config, seed, Sharing::None, &mut |_, row| {
            rows.push(row.without_wall_clock());
        });
    (rows, outcome.unwrap().metrics.without_wall_clock())
}

/// The outcomes of trials in packs of at most that many models.
fn packed(few: &mut Few, trials: &[&str], seed: u64, max_models: usize) -> Vec<Outcome> {
    let settings: Vec<Settings> = trials
        .iter()
        .map(|json| Settings::from_config(&few.config(json)).unwrap())
        .collect();
    let key = PackKey::of(&settings[0], seed).unwrap();
    assert!(
        settings
            .iter()
            .all(|settings| PackKey::of(settings, seed) == Some(key.clone()))
    );
    let mut started = vec![0; trials.len()];
    let mut rows = vec![Vec::new(); trials.len()];
    let mut done: Vec<Option<Metrics>> = vec![None; trials.len()];
    let options = PackOptions {
        operations: few.operations.as_ref(),
        max_models,
        share: true,
    };
    let mut report = |trial: usize, event| {
        assert!(done[trial].is_none());
        match event {
            Event::Started => started[trial] += 1,
            Event::Epoch { epoch, values } => {
                assert_eq!((started[trial], epoch as usize), (1, rows[trial].len() + 1));
                rows[trial].push(values.without_wall_clock());
            }
            Event::Done { metrics, .. } => {
                assert!(metrics.get("training_seconds").unwrap() > 0.0);
                done[trial] = Some(metrics.without_wall_clock());
            }
            Event::Failed { kind, message } => panic!("{kind}: {message}"),
        }
    };
    let fitted = run(&mut few.session, options, &settings, seed, &mut report);
    assert_eq!(fitted, max_models);
    rows.into_iter()
        .zip(done)
        .map(|(rows, done)| (rows, done.unwrap()))
        .collect()
}

/// Asserts that two sets of numbers have the same names and agree within that relative error.
fn assert_near(found: &Metrics, expected: &Metrics, share: f64, what: &str) {
    let names = |metrics: &Metrics| metrics.0.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{what}");
    for (name, expected) in &expected.0 {
        let (found, expected) = (found.get(name).unwrap(), expected.0);
        let what = format!("{what}, {name}");
        if found == expected || found.is_nan() && expected.is_nan() {
            continue;
        }
        // An image at the border between two digits may fall on either side.
        match name.ends_with("_accuracy") && share > 1e-6 {
            true => assert_within(what, (found - expected).abs(), 100.0 / 15.0),
            false => assert_ratio(what, found, expected, share),
        }
    }
}

/// Compares packed trials with single ones: the first epoch within a small relative error, later
/// epochs and the final metrics within a hundred times that.
fn assert_all_near(few: &mut Few, trials: &[&str], found: &[Outcome], seed: u64) {
    let kind = few.kind;
    let share = if kind == Kind::Double { 1e-9 } else { 1e-3 };
    for (json, (rows, metrics)) in trials.iter().zip(found) {
        let (expected_rows, expected) = single(few, json, seed);
        assert_eq!(rows.len(), expected_rows.len(), "{json}");
        for (epoch, (found, expected)) in rows.iter().zip(&expected_rows).enumerate() {
            assert_near(
                found,
                expected,
                if epoch == 0 { share } else { 100.0 * share },
                &format!("{json}, {kind:?}, epoch {epoch}"),
            );
        }
        assert_near(metrics, &expected, 100.0 * share, json);
    }
}

fn check(trials: &[&str]) {
    let double = &mut Few::new(Kind::Double);
    let found = packed(double, trials, 3, 8);
    assert_all_near(double, trials, &found, 3);
    let single = &mut Few::new(Kind::Float);
    let smooth: Vec<String> = trials.iter().map(|json| with_eps(json)).collect();
    let smooth: Vec<&str> = smooth.iter().map(String::as_str).collect();
    let found = packed(single, &smooth, 3, 8);
    assert_all_near(single, &smooth, &found, 3);
}

/// The trial with an eps of 1, if its optimizer has one: without division by small numbers,
/// rounding errors stay small.
fn with_eps(json: &str) -> String {
    let mut config: Config = serde_json::from_str(json).unwrap();
    if !matches!(config.get("optimizer"), Some(ParamValue::Text(name)) if name.starts_with("sgd")) {
        config.0.insert("eps".to_owned(), ParamValue::float(1.0));
    }
    config.canonical()
}

#[test]
fn a_pack_of_sgd_is_its_trials() {
    check(&SGD);
}

#[test]
fn a_pack_of_momentum_is_its_trials() {
    check(&MOMENTUM);
}

#[test]
fn a_pack_of_adam_is_its_trials() {
    check(&ADAM);
}

#[test]
fn a_pack_of_adahessian_is_its_trials() {
    check(&ADAHESSIAN);
}

/// With the hand-written passes, as on a GPU; a single trial is a pack as well then.
#[test]
fn a_pack_with_hand_written_passes_is_its_trials() {
    let mut few = Few::new(Kind::Double);
    few.operations = Some(Rc::new(Reference));
    let hybrid = r#"{"optimizer": "hybrid", "lr1": 0.005, "momentum": 0.9, "tl": 1e9, "lr2": 0.01, "eps": 0.1, "epochs": 2}"#;
    for trials in [
        ADAM.as_slice(),
        &ADAHESSIAN,
        &SGD[..1],
        &[MOMENTUM[0]],
        &[hybrid],
    ] {
        let found = packed(&mut few, trials, 3, 8);
        assert_all_near(&mut few, trials, &found, 3);
    }
}

/// Hybrid trials beside one of SGD with momentum: one that never switches, two that switch after
/// the first epoch, from different first phases, and one that switches after the second epoch.
#[test]
fn a_pack_of_hybrid_is_its_trials() {
    let mut double = Few::new(Kind::Double);
    let momentum = r#"{"optimizer": "sgd_momentum", "lr": 0.005, "momentum": 0.9, "epochs": 3, "batch_size": 5, "train_images": 10}"#;
    let losses: Vec<f64> = single(&mut double, momentum, 1)
        .0
        .iter()
        .map(|row| row.get("val_loss").unwrap())
        .collect();
    assert!(losses[1] < losses[0], "{losses:?}");
    let late = (losses[0] + losses[1]) / 2.0;
    let hybrid = |lr1, lr2, tl| {
        let rest =
            r#""momentum": 0.9, "eps": 0.1, "epochs": 3, "batch_size": 5, "train_images": 10}"#;
        format!(r#"{{"optimizer": "hybrid", "lr1": {lr1}, "lr2": {lr2}, "tl": {tl}, {rest}"#)
    };
    let all = [
        hybrid(0.005, 0.01, 0.0),
        hybrid(0.005, 0.01, 1e9),
        hybrid(0.001, 0.001, 1e9),
    ];
    let all = [
        all.to_vec(),
        vec![hybrid(0.005, 0.01, late), momentum.to_owned()],
    ]
    .concat();
    let trials: Vec<&str> = all.iter().map(String::as_str).collect();
    let found = packed(&mut double, &trials, 1, 2);
    let switches: Vec<Option<f64>> = found
        .iter()
        .map(|(_, metrics)| metrics.get("switch_epoch"))
        .collect();
    assert_eq!(switches, [None, Some(1.0), Some(1.0), Some(2.0), None]);
    assert_all_near(&mut double, &trials, &found, 1);
    // A trial that switches at the end of its last epoch.
    let short = [all[1].replace("\"epochs\": 3", "\"epochs\": 1")];
    let short = [short[0].as_str()];
    let found = packed(&mut double, &short, 1, 3);
    assert_eq!(found[0].1.get("switch_epoch"), Some(1.0));
    assert_all_near(&mut double, &short, &found, 1);
}

#[test]
fn a_model_that_diverges_does_not_change_its_neighbours() {
    let few = &mut Few::new(Kind::Double);
    let wild = [
        r#"{"optimizer": "sgd", "lr": 1e300}"#,
        r#"{"optimizer": "adahessian", "lr": 1e300}"#,
    ];
    for (tame, wild) in [&SGD, &ADAHESSIAN].into_iter().zip(wild) {
        let alone = packed(few, &tame[..2], 5, 8);
        let beside = packed(few, &[tame[0], wild, tame[1]], 5, 8);
        assert!(!beside[1].1.get("train_loss").unwrap().is_finite());
        assert!(beside[1].0[0].get("grad_norm_fc").unwrap().is_nan());
        for (alone, beside) in [(&alone[0], &beside[0]), (&alone[1], &beside[2])] {
            assert_near(&beside.1, &alone.1, 1e-9, "beside a diverged model");
            assert_near(&beside.0[0], &alone.0[0], 1e-9, "beside a diverged model");
        }
    }
}

#[test]
fn a_pack_that_cannot_be_trained_fails_trial_by_trial() {
    let mut few = Few::new(Kind::Float);
    let config = few.config(r#"{"optimizer": "sgd", "lr": 0.1, "train_images": 99}"#);
    let settings = [0, 1].map(|_| Settings::from_config(&config).unwrap());
    let mut events = Vec::new();
    let options = PackOptions {
        operations: None,
        max_models: 8,
        share: true,
    };
    run(
        &mut few.session,
        options,
        &settings,
        1,
        &mut |trial, event| {
            events.push(format!("{trial} {event:?}"));
        },
    );
    insta::assert_snapshot!(events.join("\n"), @r#"
    0 Started
    0 Failed { kind: BadConfig, message: "train_images: 99 are wanted, but the training set has 32 images" }
    1 Started
    1 Failed { kind: BadConfig, message: "train_images: 99 are wanted, but the training set has 32 images" }
    "#);
}

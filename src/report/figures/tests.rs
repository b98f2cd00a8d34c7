//! The figures of made-up sweeps: the paper's five arms, and data that is likely to break a
//! chart. With a folder in `PENTAGRID_GALLERY` the pictures are written there for inspection.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::set::sketches;
use super::*;
use crate::aggregate::{curves, evaluate};
use crate::grid::{Grid, TrialId};
use crate::ledger::{EpochRow, TrialRow, TrialState};
use crate::plan::Phase;
use crate::protocol::Position;
use crate::spec::{self, Spec};

/// A number between 0 and 1 that depends on its arguments alone.
fn noise(a: u64, b: u64, c: u64) -> f64 {
    let mut x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ b.wrapping_mul(0xbf58_476d_1ce4_e5b9)
        ^ c.wrapping_mul(0x94d0_49bb_1331_11eb);
    x = (x ^ (x >> 31)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    ((x ^ (x >> 32)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// An approximately normal number with deviation 1.
fn gauss(a: u64, b: u64, c: u64) -> f64 {
    ((0..4).map(|k| noise(a, b, c * 7 + k + 1)).sum::<f64>() - 2.0) * 1.73
}

type Metric<'a> = &'a dyn Fn(usize, &spec::Config, u64) -> Vec<(&'static str, f64)>;
type History<'a> = &'a dyn Fn(usize, u64, u32) -> Vec<(&'static str, f64)>;

/// The figures of a sweep with these results of trials and histories of epochs.
fn made(
    text: &str,
    epochs: u32,
    reach: Metric<'_>,
    history: History<'_>,
) -> Vec<super::data::Sketch> {
    let spec = spec::read(text, "made.yaml").unwrap();
    let (grid, rows) = trials(&spec, reach);
    let evaluation = evaluate(&spec, &grid, &rows).unwrap();
    let phase = if spec.seeds.final_.is_empty() {
        Phase::Tune
    } else {
        Phase::Final
    };
    let seeds = if phase == Phase::Final {
        &spec.seeds.final_
    } else {
        &spec.seeds.tune
    };
    let mut histories = Vec::new();
    for arm in &evaluation.arms {
        let Some(point) = &arm.point else { continue };
        let row = |seed: u64, epoch: u32| EpochRow {
            id: TrialId {
                point: point.id,
                seed,
            },
            position: Position::epoch(epoch),
            metrics: history(arm.arm, seed, epoch).into_iter().collect(),
        };
        histories.push((
            arm.arm,
            seeds
                .iter()
                .flat_map(|seed| (1..=epochs).map(move |epoch| row(*seed, epoch)))
                .collect(),
        ));
    }
    let curves = curves(&histories).unwrap();
    let data = FigureData {
        spec: &spec,
        grid: &grid,
        evaluation: &evaluation,
        rows: &rows,
        curves: &curves,
        phase,
    };
    sketches(&data)
}

fn trials(spec: &Spec, reach: Metric<'_>) -> (Grid, HashMap<TrialId, TrialRow>) {
    let grid = Grid::new(spec);
    let mut rows = HashMap::new();
    for (arm, points) in grid.arms().iter().enumerate() {
        for point in points.points() {
            for (seed, phase) in spec
                .seeds
                .tune
                .iter()
                .map(|seed| (*seed, Phase::Tune))
                .chain(spec.seeds.final_.iter().map(|seed| (*seed, Phase::Final)))
            {
                let id = TrialId {
                    point: point.id,
                    seed,
                };
                let metrics = reach(arm, &point.config, seed).into_iter().collect();
                rows.insert(
                    id,
                    TrialRow {
                        id,
                        phase,
                        state: TrialState::Done,
                        failures: 0,
                        metrics: Some(metrics),
                        shared: Default::default(),
                    },
                );
            }
        }
    }
    (grid, rows)
}

/// Draws every figure, checks what holds for all of them, and writes them to the gallery, if there is
/// one.
fn draw_all(group: &str, list: &[super::data::Sketch]) {
    for sketch in list {
        let picture = crate::report::plot::draw(&sketch.chart).unwrap();
        assert!(
            !picture.svg.contains("NaN")
                || sketch
                    .chart
                    .panels
                    .iter()
                    .any(|panel| format!("{panel:?}").contains("\"NaN\"")),
            "{}",
            sketch.name
        );
        assert!(
            !picture.svg.contains("=\"inf")
                && !picture.svg.contains("=\"-inf")
                && !picture.svg.contains("=\"NaN"),
            "{}",
            sketch.name
        );
        assert_eq!(&picture.png[1..4], b"PNG");
        let width = u32::from_be_bytes(picture.png[16..20].try_into().unwrap());
        assert!(width >= 1600, "{}: {width}", sketch.name);
        assert!(
            sketch.caption.ends_with('.')
                && !sketch.title.is_empty()
                && sketch.csv.lines().count() > 1
        );
        if let Some(folder) = std::env::var_os("PENTAGRID_GALLERY") {
            let folder = std::path::Path::new(&folder).join(group);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{}.png", sketch.name)), &picture.png).unwrap();
            std::fs::write(folder.join(format!("{}.svg", sketch.name)), &picture.svg).unwrap();
        }
    }
}

const PAPER: &str = "
name: paper
task: mnist-resnet18
metric: {name: val_accuracy, goal: maximize}
seeds: {tune: 2, final: 10}
arms:
  sgd: {label: SGD (β = 0), parameters: {optimizer: {value: sgd}, lr: {values: [1e-4, 1e-3, 1e-2, 1e-1, 1]}}}
  sgd_momentum: {label: SGD with momentum, parameters: {optimizer: {value: sgd_momentum}, lr: {values: [5e-4, 1e-3, 5e-3, 1e-2, 5e-2]}, momentum: {values: [0.5, 0.8, 0.9, 0.95, 0.99]}}}
  adam: {label: Adam, parameters: {optimizer: {value: adam}, lr: {values: [1e-4, 5e-4, 1e-3, 5e-3, 1e-2]}, beta1: {values: [0.5, 0.8, 0.9, 0.95, 0.99]}, beta2: {values: [0.9, 0.95, 0.99, 0.999, 0.9999]}}}
  adahessian: {label: AdaHessian, parameters: {optimizer: {value: adahessian}, lr: {value: 0.1}}}
  hybrid: {label: Hybrid, parameters: {optimizer: {value: hybrid}, tl: {values: [0.25, 0.5, 1, 1.5, 2]}, lr1: {values: [5e-4, 1e-3, 5e-3, 1e-2, 5e-2]}, momentum: {values: [0.5, 0.8, 0.9]}, lr2: {values: [1e-4, 1e-3, 1e-2, 1e-1]}, beta2: {values: [0.9, 0.99, 0.999, 0.9999]}}}
";

fn number(config: &spec::Config, name: &str) -> Option<f64> {
    config.get(name).and_then(spec::ParamValue::as_f64)
}

fn paper() -> Vec<super::data::Sketch> {
    let reach = |arm: usize, config: &spec::Config, seed: u64| {
        let mut accuracy = 94.0 - 1.5 * (arm == 0) as u64 as f64 * 3.0;
        let mut salt = arm as u64;
        for (name, best) in [
            ("lr", [1e-2, 5e-3, 1e-3, 0.1][arm.min(3)]),
            ("lr1", 5e-3),
            ("lr2", 1e-3),
        ] {
            if let Some(value) = number(config, name) {
                accuracy -=
                    4.0 * (value / best).log10().powi(2) + if value > 0.4 { 60.0 } else { 0.0 };
                salt = salt.wrapping_mul(31) + (value * 1e6) as u64;
            }
        }
        for (name, best, weight) in [
            ("momentum", 0.9, 30.0),
            ("beta1", 0.9, 20.0),
            ("beta2", 0.999, 8.0),
            ("tl", 1.0, 1.2),
        ] {
            if let Some(value) = number(config, name) {
                accuracy -= weight * (value - best).powi(2);
                salt = salt.wrapping_mul(31) + (value * 1e6) as u64;
            }
        }
        vec![
            (
                "val_accuracy",
                (accuracy + 1.1 * gauss(salt, seed, 3)).clamp(9.0, 100.0),
            ),
            ("val_loss", 3.0 / accuracy),
        ]
    };
    let history = |arm: usize, seed: u64, epoch: u32| {
        let speed = [0.22, 0.45, 0.6, 0.4, 0.5][arm];
        let (e, k) = (f64::from(epoch), u64::from(epoch));
        let decay = (-speed * e).exp();
        let floor = [0.42, 0.24, 0.26, 0.25, 0.21][arm];
        let wobble = |salt: u64, size: f64| 1.0 + size * gauss(arm as u64 + 10, seed, k * 3 + salt);
        vec![
            ("train_loss", 2.2 * decay * wobble(0, 0.08) + 0.004),
            ("val_loss", (2.0 * decay + floor) * wobble(1, 0.10)),
            (
                "val_accuracy",
                ((95.0 - 10.0 * floor) - 75.0 * decay + 1.4 * gauss(arm as u64, seed, k))
                    .clamp(5.0, 100.0),
            ),
            (
                "grad_norm_conv1",
                (0.5 * decay + 0.002) * wobble(4, 0.3).abs() * (1.0 + arm as f64),
            ),
            (
                "grad_norm_fc",
                (3.0 * decay + 0.01) * wobble(5, 0.3).abs() / (1.0 + arm as f64),
            ),
            ("seconds", 1.0),
            ("switched", 0.0),
        ]
    };
    made(PAPER, 15, &reach, &history)
}

#[test]
fn the_papers_figures() {
    let list = paper();
    draw_all("paper", &list);
    let mut shown = String::new();
    for sketch in &list {
        writeln!(
            shown,
            "{} | {} | {}",
            sketch.name, sketch.title, sketch.caption
        )
        .unwrap();
    }
    insta::assert_snapshot!("captions_of_the_paper", shown);
    insta::assert_snapshot!(
        "curves_csv",
        list[0].csv.lines().take(4).collect::<Vec<_>>().join("\n")
    );
    let csv = |name: &str| {
        list.iter()
            .find(|sketch| sketch.name == name)
            .unwrap()
            .csv
            .clone()
    };
    insta::assert_snapshot!("sensitivity_csv", csv("sensitivity_sgd"));
    insta::assert_snapshot!(
        "heatmap_csv",
        csv("heatmap_sgd_momentum_lr_momentum")
            .lines()
            .take(7)
            .collect::<Vec<_>>()
            .join("\n")
    );
}

/// The texts of a picture, in the order in which they are drawn.
fn texts(svg: &str) -> Vec<&str> {
    svg.lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("<text ")?
                .split_once('>')?
                .1
                .strip_suffix("</text>")
        })
        .collect()
}

#[test]
fn texts_of_pictures() {
    let list = paper();
    let mut shown = String::new();
    for name in [
        "figure1",
        "figure3",
        "sensitivity_hybrid",
        "heatmap_sgd_momentum_lr_momentum",
    ] {
        let sketch = list.iter().find(|sketch| sketch.name == name).unwrap();
        let picture = crate::report::plot::draw(&sketch.chart).unwrap();
        writeln!(shown, "{name}: {}", texts(&picture.svg).join(" | ")).unwrap();
    }
    insta::assert_snapshot!("texts_of_pictures", shown);
}

#[test]
fn a_ledger_without_spectral_norms() {
    let history = |arm: usize, seed: u64, epoch: u32| {
        vec![
            ("train_loss", 1.0 / f64::from(epoch)),
            (
                "val_loss",
                1.2 / f64::from(epoch) + 0.1 * noise(arm as u64, seed, 1),
            ),
            ("val_accuracy", 50.0),
        ]
    };
    let list = made(PAPER, 2, &|_, _, _| vec![("val_accuracy", 50.0)], &history);
    draw_all("plain", &list);
    assert!(list.iter().all(|sketch| sketch.name != "figure8"));
    assert_eq!(
        list.iter()
            .find(|sketch| sketch.name == "figure3")
            .unwrap()
            .chart
            .panels
            .len(),
        1
    );
}

#[test]
fn diverged_seeds_leave_gaps() {
    let history = |arm: usize, seed: u64, epoch: u32| {
        let loss = match (arm, epoch) {
            (0, 4..) if seed == 1001 => f64::NAN,
            (1, 3) => f64::INFINITY,
            (2, _) => 1e30 * f64::from(epoch),
            (3, _) => f64::NAN,
            _ => 2.0 / f64::from(epoch) + 0.1 * noise(seed, 1, 2),
        };
        vec![
            ("train_loss", loss),
            ("val_loss", loss),
            (
                "val_accuracy",
                0.9 * noise(seed, u64::from(epoch), arm as u64),
            ),
        ]
    };
    let list = made(
        PAPER,
        6,
        &|arm, _, seed| {
            vec![(
                "val_accuracy",
                if arm == 2 && seed == 1 { f64::NAN } else { 0.5 },
            )]
        },
        &history,
    );
    draw_all("diverged", &list);
    insta::assert_snapshot!(
        "captions_with_gaps",
        list[..7]
            .iter()
            .map(|sketch| sketch.caption.clone())
            .collect::<Vec<_>>()
            .join("\n")
    );
    assert!(list[0].csv.contains(",NaN,") && list[0].csv.contains(",Infinity,"));
}

/// A worker with odd names, one seed, one epoch, many arms.
#[test]
fn odd_names_and_many_arms() {
    let mut text = String::from(
        "name: nasty\nworker: [w]\nmetric: {name: 'loss <&> \"$x$\"', goal: minimize}\nseeds: {tune: 1, final: 0}\narms:\n",
    );
    for arm in 0..30 {
        let label = match arm {
            0 => "'<b>&amp; \"quoted\" $\\alpha$ a|b'".to_owned(),
            1 => "一個很長的名字一個很長的名字一個很長的名字一個很長的名字一個很長的名字".to_owned(),
            2 => "'a label that goes on and on, and on, and does not know where to end, not even here'".to_owned(),
            _ => format!("Arm {arm}"),
        };
        let values = match arm {
            0 => "{a/b: {values: [red, blue, 'a very long value that is hard to read']}, Ω: {values: [true, false]}, n: {values: [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987]}}".to_owned(),
            _ => format!("{{arm: {{value: {arm}}}}}"),
        };
        writeln!(
            text,
            "  arm_{arm}: {{label: {label}, parameters: {values}}}"
        )
        .unwrap();
    }
    let name = "loss <&> \"$x$\"";
    let reach = |arm: usize, config: &spec::Config, _: u64| {
        let value = number(config, "n").unwrap_or(arm as f64);
        vec![(
            "loss <&> \"$x$\"",
            if value > 900.0 { f64::INFINITY } else { value },
        )]
    };
    let history = |arm: usize, _: u64, epoch: u32| {
        vec![
            (name, f64::from(epoch) + arm as f64),
            ("zero", 0.0),
            ("minus", -1e-7 * arm as f64),
            ("seconds", 1.0),
        ]
    };
    for epochs in [1, 40] {
        let list = made(&text, epochs, &reach, &history);
        draw_all(&format!("nasty{epochs}"), &list);
        let names: Vec<&str> = list.iter().map(|sketch| sketch.name.as_str()).collect();
        assert!(
            !names
                .iter()
                .any(|name| name.contains("seconds") || name.contains("switched")),
            "{names:?}"
        );
        assert!(
            names
                .iter()
                .all(|name| is_figure_file(&format!("{name}.svg"))),
            "{names:?}"
        );
    }
}

#[test]
fn one_arm_one_point_one_seed() {
    let text = "name: one\nworker: [w]\nmetric: {name: acc, goal: maximize}\nseeds: {tune: 0, final: 1}\nparameters: {lr: {value: 1}}\n";
    let list = made(text, 5, &|_, _, _| vec![("acc", 0.5)], &|_, _, epoch| {
        vec![("acc", 0.1 * f64::from(epoch)), ("loss", 1.0)]
    });
    draw_all("one", &list);
    assert_eq!(
        list.iter()
            .map(|sketch| sketch.name.as_str())
            .collect::<Vec<_>>(),
        ["history_acc", "history_loss"]
    );
}

#[test]
fn two_searched_parameters_of_a_worker() {
    let text = "name: two\nworker: [w]\nmetric: {name: acc, goal: maximize}\nseeds: {tune: 3, final: 0}\nparameters: {width: {values: [16, 32, 64, 128]}, norm: {values: [batch, layer, none]}}\n";
    let reach = |_: usize, config: &spec::Config, seed: u64| {
        let width = number(config, "width").unwrap();
        vec![(
            "acc",
            0.7 + 0.02 * width.log2() + 0.01 * gauss(width as u64, seed, 5),
        )]
    };
    let list = made(text, 3, &reach, &|_, seed, epoch| {
        vec![("acc", 0.2 * f64::from(epoch) + 0.02 * noise(seed, 1, 1))]
    });
    draw_all("two", &list);
    let names: Vec<&str> = list.iter().map(|sketch| sketch.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "history_acc",
            "distribution",
            "sensitivity_main",
            "heatmap_main_width_norm"
        ]
    );
}

//! A sweep of every grid shape, from its file to its report.

use crate::support::Test;

/// The best points are those with x = 3.
const SHAPES: &str = "
name: shapes
worker: [WORKER]
metric: {name: score, goal: maximize}
seeds: {tune: 2, final: 2}
parameters:
  epochs: {value: 2}
  x: {values: [1, 3, 5]}
arms:
  paired:
    label: Paired
    parameters: {width: {values: [8, 16, 16]}}
    zip: [x, width]
  chosen:
    label: Chosen
    parameters:
      mode: {values: [plain, damped]}
      damping: {values: [0.1, 0.5], when: {mode: damped}}
    exclude:
      - {mode: plain, x: [1, 5]}
      - {damping: 0.5, x: 5}
  united:
    label: United
    grids:
      - parameters: {depth: {values: [1, 2]}}
      - {parameters: {depth: {values: [2, 4]}, x: {values: [3, 7]}}}
      - {}
";

#[test]
fn every_shape_runs_to_its_report() {
    let test = Test::with_spec(SHAPES);
    let plan = test
        .run(&["plan", "sweep.yaml", "--devices", "cpu:2"])
        .expect(0);
    insta::assert_snapshot!("shapes_planned", plan.stdout);
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    let points = "SELECT count(DISTINCT point) FROM trial WHERE phase = 'tune'";
    assert_eq!(test.count("runs/shapes", points), 3 + 6 + 12);
    assert_eq!(
        test.count(
            "runs/shapes",
            "SELECT count(*) FROM trial WHERE state = 'done'"
        ),
        (3 + 6 + 12) * 2 + 3 * 2
    );

    let report = test.report("reports/shapes");
    insta::assert_snapshot!("shapes_points", without_metrics(&report["points.csv"]));
    insta::assert_snapshot!(
        "shapes_heat_map",
        report["heatmap_chosen_x_damping.csv"].trim()
    );
    insta::assert_snapshot!(
        "shapes_sensitivity",
        without_figures(&report["sensitivity_united.csv"])
    );
    let page = std::fs::read_to_string(test.path("reports/shapes/report.md")).unwrap();
    insta::assert_snapshot!(
        "shapes_captions",
        page.lines()
            .filter(|line| line.contains("of Chosen"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    let maps: Vec<&String> = report
        .keys()
        .filter(|name| name.starts_with("heatmap_") && name.ends_with(".csv"))
        .collect();
    // None of what advances together, nor of a condition and what it rules.
    assert_eq!(
        maps,
        [
            "heatmap_chosen_x_damping.csv",
            "heatmap_chosen_x_mode.csv",
            "heatmap_united_x_depth.csv"
        ]
    );

    // The same file again runs nothing; one rule less runs only what it left out.
    let attempts = || test.count("runs/shapes", "SELECT count(*) FROM attempt");
    let before = attempts();
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    assert_eq!(attempts(), before);
    test.write_spec(&SHAPES.replace("      - {damping: 0.5, x: 5}\n", ""));
    test.run(&[
        "run",
        "sweep.yaml",
        "--devices",
        "cpu:2",
        "-q",
        "--accept-changes",
    ])
    .expect(0);
    assert_eq!(attempts(), before + 2);
}

#[test]
fn mistakes_in_shapes_are_drawn_on_the_command_line() {
    let test = Test::with_spec(
        &SHAPES
            .replace("{mode: damped}", "{mode: dampd}")
            .replace("[x, width]", "[x, widht]"),
    );
    insta::assert_snapshot!(
        "shapes_refused",
        test.run(&["plan", "sweep.yaml"]).expect(2).stderr
    );
}

/// Which points there are, and which is selected.
fn without_metrics(csv: &str) -> String {
    columns(csv, |heading| {
        !is_figure(heading) && heading != "planned" && heading != "diverged"
    })
}

/// Which values have points.
fn without_figures(csv: &str) -> String {
    columns(csv, |heading| {
        !heading.ends_with("_mean") && !heading.ends_with("_std")
    })
}

fn is_figure(heading: &str) -> bool {
    ["_mean", "_std", "_n"]
        .iter()
        .any(|figure| heading.ends_with(figure))
}

fn columns(csv: &str, keep: impl Fn(&str) -> bool) -> String {
    let headings: Vec<bool> = csv
        .lines()
        .next()
        .unwrap_or_default()
        .split(',')
        .map(keep)
        .collect();
    let row = |line: &str| {
        let kept = line
            .split(',')
            .zip(&headings)
            .filter(|(_, keep)| **keep)
            .map(|(cell, _)| cell);
        kept.collect::<Vec<_>>().join(",")
    };
    csv.lines().map(row).collect::<Vec<_>>().join("\n")
}

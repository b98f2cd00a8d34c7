//! The committed sweep files, and what a bad one looks like on the command line.

use std::path::Path;

use pentagrid::grid::Grid;

use crate::support::{TOY, Test};

fn sweeps() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/sweeps"))
}

#[test]
fn the_papers_grid_has_the_papers_size() {
    let test = Test::new();
    let paper = sweeps().join("paper.yaml");
    let plan = test
        .run(&["plan", paper.to_str().unwrap(), "--devices", "cpu:2"])
        .expect(0);
    insta::assert_snapshot!(plan.all());
}

#[test]
fn every_committed_sweep_is_valid_and_names_the_schema() {
    let mut seen = 0;
    for entry in std::fs::read_dir(sweeps()).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = std::fs::read_to_string(&path).unwrap();
            let spec = pentagrid::spec::read(&text, &path.display().to_string())
                .unwrap_or_else(|diagnosis| panic!("{diagnosis}"));
            assert!(
                text.starts_with("# yaml-language-server: $schema=schema.json\n"),
                "{}",
                path.display()
            );
            assert_eq!(
                Some(spec.name.as_str()),
                path.file_stem().and_then(|stem| stem.to_str())
            );
            let all = if spec.name == "sgd-grids" { 2 } else { 5 };
            assert_eq!(
                spec.arms.len(),
                all,
                "{}: the optimizers of the paper",
                path.display()
            );
            seen += 1;
        }
    }
    assert!(seen >= 5, "quick, tables, as-run, sgd-grids and paper");
}

#[test]
fn the_papers_grid_contains_its_published_winners() {
    let read = |name: &str| {
        let text = std::fs::read_to_string(sweeps().join(name)).unwrap();
        Grid::new(&pentagrid::spec::read(&text, name).unwrap())
    };
    let (paper, tables) = (read("paper.yaml"), read("tables.yaml"));
    for winner in tables.arms() {
        let arm = paper
            .arms()
            .iter()
            .find(|arm| arm.arm().name == winner.arm().name)
            .unwrap();
        let id = winner.point(pentagrid::grid::PointIndex(0)).id;
        assert_eq!(winner.len(), 1);
        assert!(
            arm.points().any(|point| point.id == id),
            "{}",
            winner.arm().name
        );
    }
}

#[test]
fn a_bad_spec_is_drawn_with_its_place_and_changes_nothing() {
    let test = Test::with_spec(
        &TOY.replace("metric:", "metrik:")
            .replace("epochs: {value: 3}", "epochs: {valeu: 3}"),
    );
    for verb in ["plan", "run"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(test.run(&[verb, "sweep.yaml"]).expect(2).stderr);
        }
    }
    assert!(!test.path("runs").exists());
}

#[test]
fn hostile_files_are_refused() {
    let test = Test::new();
    let refuse = |text: &str| {
        std::fs::write(test.path("hostile.yaml"), text).unwrap();
        test.run(&["plan", "hostile.yaml"]).expect(2).stderr
    };
    // A file of 100 MB that takes no room on the disk.
    std::fs::File::create(test.path("huge.yaml"))
        .unwrap()
        .set_len(100_000_000)
        .unwrap();
    let huge = test.run(&["plan", "huge.yaml"]).expect(2).stderr;
    assert!(
        huge.contains("100000000") || huge.contains("100,000,000") || huge.contains("95"),
        "{huge}"
    );
    refuse(&"[".repeat(100_000));
    refuse(&"{a: ".repeat(100_000));
    let bomb: String = (1..40)
        .map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1))
        .collect();
    refuse(&format!("a0: &a0 [x]\n{bomb}"));
    let axis = (0..100)
        .map(|n| n.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let axes: String = "abcdef"
        .chars()
        .map(|name| format!("  {name}: {{values: [{axis}]}}\n"))
        .collect();
    let product = refuse(&format!(
        "name: t\nworker: [x]\nmetric: {{name: m, goal: maximize}}\nseeds: {{tune: 1, final: 0}}\nparameters:\n{axes}"
    ));
    assert!(
        product.contains("1,000,000,000,000") || product.contains("1000000000000"),
        "{product}"
    );
}

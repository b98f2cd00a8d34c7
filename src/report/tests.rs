//! Every table in every format, from a sweep with failed, diverged and missing trials.

use std::collections::HashMap;

use super::*;
use crate::aggregate::{Evaluation, evaluate};
use crate::grid::{Grid, TrialId};
use crate::ledger::{TrialRow, TrialState, Versions};
use crate::plan::Phase;
use crate::protocol::Metrics;
use crate::spec::{self, ColumnNames, Spec};

const SPEC: &str = "
name: trouble
task: mnist-resnet18
metric: {name: val_accuracy, goal: maximize}
seeds: {tune: 2, final: 3}
arms:
  sgd: {label: SGD (β = 0), parameters: {optimizer: {value: sgd}, lr: {values: [0.01, 0.1]}}}
  adam: {label: 'Adam & 50 % <b>|_x_', parameters: {optimizer: {value: adam}, lr: {values: [0.001, 0.1]}}}
  hybrid: {label: Hybrid, parameters: {optimizer: {value: hybrid}, tl: {value: 1}, lr1: {value: 0.1}, momentum: {value: 0.9}, lr2: {value: 0.1}}}
published:
  sgd: {train_accuracy: {mean: 100, std: 0, n: 10}, test_accuracy: {mean: 93.625, std: 2.01}, val_accuracy: {mean: 93.625, std: 2.01, n: 10, images: 200}, training_seconds: {mean: 14.57, std: 0.6}}
  adam: {test_accuracy: {mean: 93}, test_loss: {mean: 0.1, std: 0.01, n: 10}}
claims:
  - {says: SGD is slower than Adam, greater: {metric: training_seconds, arm: sgd, than: adam}}
  - {says: \"Adam | is *best*\", highest: {arm: adam, metric: test_accuracy}}
";

/// SGD is complete; a final seed of Adam failed, another diverged, and one of its points lacks a tuning
/// seed; Hybrid has no complete point.
fn trouble() -> (Spec, Grid, HashMap<TrialId, TrialRow>, Evaluation) {
    let spec = spec::read(SPEC, "trouble.yaml").unwrap();
    let grid = Grid::new(&spec);
    let mut rows = HashMap::new();
    let mut put = |arm: usize, index: u64, seed: u64, state: TrialState, accuracy: f64| {
        let id = TrialId {
            point: grid.arms()[arm].point(crate::grid::PointIndex(index)).id,
            seed,
        };
        let loss = if accuracy < 20.0 {
            f64::NAN
        } else {
            1.0 / accuracy
        };
        let names =
            ["train_accuracy", "val_accuracy", "test_accuracy"].map(|name| (name, accuracy));
        let others = [
            ("train_loss", loss),
            ("val_loss", loss),
            ("test_loss", loss),
            ("training_seconds", 10.0 + accuracy / 100.0),
        ];
        let metrics: Metrics = names.into_iter().chain(others).collect();
        let phase = if seed < 1000 {
            Phase::Tune
        } else {
            Phase::Final
        };
        let metrics = (state == TrialState::Done).then_some(metrics);
        rows.insert(
            id,
            TrialRow {
                id,
                phase,
                state,
                failures: 0,
                metrics,
                shared: Default::default(),
            },
        );
    };
    use TrialState::{Done, Failed};
    for seed in [0, 1] {
        put(0, 0, seed, Done, 80.0 + seed as f64);
        put(0, 1, seed, Done, 70.0);
        put(1, 0, seed, Done, 90.0);
        put(2, 0, seed, if seed == 0 { Done } else { Failed }, 95.0);
    }
    put(1, 1, 0, Failed, 0.0);
    put(1, 1, 1, Done, 99.0);
    for (seed, accuracy) in [(1000, 82.0), (1001, 83.5), (1002, 81.0)] {
        put(0, 0, seed, Done, accuracy);
    }
    put(1, 0, 1000, Done, 91.0);
    put(1, 0, 1001, Done, 9.5);
    put(1, 0, 1002, Failed, 0.0);
    let evaluation = evaluate(&spec, &grid, &rows).unwrap();
    (spec, grid, rows, evaluation)
}

fn csv(write: impl FnOnce(&mut Vec<u8>) -> Result<(), CsvError>) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn table_one_in_every_format() {
    let (spec, _, _, evaluation) = trouble();
    let table = table_one(&spec, &evaluation);
    insta::assert_snapshot!("table_one_text", text_table(&table));
    insta::assert_snapshot!("table_one_markdown", markdown_table(&table));
    insta::assert_snapshot!("table_one_latex", latex_table(&table));
    insta::assert_snapshot!(
        "table_one_csv",
        csv(|to| write_table(&ColumnNames::of(&spec, []), &table, to))
    );
}

#[test]
fn table_two_in_every_format() {
    let (spec, _, _, evaluation) = trouble();
    let table = table_two(&spec, &evaluation, &["Some CPU, 1 thread".to_owned()]).unwrap();
    insta::assert_snapshot!("table_two_text", text_table(&table));
    insta::assert_snapshot!("table_two_markdown", markdown_table(&table));
    insta::assert_snapshot!("table_two_latex", latex_table(&table));
    insta::assert_snapshot!(
        "table_two_csv",
        csv(|to| write_table(&ColumnNames::of(&spec, []), &table, to))
    );
}

#[test]
fn data_files() {
    let (spec, grid, rows, evaluation) = trouble();
    let names = ColumnNames::of(&spec, []);
    insta::assert_snapshot!(
        "points_csv",
        csv(|to| write_points(&spec, &grid, &evaluation, &names, to))
    );
    insta::assert_snapshot!(
        "trials_csv",
        csv(|to| {
            let source = TrialsCsv {
                spec: &spec,
                grid: &grid,
                evaluation: &evaluation,
                rows: &rows,
                versions: &Versions::default(),
                names: &names,
                arms: &[true; 3],
            };
            write_trials(source, to)
        })
    );
}

#[test]
fn the_page_as_markdown() {
    let (spec, grid, _, evaluation) = trouble();
    let table = table_one(&spec, &evaluation);
    let failures = [(
        "k7m2p9x4qa-3".to_owned(),
        crate::protocol::FailureKind::Exit,
        "told to <fail> | here".to_owned(),
    )];
    let notes = notes(&spec, &evaluation, &["a 1".to_owned(), "a 2".to_owned()]);
    let figures = [figures::FigureFile {
        name: "sensitivity_sgd".to_owned(),
        title: "Sensitivity of SGD".to_owned(),
        caption: "val_loss by *lr*.".to_owned(),
        wide: true,
        svg: String::new(),
        png: Vec::new(),
        csv: String::new(),
    }];
    let chosen = selected(&spec, &grid, &evaluation);
    let origin = provenance(
        &spec,
        SPEC,
        grid.len(),
        &evaluation,
        Vec::new(),
        Vec::new(),
        Vec::new(),
    );
    let audit = audit(&spec, &evaluation, &Vec::new(), &[]).unwrap();
    let page = Page {
        spec: &spec,
        notes: &notes,
        tables: &[&table],
        selected: &chosen,
        audit: Some(&audit),
        figures: &figures,
        failures: &failures,
        provenance: &origin,
    };
    insta::assert_snapshot!(summary_markdown(&page));
    // The page without its style.
    let html = html_page(&page).unwrap();
    insta::assert_snapshot!("the_page_as_html", &html[html.find("<body>").unwrap()..]);
    assert!(
        !html.contains("http"),
        "the page must need nothing from elsewhere"
    );
}

#[test]
fn the_audit_in_every_format() {
    let (spec, _, _, evaluation) = trouble();
    let audit = audit(
        &spec,
        &evaluation,
        &Vec::new(),
        &["Some CPU, 1 thread".to_owned()],
    )
    .unwrap();
    insta::assert_snapshot!("audit_text", audit_text(&audit));
    insta::assert_snapshot!("audit_markdown", audit_markdown(&audit));
    insta::assert_snapshot!("audit_csv", csv(|to| write_audit(&audit, to)));
    insta::assert_snapshot!("claims_csv", csv(|to| write_claims(&audit, to)));
    insta::assert_snapshot!("claims_terminal", claim_lines(&audit));
}

#[test]
fn without_published_figures_and_claims_there_is_no_audit() {
    let (mut spec, _, _, evaluation) = trouble();
    spec.published.clear();
    spec.claims.clear();
    assert_eq!(audit(&spec, &evaluation, &Vec::new(), &[]), None);
}

/// The verdicts that the paper's own tables give, with their evidence.
#[test]
fn the_papers_claims_by_its_own_figures() {
    let spec = spec::read(include_str!("../../sweeps/tables.yaml"), "tables.yaml").unwrap();
    let grid = Grid::new(&spec);
    let evaluation = evaluate(&spec, &grid, &HashMap::new()).unwrap();
    let audit = audit(&spec, &evaluation, &Vec::new(), &[]).unwrap();
    let lines = audit.claims.iter().map(|claim| {
        assert_eq!(
            claim.ours.verdict,
            crate::aggregate::claims::Verdict::NoData
        );
        let published = claim
            .published
            .as_ref()
            .map_or("-".to_owned(), |(judgement, numbers)| {
                format!("{}: {numbers}", judgement.verdict.name())
            });
        format!("{}\n  {published}\n", claim.claim.says)
    });
    insta::assert_snapshot!(lines.collect::<String>());
}

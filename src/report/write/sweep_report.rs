//! Writes the report of a sweep: tables, figures, data files, pages and provenance, from the ledger
//! alone.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::audit;
use super::error::ReportError;
use super::figures::{figure_files, write_figures};
use super::folder::{Folder, WriteError};
use super::output_dirs;
use crate::aggregate::evaluate;
use crate::grid::{Grid, TrialId};
use crate::ledger::{Reader, TrialRow, TrialState};
use crate::protocol::FailureKind;
use crate::report::{
    Audit, Page, Selected, Table, TrialsCsv, device_in_words, html_page, latex_document,
    latex_table, markdown_table, not_selected, note_on_selection, note_on_versions, notes,
    protocol_effects, provenance, selected, shown_versions, summary_markdown, table_one, table_two,
    text_table, write_history, write_points, write_table, write_trials,
};
use crate::spec::{ColumnNames, Spec};
use crate::text::count;

/// The formats of each table.
const TABLE_FORMATS: [&str; 4] = ["txt", "md", "tex", "csv"];

/// What a report is made of: a run directory, and the sweep that its ledger holds.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The run directory.
    pub dir: &'a Path,
    /// A snapshot of its ledger, so that all parts of the report are consistent.
    pub ledger: &'a Reader,
    /// The text of the sweep file.
    pub text: &'a str,
    /// The sweep file.
    pub spec: &'a Spec,
    /// Its grid.
    pub grid: &'a Grid,
}

/// A report that was written.
#[derive(Clone, Debug)]
pub struct WrittenReport {
    /// Tables, selected points and notes, for the terminal.
    pub text: String,
    /// The sweep's name.
    pub sweep: String,
    /// The files, relative to the report's folder.
    pub files: Vec<String>,
    /// Whether every planned trial has ended.
    pub complete: bool,
    /// The arms without a selected point, each with the reason in a sentence.
    pub unselected: Vec<String>,
    /// The audit; None if the sweep file has neither published figures nor claims.
    pub audit: Option<Audit>,
}

/// Writes the report of a sweep into the folder `out`, and returns what a terminal shows of it.
///
/// # Errors
/// `ReportError`: the ledger cannot be read, or a file cannot be written.
pub fn write_report(source: Source<'_>, out: &Path) -> Result<WrittenReport, ReportError> {
    let Source {
        dir,
        ledger,
        text,
        spec,
        grid,
    } = source;
    let trials = ledger.trials()?;
    let rows: HashMap<TrialId, TrialRow> = trials.into_iter().map(|row| (row.id, row)).collect();
    let evaluation = evaluate(spec, grid, &rows)?;
    let workers = ledger.workers()?;
    let devices = distinct(
        workers
            .iter()
            .map(|worker| device_in_words(&worker.device, worker.threads)),
    );
    let trainers = distinct(workers.iter().map(|worker| {
        format!(
            "{} {} ({})",
            worker.program, worker.version, worker.libraries
        )
    }));

    let versions = ledger.versions()?;
    let names = ledger.column_names(spec)?;
    let mixed = note_on_versions(spec, &evaluation, &rows, &versions);
    let mut one = table_one(spec, &evaluation);
    one.notes.extend(mixed.clone());
    one.notes
        .extend(note_on_selection(spec, grid, &rows, &versions));
    let mut two = table_two(spec, &evaluation, &devices);
    if let Some(two) = &mut two {
        two.notes.extend(mixed);
    }
    let effects = protocol_effects(spec, &evaluation, &rows)?;

    let named = [
        ("table1", Some(&one)),
        ("table2", two.as_ref()),
        ("protocol", effects.as_ref()),
    ];
    let tables: Vec<&Table> = named.iter().filter_map(|(_, table)| *table).collect();
    let chosen = selected(spec, grid, &evaluation);
    let notes = notes(spec, &evaluation, &trainers);
    let failures = failures(ledger, spec, grid, &rows)?;

    let folder = Folder::make(out)?;
    output_dirs::mark_run_directory(&folder, out, dir)?;
    let figures = write_figures(ledger, spec, grid, &evaluation, &rows, out)?;
    write_tables(&folder, &names, &named)?;
    let audit = audit::write(ledger, spec, &evaluation, &rows, &devices, &folder)?;

    let origin = provenance(
        spec,
        text,
        grid.len(),
        &evaluation,
        shown_versions(spec, grid, &evaluation, &rows, &versions),
        workers,
        ledger.sessions()?,
    );
    let page = Page {
        spec,
        notes: &notes,
        tables: &tables,
        selected: &chosen,
        audit: audit.as_ref(),
        figures: &figures,
        failures: &failures,
        provenance: &origin,
    };
    folder.text("report.md", &summary_markdown(&page))?;
    let html = html_page(&page).map_err(ReportError::of("the page"))?;
    folder.text("report.html", &html)?;

    folder.csv("points.csv", |to| {
        write_points(spec, grid, &evaluation, &names, to)
    })?;
    let trials = TrialsCsv {
        spec,
        grid,
        evaluation: &evaluation,
        rows: &rows,
        versions: &versions,
        names: &names,
        arms: &vec![true; grid.arms().len()],
    };
    folder.csv("trials.csv", |to| write_trials(trials, to))?;
    write_history_csv(&folder, ledger, spec, grid)?;
    let origin =
        serde_json::to_string_pretty(&origin).map_err(ReportError::of("the provenance"))?;
    folder.text("provenance.json", &(origin + "\n"))?;
    folder.text("spec.yaml", text)?;

    let shown = terminal_text(&Shown {
        page: &page,
        out,
        failed: failures.len(),
    });

    let mut files = folder.written();
    files.extend(figures.iter().flat_map(figure_files));
    let unselected = evaluation.without_selection().filter_map(|arm| {
        let why = not_selected(spec, &evaluation, arm)?;
        Some(format!("{}: {why}", spec.arms[arm.arm].label))
    });
    Ok(WrittenReport {
        text: shown,
        sweep: spec.name.clone(),
        files,
        complete: evaluation.is_complete(),
        unselected: unselected.collect(),
        audit: audit.clone(),
    })
}

/// Names in alphabetical order, each once.
fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let names: BTreeSet<String> = names.collect();
    names.into_iter().collect()
}

/// Writes each table in four formats, and one LaTeX file that includes them all.
fn write_tables(
    folder: &Folder,
    names: &ColumnNames,
    named: &[(&str, Option<&Table>)],
) -> Result<(), ReportError> {
    let mut written = Vec::new();
    for (name, table) in named {
        let Some(table) = table else {
            // A table of an earlier sweep file, which had final seeds, must not stay beside the
            // others.
            for format in TABLE_FORMATS {
                folder.remove(&format!("{name}.{format}"))?;
            }
            continue;
        };
        folder.text(&format!("{name}.txt"), &text_table(table))?;
        folder.text(&format!("{name}.md"), &markdown_table(table))?;
        folder.text(&format!("{name}.tex"), &latex_table(table))?;
        folder.csv(&format!("{name}.csv"), |to| write_table(names, table, to))?;
        written.push(*name);
    }
    folder.text("tables.tex", &latex_document(&written))
}

/// What a terminal shows of a report.
struct Shown<'a> {
    page: &'a Page<'a>,
    out: &'a Path,
    /// Failed trials without retries left.
    failed: usize,
}

fn terminal_text(shown: &Shown<'_>) -> String {
    let Shown { page, out, failed } = shown;
    let spec = page.spec;
    let mut text = match &spec.description {
        Some(description) => format!("{}: {}\n\n", spec.name, description.trim()),
        None => format!("{}\n\n", spec.name),
    };
    for table in page.tables {
        text.push_str(&text_table(table));
        text.push('\n');
    }

    text.push_str(&selected_text(page.selected));
    text.push_str(&page.audit.map(audit::text).unwrap_or_default());
    for note in page.notes {
        text.push_str(&format!("Note: {note}\n"));
    }

    if *failed > 0 {
        text.push_str(&format!(
            "{} failed, no retries left: see {}\n",
            count(*failed, "trial"),
            out.join("report.md").display()
        ));
    }
    let figures = match page.figures.len() {
        0 => "no figures".to_owned(),
        number => format!("{} in figures/ as .svg .png .csv", count(number, "figure")),
    };
    text.push_str(&format!(
        "Report: {} (also report.md; tables as .txt .md .tex .csv; points, trials and history as .csv; {figures}; provenance.json)\n",
        out.join("report.html").display(),
    ));
    text
}

/// Writes `history.csv`.
///
/// # Errors
/// `ReportError`: the ledger cannot be read, or the file cannot be written.
pub fn write_history_csv(
    folder: &Folder,
    ledger: &Reader,
    spec: &Spec,
    grid: &Grid,
) -> Result<(), ReportError> {
    folder.write("history.csv", |to| {
        let first = spec.task.built_in().map_or(&[][..], |task| task.history);
        let columns = ledger.column_names(spec)?;
        let names = ledger.history_names(first)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        write_history::<WriteError>(&columns, grid, &names, ledger.has_steps()?, to, |take| {
            ledger.each_epoch(take)
        })
    })
}

/// The selected points, aligned.
fn selected_text(chosen: &[Selected]) -> String {
    if chosen.is_empty() {
        return "No point is selected yet.\n".to_owned();
    }
    let labels = widest(chosen.iter().map(|arm| arm.label.as_str()));
    let values = widest(chosen.iter().map(|arm| arm.values.as_str()));
    let mut out = String::from("Selected hyper-parameters:\n");
    for arm in chosen {
        out.push_str(&format!(
            "  {:<labels$}  {:<values$}  ({})\n",
            arm.label, arm.values, arm.why
        ));
    }
    out
}

/// The width of a column, in characters.
fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

/// Planned trials that failed and have no retries left, with the reason of the last attempt, in grid
/// order.
fn failures(
    ledger: &Reader,
    spec: &Spec,
    grid: &Grid,
    rows: &HashMap<TrialId, TrialRow>,
) -> Result<Vec<(String, FailureKind, String)>, ReportError> {
    if !rows.values().any(|row| row.state == TrialState::Failed) {
        return Ok(Vec::new());
    }

    let mut reasons = ledger.failures()?;
    let mut list = Vec::new();
    for arm in grid.arms() {
        for point in arm.ids() {
            for &seed in spec.seeds.tune.iter().chain(&spec.seeds.final_) {
                let id = TrialId { point, seed };
                let is_failed = rows
                    .get(&id)
                    .is_some_and(|row| row.state == TrialState::Failed);
                if !is_failed {
                    continue;
                }
                if let Some((kind, message)) = reasons.remove(&id) {
                    list.push((id.to_string(), kind, message));
                }
            }
        }
    }
    Ok(list)
}

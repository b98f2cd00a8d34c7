//! `pentagrid report`: tables, figures and data files from the ledger alone. `run` ends with it.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use super::args::ReportArgs;
use super::audit;
use super::error::{CliError, Outcome};
use super::figures::{figure_files, write_figures};
use super::folder::{Folder, WriteError};
use super::json;
use super::made_report;
use super::output_dirs;
use super::printer::{Printer, count};
use super::sweep_file;
use crate::aggregate::evaluate;
use crate::grid::{Grid, TrialId};
use crate::ledger::{Reader, TrialRow, TrialState};
use crate::report::{
    Audit, Page, Selected, device_in_words, html_page, latex_document, latex_table, markdown_table,
    not_selected, note_on_selection, note_on_versions, notes, protocol_effects, provenance,
    selected, shown_versions, summary_markdown, table_one, table_two, text_table, write_history,
    write_points, write_table, write_trials,
};
use crate::spec::command::shell_path;
use crate::spec::{Spec, Task, task};

/// A report that was written.
pub struct Written {
    /// Tables, selected points and notes, for the terminal.
    pub text: String,
    /// The sweep's name.
    pub sweep: String,
    /// The files, relative to the report's folder.
    pub files: Vec<String>,
    /// Whether every planned trial has ended.
    pub complete: bool,
    /// Why no point is selected of arms of which none is, a sentence each.
    pub unselected: Vec<String>,
    /// What became of published figures and claims; None: the spec has none.
    pub audit: Option<Audit>,
}

/// What was written, for programs.
#[derive(Serialize)]
struct Answer<'a> {
    sweep: &'a str,
    complete: bool,
    unselected: &'a [String],
    folder: String,
    files: &'a [String],
    claims: Vec<ShownClaim<'a>>,
}

#[derive(Serialize)]
struct ShownClaim<'a> {
    claim: &'a str,
    verdict: &'static str,
    numbers: &'a str,
    published_verdict: Option<&'static str>,
}

impl<'a> Answer<'a> {
    fn of(written: &'a Written, out: &Path) -> Self {
        let claims = written.audit.iter().flat_map(|audit| &audit.claims);
        let claims = claims.map(|claim| ShownClaim {
            claim: &claim.claim.says,
            verdict: claim.ours.verdict.name(),
            numbers: &claim.numbers,
            published_verdict: claim
                .published
                .as_ref()
                .map(|(judgement, _)| judgement.verdict.name()),
        });
        Self {
            sweep: &written.sweep,
            complete: written.complete,
            unselected: &written.unselected,
            folder: out.display().to_string(),
            files: &written.files,
            claims: claims.collect(),
        }
    }
}

/// Writes a report.
pub fn report(arguments: &ReportArgs, printer: &Printer) -> Result<Outcome, CliError> {
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => {
            let spec =
                sweep_file::from_ledger(&Reader::open(&arguments.dir)?, &arguments.dir)?.spec;
            let out = output_dirs::default_report_dir(&arguments.dir, &spec);
            output_dirs::refuse_others(&out, &arguments.dir)?;
            out
        }
    };
    let written = write(&arguments.dir, &out)?;
    match arguments.json {
        true => printer.data(&json::document(&Answer::of(&written, &out))?)?,
        false => printer.text(&written.text)?,
    }
    if !written.complete {
        printer.warn(&format!(
            "the sweep is not finished: go on with `pentagrid resume {}`",
            shell_path(&arguments.dir)
        ));
    }
    written.unselected.iter().for_each(|why| printer.warn(why));
    Ok(if arguments.check {
        audit::check(
            written.audit.as_ref(),
            written.complete && written.unselected.is_empty(),
            printer,
        )
    } else {
        Outcome::Done
    })
}

/// Writes the report of a run directory into another directory, and returns what a terminal shows
/// of it.
pub fn write(dir: &Path, out: &Path) -> Result<Written, CliError> {
    let ledger = Reader::open(dir)?;
    ledger.freeze()?;
    let file = sweep_file::from_ledger(&ledger, dir)?;
    let spec = &file.spec;
    let grid = Grid::new(spec);
    let rows: HashMap<TrialId, TrialRow> = ledger
        .trials()?
        .into_iter()
        .map(|row| (row.id, row))
        .collect();
    let evaluation = evaluate(spec, &grid, &rows)?;
    let workers = ledger.workers()?;
    let distinct = |names: Vec<String>| {
        names
            .into_iter()
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    };
    let devices = distinct(
        workers
            .iter()
            .map(|worker| device_in_words(&worker.device, worker.threads))
            .collect(),
    );
    let trainers = distinct(
        workers
            .iter()
            .map(|worker| {
                format!(
                    "{} {} ({})",
                    worker.program, worker.version, worker.libraries
                )
            })
            .collect(),
    );

    let versions = ledger.versions()?;
    let mut one = table_one(spec, &evaluation);
    let mut two = table_two(spec, &evaluation, &devices);
    let mixed = note_on_versions(spec, &evaluation, &rows, &versions);
    one.notes.extend(mixed.clone());
    one.notes
        .extend(note_on_selection(spec, &grid, &rows, &versions));
    two.iter_mut()
        .for_each(|two| two.notes.extend(mixed.clone()));
    let effects = protocol_effects(spec, &evaluation, &rows)?;
    let named = [
        ("table1", Some(&one)),
        ("table2", two.as_ref()),
        ("protocol", effects.as_ref()),
    ];
    let tables: Vec<_> = named.iter().filter_map(|(_, table)| *table).collect();
    let chosen = selected(spec, &grid, &evaluation);
    let notes = notes(spec, &evaluation, &trainers);
    let failures = failures(&ledger, spec, &grid, &rows)?;

    let folder = Folder::make(out)?;
    output_dirs::mark(&folder, out, dir)?;
    let figures = write_figures(&ledger, spec, &grid, &evaluation, &rows, out)?;
    for (name, table) in &named {
        let Some(table) = table else {
            // A table of an earlier spec, which had final seeds, must not stand beside the others.
            ["txt", "md", "tex", "csv"]
                .iter()
                .try_for_each(|format| folder.remove(&format!("{name}.{format}")))?;
            continue;
        };
        folder.text(&format!("{name}.txt"), &text_table(table))?;
        folder.text(&format!("{name}.md"), &markdown_table(table))?;
        folder.text(&format!("{name}.tex"), &latex_table(table))?;
        folder.csv(&format!("{name}.csv"), |to| write_table(spec, table, to))?;
    }
    let written: Vec<&str> = named
        .iter()
        .filter(|(_, table)| table.is_some())
        .map(|(name, _)| *name)
        .collect();
    folder.text("tables.tex", &latex_document(&written))?;
    let audit = audit::write(&ledger, spec, &evaluation, &rows, &devices, &folder)?;
    let versions = shown_versions(spec, &grid, &evaluation, &rows, &versions);
    let origin = provenance(
        spec,
        &file.text,
        grid.len(),
        &evaluation,
        versions,
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
    folder.text(
        "report.html",
        &html_page(&page).map_err(|error| CliError::Unexpected(error.to_string()))?,
    )?;
    folder.csv("points.csv", |to| {
        write_points(spec, &grid, &evaluation, to)
    })?;
    folder.csv("trials.csv", |to| {
        write_trials(
            spec,
            &grid,
            &evaluation,
            &rows,
            &vec![true; grid.arms().len()],
            to,
        )
    })?;
    history_file(&folder, &ledger, spec, &grid)?;
    let origin = serde_json::to_string_pretty(&origin)
        .map_err(|error| CliError::Unexpected(error.to_string()))?;
    folder.text("provenance.json", &(origin + "\n"))?;
    folder.text("spec.yaml", &file.text)?;

    let mut text = match &spec.description {
        Some(description) => format!("{}: {}\n\n", spec.name, description.trim()),
        None => format!("{}\n\n", spec.name),
    };
    for table in tables {
        text.push_str(&text_table(table));
        text.push('\n');
    }
    text.push_str(&selected_text(&chosen));
    text.push_str(&audit.as_ref().map(audit::text).unwrap_or_default());
    for note in &notes {
        text.push_str(&format!("Note: {note}\n"));
    }
    if !failures.is_empty() {
        text.push_str(&format!(
            "{} failed for good: see {}\n",
            count(failures.len(), "trial"),
            out.join("report.md").display()
        ));
    }
    text.push_str(&format!(
        "Report: {} (also report.md; tables as .txt .md .tex .csv; points, trials and history as .csv; {}; provenance.json)\n",
        out.join("report.html").display(),
        if figures.is_empty() {
            "no figures".to_owned()
        } else {
            format!("{} in figures/ as .svg .png .csv", count(figures.len(), "figure"))
        }
    ));
    let mut files = folder.written();
    files.extend(figures.iter().flat_map(figure_files));
    let unselected = evaluation.without_selection().filter_map(|arm| {
        let why = not_selected(spec, &evaluation, arm)?;
        Some(format!("{}: {why}", spec.arms[arm.arm].label))
    });
    let unselected = unselected.collect();
    let written = Written {
        text,
        sweep: spec.name.clone(),
        files,
        complete: evaluation.is_complete(),
        unselected,
        audit,
    };
    made_report::note(&ledger, dir, out, &written)?;
    Ok(written)
}

/// Writes `history.csv`.
pub(super) fn history_file(
    folder: &Folder,
    ledger: &Reader,
    spec: &Spec,
    grid: &Grid,
) -> Result<(), CliError> {
    folder.write("history.csv", |to| {
        let names = ledger.history_names(match spec.task {
            Task::MnistResnet18 => task::HISTORY,
            Task::Worker(_) | Task::Program(_) => &[],
        })?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        write_history::<WriteError>(spec, grid, &names, ledger.has_steps()?, to, |take| {
            ledger.each_epoch(take)
        })
    })
}

/// The selected points, aligned.
fn selected_text(chosen: &[Selected]) -> String {
    if chosen.is_empty() {
        return "No point is selected yet.\n".to_owned();
    }
    let width = |part: fn(&Selected) -> &str| {
        chosen
            .iter()
            .map(|arm| part(arm).chars().count())
            .max()
            .unwrap_or(0)
    };
    let (labels, values) = (width(|arm| &arm.label), width(|arm| &arm.values));
    let mut out = String::from("Selected hyper-parameters:\n");
    for arm in chosen {
        out.push_str(&format!(
            "  {:<labels$}  {:<values$}  ({})\n",
            arm.label, arm.values, arm.why
        ));
    }
    out
}

/// Planned trials that failed for good, with the reason of the last attempt, in grid order.
fn failures(
    ledger: &Reader,
    spec: &Spec,
    grid: &Grid,
    rows: &HashMap<TrialId, TrialRow>,
) -> Result<Vec<(String, crate::protocol::FailureKind, String)>, CliError> {
    let failed = |row: &&TrialRow| row.state == TrialState::Failed;
    if !rows.values().any(|row| failed(&row)) {
        return Ok(Vec::new());
    }
    let mut reasons = ledger.failures()?;
    let mut list = Vec::new();
    for arm in grid.arms() {
        for point in arm.ids() {
            for &seed in spec.seeds.tune.iter().chain(&spec.seeds.final_) {
                let id = TrialId { point, seed };
                if let Some((kind, message)) = rows
                    .get(&id)
                    .filter(failed)
                    .and_then(|_| reasons.remove(&id))
                {
                    list.push((id.to_string(), kind, message));
                }
            }
        }
    }
    Ok(list)
}

//! The audit as text, Markdown and CSV, and its short form for the terminal.

use std::io::Write;

use csv::Writer;

use super::audit::{Audit, AuditRow, AuditedClaim};
use super::cell::{CellValue, p_value, same_form};
use super::csv_files::{CsvError, cell};
use super::markdown::{escape, line};
use super::table::EMPTY;
use super::text::lay_out;
use crate::aggregate::ALPHA;

/// The headings of the comparison with published values.
pub(super) const HEADINGS: [&str; 10] = [
    "Metric",
    "Arm",
    "Ours",
    "n",
    "Published",
    "n",
    "Difference",
    "t",
    "df",
    "p",
];
/// Explains its last columns.
pub(super) const ABOUT_TESTS: &str =
    "t is the difference in standard errors, p that of Welch's two-sided t-test.";

/// A row's cells, in step with `HEADINGS`.
pub(super) fn cells(row: &AuditRow) -> [String; 10] {
    let empty = || EMPTY.to_owned();
    let ours = row.ours.as_ref();
    let test = row.test.as_ref().ok();

    [
        row.metric.clone(),
        row.label.clone(),
        ours.map_or_else(empty, |ours| ours.numbers(" ± ")),
        ours.map_or_else(empty, runs),
        row.published.numbers(" ± "),
        runs(&row.published),
        row.difference
            .map_or_else(empty, |value| difference(row, value)),
        test.map_or_else(empty, |test| format!("{:+.2}", test.t)),
        test.map_or_else(empty, |test| format!("{:.1}", test.df)),
        test.map_or_else(empty, |test| {
            p_value(test.p).trim_start_matches("= ").to_owned()
        }),
    ]
}

/// The number of runs: `10`, or `2 of 3` if some are missing.
fn runs(value: &CellValue) -> String {
    match (value.n, value.planned) {
        (Some(n), Some(planned)) if n != planned => format!("{n} of {planned}"),
        (Some(n), _) => n.to_string(),
        (None, _) => EMPTY.to_owned(),
    }
}

fn difference(row: &AuditRow, difference: f64) -> String {
    let number = same_form(difference, row.published.mean, row.published.std);
    let sign = if difference > 0.0 { "+" } else { "" };
    format!("{sign}{number} {}", row.unit).trim_end().to_owned()
}

/// Explains how claims are tested.
pub(super) fn about_claims() -> String {
    format!(
        "Significant: p below {ALPHA}, adjusted by Holm for all comparisons of arms in all claims. \
         Tests take the arms as independent, although they share their seeds."
    )
}

/// Writes the whole audit as text.
pub fn audit_text(audit: &Audit) -> String {
    let mut out = String::new();
    if !audit.rows.is_empty() {
        let rows = audit.rows.iter().map(|row| cells(row).to_vec());
        let headings = HEADINGS.map(str::to_owned).to_vec();
        out.push_str(&format!(
            "Audit: ours against the published figures, {}. {ABOUT_TESTS}\n{}\n",
            audit.seeds,
            lay_out(headings, rows, 2..HEADINGS.len())
        ));

        for note in &audit.notes {
            out.push_str(&format!("  {note}\n"));
        }
    }

    if !audit.claims.is_empty() {
        let gap = if out.is_empty() { "" } else { "\n" };
        let about = about_claims();
        out.push_str(&format!("{gap}Claims ({}). {about}\n", audit.seeds));
    }
    for claim in &audit.claims {
        let verdict = claim.ours.verdict.name();
        out.push_str(&format!(
            "  {}\n    {verdict}: {}\n",
            claim.claim.says, claim.numbers
        ));

        if let Some((judgement, numbers)) = &claim.published {
            let verdict = judgement.verdict.name();
            out.push_str(&format!(
                "    by the published figures: {verdict}: {numbers}\n"
            ));
        }
    }
    out
}

/// Writes the whole audit as Markdown, to be put under a heading.
pub fn audit_markdown(audit: &Audit) -> String {
    let mut out = String::new();
    if !audit.rows.is_empty() {
        out.push_str(&format!(
            "**Audit.** Ours against the published figures, {}. {ABOUT_TESTS}\n\n",
            audit.seeds
        ));

        let rule: Vec<String> = (0..HEADINGS.len())
            .map(|column| if column < 2 { "---" } else { "---:" }.to_owned())
            .collect();
        out.push_str(&line(&HEADINGS.map(str::to_owned)));
        out.push_str(&line(&rule));

        for row in &audit.rows {
            out.push_str(&line(&cells(row).map(|cell| escape(&cell))));
        }
    }
    if !audit.rows.is_empty() && !audit.notes.is_empty() {
        out.push('\n');
        for note in &audit.notes {
            out.push_str(&format!("- {}\n", escape(note)));
        }
    }

    if !audit.claims.is_empty() {
        let gap = if out.is_empty() { "" } else { "\n" };
        let about = about_claims();
        out.push_str(&format!("{gap}**Claims** ({}). {about}\n\n", audit.seeds));
        out.push_str("| Claim | Verdict | By | By the published figures |\n");
        out.push_str("| --- | --- | --- | --- |\n");
    }
    for claim in &audit.claims {
        let published = claim.published.as_ref();
        let published = published.map_or(EMPTY.to_owned(), |(judgement, numbers)| {
            format!("{}: {numbers}", judgement.verdict.name())
        });

        let cells = [
            claim.claim.says.as_str(),
            claim.ours.verdict.name(),
            &claim.numbers,
            &published,
        ];
        out.push_str(&line(&cells.map(escape)));
    }
    out
}

/// Writes one line for each claim: verdict, sentence, evidence.
pub fn claim_lines(audit: &Audit) -> String {
    let width = audit
        .claims
        .iter()
        .map(|claim| claim.ours.verdict.name().len())
        .max()
        .unwrap_or(0);
    audit
        .claims
        .iter()
        .map(|claim| claim_line(claim, width))
        .collect()
}

fn claim_line(claim: &AuditedClaim, width: usize) -> String {
    let published = match &claim.published {
        Some((judgement, _)) => format!(" [published figures: {}]", judgement.verdict.name()),
        None => String::new(),
    };
    format!(
        "  {:<width$}  {}: {}{published}\n",
        claim.ours.verdict.name(),
        claim.claim.says,
        claim.numbers
    )
}

/// Writes the rows as CSV.
///
/// # Errors
/// `CsvError`, if writing fails.
pub fn write_audit(audit: &Audit, to: impl Write) -> Result<(), CsvError> {
    let mut csv = Writer::from_writer(to);
    csv.write_record([
        "metric",
        "arm",
        "label",
        "ours_mean",
        "ours_std",
        "ours_n",
        "published_mean",
        "published_std",
        "published_n",
        "difference",
        "t",
        "df",
        "p",
        "no_test",
    ])?;

    for row in &audit.rows {
        let mut cells = vec![row.metric.clone(), row.arm.clone(), row.label.clone()];
        cells.extend(value_cells(row.ours.as_ref()));
        cells.extend(value_cells(Some(&row.published)));
        cells.push(cell(row.difference));

        let test = row.test.as_ref().ok();
        cells.push(cell(test.map(|test| test.t)));
        cells.push(cell(test.map(|test| test.df)));
        cells.push(cell(test.map(|test| test.p)));
        let no_test = row.test.as_ref().err();
        cells.push(no_test.map_or(String::new(), |reason| reason.reason().to_owned()));
        csv.write_record(&cells)?;
    }

    csv.flush()?;
    Ok(())
}

/// Mean, deviation and n.
fn value_cells(value: Option<&CellValue>) -> [String; 3] {
    let n = value.and_then(|value| value.n);
    [
        cell(value.map(|value| value.mean)),
        cell(value.and_then(|value| value.std)),
        n.map(|n| n.to_string()).unwrap_or_default(),
    ]
}

/// Writes the claims as CSV.
///
/// # Errors
/// `CsvError`, if writing fails.
pub fn write_claims(audit: &Audit, to: impl Write) -> Result<(), CsvError> {
    let mut csv = Writer::from_writer(to);
    csv.write_record([
        "claim",
        "kind",
        "verdict",
        "numbers",
        "published_verdict",
        "published_numbers",
    ])?;

    for claim in &audit.claims {
        let published = claim.published.as_ref();
        csv.write_record([
            claim.claim.says.as_str(),
            claim.claim.key,
            claim.ours.verdict.name(),
            &claim.numbers,
            published.map_or("", |(judgement, _)| judgement.verdict.name()),
            published.map_or("", |(_, numbers)| numbers),
        ])?;
    }

    csv.flush()?;
    Ok(())
}

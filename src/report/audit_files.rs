//! The audit as text, Markdown and CSV, and its short form for the terminal.

use std::io::Write;

use csv::Writer;

use super::audit::{Audit, AuditRow, AuditedClaim};
use super::csv_files::{CsvError, cell};
use super::figure::{Figure, p_value, same_form};
use super::markdown::escape;
use super::table::EMPTY;
use super::text::lay_out;
use crate::aggregate::ALPHA;

/// The headings of the comparison with published figures.
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
/// What its last columns are.
pub(super) const ABOUT_TESTS: &str =
    "t is the difference in standard errors, p that of Welch's two-sided t-test.";

/// A row's cells, in step with `HEADINGS`.
pub(super) fn cells(row: &AuditRow) -> [String; 10] {
    let count = |figure: &Figure| match (figure.n, figure.planned) {
        (Some(n), Some(planned)) if n != planned => format!("{n} of {planned}"),
        (Some(n), _) => n.to_string(),
        (None, _) => EMPTY.to_owned(),
    };
    let (t, df, p) = match row.test {
        Ok(test) => (
            format!("{:+.2}", test.t),
            format!("{:.1}", test.df),
            p_value(test.p).trim_start_matches("= ").to_owned(),
        ),
        Err(_) => (EMPTY.to_owned(), EMPTY.to_owned(), EMPTY.to_owned()),
    };
    [
        row.metric.clone(),
        row.label.clone(),
        row.ours
            .as_ref()
            .map_or(EMPTY.to_owned(), |ours| ours.numbers(" ± ")),
        row.ours.as_ref().map_or(EMPTY.to_owned(), count),
        row.published.numbers(" ± "),
        count(&row.published),
        row.difference.map_or(EMPTY.to_owned(), |difference| {
            self::difference(row, difference)
        }),
        t,
        df,
        p,
    ]
}

fn difference(row: &AuditRow, difference: f64) -> String {
    let number = same_form(difference, row.published.mean, row.published.std);
    let sign = if difference > 0.0 { "+" } else { "" };
    format!("{sign}{number} {}", row.unit).trim_end().to_owned()
}

/// How claims are tested.
pub(super) fn about_claims() -> String {
    format!(
        "Significant: p below {ALPHA}, adjusted by Holm for all comparisons of arms in all claims. Tests take the arms as \
         independent, although they share their seeds."
    )
}

/// Everything as text.
pub fn audit_text(audit: &Audit) -> String {
    let mut out = String::new();
    if !audit.rows.is_empty() {
        let rows = audit.rows.iter().map(|row| cells(row).to_vec());
        out.push_str(&format!(
            "Audit: ours against the published figures, {}. {ABOUT_TESTS}\n{}\n",
            audit.seeds,
            lay_out(
                HEADINGS.map(str::to_owned).to_vec(),
                rows,
                2..HEADINGS.len()
            )
        ));
        for note in &audit.notes {
            out.push_str(&format!("  {note}\n"));
        }
    }
    if !audit.claims.is_empty() {
        let gap = if out.is_empty() { "" } else { "\n" };
        out.push_str(&format!(
            "{gap}Claims ({}). {}\n",
            audit.seeds,
            about_claims()
        ));
        for claim in &audit.claims {
            out.push_str(&format!(
                "  {}\n    {}: {}\n",
                claim.claim.says,
                claim.ours.verdict.name(),
                claim.numbers
            ));
            if let Some((judgement, numbers)) = &claim.published {
                out.push_str(&format!(
                    "    by the published figures: {}: {numbers}\n",
                    judgement.verdict.name()
                ));
            }
        }
    }
    out
}

/// Everything as Markdown, to stand under a heading.
pub fn audit_markdown(audit: &Audit) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut out = String::new();
    if !audit.rows.is_empty() {
        out.push_str(&format!(
            "**Audit.** Ours against the published figures, {}. {ABOUT_TESTS}\n\n",
            audit.seeds
        ));
        out.push_str(&line(&HEADINGS.map(str::to_owned)));
        let rule: Vec<String> = (0..HEADINGS.len())
            .map(|column| if column < 2 { "---" } else { "---:" }.to_owned())
            .collect();
        out.push_str(&line(&rule));
        for row in &audit.rows {
            out.push_str(&line(&cells(row).map(|cell| escape(&cell))));
        }
        let gap = if audit.notes.is_empty() { "" } else { "\n" };
        out.push_str(gap);
        for note in &audit.notes {
            out.push_str(&format!("- {}\n", escape(note)));
        }
    }
    if !audit.claims.is_empty() {
        let gap = if out.is_empty() { "" } else { "\n" };
        out.push_str(&format!(
            "{gap}**Claims** ({}). {}\n\n",
            audit.seeds,
            about_claims()
        ));
        out.push_str(
            "| Claim | Verdict | By | By the published figures |\n| --- | --- | --- | --- |\n",
        );
        for claim in &audit.claims {
            let published = claim
                .published
                .as_ref()
                .map_or(EMPTY.to_owned(), |(judgement, numbers)| {
                    format!("{}: {numbers}", judgement.verdict.name())
                });
            let cells = [
                claim.claim.says.as_str(),
                claim.ours.verdict.name(),
                &claim.numbers,
                &published,
            ]
            .map(escape);
            out.push_str(&line(&cells));
        }
    }
    out
}

/// One line for each claim: verdict, sentence, figures.
pub fn claim_lines(audit: &Audit) -> String {
    let width = audit
        .claims
        .iter()
        .map(|claim| claim.ours.verdict.name().len())
        .max()
        .unwrap_or(0);
    let one = |claim: &AuditedClaim| {
        let published = claim
            .published
            .as_ref()
            .map_or(String::new(), |(judgement, _)| {
                format!(" [published figures: {}]", judgement.verdict.name())
            });
        format!(
            "  {:<width$}  {}: {}{published}\n",
            claim.ours.verdict.name(),
            claim.claim.says,
            claim.numbers
        )
    };
    audit.claims.iter().map(one).collect()
}

/// The rows as CSV.
///
/// # Errors
/// As the file that is written to.
pub fn write_audit(audit: &Audit, to: impl Write) -> Result<(), CsvError> {
    let mut csv = Writer::from_writer(to);
    let figure = |of: &str| ["mean", "std", "n"].map(|figure| format!("{of}_{figure}"));
    let fixed = ["metric", "arm", "label"].map(str::to_owned);
    let test = ["difference", "t", "df", "p", "no_test"].map(str::to_owned);
    csv.write_record(
        fixed
            .iter()
            .chain(&figure("ours"))
            .chain(&figure("published"))
            .chain(&test),
    )?;
    for row in &audit.rows {
        let figure = |figure: Option<&Figure>| {
            let n = figure
                .and_then(|figure| figure.n)
                .map(|n| n.to_string())
                .unwrap_or_default();
            [
                cell(figure.map(|figure| figure.mean)),
                cell(figure.and_then(|figure| figure.std)),
                n,
            ]
        };
        let mut cells = vec![row.metric.clone(), row.arm.clone(), row.label.clone()];
        cells.extend(figure(row.ours.as_ref()));
        cells.extend(figure(Some(&row.published)));
        let test = row.test.as_ref().ok();
        cells.push(cell(row.difference));
        cells.extend(
            [
                test.map(|test| test.t),
                test.map(|test| test.df),
                test.map(|test| test.p),
            ]
            .map(cell),
        );
        cells.push(
            row.test
                .as_ref()
                .err()
                .map_or(String::new(), |reason| reason.reason().to_owned()),
        );
        csv.write_record(&cells)?;
    }
    csv.flush()?;
    Ok(())
}

/// The claims as CSV.
///
/// # Errors
/// As the file that is written to.
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
        let (verdict, numbers) = claim
            .published
            .as_ref()
            .map_or(("", ""), |(judgement, numbers)| {
                (judgement.verdict.name(), numbers)
            });
        csv.write_record([
            &claim.claim.says,
            claim.claim.key,
            claim.ours.verdict.name(),
            &claim.numbers,
            verdict,
            numbers,
        ])?;
    }
    csv.flush()?;
    Ok(())
}

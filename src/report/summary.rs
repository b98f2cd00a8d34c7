//! The report as one Markdown page: tables, selected points, audit, figures, failures, notes.

use super::audit_files::audit_markdown;
use super::markdown::{escape, line, markdown_table};
use super::page::Page;

/// Writes the page.
pub fn summary_markdown(page: &Page<'_>) -> String {
    let mut out = format!("# {}\n\n", escape(&page.spec.name));
    if let Some(description) = &page.spec.description {
        out.push_str(&format!("{}\n\n", escape(description.trim())));
    }
    for note in page.notes {
        out.push_str(&format!("> {}\n\n", escape(note)));
    }
    for table in page.tables {
        out.push_str(&markdown_table(table));
        out.push('\n');
    }

    out.push_str("## Selected points\n\n");
    out.push_str("| Arm | Hyper-parameters | Point | Selected by |\n| --- | --- | --- | --- |\n");
    for arm in page.selected {
        let cells = [&arm.label, &arm.values, &arm.point, &arm.why].map(|text| escape(text));
        out.push_str(&line(&cells));
    }
    if let Some(audit) = page.audit {
        out.push_str(&format!("\n## Audit\n\n{}", audit_markdown(audit)));
    }

    if !page.figures.is_empty() {
        out.push_str("\n## Figures\n");
    }
    for figure in page.figures {
        let name = &figure.name;
        let title = escape(&figure.title);
        let caption = escape(&figure.caption);
        // The names consist of letters, digits, `-` and `_`, which need no escape in a link.
        out.push_str(&format!(
            "\n![{title}](figures/{name}.png)\n\n**{title}.** {caption}\n"
        ));
    }

    if !page.failures.is_empty() {
        out.push_str("\n## Failed trials\n\n| Trial | Kind | Message |\n| --- | --- | --- |\n");
    }
    for (trial, kind, message) in page.failures {
        out.push_str(&format!("| {trial} | {kind} | {} |\n", escape(message)));
    }
    out
}

//! Tables as GitHub-flavoured Markdown.

use super::figure::Figure;
use super::table::{EMPTY, Table};

/// The table as Markdown, title and caption above, notes below.
pub fn markdown_table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let headings: Vec<String> = table
        .headings()
        .iter()
        .map(|heading| escape(heading))
        .collect();
    let mut out = format!(
        "**{}.** {}\n\n",
        escape(&table.title),
        escape(&table.caption)
    );
    let rule = (0..headings.len())
        .map(|column| if column == 0 { "---" } else { "---:" }.to_owned())
        .collect();
    out.push_str(&line(headings));
    out.push_str(&line(rule));
    for row in &table.rows {
        let figures = table
            .figures(row)
            .map(|figure| figure.map_or(EMPTY.to_owned(), Figure::plain));
        out.push_str(&line(
            std::iter::once(escape(&row.label)).chain(figures).collect(),
        ));
    }
    if !table.notes.is_empty() {
        out.push('\n');
    }
    for note in &table.notes {
        out.push_str(&format!("- {}\n", escape(note)));
    }
    out
}

/// Makes text mean itself in Markdown, within one line and one cell.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\r' | '\t' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '$' => {
                out.push('\\');
                out.push(letter);
            }
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_breaks_a_row(text in ".*") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['\n', '\r']));
            let bare = escaped.replace("\\\\", "").replace("\\|", "");
            prop_assert!(!bare.contains('|') && !bare.contains('<'));
        }
    }
}

//! Tables as GitHub-flavoured Markdown.

use super::table::Table;

/// Writes a table as Markdown, title and caption above, notes below.
pub fn markdown_table(table: &Table) -> String {
    let title = escape(&table.title);
    let mut out = format!("**{title}.** {}\n\n", escape(&table.caption));

    let headings: Vec<String> = table
        .headings()
        .iter()
        .map(|heading| escape(heading))
        .collect();
    let rule: Vec<String> = (0..headings.len())
        .map(|column| if column == 0 { "---" } else { "---:" }.to_owned())
        .collect();
    out.push_str(&line(&headings));
    out.push_str(&line(&rule));
    for row in &table.rows {
        let cells: Vec<String> = std::iter::once(escape(&row.label))
            .chain(table.texts(row))
            .collect();
        out.push_str(&line(&cells));
    }

    if !table.notes.is_empty() {
        out.push('\n');
    }
    for note in &table.notes {
        out.push_str(&format!("- {}\n", escape(note)));
    }
    out
}

/// One row of a table.
pub(super) fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

/// Escapes text for one line and one cell of Markdown.
pub(crate) fn escape(text: &str) -> String {
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

//! Tables as LaTeX with booktabs.

use super::cell::CellValue;
use super::table::Table;

/// Writes a table as a `table` float for a paper that loads `booktabs`. Published values are below
/// ours, so that the table fits one column.
pub fn latex_table(table: &Table) -> String {
    let mut out = String::from("% needs \\usepackage{booktabs}\n");
    if texts(table).any(|text| text.chars().any(is_foreign)) {
        out.push_str(FOREIGN_LETTER_COMMAND);
    }
    out.push_str("\\begin{table}\n  \\centering\n");
    out.push_str(&format!("  \\caption{{{}}}\n", escape(&table.caption)));
    let label = table.title.to_lowercase().replace(' ', "-");
    out.push_str(&format!("  \\label{{tab:{label}}}\n"));

    // Labels are aligned to the left, values to the right.
    let alignment = "r".repeat(table.columns.len());
    let headings: Vec<String> = std::iter::once(&table.corner)
        .chain(table.columns.iter().map(|column| &column.heading))
        .map(|text| escape(text))
        .collect();
    let headings = headings.join(" & ");
    out.push_str(&format!(
        "  \\begin{{tabular}}{{l{alignment}}}\n    \\toprule\n"
    ));
    out.push_str(&format!("    {headings} \\\\\n    \\midrule\n"));
    out.push_str(&rows(table));
    out.push_str("    \\bottomrule\n  \\end{tabular}\n");

    for note in &table.notes {
        let note = escape(note);
        out.push_str(&format!(
            "  \\par\\smallskip{{\\footnotesize {note}\\par}}\n"
        ));
    }
    out.push_str("\\end{table}\n");
    out
}

/// Every text of a table.
fn texts(table: &Table) -> impl Iterator<Item = &String> {
    [&table.corner, &table.caption]
        .into_iter()
        .chain(&table.notes)
        .chain(table.columns.iter().map(|column| &column.heading))
        .chain(table.rows.iter().map(|row| &row.label))
}

fn rows(table: &Table) -> String {
    let any_published = table.columns.iter().any(|column| column.published);
    let mut out = String::new();
    for (number, row) in table.rows.iter().enumerate() {
        if any_published && number > 0 {
            out.push_str("    \\addlinespace\n");
        }

        let ours = row.cells.iter().map(|cell| cell.ours.as_ref());
        out.push_str(&line(escape(&row.label), ours));

        if row.cells.iter().any(|cell| cell.published.is_some()) {
            let published = row.cells.iter().map(|cell| cell.published.as_ref());
            out.push_str(&line("\\quad\\textit{published}".to_owned(), published));
        }
    }
    out
}

fn line<'a>(label: String, values: impl Iterator<Item = Option<&'a CellValue>>) -> String {
    let values = values.map(|value| value.map_or("---".to_owned(), latex_value));
    let cells: Vec<String> = std::iter::once(label).chain(values).collect();
    format!("    {} \\\\\n", cells.join(" & "))
}

/// Writes a document that inputs the given files, to look at the tables or to start a paper from.
pub fn latex_document(files: &[&str]) -> String {
    let inputs: String = files
        .iter()
        .map(|file| format!("\\input{{{file}}}\n"))
        .collect();
    format!(
        "\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\
         \\begin{{document}}\n{inputs}\\end{{document}}\n"
    )
}

fn latex_value(value: &CellValue) -> String {
    let numbers = value
        .numbers(" \\pm ")
        .replace("NaN", "\\mathrm{NaN}")
        .replace('∞', "\\infty");
    match value.remark() {
        Some(remark) => format!("${numbers}$ ({})", escape(&remark)),
        None => format!("${numbers}$"),
    }
}

/// Defines a command for letters that pdfLaTeX does not accept: there it shows their number,
/// elsewhere the letter itself.
const FOREIGN_LETTER_COMMAND: &str = "% pdfLaTeX has no letters such as emoji or Chinese ones: it shows their numbers. XeLaTeX and LuaLaTeX show them, with a font that has them.\n\
     \\providecommand{\\foreignletter}[2]{\\ifdefined\\Umathchar #1\\else [U+#2]\\fi}\n";

/// Whether pdfLaTeX, whose fonts have the letters of Europe's Latin alphabets and common
/// punctuation, does not accept a letter.
fn is_foreign(letter: char) -> bool {
    let known = letter < '\u{180}' || matches!(letter, '–' | '—' | '‘' | '’' | '“' | '”' | '…');
    !known && greek(letter).is_none() && !matches!(letter, '−' | '≤' | '≥')
}

/// Escapes text for LaTeX, which reads UTF-8 since 2018. For letters that the default fonts lack
/// see `FOREIGN_LETTER_COMMAND`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\textbackslash{}"),
            '{' | '}' | '$' | '&' | '#' | '%' | '_' => {
                out.push('\\');
                out.push(letter);
            }
            '|' => out.push_str("\\textbar{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '\n' | '\r' | '\t' => out.push(' '),
            '±' => out.push_str("$\\pm$"),
            '−' => out.push_str("$-$"),
            '×' => out.push_str("$\\times$"),
            '≤' => out.push_str("$\\leq$"),
            '≥' => out.push_str("$\\geq$"),
            _ if letter.is_control() => out.push(' '),
            _ if is_foreign(letter) => out.push_str(&format!(
                "\\foreignletter{{{letter}}}{{{:04X}}}",
                u32::from(letter)
            )),
            _ => match greek(letter) {
                Some(name) => out.push_str(&format!("$\\{name}$")),
                None => out.push(letter),
            },
        }
    }
    out
}

fn greek(letter: char) -> Option<&'static str> {
    Some(match letter {
        'α' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'δ' => "delta",
        'ε' => "varepsilon",
        'η' => "eta",
        'θ' => "theta",
        'λ' => "lambda",
        'μ' => "mu",
        'ρ' => "rho",
        'σ' => "sigma",
        'τ' => "tau",
        'φ' => "varphi",
        'ω' => "omega",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escape("SGD (β = 0)"), "SGD ($\\beta$ = 0)");
        assert_eq!(escape("50 % of a_b & $x"), "50 \\% of a\\_b \\& \\$x");
    }

    #[test]
    fn letters_that_pdflatex_lacks_are_wrapped() {
        assert_eq!(
            escape("Adam 🔥 naïve – ∆"),
            "Adam \\foreignletter{🔥}{1F525} naïve – \\foreignletter{∆}{2206}"
        );
        assert_eq!(escape("\u{7}a\u{85}"), " a ");
        let table = |label: &str| Table {
            title: "Table I".into(),
            caption: "c".into(),
            corner: "Arm".into(),
            columns: Vec::new(),
            rows: vec![crate::report::table::Row {
                arm: "a".into(),
                label: label.into(),
                cells: Vec::new(),
            }],
            notes: Vec::new(),
        };
        assert!(latex_table(&table("火")).contains("\\providecommand{\\foreignletter}[2]"));
        assert!(!latex_table(&table("β")).contains("foreignletter"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_row(text in ".*") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['\n', '\r']));
            let mut previous = ' ';
            for letter in escaped.chars() {
                prop_assert!(!matches!(letter, '&' | '%' | '#' | '_') || previous == '\\', "{escaped}");
                previous = letter;
            }
        }
    }
}

//! Tables as LaTeX with booktabs.

use super::figure::Figure;
use super::table::Table;

/// The table as a `table` float for a paper that loads `booktabs`. Published figures stand below
/// ours, so that the table fits one column.
pub fn latex_table(table: &Table) -> String {
    let headings: Vec<String> = std::iter::once(&table.corner)
        .chain(table.columns.iter().map(|column| &column.heading))
        .map(|text| escape(text))
        .collect();
    let mut out = String::from("% needs \\usepackage{booktabs}\n");
    let texts = [&table.corner, &table.caption]
        .into_iter()
        .chain(&table.notes);
    let texts = texts
        .chain(table.columns.iter().map(|column| &column.heading))
        .chain(table.rows.iter().map(|row| &row.label));
    if texts.flat_map(|text| text.chars()).any(is_foreign) {
        out.push_str(FOREIGN);
    }
    out.push_str("\\begin{table}\n  \\centering\n");
    out.push_str(&format!("  \\caption{{{}}}\n", escape(&table.caption)));
    out.push_str(&format!(
        "  \\label{{tab:{}}}\n",
        table.title.to_lowercase().replace(' ', "-")
    ));
    out.push_str(&format!(
        "  \\begin{{tabular}}{{l{}}}\n    \\toprule\n",
        "r".repeat(table.columns.len())
    ));
    out.push_str(&format!(
        "    {} \\\\\n    \\midrule\n",
        headings.join(" & ")
    ));
    let line = |label: String, figures: &mut dyn Iterator<Item = Option<&Figure>>| {
        let figures = figures.map(|figure| figure.map_or("---".to_owned(), latex_figure));
        format!(
            "    {} \\\\\n",
            std::iter::once(label)
                .chain(figures)
                .collect::<Vec<_>>()
                .join(" & ")
        )
    };
    let any_published = table.columns.iter().any(|column| column.published);
    for (number, row) in table.rows.iter().enumerate() {
        if any_published && number > 0 {
            out.push_str("    \\addlinespace\n");
        }
        out.push_str(&line(
            escape(&row.label),
            &mut row.cells.iter().map(|cell| cell.ours.as_ref()),
        ));
        if row.cells.iter().any(|cell| cell.published.is_some()) {
            out.push_str(&line(
                "\\quad\\textit{published}".to_owned(),
                &mut row.cells.iter().map(|cell| cell.published.as_ref()),
            ));
        }
    }
    out.push_str("    \\bottomrule\n  \\end{tabular}\n");
    for note in &table.notes {
        out.push_str(&format!(
            "  \\par\\smallskip{{\\footnotesize {}\\par}}\n",
            escape(note)
        ));
    }
    out.push_str("\\end{table}\n");
    out
}

/// A document that inputs the given files, to see the tables or to start a paper from.
pub fn latex_document(files: &[&str]) -> String {
    let inputs: String = files
        .iter()
        .map(|file| format!("\\input{{{file}}}\n"))
        .collect();
    format!(
        "\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{inputs}\\end{{document}}\n"
    )
}

fn latex_figure(figure: &Figure) -> String {
    let numbers = figure
        .numbers(" \\pm ")
        .replace("NaN", "\\mathrm{NaN}")
        .replace('∞', "\\infty");
    match figure.remark() {
        Some(remark) => format!("${numbers}$ ({})", escape(&remark)),
        None => format!("${numbers}$"),
    }
}

/// Defines the command for letters that pdfLaTeX stops at: there they become their number,
/// elsewhere they stay what they are.
const FOREIGN: &str = "% pdfLaTeX has no letters such as emoji or Chinese ones: it shows their numbers. XeLaTeX and LuaLaTeX show them, with a font that has them.\n\
                       \\providecommand{\\foreignletter}[2]{\\ifdefined\\Umathchar #1\\else [U+#2]\\fi}\n";

/// Whether pdfLaTeX, whose fonts have the letters of Europe's Latin alphabets and common
/// punctuation, would stop at a letter.
fn is_foreign(letter: char) -> bool {
    let known = letter < '\u{180}' || matches!(letter, '–' | '—' | '‘' | '’' | '“' | '”' | '…');
    !known && greek(letter).is_none() && !matches!(letter, '−' | '≤' | '≥')
}

/// Makes text mean itself in LaTeX: every one since 2018 reads UTF-8. For letters that the default
/// fonts lack see `FOREIGN`.
pub fn escape(text: &str) -> String {
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
    fn labels_mean_themselves() {
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

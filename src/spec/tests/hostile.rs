//! Files that are made to exhaust memory, stack or time. Each describes far more points than any
//! machine can hold, so a reader that lays out what it should count fails these tests.

use super::{WORKER, bad};
use crate::cli::diagnosis::render;
use crate::spec::{Diagnosis, MAX_BYTES};

/// The only message for a file that must be refused.
fn only(text: &str) -> String {
    let diagnosis = bad(text);
    assert_eq!(diagnosis.problems.len(), 1, "{diagnosis}");
    assert!(
        render(&diagnosis, false, 80).len() < 3000,
        "the excerpt stays small"
    );
    diagnosis.problems[0].message.clone()
}

#[test]
fn deep_nesting() {
    const DEPTH: usize = 100_000;
    for opening in ["[", "{a: ", "- ", "? ", "{? ", "[{a: "] {
        assert_eq!(
            only(&opening.repeat(DEPTH)),
            "nested more than 32 levels deep",
            "{opening}"
        );
    }
    let block: String = (0..1400)
        .map(|level| format!("{}a:\n", " ".repeat(level)))
        .collect();
    assert_eq!(only(&block), "nested more than 32 levels deep");
}

#[test]
fn thirty_two_levels_are_fine() {
    // The root is one level.
    let nested = |brackets: usize| {
        format!(
            "{WORKER}parameters: {{a: {{value: 1}}}}\nx: {}{}\n",
            "[".repeat(brackets),
            "]".repeat(brackets)
        )
    };
    assert_eq!(only(&nested(31)), "unknown key `x` in the sweep file");
    assert_eq!(only(&nested(32)), "nested more than 32 levels deep");
}

#[test]
fn alias_bombs() {
    const MESSAGE: &str = "the file holds more than 100,000 values, aliases expanded";
    // 10^40 values.
    let mut lists = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut merges = "a0: &a0 {k0: 1}\n".to_owned();
    for level in 1..=40 {
        let before = format!("*a{}", level - 1);
        lists.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            [before.as_str(); 10].join(", ")
        ));
    }
    for level in 1..3000 {
        merges.push_str(&format!(
            "a{level}: &a{level} {{<<: *a{}, k{level}: 1}}\n",
            level - 1
        ));
    }
    assert_eq!(only(&lists), MESSAGE);
    assert_eq!(only(&merges), MESSAGE);
    assert_eq!(
        only(&format!("a: [&a a{}]\n", ", *a".repeat(200_000))),
        MESSAGE
    );
}

#[test]
fn too_many_values() {
    assert_eq!(
        only(&format!("a: [{}]", "1,".repeat(400_000))),
        "the file holds more than 100,000 values, aliases expanded"
    );
}

#[test]
fn too_large_a_file() {
    let message = "the file has 1,048,577 bytes; a sweep file may have 1,048,576";
    assert_eq!(only(&"#".repeat(MAX_BYTES + 1)), message);
    let diagnosis = Diagnosis::too_large("sweep.yaml", MAX_BYTES as u64 + 1);
    assert_eq!(diagnosis.problems[0].message, message);
    assert_eq!(
        render(&diagnosis, false, 80),
        format!("  × sweep.yaml: {message}\n  help: is this really a sweep file?\n\n")
    );
}

#[test]
fn not_utf8() {
    let diagnosis = Diagnosis::not_utf8("sweep.yaml", b"name: x\nlabel: \xe2 = 0\n");
    assert_eq!(
        diagnosis.to_string(),
        "sweep.yaml:2:8: the file is not UTF-8 text (save it with the encoding UTF-8)"
    );
}

#[test]
fn too_many_trials_are_counted_not_laid_out() {
    // 100^20 points.
    let values = (0..100)
        .map(|value| value.to_string())
        .collect::<Vec<_>>()
        .join(",");
    let axes: String = (0..20)
        .map(|axis| format!("  a{axis}: {{values: [{values}]}}\n"))
        .collect();
    assert_eq!(
        only(&format!("{WORKER}parameters:\n{axes}")),
        "the sweep has more than 10^38 trials; at most 10,000,000 are possible"
    );
    // Just too many: 2,500,000 points with 4 seeds, and 1 final trial.
    let seeds = WORKER.replace("{tune: 2, final: 3}", "{tune: 4, final: 1}");
    let list = |count: usize| {
        (0..count)
            .map(|value| value.to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    let text = format!(
        "{seeds}parameters: {{a: {{values: [{}]}}, b: {{values: [{}]}}}}\n",
        list(2500),
        list(1000)
    );
    assert_eq!(
        only(&text),
        "the sweep has 10,000,001 trials; at most 10,000,000 are possible"
    );
    assert_eq!(
        super::good(&text.replace("final: 1}", "final: 0}")).arms[0]
            .axes
            .len(),
        2
    );
}

#[test]
fn conditions_upon_conditions_are_counted_not_laid_out() {
    // Each parameter exists only under the one before: 2^199 combinations, 200 points.
    let link = |n: usize| format!("  p{n}: {{values: [0, 1], when: {{p{}: 1}}}}\n", n - 1);
    let chain: String = (1..199).map(link).collect();
    let spec = super::good(&format!(
        "{WORKER}parameters:\n  p0: {{values: [0, 1]}}\n{chain}"
    ));
    let grid = crate::grid::Grid::new(&spec);
    assert_eq!(grid.len(), 200);
    assert_eq!(
        grid.arms()[0].config(crate::grid::PointIndex(199)).0.len(),
        199
    );
}

#[test]
fn common_parameters_are_not_copied_into_many_arms() {
    let arms: String = (0..30_000).map(|arm| format!("  a{arm}: {{}}\n")).collect();
    let text = format!("{WORKER}parameters: {{l: {{value: 1}}}}\narms:\n{arms}");
    assert_eq!(
        only(&text),
        "the sweep has 30000 arms; at most 200 are possible"
    );
    let parameters: String = (0..20_000)
        .map(|name| format!("  p{name}: {{value: 1}}\n"))
        .collect();
    assert_eq!(
        only(&format!("{WORKER}parameters:\n{parameters}")),
        "more than 200 parameters"
    );
}

#[test]
fn long_lines_and_long_words() {
    let long = "x".repeat(1_000_000);
    for text in [
        format!("{long}: 1\n"),
        format!("name: {long}\n"),
        format!("{WORKER}parameters: {{a: {{value: {long}}}}}\n"),
        format!("{WORKER}parameters: {{a: {{values: [1, 1]}}}} # {long}\n"),
        format!("a: &{long} 1\n"),
        format!("a: !{long} 1\n"),
        format!("a: \"{long}\n"),
        format!("{}a: 1\nb: 2\n", " ".repeat(1_000_000)),
    ] {
        let diagnosis = bad(&text);
        assert!(
            diagnosis.to_string().len() < 10_000,
            "{}",
            diagnosis.to_string().len()
        );
        assert!(render(&diagnosis, false, 80).len() < 10_000);
    }
}

#[test]
fn a_mistake_in_a_long_line_is_shown_with_its_surroundings() {
    let values = (0..20_000)
        .map(|value| value.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let text = format!("{WORKER}parameters: {{a: {{values: [{values}, yes, {values}]}}}}\n");
    insta::assert_snapshot!(format!("sweep.yaml:\n{}", render(&Diagnosis { problems: bad(&text).problems[..2].to_vec(), ..bad(&text) }, false, 80)), @r#"
sweep.yaml:
  × a: `yes` is a boolean to some YAML readers and text to others
   ╭─[sweep.yaml:5:128917]
 4 │ seeds: {tune: 2, final: 3}
 5 │ …7, 19998, 19999, yes, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, …
   ·                   ─┬─
   ·                    ╰── ambiguous
   ╰────
  help: write true for the boolean, or "yes" in quotes for the text

  × a: the value 0 is here twice, first in line 5
   ╭─[sweep.yaml:5:128922]
 4 │ seeds: {tune: 2, final: 3}
 5 │ …998, 19999, yes, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 1…
   ·                   ┬
   ·                   ╰── again
   ╰────
  help: remove one of them

and at least 180 more problems
"#);
}

//! The result for correct files: order, overriding, seeds, types, aliases, line ends.

use super::{BUILTIN, WORKER, good};
use crate::spec::{Goal, ParamValue, Task};

fn values(text: &str, name: &str) -> Vec<ParamValue> {
    let spec = good(text);
    spec.arms[0]
        .axes
        .iter()
        .find(|axis| axis.name == name)
        .map(|axis| axis.values.clone())
        .unwrap_or_default()
}

#[test]
fn a_sweep_without_arms_has_the_arm_main() {
    let spec = good(&format!(
        "{WORKER}description: |\n  two\n  lines\nmethod: grid\nparameters: {{lr: {{values: [0.1, 0.2]}}}}\n"
    ));
    assert_eq!(spec.task, Task::Worker(vec!["w".to_owned()]));
    assert_eq!(spec.metric.goal, Goal::Minimize);
    assert_eq!(spec.description.as_deref(), Some("two\nlines"));
    assert_eq!(
        (
            spec.arms.len(),
            spec.arms[0].name.as_str(),
            spec.arms[0].label.as_str()
        ),
        (1, "main", "t")
    );
}

#[test]
fn a_parameter_of_an_arm_replaces_the_common_one() {
    let spec = good(&format!(
        "{WORKER}parameters: {{a: {{value: 1}}, b: {{value: 2}}, g: {{parameters: {{c: {{value: 3}}, d: {{value: 4}}}}}}}}\n\
         arms: {{z: {{label: Z, parameters: {{x: {{value: 5}}, g: {{parameters: {{c: {{values: [6, 7]}}}}}}, a: {{value: 8}}}}}}, y: {{}}}}\n"
    ));
    let axes = |arm: usize| -> Vec<String> {
        spec.arms[arm]
            .axes
            .iter()
            .map(|axis| {
                format!(
                    "{}={:?}",
                    axis.name,
                    axis.values
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                )
            })
            .collect()
    };
    assert_eq!(
        axes(0),
        [
            r#"a=["8"]"#,
            r#"b=["2"]"#,
            r#"g.c=["6", "7"]"#,
            r#"g.d=["4"]"#,
            r#"x=["5"]"#
        ]
    );
    assert_eq!(
        axes(1),
        [r#"a=["1"]"#, r#"b=["2"]"#, r#"g.c=["3"]"#, r#"g.d=["4"]"#]
    );
    assert_eq!(
        (spec.arms[0].label.as_str(), spec.arms[1].label.as_str()),
        ("Z", "y")
    );
}

#[test]
fn numbers_text_and_booleans() {
    let text = format!(
        "{WORKER}parameters: {{x: {{values: [1e-4, 3, 3.0, +5, -0, .5, 5., 1E3, -2.5e-3, true, False, yesterday, \"yes\", '1e-4', 1.2.3, 2024-01-01, \"\"]}}}}\n"
    );
    let text_value = |text: &str| ParamValue::Text(text.to_owned());
    use ParamValue::{Bool, Float, Int};
    assert_eq!(
        values(&text, "x"),
        [
            Float(1e-4),
            Int(3),
            Float(3.0),
            Int(5),
            Int(0),
            Float(0.5),
            Float(5.0),
            Float(1000.0),
            Float(-2.5e-3),
            Bool(true),
            Bool(false),
            text_value("yesterday"),
            text_value("yes"),
            text_value("1e-4"),
            text_value("1.2.3"),
            text_value("2024-01-01"),
            text_value(""),
        ]
    );
}

#[test]
fn a_float_parameter_reads_integers_as_floats() {
    let text = format!(
        "{WORKER}parameters: {{x: {{type: float, values: [1, 10000000000000000000000, -0]}}}}\n"
    );
    assert_eq!(values(&text, "x"), [1.0, 1e22, 0.0].map(ParamValue::Float));
    let text = format!(
        "{BUILTIN}parameters: {{optimizer: {{value: sgd}}, lr: {{values: [1, 0.1]}}, epochs: {{value: 2}}}}\n"
    );
    assert_eq!(values(&text, "lr"), [1.0, 0.1].map(ParamValue::Float));
    assert_eq!(values(&text, "epochs"), [ParamValue::Int(2)]);
}

#[test]
fn the_optimizer_may_be_an_axis() {
    let spec = good(&format!(
        "{BUILTIN}parameters: {{optimizer: {{values: [sgd, adam, adahessian]}}, lr: {{values: [0.1, 0.2]}}}}\n"
    ));
    assert_eq!(spec.arms[0].axes[0].values.len(), 3);
}

#[test]
fn seeds_by_count_and_by_list() {
    let seeds = |seeds: &str| {
        good(&format!(
            "name: t\nworker: [w]\nmetric: {{name: loss, goal: minimize}}\nseeds: {seeds}\nparameters: {{lr: {{value: 1}}}}\n"
        ))
        .seeds
    };
    assert_eq!(seeds("{tune: 3, final: 2}").tune, [0, 1, 2]);
    assert_eq!(seeds("{tune: 3, final: 2}").final_, [1000, 1001]);
    assert_eq!(
        seeds("{tune: [7, 3], final: [1, 9223372036854775807]}").final_,
        [1, i64::MAX as u64]
    );
    assert_eq!(seeds("{tune: 0, final: 1}").tune, [0_u64; 0]);
    assert_eq!(seeds("{tune: 1000, final: 1000}").tune.len(), 1000);
    assert_eq!(seeds("{tune: 1, final: 0}").final_, [0_u64; 0]);
}

#[test]
fn published_figures() {
    let spec = good(&format!(
        "{WORKER}parameters: {{l: {{value: 1}}}}\narms: {{a: {{}}}}\npublished: {{a: {{anything: {{mean: 100, std: 0, n: 10}}, other: {{mean: -1.5}}}}}}\n"
    ));
    let figure = spec.published["a"]["anything"];
    assert_eq!(
        (figure.mean, figure.std, figure.n),
        (100.0, Some(0.0), Some(10))
    );
    assert_eq!(spec.published["a"]["other"].std, None);
}

#[test]
fn aliases_and_merge_keys_are_expanded() {
    let spec = good(&format!(
        "{WORKER}arms:\n  a: &a\n    label: A\n    parameters: &p {{x: &x {{values: [1, 2]}}, y: {{value: 3}}}}\n  b: {{<<: *a, label: B}}\n  c: {{parameters: {{<<: *p, y: *x}}}}\n  d: {{parameters: {{<<: [{{y: {{value: 9}}}}, *p], \"<<\": {{value: 1}}}}}}\n"
    ));
    let axes = |arm: usize| -> Vec<String> {
        spec.arms[arm]
            .axes
            .iter()
            .map(|axis| format!("{} {}", axis.name, axis.values.len()))
            .collect()
    };
    assert_eq!(
        (axes(0), axes(1)),
        (axes(1), vec!["x 2".to_owned(), "y 1".to_owned()])
    );
    assert_eq!(axes(2), ["x 2", "y 2"]);
    assert_eq!(axes(3), ["y 1", "x 2", "<< 1"]);
    assert_eq!(spec.arms[1].label, "B");
}

#[test]
fn windows_line_ends_and_a_byte_order_mark() {
    let text = format!("{WORKER}parameters:\n  a: {{values: [1, x]}} # comment\n");
    assert_eq!(
        good(&format!("\u{feff}{}", text.replace('\n', "\r\n"))),
        good(&text)
    );
    // Places do not count the byte order mark, which is invisible.
    let diagnosis = super::bad("\u{feff}name: [x]\r\n");
    let problem = diagnosis
        .problems
        .iter()
        .find(|problem| problem.message.starts_with("`name`"));
    assert!(problem.is_some_and(|problem| (problem.line, problem.column, &problem.span) == (1, 7, &(6..9))), "{diagnosis:?}");
}

#[test]
fn a_command_line_keeps_its_spelling() {
    let spec = good(
        "name: t\nworker: [python3, train.py, --lr, 1e-4, --x, 010, \"\", yes]\nmetric: {name: loss, goal: minimize}\nseeds: {tune: 1, final: 0}\nparameters: {a: {value: 1}}\n",
    );
    assert_eq!(
        spec.task,
        Task::Worker(
            [
                "python3", "train.py", "--lr", "1e-4", "--x", "010", "", "yes"
            ]
            .map(str::to_owned)
            .to_vec()
        )
    );
}

//! Mistakes whose help was once misleading: each file has one problem, and its help says what was
//! probably meant.

use super::bad;

/// A sweep of a program, with one line replaced or added.
fn file(line: &str) -> String {
    let key = line.split(':').next().unwrap_or_default();
    let usual = [
        "name: t",
        "program: train.py",
        "metric: {name: loss, goal: minimize}",
        "seeds: {tune: 2, final: 0}",
        "parameters: {lr: {values: [0.1, 0.2]}}",
    ];
    let others = usual.into_iter().filter(|other| {
        let name = other.split(':').next().unwrap_or_default();
        name != key && !(key == "command" && name == "program")
    });
    others
        .chain([line])
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn one_mistake_is_one_problem_with_useful_help() {
    let cases = [
        (
            "parameters: {norm: {values: [1, 2, inf]}}",
            "write a finite number, or \"inf\" in quotes for the text",
        ),
        (
            "parameters: {norm: {values: [nan]}}",
            "or \"nan\" in quotes for the text",
        ),
        (
            "parameters: {norm: {values: [inf], type: float}}",
            "write a finite number",
        ),
        (
            "parameters: {norm: {values: [inf], type: text}}",
            "quote it: \"inf\"",
        ),
        (
            "parameters: {n: {values: [99999999999999999999], type: int}}",
            "integers end at 9,223,372,036,854,775,807",
        ),
        (
            "parameters: {lr: {values: 0.1}}",
            "write `values: [0.1]`, or `value` for a single one",
        ),
        (
            "parameters: {opt: {lr: {values: [1]}}}",
            "a parameter goes under `parameters`: `parameters: {lr: ...}`",
        ),
        (
            "parameters: {version: {values: [1.1, 1.10]}}",
            "quote both if they are texts",
        ),
        ("parameters: {x: {values: [a, 'a']}}", "remove one of them"),
        (
            "command: python train.py ${args}",
            "write `command: [python, train.py, \"${args}\"]`; there is no shell",
        ),
        (
            "command: python3 -u train.py",
            "write `command: [python3, \"-u\", train.py, \"${args}\"]`; there is no shell",
        ),
        (
            "command: python train.py > log",
            "write `command: [python3, train.py, \"${args}\"]`; there is no shell",
        ),
        (
            "command: [python3, t.py, ${args}]",
            "write \"${args}\", with the quotes",
        ),
        (
            "command: [sh, -c, 'python3 t.py ${args}']",
            "sh, \"${args}\"]`",
        ),
        (
            "command: [sh, -c, 'echo ${HOME}', '${args}']",
            "write `$HOME` for a variable of the shell",
        ),
        (
            "command: [t, '${PENTAGRID_SEED}', '${args}']",
            "write `${seed}`",
        ),
        (
            "command: [t, '${envvar:PENTAGRID_CONFIG}']",
            "write `${args_json_file}`",
        ),
        (
            "command: [t, '${DATA}', '${args}']",
            "write `${envvar:DATA}` for an environment variable",
        ),
        (
            "env: {DATA: '${HOME}/data'}",
            "write `${envvar:HOME}` for an environment variable",
        ),
        (
            "program: [python, train.py]",
            "write the words under `command`: `command: [python, train.py, \"${args}\"]`",
        ),
        ("name: [a]", "write it without brackets"),
        ("name:", "write a text behind it"),
        (
            "metric: loss",
            "write `metric: {name: loss, goal: maximize}`, or `minimize` if lower is better",
        ),
        (
            "metric: {name: loss, mode: min}",
            "write `goal: maximize` or `goal: minimize`",
        ),
        (
            "metric: {name: loss, direction: min}",
            "write `goal: maximize` or `goal: minimize`",
        ),
        (
            "seeds: {tune: 0-4, final: 0}",
            "write `tune: 5` for the seeds 0 to 4, or a list: `tune: [7, 8]`",
        ),
        (
            "seeds: {tune: 1, final: range(5)}",
            "write `final: 5` for the seeds 1000 to 1004",
        ),
        (
            "seeds: {tune: 2000, final: 0}",
            "write a smaller count; the single seed 2000 is `tune: [2000]`",
        ),
        ("timeout: 5m", "write it under `limits`"),
        ("goal: minimize", "write it under `metric`"),
        ("threads: 2", "write it under `resources`"),
        (
            "lr: {values: [1]}",
            "a parameter goes under `parameters`: `parameters: {lr: ...}`",
        ),
        (
            "limits: {timeout: 0s}",
            "write whole numbers with their units",
        ),
        (
            "launcher: {kind: ssh}",
            "write `launcher: {kind: command, prefix: [ssh, ...]}`",
        ),
    ];
    let misled = cases.into_iter().filter_map(|(line, expected)| {
        let diagnosis = bad(&file(line));
        let helps: Vec<&str> = diagnosis
            .problems
            .iter()
            .filter_map(|problem| problem.help.as_deref())
            .collect();
        let good = helps.len() == 1 && helps[0].contains(expected);
        (!good).then(|| format!("{line}\n{diagnosis}\nnot: {expected}"))
    });
    assert_eq!(misled.collect::<Vec<_>>().join("\n\n"), "");
}

/// A value that could not be read is not reported as incomplete as well.
#[test]
fn a_command_that_is_no_list_is_one_problem() {
    for line in [
        "command: python train.py ${args}",
        "command: [t, '${nope}']",
        "program: [t]",
    ] {
        let text = file(line).replace(", goal: minimize", "");
        assert_eq!(bad(&text).problems.len(), 1, "{line}\n{}", bad(&text));
    }
    let worker = file("metric: {name: loss}").replace("program: train.py", "worker: w");
    assert_eq!(
        bad(&worker).problems.len(),
        2,
        "a worker's goal must be there: {}",
        bad(&worker)
    );
    let misspelt = file("seeds: {tuning: 5, final: 0}");
    assert_eq!(bad(&misspelt).problems.len(), 1, "{}", bad(&misspelt));
}

#[test]
fn a_colon_without_a_space_is_reported() {
    assert!(
        bad("name:t\nprogram:train.py\n")
            .to_string()
            .contains("put a space after the colon: `name: t`")
    );
}

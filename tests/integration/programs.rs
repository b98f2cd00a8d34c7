//! Programs that train one trial each.

mod environment; // what a program is given, and the files that it finds
mod examples; // the committed examples
mod failures; // programs that fail, or cannot be started
mod processes; // how programs and their children are ended

use crate::support::{Ran, Test};

/// A sweep of a shell script of so many trials.
fn script(text: &str, more: &str) -> Test {
    let test = Test::with_spec(&format!(
        "name: toy\ncommand: [./train.sh, \"${{args}}\"]\nmetric: {{name: score, goal: maximize}}\n\
         seeds: {{tune: 1, final: 0}}\nparameters: {{x: {{values: [1, 2]}}}}\n{more}\n"
    ));
    test.write_script(text);
    test
}

fn run(test: &Test) -> Ran {
    test.run(&["run", "sweep.yaml", "--devices", "cpu:1"])
}

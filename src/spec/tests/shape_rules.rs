//! Mistakes in `zip` and `exclude`.

use super::shapes::file;
use super::{BUILTIN, each};

#[test]
fn mistakes_in_zips() {
    insta::assert_snapshot!(each(&[
        &file("parameters: {a: {values: [1, 2, 3]}, b: {values: [1, 2]}}\nzip: [a, b]\n"),
        &file("parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}}\nzip: [a, bb]\n"),
        &file("parameters: {a: {values: [1, 1, 2]}, b: {values: [3, 3, 3]}}\nzip: [a, b]\n"),
        &file("parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}, c: {values: [1, 2]}}\nzip: [[a, b], [b, c]]\n"),
        &file("parameters: {a: {values: [1, 2]}, b: {values: [1, 2], when: {c: 1}}, c: {values: [1, 2]}}\nzip: [a, b]\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: [a]\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: [a, a]\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: [a, [a, b]]\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: {a: b}\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: [[a, {b: c}]]\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: []\n"),
        &file("parameters: {a: {values: [1, 2]}}\nzip: [a, b]\narms: {x: {parameters: {b: {values: [1, 2]}}}}\n"),
        &file("parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}}\nzip: [a, b]\narms: {x: {parameters: {b: {value: 1}}}}\n"),
    ]), @r#"
sweep.yaml:
  × the sweep: `a` has 3 values and `b` has 2 values, so they cannot advance together
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {a: {values: [1, 2, 3]}, b: {values: [1, 2]}}
 6 │ zip: [a, b]
   ·       ┬  ┬
   ·       │  ╰── 2 values
   ·       ╰── 3 values
   ╰────
  help: give each parameter of a `zip` group as many values as the others

  × `zip` names the unknown parameter `bb`
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}}
 6 │ zip: [a, bb]
   ·          ─┬
   ·           ╰── unknown parameter
   ╰────
  help: did you mean `b`? parameters here: a and b

  × `a` and `b`: pair 2 has the values of pair 1
   ╭─[sweep.yaml:5:30]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {a: {values: [1, 1, 2]}, b: {values: [3, 3, 3]}}
   ·                           ┬  ┬
   ·                           │  ╰── again
   ·                           ╰── first here
 6 │ zip: [a, b]
   ╰────
  help: remove one of them from each list

  × `b` is in two groups of `zip`
   ╭─[sweep.yaml:6:16]
 5 │ parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}, c: {values: [1, 2]}}
 6 │ zip: [[a, b], [b, c]]
   ·           ┬    ┬
   ·           │    ╰── and here
   ·           ╰── here
   ╰────
  help: write one group with all parameters that advance together

  × `a` and `b` do not exist under the same condition
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {a: {values: [1, 2]}, b: {values: [1, 2], when: {c: 1}}, c: {values: [1, 2]}…
 6 │ zip: [a, b]
   ·       ┬  ┬
   ·       │  ╰── another condition
   ·       ╰── advances with this
   ╰────
  help: give all parameters of a `zip` group the same `when`, or none of them one

  × a group of `zip` needs at least two parameters
   ╭─[sweep.yaml:6:6]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: [a]
   ·      ─┬─
   ·       ╰── nothing to pair
   ╰────
  help: write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several
        groups

  × `a` is twice in a group of `zip`
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: [a, a]
   ·       ┬  ┬
   ·       │  ╰── again
   ·       ╰── first here
   ╰────
  help: write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several
        groups

  × `zip` mixes names and groups of names
   ╭─[sweep.yaml:6:6]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: [a, [a, b]]
   ·      ─────┬─────
   ·           ╰── names and lists
   ╰────
  help: write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several
        groups

  × `zip` must be a list, not a mapping
   ╭─[sweep.yaml:6:6]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: {a: b}
   ·      ───┬──
   ·         ╰── not a list
   ╰────
  help: write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several
        groups

  × `zip` groups names of parameters, not a mapping
   ╭─[sweep.yaml:6:11]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: [[a, {b: c}]]
   ·           ───┬──
   ·              ╰── not a name
   ╰────
  help: write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several
        groups

  × `zip` is empty
   ╭─[sweep.yaml:6:6]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: []
   ·      ─┬
   ·       ╰── nothing in it
   ╰────
  help: write `zip: [lr, batch_size]`, or `zip: [[lr, batch_size], [width, depth]]` for several
        groups

  × `zip` names `b`, a parameter of arm `x` alone
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {a: {values: [1, 2]}}
 6 │ zip: [a, b]
   ·          ┬
   ·          ╰── not here
 7 │ arms: {x: {parameters: {b: {values: [1, 2]}}}}
   ╰────
  help: write the group under the `zip` beside that parameter

  × arm `x`: `a` has 2 values and `b` has 1 value, so they cannot advance together
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {a: {values: [1, 2]}, b: {values: [1, 2]}}
 6 │ zip: [a, b]
   ·       ┬  ┬
   ·       │  ╰── 1 value
   ·       ╰── 2 values
 7 │ arms: {x: {parameters: {b: {value: 1}}}}
   ╰────
  help: give each parameter of a `zip` group as many values as the others
"#);
}

#[test]
fn mistakes_in_rules() {
    insta::assert_snapshot!(each(&[
        &file("parameters: {lr: {values: [0.1, 1.0]}, opt: {values: [sgd, adam]}}\nexclude: [{lrr: 1}, {lr: 1}, {lr: 2, opt: adm}]\n"),
        &file("parameters: {lr: {values: [0.1, 1.0]}}\nexclude: [{lr: [0.1, 1.0]}]\n"),
        &file("parameters: {o: {values: [s, a]}, m: {values: [1, 2], when: {o: s}}}\nexclude: [{o: a, m: 1}]\n"),
        &file("parameters: {lr: {values: [0.1, 1.0]}}\nexclude: {lr: 1.0}\n"),
        &file("parameters: {lr: {values: [0.1, 1.0]}}\nexclude: [lr, {}, {lr: {value: 1.0}}, {lr: }, {lr: []}]\n"),
        &file("parameters: {lr: {values: [0.1, 1.0]}}\nexclude: []\n"),
        &file("parameters: {lr: {values: [0.1, 1.0]}, x: {values: [a, b]}}\nexclude: [{x: yes}]\n"),
        &file("parameters: {lr: {values: [0.1, 1.0]}}\narms:\n  a: {exclude: [{lr: 1.0}, {lr: 0.1}]}\n  b: {}\n"),
        &format!("{BUILTIN}parameters: {{optimizer: {{value: sgd}}, lr: {{values: [1, 10]}}}}\nexclude: [{{lr: \"1\"}}, {{lr: 3}}]\n"),
    ]), @r#"
sweep.yaml:
  × `exclude` names the unknown parameter `lrr`
   ╭─[sweep.yaml:6:12]
 5 │ parameters: {lr: {values: [0.1, 1.0]}, opt: {values: [sgd, adam]}}
 6 │ exclude: [{lrr: 1}, {lr: 1}, {lr: 2, opt: adm}]
   ·            ─┬─
   ·             ╰── unknown parameter
   ╰────
  help: did you mean `lr`? parameters here: lr and opt

  × `lr` never has the value `1`
   ╭─[sweep.yaml:6:26]
 5 │ parameters: {lr: {values: [0.1, 1.0]}, opt: {values: [sgd, adam]}}
 6 │ exclude: [{lrr: 1}, {lr: 1}, {lr: 2, opt: adm}]
   ·                          ┬
   ·                          ╰── no such value
   ╰────
  help: did you mean 1.0, a float? the values of `lr`: 0.1 and 1.0

  × `lr` never has the value `2`
   ╭─[sweep.yaml:6:35]
 5 │ parameters: {lr: {values: [0.1, 1.0]}, opt: {values: [sgd, adam]}}
 6 │ exclude: [{lrr: 1}, {lr: 1}, {lr: 2, opt: adm}]
   ·                                   ┬
   ·                                   ╰── no such value
   ╰────
  help: the values of `lr`: 0.1 and 1.0

  × `opt` never has the value `adm`
   ╭─[sweep.yaml:6:43]
 5 │ parameters: {lr: {values: [0.1, 1.0]}, opt: {values: [sgd, adam]}}
 6 │ exclude: [{lrr: 1}, {lr: 1}, {lr: 2, opt: adm}]
   ·                                           ─┬─
   ·                                            ╰── no such value
   ╰────
  help: did you mean `adam`? the values of `opt`: sgd and adam

4 problems
  × `exclude` leaves nothing of the sweep
   ╭─[sweep.yaml:5:1]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
   · ─────┬────
   ·      ╰── no point is left
 6 │ exclude: [{lr: [0.1, 1.0]}]
   ·            ─┬
   ·             ╰── the last rule that matches
   ╰────
  help: remove a rule, or add values that no rule matches

  × a rule of `exclude` matches no configuration
   ╭─[sweep.yaml:6:12]
 5 │ parameters: {o: {values: [s, a]}, m: {values: [1, 2], when: {o: s}}}
 6 │ exclude: [{o: a, m: 1}]
   ·            ┬
   ·            ╰── matches nothing
   ╰────
  help: no configuration has all of its values together: change the rule, or remove it

  × `exclude` must be a list, not a mapping
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: {lr: 1.0}
   ·          ────┬────
   ·              ╰── not a list
   ╰────
  help: write a list of rules, each a mapping of parameters to a value or a list of values:
        `exclude: [{optimizer: adam, lr: [1, 10]}]`

  × a rule of `exclude` must be a mapping, not a single value
   ╭─[sweep.yaml:6:11]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: [lr, {}, {lr: {value: 1.0}}, {lr: }, {lr: []}]
   ·           ─┬
   ·            ╰── not a rule
   ╰────
  help: write a list of rules, each a mapping of parameters to a value or a list of values:
        `exclude: [{optimizer: adam, lr: [1, 10]}]`

  × a rule of `exclude` is empty
   ╭─[sweep.yaml:6:15]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: [lr, {}, {lr: {value: 1.0}}, {lr: }, {lr: []}]
   ·               ─┬
   ·                ╰── leaves out everything
   ╰────
  help: write a list of rules, each a mapping of parameters to a value or a list of values:
        `exclude: [{optimizer: adam, lr: [1, 10]}]`

  × `exclude` names values of `lr`: a value or a list of values, not a mapping
   ╭─[sweep.yaml:6:24]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: [lr, {}, {lr: {value: 1.0}}, {lr: }, {lr: []}]
   ·                        ──────┬─────
   ·                              ╰── no values
   ╰────
  help: write `lr: value` or `lr: [value, value]`

  × `exclude` names values of `lr`: a value or a list of values, not an empty value
   ╭─[sweep.yaml:6:40]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: [lr, {}, {lr: {value: 1.0}}, {lr: }, {lr: []}]
   ·                                        ─┬
   ·                                         ╰── no values
   ╰────
  help: write `lr: value` or `lr: [value, value]`

  × `exclude` names values of `lr`: a value or a list of values, not an empty list
   ╭─[sweep.yaml:6:52]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: [lr, {}, {lr: {value: 1.0}}, {lr: }, {lr: []}]
   ·                                                    ─┬
   ·                                                     ╰── no values
   ╰────
  help: write `lr: value` or `lr: [value, value]`

5 problems
  × `exclude` is empty
   ╭─[sweep.yaml:6:10]
 5 │ parameters: {lr: {values: [0.1, 1.0]}}
 6 │ exclude: []
   ·          ─┬
   ·           ╰── nothing in it
   ╰────
  help: write a list of rules, each a mapping of parameters to a value or a list of values:
        `exclude: [{optimizer: adam, lr: [1, 10]}]`

  × x: `yes` is a boolean to some YAML readers and text to others
   ╭─[sweep.yaml:6:15]
 5 │ parameters: {lr: {values: [0.1, 1.0]}, x: {values: [a, b]}}
 6 │ exclude: [{x: yes}]
   ·               ─┬─
   ·                ╰── ambiguous
   ╰────
  help: write true for the boolean, or "yes" in quotes for the text

  × `exclude` leaves nothing of arm `a`
   ╭─[sweep.yaml:7:3]
 6 │ arms:
 7 │   a: {exclude: [{lr: 1.0}, {lr: 0.1}]}
   ·   ┬                         ─┬
   ·   │                          ╰── the last rule that matches
   ·   ╰── no point is left
 8 │   b: {}
   ╰────
  help: remove a rule, or add values that no rule matches

  × lr: expected a number, found the text `1`
   ╭─[sweep.yaml:6:16]
 5 │ parameters: {optimizer: {value: sgd}, lr: {values: [1, 10]}}
 6 │ exclude: [{lr: "1"}, {lr: 3}]
   ·                ─┬─
   ·                 ╰── not a number
   ╰────
  help: remove the quotes: 1

  × `lr` never has the value `3`
   ╭─[sweep.yaml:6:27]
 5 │ parameters: {optimizer: {value: sgd}, lr: {values: [1, 10]}}
 6 │ exclude: [{lr: "1"}, {lr: 3}]
   ·                           ┬
   ·                           ╰── no such value
   ╰────
  help: the values of `lr`: 1.0 and 10.0

2 problems
"#);
}

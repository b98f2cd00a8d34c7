//! Mistakes in the YAML itself: the parser's errors in plain words, repeated keys, tags, aliases,
//! merge keys.

use super::{WORKER, each, shown};

#[test]
fn brackets_and_quotes() {
    insta::assert_snapshot!(each(&[
        "lr: {values: [1e-4, 1e-3}\n",
        "lr: {values: [1e-4, 1e-3]\nname: x\n",
        "lr: [1, 2\n",
        "lr: [1]]\n",
        "name: \"abc\nmetric: x\n",
        "name: \"a\" b\n",
        "name: 'a' b\n",
        "name: \"\\q\"\n",
        "lr: [1 {a}]\n",
        "lr: {a: 1 [2]}\n",
    ]), @r#"
sweep.yaml:
  × `[` is closed by `}`
   ╭─[sweep.yaml:1:14]
 1 │ lr: {values: [1e-4, 1e-3}
   ·              ┬
   ·              ╰── opened here
   ╰────
  help: close it with its own kind of bracket

  × a comma or `}` is missing before this
   ╭─[sweep.yaml:2:1]
 1 │ lr: {values: [1e-4, 1e-3]
 2 │ name: x
   · ──┬─
   ·   ╰── unexpected
   ╰────
  help: is a bracket above still open?

  × `[` is never closed
   ╭─[sweep.yaml:1:5]
 1 │ lr: [1, 2
   ·     ┬
   ·     ╰── opened here
   ╰────
  help: add the closing bracket

  × a closing bracket without an opening one
   ╭─[sweep.yaml:1:8]
 1 │ lr: [1]]
   ·        ┬
   ·        ╰── not opened
   ╰────
  help: remove it, or open it above

  × a quote is never closed
   ╭─[sweep.yaml:1:7]
 1 │ name: "abc
   ·       ┬
   ·       ╰── opened here
 2 │ metric: x
   ╰────
  help: add the closing quote

  × text continues after the closing quote
   ╭─[sweep.yaml:1:11]
 1 │ name: "a" b
   ·           ┬
   ·           ╰── after the quote
   ╰────
  help: put all of it inside the quotes

  × text continues after the closing quote
   ╭─[sweep.yaml:1:11]
 1 │ name: 'a' b
   ·           ┬
   ·           ╰── after the quote
   ╰────
  help: put all of it inside the quotes

  × an unknown escape after a backslash
   ╭─[sweep.yaml:1:7]
 1 │ name: "\q"
   ·       ┬
   ·       ╰── unknown escape
   ╰────
  help: write `\\` for a backslash, or use single quotes

  × a comma or `]` is missing before this
   ╭─[sweep.yaml:1:8]
 1 │ lr: [1 {a}]
   ·        ┬
   ·        ╰── unexpected
   ╰────
  help: is a bracket above still open?

  × a comma or `}` is missing before this
   ╭─[sweep.yaml:1:11]
 1 │ lr: {a: 1 [2]}
   ·           ┬
   ·           ╰── unexpected
   ╰────
  help: is a bracket above still open?
"#);
}

#[test]
fn indentation_and_lines() {
    insta::assert_snapshot!(each(&[
        "a:\n\tb: 1\n",
        "a:\n  - 1\n b: 2\n",
        "  a: 1\nb: 2\n",
        "a: 1\nb\nc: 2\n",
        "label: SGD: plain\n",
        "a: - x\n",
        "a:\n  b: 1\n  - c\n",
    ]), @r#"
sweep.yaml:
  × a tab in the indentation
   ╭─[sweep.yaml:2:2]
 1 │ a:
 2 │     b: 1
   ·     ┬
   ·     ╰── tab
   ╰────
  help: indent with spaces

  × the indentation fits nothing above
   ╭─[sweep.yaml:3:2]
 2 │   - 1
 3 │  b: 2
   ·  ┬
   ·  ╰── unexpected here
   ╰────
  help: keys that belong together start in the same column

  × the indentation fits nothing above
   ╭─[sweep.yaml:2:1]
 1 │   a: 1
 2 │ b: 2
   · ┬
   · ╰── unexpected here
   ╰────
  help: keys that belong together start in the same column

  × this line is neither a key with a value nor part of one
   ╭─[sweep.yaml:2:1]
 1 │ a: 1
 2 │ b
   · ┬
   · ╰── no `:` after it
 3 │ c: 2
   ╰────
  help: write `key: value`, with a space after the colon

  × a `key:` is not allowed here
   ╭─[sweep.yaml:1:11]
 1 │ label: SGD: plain
   ·           ┬
   ·           ╰── unexpected `:`
   ╰────
  help: check the brackets and the indentation above; quote a text that contains `: `

  × a `- ` item is not allowed here
   ╭─[sweep.yaml:1:4]
 1 │ a: - x
   ·    ┬
   ·    ╰── unexpected `-`
   ╰────
  help: start the list in a line of its own, or write it as [a, b]

  × the indentation fits nothing above
   ╭─[sweep.yaml:3:5]
 2 │   b: 1
 3 │   - c
   ·     ┬
   ·     ╰── unexpected here
   ╰────
  help: keys that belong together start in the same column
"#);
}

#[test]
fn characters() {
    insta::assert_snapshot!(each(&["a: @x\n", "a: `x`\n", "a: %x\n", "a: \u{1}\n", "a: b\n\u{feff}c: d\n", "a: *x\n", "a: ! \n b: &\n"]), @r#"
sweep.yaml:
  × a value must not begin with `@`
   ╭─[sweep.yaml:1:4]
 1 │ a: @x
   ·    ─┬
   ·     ╰── not allowed here
   ╰────
  help: quote the value

  × a value must not begin with ```
   ╭─[sweep.yaml:1:4]
 1 │ a: `x`
   ·    ─┬─
   ·     ╰── not allowed here
   ╰────
  help: quote the value

  × a value must not begin with `%`
   ╭─[sweep.yaml:1:4]
 1 │ a: %x
   ·    ─┬
   ·     ╰── not allowed here
   ╰────
  help: quote the value

  × a control character (U+0001)
   ╭─[sweep.yaml:1:4]
 1 │ a: �
   ·    ┬
   ·    ╰── not allowed
   ╰────
  help: remove it

  × a byte order mark inside the file
   ╭─[sweep.yaml:2:1]
 1 │ a: b
 2 │ �c: d
   · ─┬
   ·  ╰── invisible character
   ╰────
  help: remove it

  × an alias without an anchor before it
   ╭─[sweep.yaml:1:4]
 1 │ a: *x
   ·    ─┬
   ·     ╰── no such anchor
   ╰────
  help: name the value with `&name` above, or quote a text that begins with `*`

  × YAML tags are not supported
   ╭─[sweep.yaml:1:4]
 1 │ a: ! 
   ·    ┬
   ·    ╰── a tag
 2 │  b: &
   ╰────
  help: remove it; quote a value to make it text, give its parameter a `type` otherwise

  × a `&` or `*` without a name
   ╭─[sweep.yaml:2:5]
 1 │ a: ! 
 2 │  b: &
   ·     ┬
   ·     ╰── no name
   ╰────
  help: name the anchor, or quote the text

2 problems
"#);
}

#[test]
fn documents() {
    insta::assert_snapshot!(each(&["%YAML 1.1\n---\nname: x\n", "name: x\n---\nname: y\n"]), @r#"
sweep.yaml:
  × YAML directives are not supported
   ╭─[sweep.yaml:1:1]
 1 │ %YAML 1.1
   · ──┬──
   ·   ╰── a directive
 2 │ ---
   ╰────
  help: remove this line

  × a second document begins here
   ╭─[sweep.yaml:2:1]
 1 │ name: x
 2 │ ---
   · ─┬─
   ·  ╰── second document
 3 │ name: y
   ╰────
  help: one file holds one sweep: put the second into a file of its own
"#);
}

#[test]
fn keys() {
    insta::assert_snapshot!(shown(&format!(
        "{WORKER}parameters:\n  lr: {{value: 1}}\n  depth: {{value: 2, value: 3}}\n  lr: {{value: 4}}\n  [a]: {{value: 5}}\n  ? {{b: c}}\n  : 1\n  : {{value: 6}}\n  ~: {{value: 7}}\n"
    )), @r#"
sweep.yaml:
  × the key `value` is here twice, first in line 7
   ╭─[sweep.yaml:7:21]
 6 │   lr: {value: 1}
 7 │   depth: {value: 2, value: 3}
   ·           ──┬──     ──┬──
   ·             │         ╰── again
   ·             ╰── first here
 8 │   lr: {value: 4}
   ╰────
  help: remove one of them

  × the key `lr` is here twice, first in line 6
   ╭─[sweep.yaml:8:3]
 5 │ parameters:
 6 │   lr: {value: 1}
   ·   ─┬
   ·    ╰── first here
 7 │   depth: {value: 2, value: 3}
 8 │   lr: {value: 4}
   ·   ─┬
   ·    ╰── again
 9 │   [a]: {value: 5}
   ╰────
  help: remove one of them

  × a key must be text, not a list
    ╭─[sweep.yaml:9:3]
  8 │   lr: {value: 4}
  9 │   [a]: {value: 5}
    ·   ─┬─
    ·    ╰── not text
 10 │   ? {b: c}
    ╰────
  help: quote it if the brackets belong to the text

  × a key must be text, not a mapping
    ╭─[sweep.yaml:10:5]
  9 │   [a]: {value: 5}
 10 │   ? {b: c}
    ·     ───┬──
    ·        ╰── not text
 11 │   : 1
    ╰────
  help: quote it if the brackets belong to the text

  × a key is missing before the colon
    ╭─[sweep.yaml:12:3]
 11 │   : 1
 12 │   : {value: 6}
    ·   ┬
    ·   ╰── no key
 13 │   ~: {value: 7}
    ╰────
  help: write `name: value`

  × a key is missing before the colon
    ╭─[sweep.yaml:13:3]
 12 │   : {value: 6}
 13 │   ~: {value: 7}
    ·   ┬
    ·   ╰── no key
    ╰────
  help: write `name: value`

6 problems
"#);
}

#[test]
fn a_repeated_key_far_away() {
    let comments = "# a comment\n".repeat(20);
    insta::assert_snapshot!(shown(&format!("{WORKER}{comments}parameters: {{lr: {{value: 1}}}}\nname: again\n")), @r#"
sweep.yaml:
  × the key `name` is here twice, first in line 1
   ╭─[sweep.yaml:1:1]
 1 │ name: t
   · ──┬─
   ·   ╰── first here
 2 │ worker: [w]
   ╰────
    ╭─[sweep.yaml:26:1]
 25 │ parameters: {lr: {value: 1}}
 26 │ name: again
    · ──┬─
    ·   ╰── again
    ╰────
  help: remove one of them
"#);
}

#[test]
fn tags() {
    insta::assert_snapshot!(shown(&format!("{WORKER}parameters:\n  a: {{value: !!str 5}}\n  b: !foo {{value: 1}}\n  c: {{values: !!set [1]}}\n")), @r#"
sweep.yaml:
  × YAML tags are not supported
   ╭─[sweep.yaml:6:14]
 5 │ parameters:
 6 │   a: {value: !!str 5}
   ·              ──┬──
   ·                ╰── a tag
 7 │   b: !foo {value: 1}
   ╰────
  help: remove it; quote a value to make it text, give its parameter a `type` otherwise

  × YAML tags are not supported
   ╭─[sweep.yaml:7:6]
 6 │   a: {value: !!str 5}
 7 │   b: !foo {value: 1}
   ·      ──┬─
   ·        ╰── a tag
 8 │   c: {values: !!set [1]}
   ╰────
  help: remove it; quote a value to make it text, give its parameter a `type` otherwise

  × YAML tags are not supported
   ╭─[sweep.yaml:8:15]
 7 │   b: !foo {value: 1}
 8 │   c: {values: !!set [1]}
   ·               ──┬──
   ·                 ╰── a tag
   ╰────
  help: remove it; quote a value to make it text, give its parameter a `type` otherwise

3 problems
"#);
}

#[test]
fn aliases_and_merge_keys() {
    insta::assert_snapshot!(each(&[
        &format!("{WORKER}parameters: {{a: &a {{values: [1, *a]}}}}\n"),
        &format!("{WORKER}parameters: {{a: {{values: [&x 1, 2, *x]}}}}\n"),
        &format!("{WORKER}parameters: {{a: {{<<: 3, value: 1}}, b: {{<<: [{{value: 1}}, 4]}}}}\n"),
        &format!("{WORKER}parameters: {{a: &a {{value: 1}}, b: {{<<: *a, <<: *a}}}}\n"),
        // Through an alias, a mistake is reported once, where it is written.
        &format!("{WORKER}arms: {{a: &a {{label: x, paramters: {{}}}}, b: {{<<: *a, label: y, parameters: {{l: {{value: 1}}}}}}}}\n"),
    ]), @"
sweep.yaml:
  × an alias inside the value that it stands for
   ╭─[sweep.yaml:5:33]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {a: &a {values: [1, *a]}}
   ·                                 ─┬
   ·                                  ╰── refers to itself
   ╰────
  help: write the value out here

  × a: the value 1 is here twice, first in line 5
   ╭─[sweep.yaml:5:36]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {a: {values: [&x 1, 2, *x]}}
   ·                              ┬     ─┬
   ·                              │      ╰── again
   ·                              ╰── first here
   ╰────
  help: remove one of them

  × `<<` takes a mapping
   ╭─[sweep.yaml:5:22]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {a: {<<: 3, value: 1}, b: {<<: [{value: 1}, 4]}}
   ·                      ┬
   ·                      ╰── not a mapping
   ╰────
  help: name a mapping with an alias (`<<: *common`), or a list of such

  × `<<` takes a mapping
   ╭─[sweep.yaml:5:57]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {a: {<<: 3, value: 1}, b: {<<: [{value: 1}, 4]}}
   ·                                                         ┬
   ·                                                         ╰── not a mapping
   ╰────
  help: name a mapping with an alias (`<<: *common`), or a list of such

2 problems
  × the key `<<` is here twice, first in line 5
   ╭─[sweep.yaml:5:44]
 4 │ seeds: {tune: 2, final: 3}
 5 │ parameters: {a: &a {value: 1}, b: {<<: *a, <<: *a}}
   ·                                    ─┬      ─┬
   ·                                     │       ╰── again
   ·                                     ╰── first here
   ╰────
  help: use one: `<<: [*a, *b]`

  × unknown key `paramters` in an arm
   ╭─[sweep.yaml:5:25]
 4 │ seeds: {tune: 2, final: 3}
 5 │ …ms: {a: &a {label: x, paramters: {}}, b: {<<: *a, label: y, parameters: {l: {value: 1}}}…
   ·                        ────┬────
   ·                            ╰── unknown key
   ╰────
  help: did you mean `parameters`? known keys: label, parameters, zip, exclude, grids, resources
        and limits
");
}

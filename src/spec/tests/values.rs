//! Mistakes in the values of parameters, for a user's program.

use super::parameters::file;
use super::{each, shown};

#[test]
fn ambiguous_values() {
    insta::assert_snapshot!(shown(&file(&["{values: [yes, Off, 010, -07, 1_000, 0x1F, 0o17, 0b11, 12:30]}"])), @r#"
sweep.yaml:
  × p0: `yes` is a boolean to some YAML readers and text to others
   ╭─[sweep.yaml:6:17]
 5 │ parameters:
 6 │   p0: {values: [yes, Off, 010, -07, 1_000, 0x1F, 0o17, 0b11, 12:30]}
   ·                 ─┬─
   ·                  ╰── ambiguous
   ╰────
  help: write true for the boolean, or "yes" in quotes for the text

  × p0: `Off` is a boolean to some YAML readers and text to others
   ╭─[sweep.yaml:6:22]
 5 │ parameters:
 6 │   p0: {values: [yes, Off, 010, -07, 1_000, 0x1F, 0o17, 0b11, 12:30]}
   ·                      ─┬─
   ·                       ╰── ambiguous
   ╰────
  help: write false for the boolean, or "Off" in quotes for the text

  × p0: `010` is octal to some YAML readers and decimal to others
   ╭─[sweep.yaml:6:27]
 5 │ parameters:
 6 │   p0: {values: [yes, Off, 010, -07, 1_000, 0x1F, 0o17, 0b11, 12:30]}
   ·                           ─┬─
   ·                            ╰── ambiguous
   ╰────
  help: write the number as a decimal (10), or "010" in quotes for the text

  × p0: `-07` is octal to some YAML readers and decimal to others
   ╭─[sweep.yaml:6:32]
 5 │ parameters:
 6 │   p0: {values: [yes, Off, 010, -07, 1_000, 0x1F, 0o17, 0b11, 12:30]}
   ·                                ─┬─
   ·                                 ╰── ambiguous
   ╰────
  help: write the number as a decimal (-7), or "-07" in quotes for the text

  × p0: `1_000` is a number to some YAML readers and text to others
   ╭─[sweep.yaml:6:37]
 5 │ parameters:
 6 │   p0: {values: [yes, Off, 010, -07, 1_000, 0x1F, 0o17, 0b11, 12:30]}
   ·                                     ──┬──
   ·                                       ╰── ambiguous
   ╰────
  help: write the number as a decimal (1000), or "1_000" in quotes for the text

  × p0: `0x1F` is a number in another base to some YAML readers and text to others
   ╭─[sweep.yaml:6:44]
 5 │ parameters:
 6 │   p0: {values: [yes, Off, 010, -07, 1_000, 0x1F, 0o17, 0b11, 12:30]}
   ·                                            ──┬─
   ·                                              ╰── ambiguous
   ╰────
  help: write the number as a decimal (31), or "0x1F" in quotes for the text

  × p0: `0o17` is a number in another base to some YAML readers and text to others
   ╭─[sweep.yaml:6:50]
 5 │ parameters:
 6 │   p0: {values: [yes, Off, 010, -07, 1_000, 0x1F, 0o17, 0b11, 12:30]}
   ·                                                  ──┬─
   ·                                                    ╰── ambiguous
   ╰────
  help: write the number as a decimal (15), or "0o17" in quotes for the text

  × p0: `0b11` is a number in another base to some YAML readers and text to others
   ╭─[sweep.yaml:6:56]
 5 │ parameters:
 6 │   p0: {values: [yes, Off, 010, -07, 1_000, 0x1F, 0o17, 0b11, 12:30]}
   ·                                                        ──┬─
   ·                                                          ╰── ambiguous
   ╰────
  help: write the number as a decimal (3), or "0b11" in quotes for the text

  × p0: `12:30` is a number in base 60 to some YAML readers and text to others
   ╭─[sweep.yaml:6:62]
 5 │ parameters:
 6 │   p0: {values: [yes, Off, 010, -07, 1_000, 0x1F, 0o17, 0b11, 12:30]}
   ·                                                              ──┬──
   ·                                                                ╰── ambiguous
   ╰────
  help: write the number as a decimal, or "12:30" in quotes for the text

9 problems
"#);
}

#[test]
fn no_values_and_numbers_out_of_bounds() {
    insta::assert_snapshot!(shown(&file(&["{values: [~, null, .inf, -.INF, .nan, nan, 9223372036854775808, 1e999, 1e-999]}", "{value:}"])), @r#"
sweep.yaml:
  × p0: the value null is here twice, first in line 6
   ╭─[sweep.yaml:6:20]
 5 │ parameters:
 6 │   p0: {values: [~, null, .inf, -.INF, .nan, nan, 9223372036854775808, 1e999, 1e-999]}
   ·                 ┬  ──┬─
   ·                 │    ╰── again
   ·                 ╰── first here
 7 │   p1: {value:}
   ╰────
  help: remove one of them

  × p0: .inf is not a finite number
   ╭─[sweep.yaml:6:26]
 5 │ parameters:
 6 │   p0: {values: [~, null, .inf, -.INF, .nan, nan, 9223372036854775808, 1e999, 1e-999]}
   ·                          ──┬─
   ·                            ╰── not finite
 7 │   p1: {value:}
   ╰────
  help: write a finite number, or ".inf" in quotes for the text

  × p0: -.INF is not a finite number
   ╭─[sweep.yaml:6:32]
 5 │ parameters:
 6 │   p0: {values: [~, null, .inf, -.INF, .nan, nan, 9223372036854775808, 1e999, 1e-999]}
   ·                                ──┬──
   ·                                  ╰── not finite
 7 │   p1: {value:}
   ╰────
  help: write a finite number, or "-.INF" in quotes for the text

  × p0: .nan is not a finite number
   ╭─[sweep.yaml:6:39]
 5 │ parameters:
 6 │   p0: {values: [~, null, .inf, -.INF, .nan, nan, 9223372036854775808, 1e999, 1e-999]}
   ·                                       ──┬─
   ·                                         ╰── not finite
 7 │   p1: {value:}
   ╰────
  help: write a finite number, or ".nan" in quotes for the text

  × p0: nan is not a finite number
   ╭─[sweep.yaml:6:45]
 5 │ parameters:
 6 │   p0: {values: [~, null, .inf, -.INF, .nan, nan, 9223372036854775808, 1e999, 1e-999]}
   ·                                             ─┬─
   ·                                              ╰── not finite
 7 │   p1: {value:}
   ╰────
  help: write a finite number, or "nan" in quotes for the text

  × p0: `9223372036854775808` does not fit in 64 bits
   ╭─[sweep.yaml:6:50]
 5 │ parameters:
 6 │   p0: {values: [~, null, .inf, -.INF, .nan, nan, 9223372036854775808, 1e999, 1e-999]}
   ·                                                  ─────────┬─────────
   ·                                                           ╰── too large an integer
 7 │   p1: {value:}
   ╰────
  help: write it as a float (with a point or an exponent), or in quotes as text

  × p0: `1e999` is too large for a 64-bit float
   ╭─[sweep.yaml:6:71]
 5 │ parameters:
 6 │   p0: {values: [~, null, .inf, -.INF, .nan, nan, 9223372036854775808, 1e999, 1e-999]}
   ·                                                                       ──┬──
   ·                                                                         ╰── too large
 7 │   p1: {value:}
   ╰────
  help: floats end at about 1.8e308

  × p0: `1e-999` is too small for a 64-bit float
   ╭─[sweep.yaml:6:78]
 5 │ parameters:
 6 │   p0: {values: [~, null, .inf, -.INF, .nan, nan, 9223372036854775808, 1e999, 1e-999]}
   ·                                                                              ───┬──
   ·                                                                                 ╰── would become 0
 7 │   p1: {value:}
   ╰────
  help: floats end at about 5e-324

  × p1: a value is missing
   ╭─[sweep.yaml:7:8]
 6 │   p0: {values: [~, null, .inf, -.INF, .nan, nan, 9223372036854775808, 1e999, 1e-999]}
 7 │   p1: {value:}
   ·        ──┬──
   ·          ╰── no value
   ╰────
  help: write a value, null for Python's None, or "" for an empty text

9 problems
"#);
}

#[test]
fn types() {
    insta::assert_snapshot!(shown(&file(&[
        "{type: float, values: [1, \"1e-4\", fast, true, yes, 010]}",
        "{type: int, values: [3.0, 1e3, 0.5, '7']}",
        "{type: bool, values: [yes, 1, \"true\"]}",
        "{type: text, values: [5, true, no, 010]}",
    ])), @r#"
sweep.yaml:
  × p0: expected a number, found the text `1e-4`
   ╭─[sweep.yaml:6:33]
 5 │ parameters:
 6 │   p0: {type: float, values: [1, "1e-4", fast, true, yes, 010]}
   ·                                 ───┬──
   ·                                    ╰── not a number
 7 │   p1: {type: int, values: [3.0, 1e3, 0.5, '7']}
   ╰────
  help: remove the quotes: 1e-4

  × p0: expected a number, found the text `fast`
   ╭─[sweep.yaml:6:41]
 5 │ parameters:
 6 │   p0: {type: float, values: [1, "1e-4", fast, true, yes, 010]}
   ·                                         ──┬─
   ·                                           ╰── not a number
 7 │   p1: {type: int, values: [3.0, 1e3, 0.5, '7']}
   ╰────

  × p0: expected a number, found the boolean true
   ╭─[sweep.yaml:6:47]
 5 │ parameters:
 6 │   p0: {type: float, values: [1, "1e-4", fast, true, yes, 010]}
   ·                                               ──┬─
   ·                                                 ╰── not a number
 7 │   p1: {type: int, values: [3.0, 1e3, 0.5, '7']}
   ╰────

  × p0: expected a number, found the text `yes`
   ╭─[sweep.yaml:6:53]
 5 │ parameters:
 6 │   p0: {type: float, values: [1, "1e-4", fast, true, yes, 010]}
   ·                                                     ─┬─
   ·                                                      ╰── not a number
 7 │   p1: {type: int, values: [3.0, 1e3, 0.5, '7']}
   ╰────

  × p0: `010` is octal to some YAML readers and decimal to others
   ╭─[sweep.yaml:6:58]
 5 │ parameters:
 6 │   p0: {type: float, values: [1, "1e-4", fast, true, yes, 010]}
   ·                                                          ─┬─
   ·                                                           ╰── ambiguous
 7 │   p1: {type: int, values: [3.0, 1e3, 0.5, '7']}
   ╰────
  help: write the number as a decimal (10)

  × p1: expected an integer, found the float 3.0
   ╭─[sweep.yaml:7:28]
 6 │   p0: {type: float, values: [1, "1e-4", fast, true, yes, 010]}
 7 │   p1: {type: int, values: [3.0, 1e3, 0.5, '7']}
   ·                            ─┬─
   ·                             ╰── not an integer
 8 │   p2: {type: bool, values: [yes, 1, "true"]}
   ╰────
  help: write 3

  × p1: expected an integer, found the float 1000.0
   ╭─[sweep.yaml:7:33]
 6 │   p0: {type: float, values: [1, "1e-4", fast, true, yes, 010]}
 7 │   p1: {type: int, values: [3.0, 1e3, 0.5, '7']}
   ·                                 ─┬─
   ·                                  ╰── not an integer
 8 │   p2: {type: bool, values: [yes, 1, "true"]}
   ╰────
  help: write 1000

  × p1: expected an integer, found the float 0.5
   ╭─[sweep.yaml:7:38]
 6 │   p0: {type: float, values: [1, "1e-4", fast, true, yes, 010]}
 7 │   p1: {type: int, values: [3.0, 1e3, 0.5, '7']}
   ·                                      ─┬─
   ·                                       ╰── not an integer
 8 │   p2: {type: bool, values: [yes, 1, "true"]}
   ╰────

  × p1: expected an integer, found the text `7`
   ╭─[sweep.yaml:7:43]
 6 │   p0: {type: float, values: [1, "1e-4", fast, true, yes, 010]}
 7 │   p1: {type: int, values: [3.0, 1e3, 0.5, '7']}
   ·                                           ─┬─
   ·                                            ╰── not an integer
 8 │   p2: {type: bool, values: [yes, 1, "true"]}
   ╰────
  help: remove the quotes: 7

  × p2: `yes` is a boolean to some YAML readers and text to others
   ╭─[sweep.yaml:8:29]
 7 │   p1: {type: int, values: [3.0, 1e3, 0.5, '7']}
 8 │   p2: {type: bool, values: [yes, 1, "true"]}
   ·                             ─┬─
   ·                              ╰── ambiguous
 9 │   p3: {type: text, values: [5, true, no, 010]}
   ╰────
  help: write true for the boolean

  × p2: expected true or false, found the integer 1
   ╭─[sweep.yaml:8:34]
 7 │   p1: {type: int, values: [3.0, 1e3, 0.5, '7']}
 8 │   p2: {type: bool, values: [yes, 1, "true"]}
   ·                                  ┬
   ·                                  ╰── not a boolean
 9 │   p3: {type: text, values: [5, true, no, 010]}
   ╰────
  help: write true or false

  × p2: expected true or false, found the text `true`
   ╭─[sweep.yaml:8:37]
 7 │   p1: {type: int, values: [3.0, 1e3, 0.5, '7']}
 8 │   p2: {type: bool, values: [yes, 1, "true"]}
   ·                                     ───┬──
   ·                                        ╰── not a boolean
 9 │   p3: {type: text, values: [5, true, no, 010]}
   ╰────
  help: remove the quotes: true

  × p3: expected text, found the integer 5
   ╭─[sweep.yaml:9:29]
 8 │   p2: {type: bool, values: [yes, 1, "true"]}
 9 │   p3: {type: text, values: [5, true, no, 010]}
   ·                             ┬
   ·                             ╰── not text
   ╰────
  help: quote it to make it text: "5"

  × p3: expected text, found the boolean true
   ╭─[sweep.yaml:9:32]
 8 │   p2: {type: bool, values: [yes, 1, "true"]}
 9 │   p3: {type: text, values: [5, true, no, 010]}
   ·                                ──┬─
   ·                                  ╰── not text
   ╰────
  help: quote it to make it text: "true"

  × p3: `no` is a boolean to some YAML readers and text to others
   ╭─[sweep.yaml:9:38]
 8 │   p2: {type: bool, values: [yes, 1, "true"]}
 9 │   p3: {type: text, values: [5, true, no, 010]}
   ·                                      ─┬
   ·                                       ╰── ambiguous
   ╰────
  help: quote it: "no"

  × p3: `010` is octal to some YAML readers and decimal to others
   ╭─[sweep.yaml:9:42]
 8 │   p2: {type: bool, values: [yes, 1, "true"]}
 9 │   p3: {type: text, values: [5, true, no, 010]}
   ·                                          ─┬─
   ·                                           ╰── ambiguous
   ╰────
  help: quote it: "010"

16 problems
"#);
}

#[test]
fn repeats() {
    insta::assert_snapshot!(shown(&file(&[
        "{values: [0.1, 1e-1]}",
        "{values: [a, b, 'a']}",
        "{type: float, values: [3, 3.0]}",
        "{values: [0.0, -0.0]}",
        "\n    values:\n    - 1\n    - 2\n    - 3\n    - 4\n    - 5\n    - 1",
    ])), @"
sweep.yaml:
  × p0: the value 0.1 is here twice, first in line 6
   ╭─[sweep.yaml:6:22]
 5 │ parameters:
 6 │   p0: {values: [0.1, 1e-1]}
   ·                 ─┬─  ──┬─
   ·                  │     ╰── again
   ·                  ╰── first here
 7 │   p1: {values: [a, b, 'a']}
   ╰────
  help: they are one number: remove one of them, or quote both if they are texts

  × p1: the value `a` is here twice, first in line 7
   ╭─[sweep.yaml:7:23]
 6 │   p0: {values: [0.1, 1e-1]}
 7 │   p1: {values: [a, b, 'a']}
   ·                 ┬     ─┬─
   ·                 │      ╰── again
   ·                 ╰── first here
 8 │   p2: {type: float, values: [3, 3.0]}
   ╰────
  help: remove one of them

  × p2: the value 3.0 is here twice, first in line 8
   ╭─[sweep.yaml:8:33]
 7 │   p1: {values: [a, b, 'a']}
 8 │   p2: {type: float, values: [3, 3.0]}
   ·                              ┬  ─┬─
   ·                              │   ╰── again
   ·                              ╰── first here
 9 │   p3: {values: [0.0, -0.0]}
   ╰────
  help: they are one number: remove one of them, or quote both if they are texts

  × p3: the value 0.0 is here twice, first in line 9
    ╭─[sweep.yaml:9:22]
  8 │   p2: {type: float, values: [3, 3.0]}
  9 │   p3: {values: [0.0, -0.0]}
    ·                 ─┬─  ──┬─
    ·                  │     ╰── again
    ·                  ╰── first here
 10 │   p4: 
    ╰────
  help: they are one number: remove one of them, or quote both if they are texts

  × p4: the value 1 is here twice, first in line 12
    ╭─[sweep.yaml:12:7]
 11 │     values:
 12 │     - 1
    ·       ┬
    ·       ╰── first here
 13 │     - 2
    ╰────
    ╭─[sweep.yaml:17:7]
 16 │     - 5
 17 │     - 1
    ·       ┬
    ·       ╰── again
    ╰────
  help: remove one of them

5 problems
");
}

#[test]
fn texts() {
    insta::assert_snapshot!(each(&[&file(&["{value: \"a\\0b\"}"]), &file(&[&format!("{{value: {}}}", "x".repeat(1025))])]), @r#"
sweep.yaml:
  × p0: a text value must not contain control characters
   ╭─[sweep.yaml:6:15]
 5 │ parameters:
 6 │   p0: {value: "a\0b"}
   ·               ───┬──
   ·                  ╰── control character
   ╰────
  help: remove them

  × p0: a text value may have 1024 bytes; this one has 1025
   ╭─[sweep.yaml:6:15]
 5 │ parameters:
 6 │   p0: {value: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
   ·               ─────────────────────────────────────┬────────────────────────────────────
   ·                                                    ╰── too long
   ╰────
  help: put long texts in a file and name the file
"#);
}

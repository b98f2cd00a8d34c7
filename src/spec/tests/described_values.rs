//! Values that are described: `linspace`, `logspace`, `range`, and W&B's `min` and `max`.

use super::wandb::file;
use super::{each, good};

fn values(parameter: &str) -> String {
    let spec = good(&file(&format!("parameters: {{x: {parameter}}}")));
    let values = spec.arms[0].axes[0].values.iter();
    values
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The values of `int_uniform` and `q_uniform` are those of W&B's own grid (sweeps 0.2.0,
/// `grid_search.py`).
#[test]
fn described_values() {
    assert_eq!(
        values("{distribution: int_uniform, min: 1, max: 3}"),
        "1 2 3"
    );
    assert_eq!(values("{min: 1, max: 3}"), "1 2 3");
    assert_eq!(
        values("{distribution: q_uniform, min: 0, max: 1, q: 0.25}"),
        "0.0 0.25 0.5 0.75"
    );
    assert_eq!(
        values("{distribution: q_uniform, min: 0.1, max: 0.5, q: 0.1}"),
        "0.1 0.2 0.3 0.4"
    );
    assert_eq!(
        values("{distribution: q_uniform, min: 2, max: 6, q: 2}"),
        "2 4"
    );
    assert_eq!(
        values("{logspace: {from: 1e-4, to: 1e-1, points: 4}}"),
        "0.0001 0.001 0.01 0.1"
    );
    assert_eq!(
        values("{logspace: {from: 1, to: 1000, points: 4}}"),
        "1 10 100 1000"
    );
    assert_eq!(
        values("{logspace: {from: 1, to: 10, points: 3}}"),
        "1.0 3.16227766017 10.0"
    );
    assert_eq!(
        values("{linspace: {from: 0, to: 1, points: 5}}"),
        "0.0 0.25 0.5 0.75 1.0"
    );
    assert_eq!(values("{linspace: {from: 3, to: 1, points: 3}}"), "3 2 1");
    assert_eq!(
        values("{range: {from: 16, to: 64, step: 16}}"),
        "16 32 48 64"
    );
    assert_eq!(
        values("{range: {from: 0.1, to: 0.3, step: 0.1}}"),
        "0.1 0.2 0.3"
    );
    assert_eq!(values("{range: {from: 5, to: 1, step: -2}}"), "5 3 1");
    assert_eq!(values("{range: {from: 1, to: 2}, type: float}"), "1.0 2.0");
    assert_eq!(values("{values: [1, 2], distribution: categorical}"), "1 2");
}

#[test]
fn mistakes_in_described_values() {
    let parameters = [
        "{min: 1}",
        "{min: 0.1, max: 0.5}",
        "{distribution: log_uniform_values, min: 1, max: 3}",
        "{values: [1], distribution: normal}",
        "{min: 1, max: 4, q: 2}",
        "{logspace: {from: 0, to: 1, points: 3}}",
        "{logspace: {from: 1, to: 10}}",
        "{linspace: {from: 1, to: 10, points: 1}}",
        "{linspace: {from: a, to: 10, points: 2}}",
        "{range: {from: 1, to: 10, step: 0}}",
        "{range: {from: 1, to: 10, step: -1}}",
        "{range: {from: 0, to: 1, step: 1e-9}}",
        "{range: 3}",
        "{values: [1], min: 1, max: 2}",
    ];
    let files = parameters.map(|parameter| file(&format!("parameters: {{x: {parameter}}}")));
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    insta::assert_snapshot!(each(&files), @"
sweep.yaml:
  × `min` without its other end
   ╭─[sweep.yaml:4:18]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {min: 1}}
   ·                  ─┬─
   ·                   ╰── alone
   ╰────
  help: write `min: 1` and `max: 4`, or `values: [1, 2, 3, 4]`

  × `min` describes a random search; pentagrid runs full grids only
   ╭─[sweep.yaml:4:18]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {min: 0.1, max: 0.5}}
   ·                  ─┬─
   ·                   ╰── not a grid
   ╰────
  help: list what to try under `values`, write `linspace`, `logspace` or `range`, or fix it with
        `value`

  × `distribution` describes a random search; pentagrid runs full grids only
   ╭─[sweep.yaml:4:18]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {distribution: log_uniform_values, min: 1, max: 3}}
   ·                  ──────┬─────
   ·                        ╰── not a grid
   ╰────
  help: list what to try under `values`, write `linspace`, `logspace` or `range`, or fix it with
        `value`

  × `distribution` describes a random search; pentagrid runs full grids only
   ╭─[sweep.yaml:4:31]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {values: [1], distribution: normal}}
   ·                               ──────┬─────
   ·                                     ╰── not a grid
   ╰────
  help: list what to try under `values`, write `linspace`, `logspace` or `range`, or fix it with
        `value`

  × `min` describes a random search; pentagrid runs full grids only
   ╭─[sweep.yaml:4:18]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {min: 1, max: 4, q: 2}}
   ·                  ─┬─
   ·                   ╰── not a grid
   ╰────
  help: list what to try under `values`, write `linspace`, `logspace` or `range`, or fix it with
        `value`

  × `logspace` needs ends greater than 0
   ╭─[sweep.yaml:4:28]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {logspace: {from: 0, to: 1, points: 3}}}
   ·                            ─────────────┬─────────────
   ·                                         ╰── not possible
   ╰────
  help: write for example `logspace: {from: 1e-4, to: 1e-1, points: 4}`

  × `logspace` lacks `points`
   ╭─[sweep.yaml:4:28]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {logspace: {from: 1, to: 10}}}
   ·                            ────────┬────────
   ·                                    ╰── not possible
   ╰────
  help: write for example `logspace: {from: 1e-4, to: 1e-1, points: 4}`

  × `points` must be from 2 to 10000, not 1
   ╭─[sweep.yaml:4:28]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {linspace: {from: 1, to: 10, points: 1}}}
   ·                            ──────────────┬─────────────
   ·                                          ╰── not possible
   ╰────
  help: write for example `linspace: {from: 1e-4, to: 1e-1, points: 4}`

  × `from` must be a number, not text
   ╭─[sweep.yaml:4:35]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {linspace: {from: a, to: 10, points: 2}}}
   ·                                   ┬
   ·                                   ╰── not possible
   ╰────
  help: list the values under `values` if they are others

  × no value from 1 leads to 10 in steps of 0
   ╭─[sweep.yaml:4:25]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {range: {from: 1, to: 10, step: 0}}}
   ·                         ─────────────┬────────────
   ·                                      ╰── not possible
   ╰────
  help: list the values under `values` if they are others

  × no value from 1 leads to 10 in steps of -1
   ╭─[sweep.yaml:4:25]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {range: {from: 1, to: 10, step: -1}}}
   ·                         ─────────────┬─────────────
   ·                                      ╰── not possible
   ╰────
  help: list the values under `values` if they are others

  × 1000000000 values; at most 10000 can be described
   ╭─[sweep.yaml:4:25]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {range: {from: 0, to: 1, step: 1e-9}}}
   ·                         ──────────────┬─────────────
   ·                                       ╰── not possible
   ╰────
  help: list the values under `values` if they are others

  × `range` must be a mapping, not a single value
   ╭─[sweep.yaml:4:25]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {range: 3}}
   ·                         ┬
   ·                         ╰── expected a mapping
   ╰────
  help: write it as `range: {from: 16, to: 64, step: 16}`

  × the parameter `x` has both `values` and `min`
   ╭─[sweep.yaml:4:31]
 3 │ seeds: {tune: 1, final: 0}
 4 │ parameters: {x: {values: [1], min: 1, max: 2}}
   ·                  ───┬──       ─┬─
   ·                     │          ╰── and this
   ·                     ╰── this
   ╰────
  help: keep one of them
");
}

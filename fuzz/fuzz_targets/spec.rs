//! Any text is a sweep, or is refused with problems that lie inside it; a sweep's points can be
//! counted and computed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pentagrid::{grid::Grid, spec};

fuzz_target!(|text: &str| {
    match spec::read(text, "sweep.yaml") {
        Ok(spec) => {
            let grid = Grid::new(&spec);
            assert!(!grid.is_empty());
            for arm in grid.arms() {
                assert!(!arm.is_empty());
                let (first, last) = (arm.point(0), arm.point(arm.len() - 1));
                assert!(arm.len() == 1 || first.id != last.id, "two points are one");
            }
        }
        Err(diagnosis) => {
            assert!(!diagnosis.problems.is_empty());
            assert!(!diagnosis.to_string().is_empty());
        }
    }
});

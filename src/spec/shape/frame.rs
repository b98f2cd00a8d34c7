//! The parameters of all grids of an arm, each with the values that it takes in any of them.

use std::collections::HashMap;

use super::leaf::Leaf;
use crate::spec::model::Axis;
use pentagrid_protocol::ParamValue;

/// The axes of an arm, and the numbers of their names and values.
#[derive(Default)]
pub(super) struct Frame {
    pub axes: Vec<Axis>,
    axis_numbers: HashMap<String, usize>,
    /// By axis. Values are told apart by their type and text.
    value_numbers: Vec<HashMap<(&'static str, String), usize>>,
}

impl Frame {
    pub(super) fn of(leaves: &[Leaf<'_>]) -> Self {
        let mut frame = Self::default();
        for param in leaves.iter().flat_map(|leaf| &leaf.params) {
            let axis = frame.add_axis(&param.name);
            for (value, _) in &param.values {
                frame.add_value(axis, value);
            }
        }
        frame
    }

    fn add_axis(&mut self, name: &str) -> usize {
        if let Some(axis) = self.axis_numbers.get(name) {
            return *axis;
        }
        let axis = self.axes.len();
        self.axes.push(Axis {
            name: name.to_owned(),
            values: Vec::new(),
        });
        self.axis_numbers.insert(name.to_owned(), axis);
        self.value_numbers.push(HashMap::new());
        axis
    }

    fn add_value(&mut self, axis: usize, value: &ParamValue) {
        let values = &mut self.axes[axis].values;
        self.value_numbers[axis]
            .entry((value.kind(), value.to_string()))
            .or_insert_with(|| {
                values.push(value.clone());
                values.len() - 1
            });
    }

    /// The number of a parameter's axis.
    pub(super) fn axis(&self, name: &str) -> usize {
        self.axis_numbers[name]
    }

    /// The number of a value on its axis.
    pub(super) fn value(&self, axis: usize, value: &ParamValue) -> usize {
        self.value_numbers[axis][&(value.kind(), value.to_string())]
    }
}

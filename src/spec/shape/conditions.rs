//! The order of the dimensions by their conditions: each comes after those that its `when` names.

use super::resolve::Resolver;
use crate::spec::parameters::Param;
use crate::spec::problem::{listed, quoted};

impl Resolver<'_, '_, '_> {
    /// Returns the dimensions, each after those that its condition depends on; None if conditions
    /// depend on each other in a circle. `groups` are the parameters of each dimension,
    /// `dimension_of` is the dimension of each parameter.
    pub(super) fn dependency_order(
        &mut self,
        groups: &[Vec<usize>],
        dimension_of: &[usize],
    ) -> Option<Vec<usize>> {
        let needs: Vec<Vec<usize>> = groups
            .iter()
            .map(|members| self.needed_dimensions(members[0], dimension_of))
            .collect();

        let mut order: Vec<usize> = Vec::new();
        let mut placed = vec![false; groups.len()];
        while order.len() < groups.len() {
            let ready: Vec<usize> = (0..groups.len())
                .filter(|number| {
                    !placed[*number] && needs[*number].iter().all(|need| placed[*need])
                })
                .collect();
            if ready.is_empty() {
                self.report_circle(groups, &needs, &placed);
                return None;
            }
            for number in &ready {
                placed[*number] = true;
            }
            order.extend(ready);
        }
        Some(order)
    }

    fn needed_dimensions(&self, param: usize, dimension_of: &[usize]) -> Vec<usize> {
        self.leaf.params[param]
            .when
            .iter()
            .flatten()
            .filter_map(|clause| self.leaf.find(&clause.name))
            .map(|param| dimension_of[param])
            .collect()
    }

    fn report_circle(&mut self, groups: &[Vec<usize>], needs: &[Vec<usize>], placed: &[bool]) {
        let first_param = |dimension: usize| self.leaf.params[groups[dimension][0]];

        let mut circle = find_circle(needs, placed);
        // The message begins with the parameter that comes first in the file.
        let first = (0..circle.len()).min_by_key(|place| first_param(circle[*place]).span);
        circle.rotate_left(first.unwrap_or(0));
        let params: Vec<&Param> = circle.into_iter().map(first_param).collect();
        let Some(param) = params.first() else {
            return;
        };

        let names: Vec<String> = params.iter().map(|param| quoted(&param.name)).collect();
        let message = match names.as_slice() {
            [only] => format!("the condition of {only} names itself"),
            names => format!(
                "the conditions of {} depend on each other in a circle",
                listed(names, "and")
            ),
        };
        self.problems.report(
            param.span,
            message,
            "depends on itself",
            "a parameter's `when` must name parameters that exist without it",
        );
    }
}

/// Finds a circle among the dimensions that could not be placed. Each of them needs another one
/// that could not be placed, so going from one to the next ends in a circle.
fn find_circle(needs: &[Vec<usize>], placed: &[bool]) -> Vec<usize> {
    let mut path: Vec<usize> = Vec::new();
    let mut next = placed.iter().position(|placed| !placed);
    while let Some(number) = next {
        if let Some(start) = path.iter().position(|other| *other == number) {
            path.drain(..start);
            break;
        }
        path.push(number);
        next = needs[number].iter().copied().find(|need| !placed[*need]);
    }
    path
}

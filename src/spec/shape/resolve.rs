//! Checks the `zip`, `when` and `exclude` of an arm's grids against its parameters: names become
//! dimensions, values become settings. Reports what is not possible; `lay` turns the rest into
//! regions.

use super::frame::Frame;
use super::lay::{self, Requirement, TooManyRegions};
use super::leaf::Leaf;
use super::occurring::ShapedArm;
use super::region::{Dimension, Region, Side, Subgrid, points};
use super::unused::Usage;
use crate::spec::clause::{Clause, describe_clauses};
use crate::spec::parameters::Param;
use crate::spec::problem::{Finding, Problems, Span, brief, count};
use crate::spec::{MAX_REGIONS, scalar};

/// Returns the axes and grids of an arm whose grids are not all plain products; None if a problem
/// has been reported. `regions` counts the regions of the whole sweep.
pub(in crate::spec) fn shaped(
    leaves: &[Leaf<'_>],
    regions: &mut usize,
    usage: &mut Usage,
    problems: &mut Problems<'_>,
) -> Option<ShapedArm> {
    let frame = Frame::of(leaves);
    let before = problems.len();

    // The names and values of all grids are marked first, since a grid with a problem resolves only
    // some of its clauses.
    for leaf in leaves {
        let mut resolver = Resolver {
            leaf,
            frame: &frame,
            usage,
            problems,
        };
        resolver.mark_known();
    }

    let mut grids: Vec<Subgrid> = Vec::new();
    for leaf in leaves {
        let max_regions = MAX_REGIONS.saturating_sub(*regions);
        let mut resolver = Resolver {
            leaf,
            frame: &frame,
            usage,
            problems,
        };
        match resolver.grid(&grids, max_regions) {
            Ok(Some(grid)) => {
                *regions += grid.regions.len();
                grids.push(grid);
            }
            Ok(None) => {}
            Err(TooManyRegions) => {
                report_too_many_regions(leaf, problems);
                return None;
            }
        }
    }
    (problems.len() == before).then(|| ShapedArm::occurring(frame.axes, grids))
}

fn report_too_many_regions(leaf: &Leaf<'_>, problems: &mut Problems<'_>) {
    let message = format!(
        "the grids of the sweep split into more than {} products",
        count(MAX_REGIONS as u128)
    );
    let help = "write fewer rules under `exclude`, or rules that name fewer parameters";
    problems.report(leaf.span, message, "here", help);
}

/// Resolves one grid.
pub(super) struct Resolver<'r, 'd, 's> {
    pub leaf: &'r Leaf<'d>,
    pub frame: &'r Frame,
    pub usage: &'r mut Usage,
    pub problems: &'r mut Problems<'s>,
}

/// A clause in terms of the grid.
struct ResolvedClause {
    /// Number of the parameter.
    param: usize,
    /// Numbers of its values, ascending.
    values: Vec<usize>,
}

impl Resolver<'_, '_, '_> {
    /// Marks the names and values that mean something to this grid, even if it has other problems.
    fn mark_known(&mut self) {
        let leaf = self.leaf;
        let conditions = leaf.params.iter().filter_map(|param| param.when.as_ref());
        let rules = leaf
            .layers
            .iter()
            .flat_map(|layer| &layer.rules)
            .map(|rule| &rule.clauses);
        for clause in conditions.chain(rules).flatten() {
            self.resolve_clause(clause);
        }
    }

    /// Returns the grid without the points of earlier ones; None if a problem has been reported.
    fn grid(
        &mut self,
        earlier: &[Subgrid],
        max_regions: usize,
    ) -> Result<Option<Subgrid>, TooManyRegions> {
        let before = self.problems.len();
        let groups = self.dimension_groups();
        if self.problems.len() > before {
            return Ok(None);
        }

        let mut dimension_of = vec![0; self.leaf.params.len()];
        for (number, members) in groups.iter().enumerate() {
            for member in members {
                dimension_of[*member] = number;
            }
        }
        let dimensions: Vec<Dimension> = groups
            .iter()
            .map(|members| self.dimension(members))
            .collect();

        let conditions: Vec<Option<Requirement>> = groups
            .iter()
            .map(|members| {
                let when = self.leaf.params[members[0]].when.as_ref()?;
                Some(self.requirement(when, &dimensions, &dimension_of))
            })
            .collect();
        let Some(order) = self.dependency_order(&groups, &dimension_of) else {
            return Ok(None);
        };
        if self.problems.len() > before {
            return Ok(None);
        }

        let regions = lay::conditional_regions(&dimensions, &conditions, &order, max_regions)?;
        self.mark_existing(&groups, &regions);
        let rules = self.matching_rules(&regions, &dimensions, &dimension_of);
        if self.problems.is_full() || self.problems.len() > before {
            return Ok(None);
        }

        let all = points(&regions);
        let demands: Vec<Vec<(usize, Side)>> =
            rules.iter().map(|(_, demands)| demands.clone()).collect();
        let grid = lay::lay(dimensions, regions, &demands, earlier, max_regions)?;
        if let Some((last, _)) = rules.last()
            && grid.excluded == all
        {
            let message = format!("`exclude` leaves nothing of {}", self.leaf.place);
            self.problems.add(
                Finding::new(self.leaf.span, message, "no point is left")
                    .also(*last, "the last rule that matches")
                    .help("remove a rule, or add values that no rule matches"),
            );
            return Ok(None);
        }
        Ok(Some(grid))
    }

    /// Marks the parameters that exist in some region.
    fn mark_existing(&mut self, groups: &[Vec<usize>], regions: &[Region]) {
        for (number, members) in groups.iter().enumerate() {
            let exists = regions
                .iter()
                .any(|region| region.sides[number] != Side::Absent);
            if exists {
                for member in members {
                    self.usage.mark_effective(self.leaf.params[*member].span);
                }
            }
        }
    }

    /// Returns the rules of `exclude` that match a point: their places, and what they ask for.
    fn matching_rules(
        &mut self,
        regions: &[Region],
        dimensions: &[Dimension],
        dimension_of: &[usize],
    ) -> Vec<(Span, Vec<(usize, Side)>)> {
        let mut matching = Vec::new();
        for rule in self.leaf.layers.iter().flat_map(|layer| &layer.rules) {
            if self.problems.is_full() {
                break;
            }

            let Some(demands) = self.requirement(&rule.clauses, dimensions, dimension_of) else {
                continue;
            };
            // A rule of the sweep need not match in every grid.
            if regions
                .iter()
                .any(|region| region.within(&demands).is_some())
            {
                self.usage.mark_effective(rule.span);
                matching.push((rule.span, demands));
            }
        }
        matching
    }

    /// Creates the dimension of some parameters that advance together.
    pub(super) fn dimension(&self, members: &[usize]) -> Dimension {
        let params: Vec<&Param> = members
            .iter()
            .map(|member| self.leaf.params[*member])
            .collect();
        let axes: Vec<usize> = params
            .iter()
            .map(|param| self.frame.axis(&param.name))
            .collect();

        let settings = (0..params[0].values.len())
            .map(|number| {
                params
                    .iter()
                    .zip(&axes)
                    .map(|(param, axis)| self.frame.value(*axis, &param.values[number].0))
                    .collect()
            })
            .collect();
        let when = params[0]
            .when
            .as_deref()
            .map(|when| brief(&describe_clauses(when)))
            .unwrap_or_default();

        Dimension {
            axes,
            settings,
            when,
        }
    }

    /// Returns what clauses ask of the dimensions; None if no configuration of this grid can meet
    /// them. Another grid that has the rule may meet it: `unused` reports what none can.
    fn requirement(
        &mut self,
        clauses: &[Clause],
        dimensions: &[Dimension],
        dimension_of: &[usize],
    ) -> Requirement {
        let mut demands = Vec::new();
        let mut possible = true;
        for clause in clauses {
            let Some(resolved) = self.resolve_clause(clause) else {
                possible = false;
                continue;
            };
            let number = dimension_of[resolved.param];
            let dimension = &dimensions[number];
            let axis = self.frame.axis(&clause.name);
            let place = dimension.axes.iter().position(|other| *other == axis);

            let settings: Vec<u32> = (0_u32..)
                .zip(&dimension.settings)
                .filter(|(_, setting)| {
                    place
                        .is_some_and(|place| resolved.values.binary_search(&setting[place]).is_ok())
                })
                .map(|(number, _)| number)
                .collect();

            possible &= !settings.is_empty();
            demands.push((number, Side::Settings(settings.into())));
        }
        possible.then_some(demands)
    }

    /// Resolves a clause; None if this grid has no such parameter. Marks what the grid knows as
    /// known.
    fn resolve_clause(&mut self, clause: &Clause) -> Option<ResolvedClause> {
        let number = self.leaf.find(&clause.name)?;
        self.usage.mark_known(clause.span);

        let param = self.leaf.params[number];
        let axis = self.frame.axis(&param.name);
        let mut values = Vec::new();
        for (scalar, span) in &clause.values {
            match scalar::value(scalar, param.ty) {
                Ok(value) if param.values.iter().any(|(other, _)| *other == value) => {
                    self.usage.mark_known(*span);
                    values.push(self.frame.value(axis, &value));
                }
                Ok(_) => {}
                Err(refusal) => {
                    let message = format!("{}: {}", param.name, refusal.message);
                    self.problems
                        .add(Finding::new(*span, message, refusal.label).help_opt(refusal.help));
                    self.usage.mark_known(*span);
                }
            }
        }
        values.sort_unstable();
        Some(ResolvedClause {
            param: number,
            values,
        })
    }
}

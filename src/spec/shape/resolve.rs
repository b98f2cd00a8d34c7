//! Holds the `zip`, `when` and `exclude` of an arm's grids against its parameters: names become
//! dimensions, values become settings. What cannot be is reported; what comes out goes to `lay`.

use std::collections::HashMap;

use super::lay::{self, Asked, TooMany};
use super::layer::{Clause, Layer, words};
use super::occurring::occurring;
use super::region::{Dimension, Region, Side, Subgrid, points};
use super::unmet::Met;
use crate::spec::ParamValue;
use crate::spec::model::Axis;
use crate::spec::parameters::Param;
use crate::spec::problem::{Finding, Problems, Span, brief, count, listed, quoted};
use crate::spec::tree::did_you_mean;
use crate::spec::{MAX_REGIONS, scalar};

/// One grid of an arm: all its parameters, and the layers of the file that shape it.
pub(in crate::spec) struct Leaf<'d> {
    /// Common parameters first; an inner one stands in the place of the outer one of its name.
    pub params: Vec<&'d Param>,
    /// The sweep's, the arm's, the grid's.
    pub layers: Vec<&'d Layer>,
    /// Where to point for a problem of the whole grid.
    pub span: Span,
    /// "arm `x`", "grid 2 of arm `x`", "the sweep".
    pub place: String,
    /// Something about its parameters has been reported, so that nothing should be concluded from
    /// them.
    pub broken: bool,
}

impl<'d> Leaf<'d> {
    /// The grid below those layers. Reports values that come twice, which only a `zip` can tell
    /// apart.
    pub fn new(
        layers: Vec<&'d Layer>,
        span: Span,
        place: String,
        problems: &mut Problems<'_>,
    ) -> Self {
        let params = layers
            .iter()
            .fold(Vec::new(), |params, layer| combine(params, &layer.params));
        let members: Vec<&str> = layers
            .iter()
            .flat_map(|layer| &layer.zips)
            .flat_map(|zip| &zip.members)
            .map(|(name, _)| name.as_str())
            .collect();
        // A misspelt member is reported when the zips are looked at: any of the parameters may be
        // meant.
        let misspelt = members
            .iter()
            .any(|name| params.iter().all(|param| param.name != *name));
        let zipped = |param: &Param| misspelt || members.contains(&param.name.as_str());
        let mut broken = false;
        for param in &params {
            let repeats = !param.repeats.is_empty() && !zipped(param);
            if repeats {
                param.report_repeats(problems);
            }
            broken |= param.broken || repeats;
        }
        Self {
            params,
            layers,
            span,
            place,
            broken,
        }
    }

    /// Whether it is the product of its parameters.
    pub fn is_plain(&self) -> bool {
        self.layers
            .iter()
            .all(|layer| layer.zips.is_empty() && layer.rules.is_empty())
            && self.params.iter().all(|param| param.when.is_none())
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.params.iter().position(|param| param.name == name)
    }
}

/// Parameters over those of an outer layer: an own one takes the place of the outer one of its
/// name.
pub(in crate::spec) fn combine<'d>(outer: Vec<&'d Param>, own: &'d [Param]) -> Vec<&'d Param> {
    let places: HashMap<&str, usize> = outer
        .iter()
        .enumerate()
        .map(|(index, param)| (param.name.as_str(), index))
        .collect();
    let mut params = outer;
    for param in own {
        match places.get(param.name.as_str()) {
            Some(&index) => params[index] = param,
            None => params.push(param),
        }
    }
    params
}

/// The parameters of all grids of an arm, each with the values of all of them.
#[derive(Default)]
struct Frame {
    axes: Vec<Axis>,
    names: HashMap<String, usize>,
    values: Vec<HashMap<(&'static str, String), usize>>,
}

impl Frame {
    fn of(leaves: &[Leaf<'_>]) -> Self {
        let mut frame = Self::default();
        for param in leaves.iter().flat_map(|leaf| &leaf.params) {
            let axis = *frame.names.entry(param.name.clone()).or_insert_with(|| {
                frame.axes.push(Axis {
                    name: param.name.clone(),
                    values: Vec::new(),
                });
                frame.values.push(HashMap::new());
                frame.axes.len() - 1
            });
            for (value, _) in &param.values {
                let values = &mut frame.axes[axis].values;
                frame.values[axis]
                    .entry((value.kind(), value.to_string()))
                    .or_insert_with(|| {
                        values.push(value.clone());
                        values.len() - 1
                    });
            }
        }
        frame
    }

    fn value(&self, axis: usize, value: &ParamValue) -> usize {
        self.values[axis][&(value.kind(), value.to_string())]
    }
}

/// The axes and grids of an arm whose grids are not all plain. None: something has been reported.
/// `regions` counts those of the whole sweep.
pub(in crate::spec) fn shaped(
    leaves: &[Leaf<'_>],
    regions: &mut usize,
    met: &mut Met,
    problems: &mut Problems<'_>,
) -> Option<(Vec<Axis>, Vec<Subgrid>)> {
    let frame = Frame::of(leaves);
    let mut grids: Vec<Subgrid> = Vec::new();
    let before = problems.len();
    for leaf in leaves {
        Resolver {
            leaf,
            frame: &frame,
            met,
            problems,
        }
        .mark();
    }
    for leaf in leaves {
        let most = MAX_REGIONS.saturating_sub(*regions);
        match (Resolver {
            leaf,
            frame: &frame,
            met,
            problems,
        })
        .grid(&grids, most)
        {
            Ok(Some(grid)) => {
                *regions += grid.regions.len();
                grids.push(grid);
            }
            Ok(None) => {}
            Err(TooMany) => {
                let message = format!(
                    "the grids of the sweep fall apart into more than {} products",
                    count(MAX_REGIONS as u128)
                );
                let finding = Finding::new(leaf.span, message, "here");
                problems.add(finding.help(
                    "write fewer rules under `exclude`, or rules that name fewer parameters",
                ));
                return None;
            }
        }
    }
    (problems.len() == before).then(|| occurring(frame.axes, grids))
}

struct Resolver<'r, 'd, 's> {
    leaf: &'r Leaf<'d>,
    frame: &'r Frame,
    met: &'r mut Met,
    problems: &'r mut Problems<'s>,
}

impl Resolver<'_, '_, '_> {
    /// Marks the names and values that mean something to this grid, whatever else is wrong with it.
    fn mark(&mut self) {
        let leaf = self.leaf;
        let conditions = leaf.params.iter().filter_map(|param| param.when.as_ref());
        let rules = leaf
            .layers
            .iter()
            .flat_map(|layer| &layer.rules)
            .map(|rule| &rule.clauses);
        conditions
            .chain(rules)
            .flatten()
            .for_each(|clause| drop(self.values(clause)));
    }

    /// The grid without the points of earlier ones; None: something has been reported.
    fn grid(&mut self, earlier: &[Subgrid], most: usize) -> Result<Option<Subgrid>, TooMany> {
        let before = self.problems.len();
        let groups = self.groups();
        if self.problems.len() > before {
            return Ok(None);
        }
        let mut dimension_of = vec![0; self.leaf.params.len()];
        for (number, members) in groups.iter().enumerate() {
            members
                .iter()
                .for_each(|member| dimension_of[*member] = number);
        }
        let dimensions: Vec<Dimension> = groups
            .iter()
            .map(|members| self.dimension(members))
            .collect();
        let conditions: Vec<Option<Asked>> = groups
            .iter()
            .map(|members| {
                self.leaf.params[members[0]]
                    .when
                    .as_ref()
                    .map(|when| self.asked(when, &dimensions, &dimension_of))
            })
            .collect();
        let Some(order) = self.in_order(&groups, &dimension_of) else {
            return Ok(None);
        };
        if self.problems.len() > before {
            return Ok(None);
        }
        let regions = lay::conditional(&dimensions, &conditions, &order, most)?;
        for (number, members) in groups.iter().enumerate() {
            if regions
                .iter()
                .any(|region| region.sides[number] != Side::Absent)
            {
                members
                    .iter()
                    .for_each(|member| self.met.happens(self.leaf.params[*member].span));
            }
        }
        let mut rules = Vec::new();
        let mut last = None;
        for rule in self.leaf.layers.iter().flat_map(|layer| &layer.rules) {
            if self.problems.is_full() {
                return Ok(None);
            }
            let Some(asked) = self.asked(&rule.clauses, &dimensions, &dimension_of) else {
                continue;
            };
            if regions
                .iter()
                .any(|region: &Region| region.within(&asked).is_some())
            {
                self.met.happens(rule.span);
                last = Some(rule.span);
                rules.push(asked);
            }
        }
        if self.problems.len() > before {
            return Ok(None);
        }
        let all = points(&regions);
        let grid = lay::lay(dimensions, regions, &rules, earlier, most)?;
        if let Some(last) = last.filter(|_| grid.excluded == all) {
            let message = format!("`exclude` leaves nothing of {}", self.leaf.place);
            let finding = Finding::new(self.leaf.span, message, "no point is left")
                .also(last, "the last rule that matches");
            self.problems
                .add(finding.help("remove a rule, or add values that no rule matches"));
            return Ok(None);
        }
        Ok(Some(grid))
    }

    /// The parameters by the dimension that they belong to, both in the order of the file.
    fn groups(&mut self) -> Vec<Vec<usize>> {
        let leaf = self.leaf;
        let mut group_of: Vec<Option<usize>> = vec![None; leaf.params.len()];
        let mut places: Vec<Option<Span>> = vec![None; leaf.params.len()];
        let mut zips = 0;
        for (depth, layer) in leaf.layers.iter().enumerate() {
            for zip in &layer.zips {
                let visible: Vec<&str> = leaf.layers[..=depth]
                    .iter()
                    .flat_map(|layer| &layer.params)
                    .map(|param| param.name.as_str())
                    .collect();
                let mut members = Vec::new();
                for (name, span) in &zip.members {
                    let Some(member) = leaf.find(name).filter(|_| visible.contains(&name.as_str()))
                    else {
                        self.stranger(name, *span, &visible);
                        continue;
                    };
                    if let Some(first) = places[member].replace(*span) {
                        let message = format!("{} is in two groups of `zip`", quoted(name));
                        let finding = Finding::new(*span, message, "and here").also(first, "here");
                        self.problems.add(
                            finding
                                .help("write one group with all parameters that advance together"),
                        );
                    }
                    group_of[member] = Some(zips);
                    members.push((member, *span));
                }
                self.zip(&members);
                zips += 1;
            }
        }
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut number_of: HashMap<usize, usize> = HashMap::new();
        for (param, group) in group_of.iter().enumerate() {
            match group.and_then(|group| number_of.get(&group).copied()) {
                Some(number) => groups[number].push(param),
                None => {
                    group.map(|group| number_of.insert(group, groups.len()));
                    groups.push(vec![param]);
                }
            }
        }
        groups
    }

    /// A name in a `zip` that is no parameter of its layer nor of those around it.
    fn stranger(&mut self, name: &str, span: Span, visible: &[&str]) {
        let finding = match self.leaf.find(name) {
            Some(_) => Finding::new(
                span,
                format!(
                    "`zip` names {}, a parameter of {} alone",
                    quoted(name),
                    self.leaf.place
                ),
                "not here",
            )
            .help("write the group under the `zip` beside that parameter"),
            None => Finding::new(
                span,
                format!("`zip` names the unknown parameter {}", quoted(name)),
                "unknown parameter",
            )
            .help(did_you_mean(name, visible, "parameters here")),
        };
        self.problems.add(finding);
    }

    /// The members of a zip: as many values each, the same condition, and no two settings alike.
    fn zip(&mut self, members: &[(usize, Span)]) {
        let params = &self.leaf.params;
        let Some(((first, first_span), others)) = members.split_first() else {
            return;
        };
        let before = self.problems.len();
        let (lead, values) = (params[*first], |n: usize| {
            if n == 1 {
                "1 value".to_owned()
            } else {
                format!("{n} values")
            }
        });
        let condition = |param: &Param| param.when.as_deref().map(words).unwrap_or_default();
        for (other, span) in others {
            let param = params[*other];
            let (ours, theirs) = (lead.values.len(), param.values.len());
            if ours != theirs {
                let message = format!(
                    "{}: {} has {} and {} has {}, so they cannot advance together",
                    self.leaf.place,
                    quoted(&lead.name),
                    values(ours),
                    quoted(&param.name),
                    values(theirs)
                );
                let finding =
                    Finding::new(*span, message, values(theirs)).also(*first_span, values(ours));
                self.problems.add(
                    finding
                        .help("give each parameter of a `zip` group as many values as the others"),
                );
            } else if condition(lead) != condition(param) {
                let message = format!(
                    "{} and {} do not exist under the same condition",
                    quoted(&lead.name),
                    quoted(&param.name)
                );
                let finding = Finding::new(*span, message, "another condition")
                    .also(*first_span, "advances with this");
                self.problems.add(finding.help(
                    "give all parameters of a `zip` group the same `when`, or none of them one",
                ));
            }
        }
        if self.problems.len() > before {
            return;
        }
        let mut seen: HashMap<Vec<usize>, usize> = HashMap::new();
        let lists: Vec<usize> = members.iter().map(|(member, _)| *member).collect();
        for (number, setting) in self.dimension(&lists).settings.into_iter().enumerate() {
            if let Some(earlier) = seen.insert(setting, number) {
                let names: Vec<String> = lists
                    .iter()
                    .map(|member| quoted(&params[*member].name))
                    .collect();
                let message = format!(
                    "{}: pair {} has the values of pair {}",
                    listed(&names, "and"),
                    number + 1,
                    earlier + 1
                );
                let (again, first) = (lead.values[number].1, lead.values[earlier].1);
                self.problems.add(
                    Finding::new(again, message, "again")
                        .also(first, "first here")
                        .help("remove one of them from each list"),
                );
            }
        }
    }

    fn dimension(&self, members: &[usize]) -> Dimension {
        let params: Vec<&Param> = members
            .iter()
            .map(|member| self.leaf.params[*member])
            .collect();
        let axes: Vec<usize> = params
            .iter()
            .map(|param| self.frame.names[&param.name])
            .collect();
        let value = |(param, axis): (&&Param, &usize), number: usize| {
            self.frame.value(*axis, &param.values[number].0)
        };
        let setting = |number: usize| {
            params
                .iter()
                .zip(&axes)
                .map(|pair| value(pair, number))
                .collect()
        };
        let settings = (0..params[0].values.len()).map(setting).collect();
        Dimension {
            axes,
            settings,
            when: params[0]
                .when
                .as_deref()
                .map(|when| brief(&words(when)))
                .unwrap_or_default(),
        }
    }

    /// What clauses ask of the dimensions; None if no configuration of this grid can meet them.
    /// Another grid that has the rule may: `unmet` reports what none can.
    fn asked(
        &mut self,
        clauses: &[Clause],
        dimensions: &[Dimension],
        dimension_of: &[usize],
    ) -> Asked {
        let mut demands = Vec::new();
        let mut possible = true;
        for clause in clauses {
            let Some((found, wanted)) = self.values(clause) else {
                possible = false;
                continue;
            };
            let number = dimension_of[found];
            let dimension = &dimensions[number];
            let axis = self.frame.names[&clause.name];
            let place = dimension.axes.iter().position(|other| *other == axis);
            let holds = |setting: &[usize]| {
                place.is_some_and(|place| wanted.binary_search(&setting[place]).is_ok())
            };
            let settings: Vec<u32> = (0_u32..)
                .zip(&dimension.settings)
                .filter(|(_, setting)| holds(setting))
                .map(|(number, _)| number)
                .collect();
            possible &= !settings.is_empty();
            demands.push((number, Side::Settings(settings.into())));
        }
        possible.then_some(demands)
    }

    /// The number of a clause's parameter, and those of its values in ascending order; None if this
    /// grid has no such parameter. What the grid knows is marked as known.
    fn values(&mut self, clause: &Clause) -> Option<(usize, Vec<usize>)> {
        let found = self.leaf.find(&clause.name)?;
        self.met.known(clause.span);
        let param = self.leaf.params[found];
        let axis = self.frame.names[&param.name];
        let mut wanted = Vec::new();
        for (scalar, span) in &clause.values {
            match scalar::value(scalar, param.ty) {
                Ok(value) if param.values.iter().any(|(other, _)| *other == value) => {
                    self.met.known(*span);
                    wanted.push(self.frame.value(axis, &value));
                }
                Ok(_) => {}
                Err(refusal) => {
                    let message = format!("{}: {}", param.name, refusal.message);
                    self.problems
                        .add(Finding::new(*span, message, refusal.label).help_opt(refusal.help));
                    self.met.known(*span);
                }
            }
        }
        wanted.sort_unstable();
        Some((found, wanted))
    }

    /// The dimensions, each after those that its condition speaks of; None if conditions go in a
    /// circle.
    fn in_order(&mut self, groups: &[Vec<usize>], dimension_of: &[usize]) -> Option<Vec<usize>> {
        let needs: Vec<Vec<usize>> = groups
            .iter()
            .map(|members| {
                let when = self.leaf.params[members[0]].when.iter().flatten();
                when.filter_map(|clause| self.leaf.find(&clause.name))
                    .map(|param| dimension_of[param])
                    .collect()
            })
            .collect();
        let mut order: Vec<usize> = Vec::new();
        let mut placed = vec![false; groups.len()];
        while order.len() < groups.len() {
            let ready = (0..groups.len()).filter(|number| {
                !placed[*number] && needs[*number].iter().all(|need| placed[*need])
            });
            let ready: Vec<usize> = ready.collect();
            if ready.is_empty() {
                self.circle(groups, &needs, &placed);
                return None;
            }
            ready.iter().for_each(|number| placed[*number] = true);
            order.extend(ready);
        }
        Some(order)
    }

    fn circle(&mut self, groups: &[Vec<usize>], needs: &[Vec<usize>], placed: &[bool]) {
        // Whoever is left waits for somebody who is left: going from one to the next ends in a
        // circle.
        let next = |number: usize| needs[number].iter().copied().find(|need| !placed[*need]);
        let mut path: Vec<usize> = Vec::new();
        let mut at = placed.iter().position(|placed| !placed);
        while let Some(number) = at {
            if let Some(start) = path.iter().position(|other| *other == number) {
                path.drain(..start);
                break;
            }
            path.push(number);
            at = next(number);
        }
        // Told from where the file is first, whichever way it was found.
        let first = path
            .iter()
            .enumerate()
            .min_by_key(|(_, number)| self.leaf.params[groups[**number][0]].span)
            .map_or(0, |(at, _)| at);
        path.rotate_left(first);
        let names: Vec<String> = path
            .iter()
            .map(|number| quoted(&self.leaf.params[groups[*number][0]].name))
            .collect();
        let Some(param) = path
            .first()
            .map(|number| self.leaf.params[groups[*number][0]])
        else {
            return;
        };
        let message = match names.as_slice() {
            [only] => format!("the condition of {only} speaks of itself"),
            names => format!("the conditions of {} go in a circle", listed(names, "and")),
        };
        let finding = Finding::new(param.span, message, "depends on itself");
        self.problems
            .add(finding.help("a parameter's `when` must name parameters that exist without it"));
    }
}

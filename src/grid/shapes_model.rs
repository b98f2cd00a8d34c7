//! A model of grid shapes for tests: random sweeps as plain data, written as sweep files, whose
//! points are found by laying all combinations out, filtering them, and removing repeated ones.

use std::collections::{BTreeMap, HashSet};

/// Numbers of parameters, each with several values: a condition, or a rule of `exclude`.
type Clauses = Vec<(usize, Vec<i64>)>;

/// The values of a point, by the number of the parameter.
pub(super) type ModelPoint = BTreeMap<usize, i64>;

#[derive(Clone, Debug)]
struct Param {
    /// Its number; see `name`.
    number: usize,
    values: Vec<i64>,
    when: Clauses,
}

#[derive(Clone, Debug, Default)]
struct Layer {
    params: Vec<Param>,
    zips: Vec<Vec<usize>>,
    rules: Vec<Clauses>,
}

#[derive(Clone, Debug)]
struct ModelArm {
    own: Layer,
    grids: Vec<Layer>,
}

/// A sweep as plain data.
#[derive(Clone, Debug)]
pub(super) struct ModelSweep {
    common: Layer,
    arms: Vec<ModelArm>,
}

/// Number of different parameters.
pub(super) const PARAMS: usize = 6;

/// The name of a parameter. Names are not in the order of numbers, so that points are not in the
/// order of their sorted names.
pub(super) fn name(param: usize) -> &'static str {
    ["d", "b", "e", "a", "f", "c"][param]
}

/// Draws random sweeps from a seed (splitmix64).
pub(super) struct Draw(pub u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn values(&mut self) -> Vec<i64> {
        let mut values: Vec<i64> = (0..4).filter(|_| !self.once_in(3)).collect();
        values.sort_by_key(|_| self.below(100));
        if values.is_empty() { vec![7] } else { values }
    }

    fn clause(&mut self, params: &[Param]) -> (usize, Vec<i64>) {
        let param = &params[self.below(params.len())];
        let mut values = param.values.clone();
        values.retain(|_| self.once_in(2));
        if values.is_empty() {
            values.push(param.values[0]);
        }
        (param.number, values)
    }

    /// Draws a layer below others with the parameters `outer`.
    fn layer(&mut self, outer: &[Param], max_params: usize) -> Layer {
        let mut layer = Layer::default();
        for number in 0..PARAMS {
            if layer.params.len() < max_params && self.once_in(2) {
                layer.params.push(Param {
                    number,
                    values: self.values(),
                    when: Vec::new(),
                });
            }
        }
        layer.params.sort_by_key(|_| self.below(100));

        let all: Vec<Param> = outer.iter().chain(&layer.params).cloned().collect();
        if all.is_empty() {
            return layer;
        }
        self.conditions(&mut layer, &all);
        self.zips(&mut layer);
        self.rules(&mut layer, &all);
        layer
    }

    fn conditions(&mut self, layer: &mut Layer, all: &[Param]) {
        for param in &mut layer.params {
            if !self.once_in(4) {
                continue;
            }
            // A condition names a parameter of a smaller number, so there are no circles.
            let smaller: Vec<Param> = all
                .iter()
                .filter(|other| other.number < param.number)
                .cloned()
                .collect();
            if !smaller.is_empty() {
                param.when = vec![self.clause(&smaller)];
            }
        }
    }

    fn zips(&mut self, layer: &mut Layer) {
        if layer.params.len() <= 1 || !self.once_in(4) {
            return;
        }
        let length = 1 + self.below(3);
        let members = &mut layer.params[..2];
        for param in members.iter_mut() {
            param.values = (0..length).map(|_| self.below(3) as i64).collect();
            param.when.clear();
        }
        layer
            .zips
            .push(members.iter().map(|param| param.number).collect());
    }

    fn rules(&mut self, layer: &mut Layer, all: &[Param]) {
        for _ in 0..[0, 0, 0, 1, 1, 2][self.below(6)] {
            let mut rule: Clauses = (0..=self.below(2)).map(|_| self.clause(all)).collect();
            rule.dedup_by_key(|(number, _)| *number);
            if rule.len() < 2 || rule[0].0 != rule[1].0 {
                layer.rules.push(rule);
            }
        }
    }

    fn arm(&mut self, common: &Layer) -> ModelArm {
        let mut own = self.layer(&common.params, 3);
        while own.params.is_empty() {
            own = self.layer(&common.params, 3);
        }
        let outer: Vec<Param> = common.params.iter().chain(&own.params).cloned().collect();
        let grids = [0, 0, 1, 2, 3][self.below(5)];
        let grids = (0..grids).map(|_| self.layer(&outer, 2)).collect();
        ModelArm { own, grids }
    }

    pub(super) fn sweep(&mut self) -> ModelSweep {
        let common = self.layer(&[], 2);
        let arms = 1 + self.below(2);
        ModelSweep {
            arms: (0..arms).map(|_| self.arm(&common)).collect(),
            common,
        }
    }
}

impl ModelSweep {
    /// Writes the sweep file.
    pub(super) fn write(&self) -> String {
        let mut out =
            "{name: t, worker: [w], metric: {name: m, goal: minimize}, seeds: {tune: 1, final: 1}"
                .to_owned();
        let common = self.common.write();
        if !common.is_empty() {
            out.push_str(&format!(",\n {common}"));
        }
        let arms: Vec<String> = self
            .arms
            .iter()
            .enumerate()
            .map(|(number, arm)| arm.write(number))
            .collect();
        format!("{out},\n arms: {{{}}}}}\n", arms.join(",\n "))
    }

    /// The points of each arm; None if a part of the file has no effect or is not possible.
    pub(super) fn points(&self) -> Option<Vec<Vec<ModelPoint>>> {
        let arms: Vec<Vec<Leaf<'_>>> = self.arms.iter().map(|arm| self.leaves(arm)).collect();
        let leaves: Vec<&Leaf<'_>> = arms.iter().flatten().collect();
        if !leaves.iter().all(|leaf| leaf.is_possible()) {
            return None;
        }

        let mut layers: Vec<&Layer> = vec![&self.common];
        for arm in &self.arms {
            layers.push(&arm.own);
            layers.extend(&arm.grids);
        }
        if !layers.iter().all(|layer| layer.has_effect(&leaves)) {
            return None;
        }
        Some(arms.iter().map(|leaves| union(leaves)).collect())
    }

    fn leaves<'s>(&'s self, arm: &'s ModelArm) -> Vec<Leaf<'s>> {
        if arm.grids.is_empty() {
            return vec![Leaf::new(vec![&self.common, &arm.own])];
        }
        arm.grids
            .iter()
            .map(|grid| Leaf::new(vec![&self.common, &arm.own, grid]))
            .collect()
    }
}

impl ModelArm {
    fn write(&self, number: usize) -> String {
        let mut parts = vec![format!("label: l{number}")];
        parts.extend(Some(self.own.write()).filter(|own| !own.is_empty()));
        if !self.grids.is_empty() {
            let grids: Vec<String> = self
                .grids
                .iter()
                .map(|grid| format!("{{{}}}", grid.write()))
                .collect();
            parts.push(format!("grids: [{}]", grids.join(", ")));
        }
        format!("arm{number}: {{{}}}", parts.join(",\n  "))
    }
}

impl Layer {
    fn write(&self) -> String {
        let mut parts = Vec::new();
        if !self.params.is_empty() {
            let params: Vec<String> = self.params.iter().map(Param::write).collect();
            parts.push(format!("parameters: {{{}}}", params.join(", ")));
        }
        if !self.zips.is_empty() {
            let zips: Vec<String> = self.zips.iter().map(|zip| write_zip(zip)).collect();
            parts.push(format!("zip: [{}]", zips.join(", ")));
        }
        if !self.rules.is_empty() {
            let rules: Vec<String> = self.rules.iter().map(write_clauses).collect();
            parts.push(format!("exclude: [{}]", rules.join(", ")));
        }
        parts.join(", ")
    }

    /// Whether every rule and every condition has an effect in some grid below the layer.
    fn has_effect(&self, leaves: &[&Leaf<'_>]) -> bool {
        let below: Vec<&Leaf<'_>> = leaves
            .iter()
            .copied()
            .filter(|leaf| leaf.layers.iter().any(|layer| std::ptr::eq(*layer, self)))
            .collect();

        for rule in &self.rules {
            let occurs = below
                .iter()
                .any(|leaf| leaf.has(|point| meets(point, rule)));
            if !occurs || !are_known(rule, &below) {
                return false;
            }
        }
        for param in self.params.iter().filter(|param| !param.when.is_empty()) {
            // Grids in which no inner parameter of the same name replaces it.
            let in_force: Vec<&Leaf<'_>> = below
                .iter()
                .copied()
                .filter(|leaf| leaf.params.iter().any(|other| std::ptr::eq(*other, param)))
                .collect();
            let exists = in_force
                .iter()
                .any(|leaf| leaf.has(|point| point.contains_key(&param.number)));
            let has_effect = exists && are_known(&param.when, &in_force);
            if !in_force.is_empty() && !has_effect {
                return false;
            }
        }
        true
    }
}

impl Param {
    fn write(&self) -> String {
        let when = if self.when.is_empty() {
            String::new()
        } else {
            format!(", when: {}", write_clauses(&self.when))
        };
        format!("{}: {{values: {:?}{when}}}", name(self.number), self.values)
    }
}

fn write_zip(zip: &[usize]) -> String {
    let names: Vec<&str> = zip.iter().map(|param| name(*param)).collect();
    format!("[{}]", names.join(", "))
}

fn write_clauses(clauses: &Clauses) -> String {
    let parts: Vec<String> = clauses
        .iter()
        .map(|(param, values)| match values.as_slice() {
            [only] => format!("{}: {only}", name(*param)),
            values => format!("{}: {values:?}", name(*param)),
        })
        .collect();
    format!("{{{}}}", parts.join(", "))
}

fn meets(point: &ModelPoint, clauses: &Clauses) -> bool {
    clauses
        .iter()
        .all(|(param, values)| point.get(param).is_some_and(|value| values.contains(value)))
}

/// Whether every value of the clauses is one that its parameter takes in some grid.
fn are_known(clauses: &Clauses, leaves: &[&Leaf<'_>]) -> bool {
    clauses.iter().all(|(number, values)| {
        values.iter().all(|value| {
            leaves
                .iter()
                .flat_map(|leaf| &leaf.params)
                .any(|param| param.number == *number && param.values.contains(value))
        })
    })
}

/// The points of several grids, each once, where it is first.
fn union(leaves: &[Leaf<'_>]) -> Vec<ModelPoint> {
    let mut seen = HashSet::new();
    leaves
        .iter()
        .flat_map(Leaf::kept)
        .filter(|point| seen.insert((*point).clone()))
        .cloned()
        .collect()
}

/// One grid, laid out.
struct Leaf<'s> {
    layers: Vec<&'s Layer>,
    params: Vec<&'s Param>,
    /// Its points before any is excluded; None if its zips are not possible.
    all: Option<Vec<ModelPoint>>,
}

impl<'s> Leaf<'s> {
    fn new(layers: Vec<&'s Layer>) -> Self {
        let mut params: Vec<&Param> = Vec::new();
        for param in layers.iter().flat_map(|layer| &layer.params) {
            match params.iter().position(|other| other.number == param.number) {
                Some(place) => params[place] = param,
                None => params.push(param),
            }
        }
        let all = lay_out(&layers, &params);
        Self {
            layers,
            params,
            all,
        }
    }

    fn is_possible(&self) -> bool {
        !self.params.is_empty() && self.all.is_some() && self.kept().next().is_some()
    }

    fn has(&self, matches: impl FnMut(&ModelPoint) -> bool) -> bool {
        self.all.iter().flatten().any(matches)
    }

    fn kept(&self) -> impl Iterator<Item = &ModelPoint> {
        self.all.iter().flatten().filter(|point| {
            !self
                .layers
                .iter()
                .flat_map(|layer| &layer.rules)
                .any(|rule| meets(point, rule))
        })
    }
}

/// All combinations of the parameters' values that meet the conditions; None if the zips are not
/// possible.
fn lay_out(layers: &[&Layer], params: &[&Param]) -> Option<Vec<ModelPoint>> {
    let zips: Vec<&Vec<usize>> = layers.iter().flat_map(|layer| &layer.zips).collect();
    let mut seen = HashSet::new();
    if !zips
        .iter()
        .flat_map(|zip| zip.iter())
        .all(|member| seen.insert(member))
    {
        return None;
    }

    let mut points = vec![ModelPoint::new()];
    let mut placed = HashSet::new();
    for param in params {
        if !placed.insert(param.number) {
            continue;
        }
        let zip = zips.iter().find(|zip| zip.contains(&param.number));
        let members: Vec<&Param> = match zip {
            None => vec![*param],
            Some(zip) => zip.iter().map(|number| find(params, *number)).collect(),
        };
        placed.extend(members.iter().map(|member| member.number));

        let settings = settings(&members)?;
        points = points
            .iter()
            .flat_map(|point| settings.iter().map(|setting| extended(point, setting)))
            .collect();
    }

    points.retain(|point| {
        params
            .iter()
            .all(|param| point.contains_key(&param.number) == meets(point, &param.when))
    });
    Some(points)
}

fn find<'s>(params: &[&'s Param], number: usize) -> &'s Param {
    params
        .iter()
        .find(|param| param.number == number)
        .expect("a zip names parameters of its layer")
}

/// The settings of parameters that advance together: first without them (which is kept where their
/// condition does not hold), then each pair of values. None if they cannot advance together.
fn settings(members: &[&Param]) -> Option<Vec<Vec<(usize, i64)>>> {
    let lead = members[0];
    let alike = members
        .iter()
        .all(|other| other.values.len() == lead.values.len() && other.when == lead.when);
    if !alike {
        return None;
    }

    let mut settings = vec![Vec::new()];
    for row in 0..lead.values.len() {
        let setting: Vec<(usize, i64)> = members
            .iter()
            .map(|member| (member.number, member.values[row]))
            .collect();
        if settings.contains(&setting) {
            return None;
        }
        settings.push(setting);
    }
    Some(settings)
}

fn extended(point: &ModelPoint, setting: &[(usize, i64)]) -> ModelPoint {
    let mut point = point.clone();
    point.extend(setting.iter().copied());
    point
}

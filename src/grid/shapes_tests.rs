//! Grids of every shape, written as sweep files, against a model that lays all combinations out,
//! filters them, and removes what comes twice.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::Grid;
use crate::spec::{ParamValue, read};

/// A parameter to one of several values: a condition, or a rule of `exclude`.
type Clauses = Vec<(usize, Vec<i64>)>;
/// What a point has, by the number of the parameter.
type Point = BTreeMap<usize, i64>;

#[derive(Clone, Debug)]
struct Param {
    name: usize,
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
struct Sweep {
    common: Layer,
    arms: Vec<(Layer, Vec<Layer>)>,
}

/// Small numbers drawn from a seed (splitmix64).
struct Draw(u64);

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
        let some: Vec<i64> = param
            .values
            .iter()
            .copied()
            .filter(|_| self.once_in(2))
            .collect();
        (
            param.name,
            if some.is_empty() {
                vec![param.values[0]]
            } else {
                some
            },
        )
    }

    /// A layer below others; `outer` are their parameters.
    fn layer(&mut self, outer: &[Param], most: usize) -> Layer {
        let mut layer = Layer::default();
        for name in 0..6 {
            if layer.params.len() < most && self.once_in(2) {
                layer.params.push(Param {
                    name,
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
        for param in &mut layer.params {
            if self.once_in(4) {
                // On a parameter of a lesser number, wherever it stands: no circles.
                let lesser: Vec<Param> = all
                    .iter()
                    .filter(|other| other.name < param.name)
                    .cloned()
                    .collect();
                if !lesser.is_empty() {
                    param.when = vec![self.clause(&lesser)];
                }
            }
        }
        if layer.params.len() > 1 && self.once_in(4) {
            let length = 1 + self.below(3);
            for param in &mut layer.params[..2] {
                param.values = (0..length).map(|_| self.below(3) as i64).collect();
                param.when.clear();
            }
            layer
                .zips
                .push(layer.params[..2].iter().map(|param| param.name).collect());
        }
        for _ in 0..[0, 0, 0, 1, 1, 2][self.below(6)] {
            let mut rule: Clauses = (0..=self.below(2)).map(|_| self.clause(&all)).collect();
            rule.dedup_by_key(|(name, _)| *name);
            if rule.len() < 2 || rule[0].0 != rule[1].0 {
                layer.rules.push(rule);
            }
        }
        layer
    }

    fn sweep(&mut self) -> Sweep {
        let common = self.layer(&[], 2);
        let arms = 1 + self.below(2);
        let arm = |draw: &mut Self| {
            let mut own = draw.layer(&common.params, 3);
            while own.params.is_empty() {
                own = draw.layer(&common.params, 3);
            }
            let around: Vec<Param> = common.params.iter().chain(&own.params).cloned().collect();
            let grids = [0, 0, 1, 2, 3][draw.below(5)];
            let grids = (0..grids).map(|_| draw.layer(&around, 2)).collect();
            (own, grids)
        };
        Sweep {
            arms: (0..arms).map(|_| arm(self)).collect(),
            common,
        }
    }
}

/// Names in another order than numbers, so that points are not in the order of their sorted names.
fn name(param: usize) -> &'static str {
    ["d", "b", "e", "a", "f", "c"][param]
}

impl Layer {
    fn write(&self) -> String {
        let clauses = |clauses: &Clauses| -> String {
            let clause = |(param, values): &(usize, Vec<i64>)| match values.as_slice() {
                [only] => format!("{}: {only}", name(*param)),
                values => format!("{}: {values:?}", name(*param)),
            };
            format!(
                "{{{}}}",
                clauses.iter().map(clause).collect::<Vec<_>>().join(", ")
            )
        };
        let mut parts = Vec::new();
        if !self.params.is_empty() {
            let param = |param: &Param| {
                let when = if param.when.is_empty() {
                    String::new()
                } else {
                    format!(", when: {}", clauses(&param.when))
                };
                format!("{}: {{values: {:?}{when}}}", name(param.name), param.values)
            };
            parts.push(format!(
                "parameters: {{{}}}",
                self.params.iter().map(param).collect::<Vec<_>>().join(", ")
            ));
        }
        if !self.zips.is_empty() {
            let zip = |zip: &Vec<usize>| {
                format!(
                    "[{}]",
                    zip.iter()
                        .map(|param| name(*param))
                        .collect::<Vec<_>>()
                        .join(", ")
                )
            };
            parts.push(format!(
                "zip: [{}]",
                self.zips.iter().map(zip).collect::<Vec<_>>().join(", ")
            ));
        }
        if !self.rules.is_empty() {
            parts.push(format!(
                "exclude: [{}]",
                self.rules
                    .iter()
                    .map(clauses)
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        }
        parts.join(", ")
    }
}

impl Sweep {
    fn write(&self) -> String {
        let mut out =
            "{name: t, worker: [w], metric: {name: m, goal: minimize}, seeds: {tune: 1, final: 1}"
                .to_owned();
        let common = self.common.write();
        if !common.is_empty() {
            out.push_str(&format!(",\n {common}"));
        }
        let arm = |(number, (own, grids)): (usize, &(Layer, Vec<Layer>))| {
            let mut parts = vec![format!("label: l{number}")];
            parts.extend(Some(own.write()).filter(|own| !own.is_empty()));
            if !grids.is_empty() {
                let grids: Vec<String> = grids
                    .iter()
                    .map(|grid| format!("{{{}}}", grid.write()))
                    .collect();
                parts.push(format!("grids: [{}]", grids.join(", ")));
            }
            format!("arm{number}: {{{}}}", parts.join(",\n  "))
        };
        let arms: Vec<String> = self.arms.iter().enumerate().map(arm).collect();
        format!("{out},\n arms: {{{}}}}}\n", arms.join(",\n "))
    }
}

/// One grid, laid out.
struct Leaf<'s> {
    layers: Vec<&'s Layer>,
    params: Vec<&'s Param>,
    /// What it holds before anything is left out; None: its zips cannot be.
    all: Option<Vec<Point>>,
}

fn meets(point: &Point, clauses: &Clauses) -> bool {
    clauses
        .iter()
        .all(|(param, values)| point.get(param).is_some_and(|value| values.contains(value)))
}

impl<'s> Leaf<'s> {
    fn new(layers: Vec<&'s Layer>) -> Self {
        let mut params: Vec<&Param> = Vec::new();
        for param in layers.iter().flat_map(|layer| &layer.params) {
            match params.iter().position(|other| other.name == param.name) {
                Some(at) => params[at] = param,
                None => params.push(param),
            }
        }
        let all = Self::lay_out(&layers, &params);
        Self {
            layers,
            params,
            all,
        }
    }

    fn lay_out(layers: &[&Layer], params: &[&Param]) -> Option<Vec<Point>> {
        let zips: Vec<&Vec<usize>> = layers.iter().flat_map(|layer| &layer.zips).collect();
        let mut members = zips.iter().flat_map(|zip| zip.iter());
        let mut seen = HashSet::new();
        if !members.all(|member| seen.insert(member)) {
            return None;
        }
        let mut points = vec![Point::new()];
        let mut placed = HashSet::new();
        for param in params {
            if !placed.insert(param.name) {
                continue;
            }
            let groups: Vec<&&Vec<usize>> = zips
                .iter()
                .filter(|zip| zip.contains(&param.name))
                .collect();
            let members: Vec<&Param> = match groups.as_slice() {
                [] => vec![*param],
                [zip] => zip
                    .iter()
                    .map(|name| {
                        *params
                            .iter()
                            .find(|other| other.name == *name)
                            .expect("of its layer")
                    })
                    .collect(),
                _ => return None,
            };
            placed.extend(members.iter().map(|member| member.name));
            let rows: Vec<Vec<(usize, i64)>> = (0..param.values.len())
                .map(|row| {
                    members
                        .iter()
                        .filter_map(|member| Some((member.name, *member.values.get(row)?)))
                        .collect()
                })
                .collect();
            let alike = members
                .iter()
                .all(|other| other.values.len() == param.values.len() && other.when == param.when);
            if !alike || rows.iter().collect::<HashSet<_>>().len() < rows.len() {
                return None;
            }
            // Without it first; whether that is right is seen when all are there.
            let choices: Vec<Vec<(usize, i64)>> = std::iter::once(Vec::new()).chain(rows).collect();
            points = points
                .iter()
                .flat_map(|point| {
                    choices.iter().map(move |row| {
                        point
                            .iter()
                            .map(|(k, v)| (*k, *v))
                            .chain(row.iter().copied())
                            .collect()
                    })
                })
                .collect();
        }
        let exists = |point: &Point| {
            params
                .iter()
                .all(|param| point.contains_key(&param.name) == meets(point, &param.when))
        };
        points.retain(exists);
        Some(points)
    }

    fn kept(&self) -> impl Iterator<Item = &Point> {
        let left = |point: &&Point| {
            !self
                .layers
                .iter()
                .flat_map(|layer| &layer.rules)
                .any(|rule| meets(point, rule))
        };
        self.all.iter().flatten().filter(left)
    }
}

/// The points of each arm; None if the file says something that means nothing.
fn model(sweep: &Sweep) -> Option<Vec<Vec<Point>>> {
    let mut arms: Vec<Vec<Leaf<'_>>> = Vec::new();
    for (own, grids) in &sweep.arms {
        arms.push(match grids.as_slice() {
            [] => vec![Leaf::new(vec![&sweep.common, own])],
            grids => grids
                .iter()
                .map(|grid| Leaf::new(vec![&sweep.common, own, grid]))
                .collect(),
        });
    }
    let leaves: Vec<&Leaf<'_>> = arms.iter().flatten().collect();
    if leaves
        .iter()
        .any(|leaf| leaf.params.is_empty() || leaf.all.is_none() || leaf.kept().next().is_none())
    {
        return None;
    }
    let mut layers: Vec<&Layer> = vec![&sweep.common];
    layers.extend(
        sweep
            .arms
            .iter()
            .flat_map(|(own, grids)| std::iter::once(own).chain(grids)),
    );
    for layer in layers {
        let below = || {
            leaves
                .iter()
                .filter(|leaf| leaf.layers.iter().any(|other| std::ptr::eq(*other, layer)))
        };
        let known = |clauses: &Clauses, in_force: &dyn Fn(&Leaf<'_>) -> bool| {
            clauses.iter().all(|(name, values)| {
                let takes = |value: &i64| {
                    let params = below()
                        .filter(|leaf| in_force(leaf))
                        .flat_map(|leaf| &leaf.params);
                    params
                        .into_iter()
                        .any(|param| param.name == *name && param.values.contains(value))
                };
                values.iter().all(takes)
            })
        };
        let happens = |found: &dyn Fn(&Point) -> bool| {
            below().any(|leaf| leaf.all.iter().flatten().any(found))
        };
        for rule in &layer.rules {
            if !known(rule, &|_| true) || !happens(&|point| meets(point, rule)) {
                return None;
            }
        }
        for param in layer.params.iter().filter(|param| !param.when.is_empty()) {
            let in_force =
                |leaf: &Leaf<'_>| leaf.params.iter().any(|other| std::ptr::eq(*other, param));
            let exists = || {
                below().filter(|leaf| in_force(leaf)).any(|leaf| {
                    leaf.all
                        .iter()
                        .flatten()
                        .any(|point| point.contains_key(&param.name))
                })
            };
            if below().any(|leaf| in_force(leaf)) && !(known(&param.when, &in_force) && exists()) {
                return None;
            }
        }
    }
    let union = |leaves: &Vec<Leaf<'_>>| {
        let mut seen = HashSet::new();
        leaves
            .iter()
            .flat_map(Leaf::kept)
            .filter(|point| seen.insert((*point).clone()))
            .cloned()
            .collect()
    };
    Some(arms.iter().map(union).collect())
}

#[test]
fn enough_drawn_sweeps_are_valid() {
    let valid = (0..400)
        .filter(|seed| model(&Draw(*seed).sweep()).is_some())
        .count();
    assert!(
        valid > 60,
        "{valid} of 400: the property below would say little"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_shape_is_what_laying_it_out_gives(seed: u64) {
        let sweep = Draw(seed).sweep();
        let text = sweep.write();
        let (spec, model) = match (read(&text, "t.yaml"), model(&sweep)) {
            (Ok(spec), Some(model)) => (spec, model),
            (Err(_), None) => return Ok(()),
            (found, expected) => panic!("{text}\n{found:?}\nbut the model says {expected:?}"),
        };
        let grid = Grid::new(&spec);
        let mut sets: Vec<HashSet<_>> = Vec::new();
        for (arm, expected) in grid.arms().iter().zip(&model) {
            let found: Vec<Point> = arm.points().map(|point| {
                let value = |(key, value): (&String, &ParamValue)| {
                    let ParamValue::Int(value) = value else { panic!("{value:?} is not an integer") };
                    ((0..6).find(|param| name(*param) == key).unwrap(), *value)
                };
                point.config.0.iter().map(value).collect()
            }).collect();
            prop_assert_eq!(&found, expected, "{}", text);
            prop_assert_eq!(arm.len() as usize, expected.len());
            let ids: HashSet<_> = arm.points().map(|point| point.id).collect();
            prop_assert_eq!(ids.len(), expected.len());
            prop_assert!(arm.ids().eq(arm.points().map(|point| point.id)), "{}", text);
            sets.push(ids);
            let places: Vec<Vec<Option<usize>>> = (0..arm.len()).map(|index| arm.places(index)).collect();
            for (first, second) in (1..arm.arm().axes.len()).map(|second| (second - 1, second)) {
                for (row, found) in arm.pairs([first, second]).iter().enumerate() {
                    for (column, found) in found.iter().enumerate() {
                        let has = |at: &Vec<Option<usize>>| (at[first], at[second]) == (Some(column), Some(row));
                        prop_assert_eq!(*found, places.iter().any(has), "{}", text);
                    }
                }
            }
            // Axes hold what occurs, and nothing else.
            for (number, axis) in arm.arm().axes.iter().enumerate() {
                let places: Vec<Option<usize>> = places.iter().map(|at| at[number]).collect();
                prop_assert!((0..axis.values.len()).all(|value| places.contains(&Some(value))), "{}", text);
                prop_assert_eq!(arm.is_lacking(number), places.contains(&None), "{}", text);
            }
        }
        let overlap = sets.len() == 2 && !sets[0].is_disjoint(&sets[1]);
        prop_assert_eq!(grid.arms_overlap(), overlap, "{}", text);
    }
}

//! Verdicts: every kind of claim confirmed, contradicted, not significant, and without data.

use std::collections::BTreeMap;

use super::*;
use crate::aggregate::{NoTest, Sample, sample};
use crate::protocol::{Metrics, Position};
use crate::spec::{Claim, ClaimKind, Goal, Way};

fn figures(arms: &[(f64, f64, u32)]) -> FinalMetrics {
    let one = |&(mean, std, n): &(f64, f64, u32)| {
        let sample = Sample {
            mean,
            std: (n > 1).then_some(std),
            n: Some(n),
        };
        BTreeMap::from([("m".to_owned(), sample)])
    };
    arms.iter().map(one).collect()
}

fn claim(kind: ClaimKind) -> Claim {
    Claim {
        says: "x".to_owned(),
        key: "x",
        kind,
    }
}

fn beyond(way: Way, arm: usize, others: &[usize]) -> Claim {
    claim(ClaimKind::Beyond {
        way,
        metric: "m".to_owned(),
        arm,
        others: others.to_vec(),
    })
}

fn verdict(claims: &[Claim], figures: &FinalMetrics) -> Vec<Verdict> {
    judge(claims, figures, &Vec::new())
        .into_iter()
        .map(|judgement| judgement.verdict)
        .collect()
}

use Verdict::{Confirmed, Contradicted, NoData, NotSignificant};

#[test]
fn beyond_others() {
    let up = |arms: &[(f64, f64, u32)]| verdict(&[beyond(Way::Up, 0, &[1, 2])], &figures(arms))[0];
    assert_eq!(
        up(&[(95.0, 1.0, 10), (90.0, 1.0, 10), (91.0, 2.0, 10)]),
        Confirmed
    );
    assert_eq!(
        up(&[(95.0, 1.0, 10), (90.0, 1.0, 10), (94.5, 2.0, 10)]),
        NotSignificant
    );
    assert_eq!(
        up(&[(95.0, 1.0, 10), (90.0, 1.0, 10), (95.5, 2.0, 10)]),
        NotSignificant
    );
    assert_eq!(
        up(&[(95.0, 1.0, 10), (90.0, 1.0, 10), (99.0, 2.0, 10)]),
        Contradicted
    );
    assert_eq!(
        verdict(
            &[beyond(Way::Down, 0, &[1])],
            &figures(&[(95.0, 1.0, 10), (90.0, 1.0, 10)])
        ),
        [Contradicted]
    );
    // A single run, no spread, equal figures: no reason to believe anything.
    assert_eq!(
        up(&[(95.0, 1.0, 10), (90.0, 1.0, 10), (10.0, 0.0, 1)]),
        NotSignificant
    );
    assert_eq!(
        up(&[(95.0, 0.0, 10), (90.0, 0.0, 10), (91.0, 0.0, 10)]),
        NotSignificant
    );
    assert_eq!(
        up(&[(95.0, 1.0, 10), (95.0, 1.0, 10), (95.0, 1.0, 10)]),
        NotSignificant
    );
    // Nothing to compare with; but what is there may be enough to contradict.
    assert_eq!(up(&[(95.0, 1.0, 10), (90.0, 1.0, 10)]), NoData);
    assert_eq!(
        up(&[(95.0, 1.0, 10), (f64::NAN, f64::NAN, 10), (90.0, 1.0, 10)]),
        NoData
    );
    assert_eq!(
        up(&[
            (f64::INFINITY, f64::NAN, 10),
            (91.0, 1.0, 10),
            (90.0, 1.0, 10)
        ]),
        NoData
    );
    assert_eq!(
        up(&[(90.0, 1.0, 10), (f64::NAN, f64::NAN, 10), (95.0, 1.0, 10)]),
        Contradicted
    );
}

#[test]
fn p_is_adjusted_for_all_comparisons_each_counted_once() {
    let figures = figures(&[(95.0, 1.0, 10), (94.0, 1.0, 10), (80.0, 1.0, 10)]);
    // p of the first pair alone is 0.038.
    assert_eq!(verdict(&[beyond(Way::Up, 0, &[1])], &figures), [Confirmed]);
    // The same pair twice, and from the other side, is one comparison.
    assert_eq!(
        verdict(
            &[
                beyond(Way::Up, 0, &[1]),
                beyond(Way::Up, 0, &[1]),
                beyond(Way::Up, 1, &[0])
            ],
            &figures
        ),
        [Confirmed, Confirmed, Contradicted]
    );
    let other = Claim {
        kind: ClaimKind::Beyond {
            way: Way::Up,
            metric: "k".to_owned(),
            arm: 0,
            others: vec![1],
        },
        ..claim(ClaimKind::Beyond {
            way: Way::Up,
            metric: "m".to_owned(),
            arm: 0,
            others: vec![1],
        })
    };
    let mut both = figures.clone();
    for arm in &mut both {
        arm.insert(
            "k".to_owned(),
            Sample {
                mean: 1.0,
                std: Some(1.0),
                n: Some(10),
            },
        );
    }
    // Two comparisons: 0.038 is adjusted to 0.076.
    assert_eq!(
        verdict(&[beyond(Way::Up, 0, &[1]), other], &both),
        [NotSignificant, NotSignificant]
    );
}

#[test]
fn ratios() {
    let ratio = |is: f64, within: f64, arms: &[(f64, f64, u32)]| {
        let kind = ClaimKind::Ratio {
            metric: "m".to_owned(),
            of: 0,
            to: 1,
            is,
            within,
        };
        verdict(&[claim(kind)], &figures(arms))[0]
    };
    // The paper's training times, of AdaHessian and Adam: 1.26, from 1.05 to 1.51.
    let published = [(14.26, 3.27, 10), (11.30, 1.63, 10)];
    assert_eq!(ratio(1.26, 0.1, &published), Confirmed);
    assert_eq!(ratio(1.45, 0.1, &published), NotSignificant);
    assert_eq!(ratio(2.0, 0.1, &published), Contradicted);
    assert_eq!(ratio(0.9, 0.1, &published), Contradicted);
    // 1.03, from 0.87 to 1.24: nothing says that it is not 1.
    let alike = [(14.26, 3.27, 10), (13.79, 1.78, 10)];
    assert_eq!(ratio(1.05, 0.1, &alike), NotSignificant);
    assert_eq!(ratio(1.0, 0.1, &alike), Confirmed);
    assert_eq!(
        ratio(1.26, 0.1, &[(14.26, 0.0, 1), (11.30, 1.63, 10)]),
        NotSignificant
    );
    assert_eq!(
        ratio(1.26, 0.1, &[(14.26, 0.0, 2), (11.30, 0.0, 2)]),
        NotSignificant
    );
    assert_eq!(
        ratio(1.26, 0.1, &[(-14.26, 1.0, 10), (11.30, 1.63, 10)]),
        NoData
    );
    assert_eq!(
        ratio(1.26, 0.1, &[(f64::NAN, 1.0, 10), (11.30, 1.63, 10)]),
        NoData
    );
    assert_eq!(ratio(1.26, 0.1, &[(14.26, 1.0, 10)]), NoData);
}

#[test]
fn bounds() {
    let bound = |way: Way, arms: &[(f64, f64, u32)]| {
        let kind = ClaimKind::Bound {
            way,
            metric: "m".to_owned(),
            arms: vec![0, 1],
            value: 80.0,
        };
        verdict(&[claim(kind)], &figures(arms))[0]
    };
    assert_eq!(
        bound(Way::Up, &[(87.0, 1.0, 10), (80.0, 0.0, 3)]),
        Confirmed
    );
    assert_eq!(
        bound(Way::Up, &[(87.0, 1.0, 10), (80.5, 2.0, 10)]),
        NotSignificant
    );
    assert_eq!(
        bound(Way::Up, &[(87.0, 1.0, 10), (75.0, 1.0, 10)]),
        Contradicted
    );
    assert_eq!(
        bound(Way::Down, &[(70.0, 1.0, 10), (75.0, 1.0, 10)]),
        Confirmed
    );
    assert_eq!(
        bound(Way::Down, &[(70.0, 1.0, 10), (85.0, 1.0, 10)]),
        Contradicted
    );
    assert_eq!(
        bound(Way::Up, &[(87.0, 1.0, 1), (85.0, 1.0, 10)]),
        NotSignificant
    );
    assert_eq!(
        bound(Way::Up, &[(f64::NAN, 1.0, 2), (85.0, 1.0, 10)]),
        NoData
    );
    assert_eq!(bound(Way::Up, &[(85.0, 1.0, 10)]), NoData);
}

fn trials(values: &[&[f64]]) -> Vec<TrialHistory> {
    let one = |(seed, values): (usize, &&[f64])| TrialHistory {
        seed: seed as u64,
        epochs: values
            .iter()
            .zip(1..)
            .map(|(value, epoch)| (Position::epoch(epoch), Metrics::from_iter([("m", *value)])))
            .collect(),
    };
    values.iter().enumerate().map(one).collect()
}

#[test]
fn saturation() {
    let judge = |at: f64, within: f64, values: &[&[f64]]| {
        let kind = ClaimKind::Saturates {
            metric: "m".to_owned(),
            goal: Goal::Minimize,
            arms: vec![0],
            at,
            within,
            tolerance: 0.05,
        };
        super::judge(&[claim(kind)], &Vec::new(), &vec![trials(values)]).remove(0)
    };
    let verdict = |at: f64, within: f64, values: &[&[f64]]| judge(at, within, values).verdict;
    // From 2.0 to 0.0: within 0.1 of the best from the third epoch on.
    let third: &[f64] = &[2.0, 0.5, 0.1, 0.2, 0.0];
    let fourth: &[f64] = &[2.0, 0.5, 0.3, 0.0, 0.01];
    let Evidence::Saturation(arms) = judge(4.0, 1.0, &[third, fourth]).evidence else {
        panic!()
    };
    assert_eq!(arms[0].epoch, Ok(sample(&[3.0, 4.0])));
    assert_eq!(
        verdict(4.0, 1.0, &[third, fourth, third, fourth]),
        Confirmed
    );
    // No deviation over the seeds: the epoch is what it is.
    assert_eq!(verdict(3.0, 0.0, &[third, third]), Confirmed);
    assert_eq!(verdict(8.0, 1.0, &[third, third]), Contradicted);
    assert_eq!(
        verdict(8.0, 1.0, &[third, third, fourth, fourth]),
        Contradicted
    );
    // Two seeds that differ say next to nothing, one says nothing.
    assert_eq!(verdict(8.0, 1.0, &[third, fourth]), NotSignificant);
    assert_eq!(verdict(3.0, 1.0, &[third]), NotSignificant);
    assert_eq!(verdict(3.0, 1.0, &[]), NoData);
    assert_eq!(verdict(3.0, 1.0, &[third, &[2.0, f64::NAN, 0.1]]), NoData);
    // What never improves has saturated at once.
    assert_eq!(verdict(1.0, 0.0, &[&[1.0, 1.0], &[1.0, 2.0]]), Confirmed);
}

#[test]
fn one_metric_above_another() {
    let histories = |arms: &[&[&[f64]]]| -> Histories {
        let pair = |difference: f64| Metrics::from_iter([("a", 1.0 + difference), ("b", 1.0)]);
        let trial = |values: &&[f64]| TrialHistory {
            seed: 0,
            epochs: values
                .iter()
                .zip(1..)
                .map(|(difference, epoch)| (Position::epoch(epoch), pair(*difference)))
                .collect(),
        };
        arms.iter()
            .map(|trials| trials.iter().map(trial).collect())
            .collect()
    };
    let judge = |arms: &[&[&[f64]]]| {
        let numbers = (0..arms.len()).collect();
        let kind = ClaimKind::AlwaysAbove {
            metric: "a".to_owned(),
            than: "b".to_owned(),
            arms: numbers,
        };
        super::judge(&[claim(kind)], &Vec::new(), &histories(arms)).remove(0)
    };
    assert_eq!(judge(&[&[&[0.5, 0.25], &[0.5, 0.125]]]).verdict, Confirmed);
    assert_eq!(
        judge(&[&[&[0.5, 0.25]]]).verdict,
        NotSignificant,
        "one trial"
    );
    assert_eq!(
        judge(&[&[&[0.5, 0.0], &[0.5, 0.0]]]).verdict,
        NotSignificant,
        "equal is not above"
    );
    assert_eq!(
        judge(&[&[&[0.5, 0.25], &[0.5, f64::NAN]]]).verdict,
        NotSignificant,
        "not finite is not above"
    );
    assert_eq!(
        judge(&[&[&[0.5, -0.25], &[0.5, 0.25]]]).verdict,
        NotSignificant,
        "chance"
    );
    assert_eq!(judge(&[&[&[0.5], &[0.5]], &[]]).verdict, NoData);
    // The same in every trial is not chance.
    let contradicted = judge(&[&[&[0.5], &[0.5]], &[&[0.5, -0.25], &[0.5, -0.25]]]);
    assert_eq!(contradicted.verdict, Contradicted);
    let Evidence::Pairs(arms) = contradicted.evidence else {
        panic!()
    };
    assert_eq!(
        arms[1].worst,
        Some(Worst {
            position: Position::epoch(2),
            difference: -0.25,
            adjusted: 0.0
        })
    );
    assert_eq!((arms[1].above, arms[1].pairs, arms[1].trials), (2, 4, 2));
    let spread: &[&[f64]] = &[&[-0.5], &[-0.51], &[-0.49], &[-0.5]];
    assert_eq!(judge(&[spread]).verdict, Contradicted);
}

#[test]
fn the_papers_own_results_do_not_support_its_conclusion() {
    let spec =
        crate::spec::read(include_str!("../../../sweeps/tables.yaml"), "tables.yaml").unwrap();
    let judged = judge_published(&spec);
    let verdict = |start: &str| {
        let index = spec
            .claims
            .iter()
            .position(|claim| claim.says.starts_with(start))
            .unwrap();
        judged[index].as_ref().map(|judgement| judgement.verdict)
    };
    assert_eq!(verdict("Out of all"), Some(NotSignificant));
    assert_eq!(verdict("All the five"), Some(Confirmed));
    assert_eq!(verdict("SGD reaches a lower"), Some(Confirmed));
    assert_eq!(verdict("The computation time"), Some(Confirmed));
    assert_eq!(verdict("SGD reaches a higher loss"), None);
    assert_eq!(verdict("The first-order"), None);
    let Some(Evidence::Comparisons(comparisons)) = judged[0]
        .as_ref()
        .map(|judgement| judgement.evidence.clone())
    else {
        panic!()
    };
    // Hybrid against SGD, SGD with momentum, Adam and AdaHessian.
    let ps: Vec<f64> = comparisons
        .iter()
        .map(|comparison| (comparison.test.unwrap().p * 100.0).round() / 100.0)
        .collect();
    assert_eq!(ps, [0.0, 0.18, 0.47, 0.14]);
    assert!(
        comparisons
            .iter()
            .all(|comparison| comparison.test.unwrap().adjusted >= comparison.test.unwrap().p)
    );
    assert_eq!(
        judge(&spec.claims, &vec![BTreeMap::new(); 5], &Vec::new())[0].verdict,
        NoData
    );
    assert_eq!(NoTest::Missing.reason(), "no result");
}

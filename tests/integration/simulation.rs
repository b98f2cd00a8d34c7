//! Every trial ends once, with any faults of a simulated cluster; and the same chance gives the
//! same outcome.

use proptest::prelude::*;

use cluster_model::{Cluster, simulate};

#[path = "../../examples/simulate_cluster/simulation/mod.rs"]
mod cluster_model;

/// Any cluster, of any size, that is not so bad that sweeps are given up for want of a single
/// worker that starts.
fn cluster() -> impl Strategy<Value = Cluster> {
    let size = (
        1_usize..24,
        1_usize..5,
        1_usize..9,
        0_u64..160,
        0_u64..70,
        1_usize..5,
    );
    let trials = (any::<bool>(), 0_u32..4, 0.001_f64..40.0, 0.0_f64..8.0);
    let harm = (
        0.0_f64..0.2,
        0.0_f64..0.1,
        0.0_f64..0.1,
        0.0_f64..0.05,
        prop_oneof![Just(0.0), 0.01_f64..1.0],
    );
    let coordinator = (0.0_f64..0.05, 0.0_f64..0.01, any::<u64>());
    (size, trials, harm, coordinator).prop_map(|(size, trials, harm, coordinator)| Cluster {
        workers: size.0,
        per_device: size.1,
        per_node: size.2,
        trials: size.3,
        group: size.4,
        bundle: size.5,
        timed: trials.0,
        epochs: trials.1,
        trial_seconds: trials.2,
        spread: 0.5,
        start_seconds: trials.3,
        error: harm.0,
        crash: harm.1,
        out_of_memory: harm.2,
        hang: harm.3,
        preempted_every_hours: harm.4,
        away_seconds: 30.0,
        commit_seconds: coordinator.0,
        event_seconds: coordinator.1,
        trial_overhead_seconds: 0.0,
        seed: coordinator.2,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_trial_ends_once_with_any_faults(cluster in cluster()) {
        let outcome = simulate(&cluster, &mut ()).map_err(|breach| TestCaseError::fail(breach.to_string()))?;
        // No worker can start where nodes are always taken away before.
        prop_assert!(outcome.given_up.is_none() || outcome.preempted >= 3, "{outcome:?}");
        prop_assert!(outcome.given_up.is_some() || outcome.done + outcome.failed == cluster.trials, "{outcome:?}");
        if cluster.error + cluster.crash + cluster.out_of_memory + cluster.hang == 0.0 && outcome.preempted == 0 {
            prop_assert_eq!(outcome.failed + outcome.retried, 0);
        }
    }
}

/// Eight workers of a node are taken away again and again before their hello, while hundreds of
/// others work.
#[test]
fn a_node_that_never_comes_up_does_not_end_the_sweep() {
    let cluster = Cluster {
        workers: 240,
        trials: 20_000,
        preempted_every_hours: 0.02,
        start_seconds: 20.0,
        ..Cluster::default()
    };
    let outcome = simulate(&cluster, &mut ()).unwrap();
    assert_eq!(
        (outcome.given_up.as_ref(), outcome.done + outcome.failed),
        (None, 20_000),
        "{outcome:?}"
    );
    assert!(outcome.preempted > 300, "{outcome:?}");
}

#[test]
fn the_same_chance_gives_the_same_outcome() {
    let cluster = Cluster {
        error: 0.05,
        crash: 0.05,
        preempted_every_hours: 0.03,
        trials: 3000,
        ..Cluster::default()
    };
    let outcome = simulate(&cluster, &mut ()).unwrap();
    assert_eq!(outcome, simulate(&cluster, &mut ()).unwrap());
    assert!(
        outcome.retried > 100 && outcome.preempted > 0 && outcome.lost > 0.0,
        "{outcome:?}"
    );
    assert_ne!(
        outcome,
        simulate(&Cluster { seed: 1, ..cluster }, &mut ()).unwrap()
    );
}

/// Worked out by hand: two workers, four trials of a second, hello after five.
#[test]
fn time_adds_up() {
    let cluster = Cluster {
        workers: 2,
        trials: 4,
        spread: 0.0,
        commit_seconds: 0.0,
        ..Cluster::default()
    };
    let outcome = simulate(&cluster, &mut ()).unwrap();
    assert_eq!(
        (
            outcome.done,
            outcome.training,
            outcome.starting,
            outcome.lost
        ),
        (4, 4.0, 10.0, 0.0)
    );
    // They are told to end at 7 s and take a tenth of a second.
    assert_eq!(
        (outcome.makespan, outcome.idle, outcome.until_dry),
        (7.1, 0.0, 12.0)
    );
    // A coordinator that takes 0.1 s for a turn: the second worker waits while the first one is
    // served.
    let slow = Cluster {
        trial_overhead_seconds: 0.1,
        ..cluster
    };
    let outcome = simulate(&slow, &mut ()).unwrap();
    assert!((outcome.idle - 0.3 - 0.2).abs() < 0.2, "{outcome:?}");
    assert!(outcome.idle_share() > 0.0 && outcome.makespan > 7.3);
}

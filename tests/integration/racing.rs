//! Safe racing: fewer trials, the same tables; interrupted, turned off, and with a bound that does
//! not hold.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{DONE, Ran, Test};

/// Two arms that share the points x = 4 and x = 8: 8 points, 40 tuning trials. The best are x = 3
/// and x = 4.
const RACE: &str = "
name: race
worker: [WORKER]
metric: {name: score, goal: maximize, best: 100}
prune: safe
seeds: {tune: 5, final: 2}
parameters: {epochs: {value: 2}}
arms:
  wide: {label: Wide, parameters: {x: {values: [0, 1, 2, 3, 4, 8]}}}
  high: {label: High, parameters: {x: {values: [4, 5, 6, 8]}}}
";

const TUNED: &str = "SELECT count(*) FROM trial WHERE state = 'done' AND phase = 'tune'";

fn file(test: &Test, name: &str) -> String {
    std::fs::read_to_string(test.path("reports/race").join(name)).unwrap()
}

/// What the tables rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tables {
    /// Table I.
    table: String,
    /// The rows of the selected points.
    selected: Vec<String>,
}

impl Tables {
    fn of(test: &Test) -> Self {
        let points = file(test, "points.csv");
        let selected = points
            .lines()
            .filter(|row| row.split(',').nth(3) == Some("true"))
            .map(|row| {
                // The column `pruned` is there only with a race.
                let cells = row.split(',').filter(|cell| *cell != "false");
                cells.collect::<Vec<_>>().join(",")
            })
            .collect();
        Self {
            table: file(test, "table1.csv"),
            selected,
        }
    }

    /// Table I without the columns of times, which differ from run to run.
    fn without_times(&self) -> Vec<Vec<&str>> {
        let rows = self.table.lines();
        rows.map(|row| row.split(',').take(5).collect()).collect()
    }
}

/// Runs a race to its end.
fn raced(spec: &str, options: &[&str]) -> (Test, Ran) {
    let test = Test::with_spec(spec);
    let ran = test.run(&[&["run", "sweep.yaml"], options].concat());
    (test, ran.expect(0))
}

/// The sweep without a race.
fn unpruned() -> Test {
    let (test, _) = raced(
        &RACE.replace("prune: safe\n", ""),
        &["-q", "--devices", "cpu:2"],
    );
    assert_eq!(test.count("runs/race", TUNED), 40);
    test
}

/// The trials of a race that did not run.
fn pruned(test: &Test) -> String {
    test.run(&["trials", "runs/race", "--state", "pruned"])
        .expect(0)
        .stdout
}

#[test]
fn fewer_trials_give_the_same_tables() {
    let expected = Tables::of(&unpruned());
    assert_eq!(expected.selected.len(), 2);

    // In the last round x = 3 and x = 4 are complete before 8, 5 and 6 have their turn.
    let (test, _) = raced(RACE, &["-q", "--devices", "cpu:1"]);
    assert_eq!(test.count("runs/race", TUNED), 37);
    assert_eq!(Tables::of(&test), expected);

    // By what can still be reached: 5 + 5 for the best points, 3 for x = 2, 2 for x = 5, 1 for each
    // other.
    let (test, ran) = raced(RACE, &["--devices", "cpu:1", "--best-first"]);
    assert_eq!(test.count("runs/race", TUNED), 19);
    assert_eq!(Tables::of(&test), expected);
    assert!(
        ran.stderr
            .contains("21 of 40 tuning trials did not need to run"),
        "{}",
        ran.stderr
    );
    let note =
        "Note: Safe racing (`prune: safe`): 7 points have fewer tuning seeds than the others.";
    assert!(ran.stdout.contains(note), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("best of 6 points, 4 of them pruned)"),
        "{}",
        ran.stdout
    );
    insta::assert_snapshot!(file(&test, "points.csv").lines().map(|line| line.split(',').skip(2).take(8).collect::<Vec<_>>().join(",")).collect::<Vec<_>>().join("\n"), @"
position,selected,n,planned,diverged,pruned,epochs,x
0,false,1,5,0,true,2,0
1,false,1,5,0,true,2,1
2,false,3,5,0,true,2,2
3,true,5,5,0,false,2,3
4,false,5,5,0,false,2,4
5,false,1,5,0,true,2,8
0,true,5,5,0,false,2,4
1,false,2,5,0,true,2,5
2,false,1,5,0,true,2,6
3,false,1,5,0,true,2,8
");

    let status = test.run(&["status", "runs/race"]).expect(0).stdout;
    insta::assert_snapshot!(status, @"
race: finished; tables: pentagrid report runs/race
━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
 Arm      Tuning    Final   Running   Diverged   Failed   Pruned   Selected so far
───────────────────────────────────────────────────────────────────────────────────
 Wide   16 of 30   2 of 2         0          0        0       14   x = 3
 High    9 of 20   2 of 2         0          0        0       11   x = 4
━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
");
    let pruned = pruned(&test);
    assert_eq!(pruned.lines().count(), 21, "{pruned}");
    assert_eq!(
        test.run(&["trials", "runs/race", "--state", "waiting"])
            .expect(0)
            .stdout,
        ""
    );
    let first = pruned.split_whitespace().next().unwrap();
    let shown = test.run(&["show", "runs/race", first]).expect(0).stdout;
    assert!(
        shown.contains("Pruned: its point cannot become the best of its arm any more"),
        "{shown}"
    );
    let plan = test.run(&["plan", "sweep.yaml"]).expect(0).stdout;
    assert!(
        plan.contains("runs/race: 0 tuning and 0 final trials left"),
        "{plan}"
    );
    assert!(
        plan.contains("so fewer tuning trials may run (score is at most 100)"),
        "{plan}"
    );
    assert_eq!(
        test.run(&["plan", "sweep.yaml", "--trials"])
            .expect(0)
            .stdout,
        ""
    );

    // Nothing is left to do.
    test.run(&["resume", "runs/race", "-q"]).expect(0);
    assert_eq!(test.count("runs/race", TUNED), 19);

    // Turned off, it fills in what is missing, without being asked twice, and nothing tells the
    // difference.
    test.write_spec(&RACE.replace("prune: safe", "prune: none"));
    test.run(&["run", "sweep.yaml", "-q", "--devices", "cpu:2"])
        .expect(0);
    assert_eq!(test.count("runs/race", TUNED), 40);
    assert_eq!(
        test.report("reports/race"),
        unpruned().report("reports/race")
    );
}

#[test]
fn killed_and_in_any_order_it_ends_with_the_same_tables() {
    let expected = Tables::of(&unpruned());
    for order in [
        &["--best-first"][..],
        &["--shuffle", "3", "--bundle", "3"],
        &["--best-first", "--bundle", "2"],
    ] {
        let test = Test::with_spec(&RACE.replace(
            "{epochs: {value: 2}}",
            "{epochs: {value: 2}, epoch_ms: {value: 10}}",
        ));
        for round in 0..4 {
            let mut child =
                test.start(&[&["run", "sweep.yaml", "--devices", "cpu:2"], order].concat());
            test.wait_for("runs/race", DONE, round * 4 + 1);
            kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
            child.wait().unwrap();
        }
        test.run(&[&["run", "sweep.yaml", "-q", "--devices", "cpu:2"], order].concat())
            .expect(0);

        let tables = Tables::of(&test);
        assert_eq!(
            tables.without_times(),
            expected.without_times(),
            "{order:?}"
        );
        assert_eq!(tables.selected.len(), expected.selected.len(), "{order:?}");
        let tuned = test.count("runs/race", TUNED);
        assert!((19..40).contains(&tuned), "{tuned} trials, {order:?}");
        assert_eq!(pruned(&test).lines().count() as i64, 40 - tuned);
    }
}

#[test]
fn a_bound_that_does_not_hold_ends_the_race_and_the_full_grid_runs() {
    let expected = Tables::of(&unpruned());
    let best_first = ["--devices", "cpu:1", "--best-first"];
    let (test, ran) = raced(&RACE.replace("best: 100", "best: 99"), &best_first);
    assert_eq!(test.count("runs/race", TUNED), 40);
    assert_eq!(Tables::of(&test), expected);
    assert!(
        ran.stderr.contains(
            "reached 100, which is better than the best value that the metric can take (99)"
        ),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stdout
            .contains("Note: Safe racing is off, and every tuning trial runs: trial "),
        "{}",
        ran.stdout
    );

    // Only the final trials show it here, when the race is over.
    let late = RACE
        .replace("best: 100", "best: 99.9")
        .replace("tune: 5, final: 2", "tune: [1, 2, 3, 4, 5], final: [7]");
    let (test, ran) = raced(&late, &best_first);
    assert!(
        ran.stderr.contains("tuning trials did not need to run"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .contains("`prune: safe` is off, and trials that were held back will run after all"),
        "{}",
        ran.stderr
    );
    assert_eq!(test.count("runs/race", TUNED), 40);
}

#[test]
fn best_first_is_of_no_use_without_a_race() {
    let test = Test::with_spec(&RACE.replace("prune: safe", "prune: none"));
    insta::assert_snapshot!(test.run(&["run", "sweep.yaml", "--best-first"]).expect(2).stderr, @"
error: --best-first needs `prune: safe` in the sweep file: without it every trial runs, in any order
");
}

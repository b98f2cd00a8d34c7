//! What the coordinator's decisions cost on clusters of any size, and how much of their workers'
//! time waits for it: the real reactor, driven through a simulated cluster (`simulation`). Prints
//! the tables of `docs/scaling.md`.
//!
//!     cargo run --locked --example simulate_cluster -- cost      # what an event costs, by workers and trials
//!     cargo run --locked --example simulate_cluster -- idle      # the workers' idle share, by workers and length of trials
//!     cargo run --locked --example simulate_cluster -- failures  # a million trials on a thousand workers that fail and are preempted

mod simulation;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use simulation::{Breach, Cluster, EventKind, Meter, Outcome, simulate};

/// Measures the CPU time of this thread: the machine may be busy with other things.
#[derive(Default)]
struct CpuMeter {
    began: Duration,
    /// What reading the clock twice costs.
    clock: Duration,
    spent: BTreeMap<EventKind, Vec<u32>>,
}

impl CpuMeter {
    fn new() -> Self {
        let mut meter = Self::default();
        let mut costs: Vec<Duration> = (0..10_001)
            .map(|_| {
                let began = cpu();
                cpu() - began
            })
            .collect();
        costs.sort();
        meter.clock = costs[costs.len() / 2];
        meter
    }

    /// Microseconds on average over all events.
    fn mean(&self) -> f64 {
        let (count, sum) = self
            .spent
            .values()
            .flatten()
            .fold((0_u64, 0_u64), |(count, sum), &spent| {
                (count + 1, sum + u64::from(spent))
            });
        sum as f64 / count.max(1) as f64 / 1000.0
    }

    /// Microseconds: mean, 99th percentile and maximum of one kind of event.
    fn of(&mut self, kind: EventKind) -> Option<(f64, f64, f64)> {
        let spent = self.spent.get_mut(&kind)?;
        spent.sort_unstable();
        let at = |place: usize| f64::from(spent[place.min(spent.len() - 1)]) / 1000.0;
        let mean =
            spent.iter().map(|&one| f64::from(one)).sum::<f64>() / spent.len() as f64 / 1000.0;
        Some((mean, at(spent.len() * 99 / 100), at(spent.len())))
    }
}

impl Meter for CpuMeter {
    fn before(&mut self) {
        self.began = cpu();
    }

    fn after(&mut self, event: EventKind) {
        let spent = (cpu() - self.began).saturating_sub(self.clock);
        self.spent
            .entry(event)
            .or_default()
            .push(u32::try_from(spent.as_nanos()).unwrap_or(u32::MAX));
    }
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        .unwrap_or_default()
}

/// The most memory that this process ever had, in MB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap_or("0 kB");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap_or(0)
        / 1024
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments
        .iter()
        .skip(1)
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    match (arguments.first().map(String::as_str), numbers.as_slice()) {
        (Some("cost"), []) => Ok(each(
            "cost",
            &[
                (1, 10_000),
                (8, 10_000),
                (64, 100_000),
                (256, 100_000),
                (1000, 100_000),
                (1000, 1_000_000),
                (4000, 1_000_000),
            ],
        )?),
        (Some("cost"), &[workers, trials]) => Ok(cost(workers as usize, trials)?),
        (Some("idle"), []) => Ok(idle()?),
        (Some("failures"), []) => Ok(failures(1000, 1_000_000)?),
        (Some("failures"), &[workers, trials]) => Ok(failures(workers as usize, trials)?),
        _ => Err(
            "usage: simulate_cluster cost [WORKERS TRIALS] | idle | failures [WORKERS TRIALS]"
                .into(),
        ),
    }
}

/// One process each, so that memory is that case's own.
fn each(what: &str, cases: &[(u64, u64)]) -> std::io::Result<()> {
    say(
        "workers  trials      devices     events  mean us  turn us (99 %, most)      tick us  in all s  peak MB",
    )?;
    for (workers, trials) in cases {
        std::process::Command::new(std::env::current_exe()?)
            .args([what, &workers.to_string(), &trials.to_string()])
            .status()?;
    }
    Ok(())
}

/// What events cost: trials of ten seconds with three epochs, one device a worker, and all workers
/// on one device.
fn cost(workers: usize, trials: u64) -> Result<(), Box<dyn std::error::Error>> {
    for (name, per_device, group, timed) in [
        ("one each", 1, 0, false),
        ("8 on each", 8, 0, false),
        ("one for all", workers, 0, false),
        ("in groups", 1, 500, false),
        ("timed", 1, 0, true),
    ] {
        let cluster = Cluster {
            workers,
            per_device,
            trials,
            group,
            timed,
            epochs: 3,
            trial_seconds: 10.0,
            ..Cluster::default()
        };
        let (mut meter, began) = (CpuMeter::new(), cpu());
        let outcome = simulate(&cluster, &mut meter)?;
        let all = cpu() - began;
        let (turn, p99, most) = meter.of(EventKind::Turn).unwrap_or_default();
        let (tick, ..) = meter.of(EventKind::Tick).unwrap_or_default();
        say(&format!(
            "{workers:>7}  {trials:>9}  {name:<11} {:>9}  {:>6.2}  {turn:>7.2} ({p99:.1}, {most:.0}){:>width$}{tick:>7.1}  {:>7.1}  {:>7}",
            outcome.events,
            meter.mean(),
            "",
            all.as_secs_f64(),
            peak_memory(),
            width = 14_usize.saturating_sub(format!("{p99:.1}{most:.0}").len()),
        ))?;
    }
    Ok(())
}

/// What the coordinator costs in all, with its messages and its ledger, as `docs/benchmarks.md` has
/// it: for a trial, and for a row of history.
const TRIAL: f64 = 55e-6;
const EVENT: f64 = 10e-6;

/// How much of the workers' time waits for the coordinator.
fn idle() -> Result<(), Breach> {
    let lengths = [0.01, 0.1, 1.0, 15.0, 600.0];
    say(&format!(
        "workers  {}",
        lengths
            .map(|length| format!("{:>16}", format!("{length} s")))
            .join("")
    ))
    .ok();
    for workers in [1, 8, 64, 256, 1000] {
        let mut cells = String::new();
        for length in lengths {
            let trials = (workers as u64 * 100).clamp(5_000, 100_000);
            let outcome = simulate(
                &Cluster {
                    workers,
                    trials,
                    trial_seconds: length,
                    start_seconds: 0.0,
                    event_seconds: EVENT,
                    trial_overhead_seconds: TRIAL - 3.0 * EVENT,
                    ..Cluster::default()
                },
                &mut (),
            )?;
            let rate = outcome.done as f64 / (outcome.until_dry / workers as f64);
            cells.push_str(&format!(
                "{:>16}",
                format!("{:.2} % {rate:.0}/s", 100.0 * outcome.idle_share())
            ));
        }
        say(&format!("{workers:>7}  {cells}")).ok();
    }
    Ok(())
}

/// Trials and workers as they are in the world.
fn failures(workers: usize, trials: u64) -> Result<(), Breach> {
    say("preempted    done       failed  retried  lost workers  idle %  lost %  starting %  days  events    mean us  most unwritten").ok();
    for hours in [0.0, 168.0, 24.0, 4.0] {
        let cluster = Cluster {
            workers,
            trials,
            epochs: 15,
            trial_seconds: 600.0,
            spread: 0.3,
            start_seconds: 15.0,
            error: 1e-4,
            crash: 1e-4,
            out_of_memory: 1e-4,
            hang: 1e-5,
            preempted_every_hours: hours,
            away_seconds: 90.0,
            event_seconds: EVENT,
            trial_overhead_seconds: TRIAL - 3.0 * EVENT,
            ..Cluster::default()
        };
        let mut meter = CpuMeter::new();
        let outcome: Outcome = simulate(&cluster, &mut meter)?;
        let share = |time: f64| 100.0 * time / (outcome.makespan * workers as f64);
        let every = if hours > 0.0 {
            format!("{hours} h")
        } else {
            "never".to_owned()
        };
        say(&format!(
            "{every:<9} {:>9}  {:>7}  {:>7}  {:>12}  {:>6.3}  {:>6.2}  {:>10.2}  {:>4.1}  {:>9}  {:>6.2}  {:>6}  {}",
            outcome.done,
            outcome.failed,
            outcome.retried,
            outcome.preempted,
            100.0 * outcome.idle_share(),
            share(outcome.lost),
            share(outcome.starting),
            outcome.makespan / 86_400.0,
            outcome.events,
            meter.mean(),
            outcome.most_unwritten,
            outcome.given_up.unwrap_or_default(),
        ))
        .ok();
    }
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}")
}

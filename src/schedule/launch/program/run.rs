//! Follows a program from its start to its exit.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::follower::Follower;
use super::outcome::{Output, Report, outcome};
use super::watch::Watch;
use super::{POLL_INTERVAL, ProgramPlan, SHARED_FILE_TIMEOUT};
use crate::collect::MetricsError;
use crate::files;
use crate::protocol::FromAgent;
use crate::schedule::action::Exit;
use crate::schedule::budget::Budget;
use crate::schedule::launch::exit_evidence::ExitEvidence;
use crate::schedule::launch::incoming::Incoming;
use crate::schedule::launch::lines::read_lines;
use crate::schedule::launch::local::exit_of;

/// How many polls to wait for a program's children to exit after it.
const CHILD_EXIT_POLLS: u32 = 50;
const SIGTERM: i32 = Signal::SIGTERM as i32;
const SIGINT: i32 = Signal::SIGINT as i32;

/// A program that runs.
pub(super) struct ProgramRun {
    plan: ProgramPlan,
    child: Child,
    pid: u32,
    output: Output,
    watch: Watch,
    budget: Budget,
}

/// How a program ended.
struct ProgramEnd {
    /// The exit of the process that was started: the program, or its launcher.
    process: Exit,
    /// The exit of the program itself.
    exit: Exit,
    /// What the agent said, if one ran beside the program.
    evidence: Option<ExitEvidence>,
}

impl ProgramEnd {
    fn new(process: Exit, evidence: Option<ExitEvidence>) -> Self {
        // Behind an agent the program's own exit counts, and only the agent knows it.
        let exit = match evidence.as_ref().map(|evidence| &evidence.end) {
            None => process,
            Some(Some(FromAgent::Ended {
                code: Some(code),
                lost: None,
                ..
            })) => Exit::Code(*code),
            Some(_) => Exit::Lost,
        };
        Self {
            process,
            exit,
            evidence,
        }
    }

    fn is_well(&self) -> bool {
        self.exit == Exit::Code(0)
    }

    /// Whether the program ended because it was told to.
    fn was_told_to_end(&self) -> bool {
        matches!(
            self.exit,
            Exit::Signal(SIGTERM | SIGINT) | Exit::Code(130 | 143)
        )
    }

    /// The length of the metrics file where the program ran, if an agent has said it.
    fn remote_size(&self) -> Option<u64> {
        match self.evidence.as_ref()?.end {
            Some(FromAgent::Ended { metrics, .. }) => metrics,
            _ => None,
        }
    }

    fn into_message(self) -> Incoming {
        Incoming::Exit(self.process, self.evidence)
    }
}

impl ProgramRun {
    pub(super) fn new(
        plan: ProgramPlan,
        child: Child,
        pid: u32,
        output: Output,
        watch: Watch,
        budget: Budget,
    ) -> Self {
        Self {
            plan,
            child,
            pid,
            output,
            watch,
            budget,
        }
    }

    /// Reports the program's metrics as they come, and its end.
    pub(super) async fn supervise<R, F>(mut self, report: R)
    where
        R: Fn(Incoming) -> F + Send + Sync,
        F: Future<Output = ()> + Send,
    {
        // The agent's message that the program runs, and the program's metrics, come by different
        // ways: metrics are not reported before that message.
        let has_begun = AtomicBool::new(!self.plan.agent);
        let report = |incoming| {
            if matches!(incoming, Incoming::Running { .. }) {
                has_begun.store(true, Ordering::Relaxed);
            }
            report(incoming)
        };
        let plan = &self.plan;
        let mut follower = Follower::new(
            &plan.trial,
            &plan.metrics,
            &plan.metric,
            self.budget.clone(),
        );

        let end = self.wait(&mut follower, &has_begun, &report).await;
        if end.evidence.is_none() && end.was_told_to_end() {
            wait_for_children(self.pid).await;
        }
        // How a program failed says more than what its metrics file lacks.
        if !end.is_well() {
            follower.mute();
        }
        if end.is_well()
            && let Some(size) = end.remote_size()
            && let Err(error) = wait_for_size(&self.plan.metrics, size).await
        {
            report(Incoming::Misreport(error)).await;
            return report(end.into_message()).await;
        }

        let has_begun = has_begun.load(Ordering::Relaxed);
        if let Some(why) = read_rest(&mut follower, has_begun, end.is_well(), &report).await {
            let why = format!("cannot read the metrics file: {why}");
            return report(Incoming::Unread(why)).await;
        }
        // The curve of a program that failed is reported as well, and what is wrong with it is not.
        let collected = if has_begun {
            self.watch.finish(end.is_well(), &report).await
        } else {
            Ok(None)
        };
        if !end.is_well() || follower.is_broken() {
            return report(end.into_message()).await;
        }
        let metrics = Report {
            own: follower.last().cloned(),
            collected,
            sources: self.watch.describe(),
        };
        let message = outcome(self.plan, metrics, self.output).await;
        report(Incoming::Ended(end.exit, message)).await;
    }

    /// Follows the metrics file until the program has exited.
    async fn wait<R, F>(
        &mut self,
        follower: &mut Follower,
        has_begun: &AtomicBool,
        report: &R,
    ) -> ProgramEnd
    where
        R: Fn(Incoming) -> F,
        F: Future<Output = ()>,
    {
        let agents_output = self.child.stdout.take();
        let mut evidence = self.plan.agent.then(ExitEvidence::default);
        let child = &mut self.child;
        let budget = &self.budget;
        let watch = &mut self.watch;
        let status = {
            let exit = async {
                if let Some(stdout) = agents_output {
                    let gone = Notify::new();
                    read_lines(stdout, &mut evidence, budget, &gone, report).await;
                }
                child.wait().await
            };
            tokio::pin!(exit);
            loop {
                tokio::select! {
                    status = &mut exit => break status,
                    () = sleep(POLL_INTERVAL) => {}
                }
                // One chunk at a time, so that the exit is noticed between two of them.
                if has_begun.load(Ordering::Relaxed) {
                    follower.follow(report).await;
                    watch.follow(report).await;
                }
            }
        };
        ProgramEnd::new(exit_of(status), evidence)
    }
}

/// Reads the rest of the metrics file after the program has exited. Returns the shortage of this
/// machine for which it cannot be read, if that lasts.
async fn read_rest<R, F>(
    follower: &mut Follower,
    has_begun: bool,
    is_well: bool,
    report: &R,
) -> Option<String>
where
    R: Fn(Incoming) -> F,
    F: Future<Output = ()>,
{
    let began = Instant::now();
    loop {
        // A shortage of an earlier attempt to read may be over.
        drop(follower.take_shortage());
        while has_begun && follower.has_more() {
            follower.follow(report).await;
        }
        if is_well {
            follower.finish(report).await;
        }
        match follower.take_shortage() {
            None => return None,
            Some(why) if began.elapsed() > SHARED_FILE_TIMEOUT => return Some(why),
            Some(_) => sleep(POLL_INTERVAL).await,
        }
    }
}

/// Waits for the children of a program that was told to end: it may exit before they have shut down
/// in order. Where an agent ran beside the program, the agent has waited.
async fn wait_for_children(group: u32) {
    for _ in 0..CHILD_EXIT_POLLS {
        if !group_exists(group) {
            break;
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Waits until a file that another machine wrote is as long here as it was there. Shared file
/// systems take their time, and look at a file again when it is opened.
async fn wait_for_size(path: &Path, there: u64) -> Result<(), MetricsError> {
    let began = Instant::now();
    loop {
        let here = files::open(path)
            .and_then(|file| file.metadata())
            .map_or(0, |metadata| metadata.len());
        if here >= there {
            return Ok(());
        }
        if began.elapsed() > SHARED_FILE_TIMEOUT {
            return Err(MetricsError::NotShared { here, there });
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Whether a process group has any process left.
fn group_exists(group: u32) -> bool {
    i32::try_from(group).is_ok_and(|group| killpg(Pid::from_raw(group), None).is_ok())
}

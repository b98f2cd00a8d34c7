//! Starts that this machine refuses for now: no space, no more processes, a program that is away.
//! What was to be started goes back to the queue without counting as an attempt, and is tried again
//! after a backoff. A shortage is told once when it begins and once when it is over, and ends the
//! sweep if it lasts and nothing runs.

use std::collections::BTreeSet;

use super::{
    Action, Duration, EndBy, Fatal, Given, Notice, OnDisk, Reactor, Record, State, Stop, Time,
};

/// The longest pause before a slot is tried again, as a power of two in seconds.
const LONGEST_BACKOFF: u32 = 3;

/// A shortage that has begun and is not over.
#[derive(Debug)]
pub(super) struct Shortage {
    began: Time,
    /// Since when nothing has run.
    stalled: Time,
    /// What was refused last, and why.
    why: String,
    /// The slots whose last start was refused. It is over when all of them have started something
    /// since.
    slots: BTreeSet<usize>,
}

impl Reactor {
    /// Nothing could be started in a slot, or what was started there could not begin its work, for
    /// a shortage of this machine.
    pub fn on_start_postponed(&mut self, now: Time, number: usize, why: &str) -> Vec<Action> {
        self.free.insert(number);
        let slot = &mut self.slots[number];
        slot.vacate();
        slot.finished.clear();
        (slot.fault, slot.fault_of_ended, slot.ended) = (None, false, None);
        let given = std::mem::take(&mut slot.given);

        let refused = !matches!(slot.state, State::Ending(..)) && self.stop.is_none();
        if refused {
            slot.postponed += 1;
            let backoff = Duration::from_secs(1 << (slot.postponed - 1).min(LONGEST_BACKOFF));
            slot.state = State::Empty(now + backoff);
            self.note_shortage(now, number, why);
        } else {
            slot.state = State::Empty(now);
        }

        for Given { job, started, .. } in given.into_iter().rev() {
            if started.is_some() {
                let message = format!("it is to start again: {why}");
                self.record(
                    Record::Interrupted {
                        slot: number,
                        trial: job.trial,
                        message,
                    },
                    OnDisk::Nothing,
                );
            }
            self.put_back(job);
        }
        self.settle(now)
    }

    fn note_shortage(&mut self, now: Time, number: usize, why: &str) {
        let why = why.to_owned();
        match &mut self.shortage {
            Some(shortage) => {
                shortage.slots.insert(number);
                shortage.why = why;
            }
            None => {
                self.actions
                    .push(Action::Tell(Notice::Shortage { why: why.clone() }));
                self.shortage = Some(Shortage {
                    began: now,
                    stalled: now,
                    why,
                    slots: [number].into(),
                });
            }
        }
    }

    /// Something runs in a slot.
    pub(super) fn note_start(&mut self, now: Time, number: usize) {
        self.slots[number].postponed = 0;
        let Some(shortage) = &mut self.shortage else {
            return;
        };
        shortage.slots.remove(&number);
        if shortage.slots.is_empty() {
            let lasted = now.saturating_sub(shortage.began);
            self.shortage = None;
            self.actions
                .push(Action::Tell(Notice::ShortageOver { lasted }));
        }
    }

    /// Nothing is left to be started: what slots lacked does not matter any more.
    pub(super) fn forget_shortage(&mut self) {
        self.shortage = None;
        self.slots.iter_mut().for_each(|slot| slot.postponed = 0);
    }

    /// Gives the sweep up if a shortage has lasted for too long with nothing running: as long as
    /// trials run, their ends may bring what is lacking.
    pub(super) fn check_shortage(&mut self, now: Time) {
        let busy = self.slots.iter().any(|slot| {
            !slot.given.is_empty() || !matches!(slot.state, State::Empty(_) | State::Ready)
        });
        let Some(shortage) = self.shortage.as_mut().filter(|_| self.stop.is_none()) else {
            return;
        };
        if busy {
            shortage.stalled = now;
            return;
        }
        let lasted = now.saturating_sub(shortage.stalled);
        if lasted > self.settings.shortage {
            let why = shortage.why.clone();
            self.stop(
                now,
                Stop::Fatal(Fatal::Shortage {
                    seconds: lasted.as_secs(),
                    why,
                }),
                EndBy::Close,
            );
        }
    }

    /// The program was stopped for so long: that time does not count.
    pub(super) fn skip_shortage(&mut self, gap: Duration) {
        if let Some(shortage) = &mut self.shortage {
            shortage.stalled += gap;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, done, hello, settings, short, started, trial};
    use super::super::{Policy, Settings};
    use super::*;
    use crate::spec::Limits;

    fn programs(slots: &[usize]) -> Settings {
        Settings {
            persistent: false,
            ..settings(slots, 1, Limits::default())
        }
    }

    fn told<'a>(actions: &'a [Action]) -> Vec<&'a Notice> {
        let notice = |action: &'a Action| match action {
            Action::Tell(notice @ (Notice::Shortage { .. } | Notice::ShortageOver { .. })) => {
                Some(notice)
            }
            _ => None,
        };
        actions.iter().filter_map(notice).collect()
    }

    /// Lets time pass until something is to be done.
    fn next(r: &mut Reactor, now: &mut u64) -> String {
        for _ in 0..100 {
            *now += 1;
            let said = short(&r.on_tick(at(*now)));
            if !said.is_empty() {
                return said;
            }
        }
        "nothing".to_owned()
    }

    #[test]
    fn a_postponed_program_is_tried_again_ever_more_slowly_and_costs_no_attempt() {
        let mut r = Reactor::new(programs(&[0]));
        assert_eq!(
            short(&r.on_trials(at(0), vec![trial(1)], Policy::AllSlots)),
            "spawn 0"
        );
        let (mut now, mut pauses) = (0, Vec::new());
        for round in 0..6 {
            assert_eq!(short(&r.on_message(at(now), 0, hello())), "send 0:1");
            let actions = r.on_start_postponed(at(now), 0, "no space");
            assert_eq!(short(&actions), "");
            assert_eq!(told(&actions).len(), usize::from(round == 0), "told once");
            let before = now;
            assert_eq!(next(&mut r, &mut now), "spawn 0");
            pauses.push(now - before);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 8, 8]);
        assert_eq!(short(&r.on_message(at(now), 0, hello())), "send 0:1");
        let actions = r.on_message(at(now), 0, started(1));
        assert_eq!(told(&actions), [&Notice::ShortageOver { lasted: at(now) }]);
        assert_eq!(short(&r.on_message(at(now), 0, done(1))), "record done 1");
        assert_eq!(short(&r.on_committed(2)), "tell done 1, phase done");
    }

    #[test]
    fn a_shortage_that_lasts_ends_the_sweep_and_leaves_every_trial() {
        let mut r = Reactor::new(Settings {
            shortage: at(60),
            ..programs(&[0, 1])
        });
        r.on_trials(at(0), vec![trial(1), trial(2)], Policy::AllSlots);
        let mut stopped = None;
        for now in 0..200 {
            for slot in [0, 1] {
                if matches!(r.slots[slot].state, State::Starting(_)) {
                    r.on_message(at(now), slot, hello());
                    r.on_start_postponed(at(now), slot, "no more processes");
                }
            }
            if short(&r.on_tick(at(now))) == "stopped" {
                stopped = Some(now);
                break;
            }
        }
        assert_eq!(stopped, Some(61));
        assert_eq!(
            r.fatal(),
            Some(&Fatal::Shortage {
                seconds: 61,
                why: "no more processes".to_owned()
            })
        );
        assert_eq!((r.left(), r.waiting.len()), (2, 0), "none has failed");
    }

    #[test]
    fn as_long_as_something_runs_a_shortage_may_last() {
        let mut r = Reactor::new(Settings {
            shortage: at(60),
            ..programs(&[0, 1])
        });
        r.on_trials(at(0), vec![trial(1), trial(2)], Policy::AllSlots);
        assert_eq!(short(&r.on_message(at(0), 0, hello())), "send 0:1");
        r.on_message(at(0), 0, started(1));
        let mut tried = 0;
        for now in 0..1000 {
            r.on_tick(at(now));
            if matches!(r.slots[1].state, State::Starting(_)) {
                r.on_message(at(now), 1, hello());
                r.on_start_postponed(at(now), 1, "no more processes");
                tried += 1;
            }
        }
        assert!(r.fatal().is_none() && tried > 100, "{tried}");
        r.on_message(at(1000), 0, done(1));
        let late = (1000..1100).find(|&now| short(&r.on_tick(at(now))) == "stopped");
        assert_eq!(late, None, "the other slot takes the trial");
    }

    #[test]
    fn a_worker_that_cannot_be_started_for_now_is_no_failure_to_start() {
        let mut r = Reactor::new(settings(&[0], 1, Limits::default()));
        r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
        let mut now = 0;
        for _ in 0..10 {
            r.on_start_postponed(at(now), 0, "it is away");
            assert_eq!(next(&mut r, &mut now), "spawn 0");
        }
        assert!(r.fatal().is_none());
        assert_eq!(
            told(&r.on_message(at(now), 0, hello())).len(),
            1,
            "it is over with the hello"
        );
    }

    #[test]
    fn what_had_begun_is_cut_off_and_starts_again() {
        let mut r = Reactor::new(programs(&[0]));
        r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
        r.on_message(at(0), 0, hello());
        r.on_message(at(0), 0, started(1));
        assert_eq!(
            short(&r.on_start_postponed(at(1), 0, "its program is away")),
            "record interrupted 1"
        );
        r.on_committed(2);
        assert_eq!(r.left(), 1);
    }

    #[test]
    fn a_start_that_is_refused_while_the_sweep_stops_is_not_waited_for() {
        let mut r = Reactor::new(programs(&[0]));
        r.on_trials(at(0), vec![trial(1)], Policy::AllSlots);
        r.on_message(at(0), 0, hello());
        assert_eq!(short(&r.on_interrupt(at(0))), "terminate 0");
        assert_eq!(
            short(&r.on_start_postponed(at(0), 0, "no space")),
            "stopped"
        );
        assert!(r.is_interrupted());
    }
}

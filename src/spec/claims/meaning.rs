//! The meaning of a claim, from the mapping under the key of its kind.

use super::block::Block;
use crate::spec::model::{ClaimKind, Way};

impl Block<'_, '_> {
    /// Reads the meaning; None if a problem has been reported.
    pub(super) fn kind(mut self) -> Option<ClaimKind> {
        match self.key {
            "highest" | "lowest" => self.extreme(),
            "greater" | "less" => self.comparison(),
            "ratio" => self.ratio(),
            "at_least" | "at_most" => self.bound(),
            "saturates" => self.saturates(),
            _ => self.always_above(),
        }
    }

    fn way(&self) -> Way {
        match self.key {
            "highest" | "greater" | "at_least" => Way::Up,
            _ => Way::Down,
        }
    }

    fn extreme(&mut self) -> Option<ClaimKind> {
        let metric = self.final_metric("metric");
        let arm = self.arm("arm");
        let others = self.arms("among");

        let arm = arm?;
        let others: Vec<usize> = others?.into_iter().filter(|other| *other != arm).collect();

        // `among` may list the arm itself, which is not compared.
        if others.is_empty() {
            self.problems.report(
                self.span_of("among"),
                format!("`{}` compares the arm with no other", self.key),
                "no other arm",
                "name other arms under `among`, or leave it out where there are any",
            );
            return None;
        }
        Some(ClaimKind::Beyond {
            way: self.way(),
            metric: metric?,
            arm,
            others,
        })
    }

    fn comparison(&mut self) -> Option<ClaimKind> {
        let metric = self.final_metric("metric");
        let [arm, other] = self.two_arms("arm", "than")?;
        Some(ClaimKind::Beyond {
            way: self.way(),
            metric: metric?,
            arm,
            others: vec![other],
        })
    }

    fn ratio(&mut self) -> Option<ClaimKind> {
        let metric = self.final_metric("metric");
        let arms = self.two_arms("of", "to");
        let is = self.number("is", None, |x| x > 0.0, "greater than 0");
        let within = self.number(
            "within",
            Some(0.1),
            |x| x > 0.0 && x < 1.0,
            "greater than 0 and less than 1",
        );

        let [of, to] = arms?;
        Some(ClaimKind::Ratio {
            metric: metric?,
            of,
            to,
            is: is?,
            within: within?,
        })
    }

    fn bound(&mut self) -> Option<ClaimKind> {
        let metric = self.final_metric("metric");
        let arms = self.arms("arms");
        let value = self.number("value", None, |_| true, "a number");
        Some(ClaimKind::Bound {
            way: self.way(),
            metric: metric?,
            arms: arms?,
            value: value?,
        })
    }

    fn saturates(&mut self) -> Option<ClaimKind> {
        let metric = self.history_metric("metric");
        let arms = self.arms("arms");
        let at = self.number("at", None, |x| x >= 1.0, "at least 1");
        let within = self.number("within", Some(1.0), |x| x >= 0.0, "0 or greater");
        let tolerance = self.number(
            "tolerance",
            Some(0.05),
            |x| (0.0..1.0).contains(&x),
            "at least 0 and less than 1",
        );

        let goal = self.goal(metric.as_deref());
        Some(ClaimKind::Saturates {
            metric: metric?,
            goal: goal?,
            arms: arms?,
            at: at?,
            within: within?,
            tolerance: tolerance?,
        })
    }

    fn always_above(&mut self) -> Option<ClaimKind> {
        let metric = self.history_metric("metric");
        let than = self.history_metric("than");
        let arms = self.arms("arms");

        let metric = metric?;
        let than = than?;
        if metric == than {
            self.report_itself("than", &metric);
            return None;
        }
        Some(ClaimKind::AlwaysAbove {
            metric,
            than,
            arms: arms?,
        })
    }
}

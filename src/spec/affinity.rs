//! Which trials have work in common, as the task declares it: trials of one affinity gain by running in one bundle. The
//! planner (`plan/`) puts such trials side by side; a result never depends on it.

use super::task::{OptimizerKind, Task};
use super::value::{Config, ParamValue};

/// Parameters of hybrid that matter only once it has switched, or say when it does.
const AFTER_THE_SWITCH: [&str; 6] = ["tl", "lr2", "beta1", "beta2", "eps", "hessian_power"];

impl Task {
    /// What the trials that have work in common with this configuration agree in, besides the seed; `None` if there are none.
    ///
    /// A hybrid trial begins as SGD with momentum at `lr1`, so its affinity is the configuration of that.
    pub fn affinity(&self, config: &Config) -> Option<String> {
        if !matches!(self, Self::MnistResnet18) {
            return None;
        }
        let Some(ParamValue::Text(optimizer)) = config.get("optimizer") else { return None };
        match OptimizerKind::from_name(optimizer)? {
            OptimizerKind::SgdMomentum => Some(config.canonical()),
            OptimizerKind::Hybrid => {
                let mut first = config.clone();
                first.0.retain(|name, _| !AFTER_THE_SWITCH.contains(&name.as_str()));
                if let Some(lr) = first.0.remove("lr1") {
                    first.0.insert("lr".to_owned(), lr);
                }
                let name = OptimizerKind::SgdMomentum.name().to_owned();
                first.0.insert("optimizer".to_owned(), ParamValue::Text(name));
                Some(first.canonical())
            }
            OptimizerKind::Sgd | OptimizerKind::Adam | OptimizerKind::Adahessian => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::task::PARAMS;

    fn affinity(json: &str) -> Option<String> {
        Task::MnistResnet18.affinity(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn hybrid_goes_with_its_first_phase() {
        let momentum = affinity(r#"{"optimizer": "sgd_momentum", "lr": 0.1, "momentum": 0.9, "epochs": 3}"#);
        let hybrid = r#"{"optimizer": "hybrid", "lr1": 0.1, "lr2": 0.2, "tl": 1, "beta2": 0.9, "momentum": 0.9, "epochs": 3}"#;
        assert!(momentum.is_some());
        assert_eq!(affinity(hybrid), momentum);
        assert_eq!(affinity(&hybrid.replace("\"tl\": 1", "\"tl\": 0.5")), momentum);
        for other in [hybrid.replace("\"lr1\": 0.1", "\"lr1\": 0.2"), hybrid.replace("\"epochs\": 3", "\"epochs\": 4")] {
            assert_ne!(affinity(&other), momentum, "{other}");
        }
        assert_eq!(affinity(r#"{"optimizer": "adam", "lr": 0.1}"#), None);
    }

    /// A new parameter of hybrid's second phase must be named here too.
    #[test]
    fn what_the_first_phase_does_not_have_is_named() {
        let first = |name: &str| PARAMS.iter().any(|param| param.name == name && param.applies_to(OptimizerKind::SgdMomentum));
        let own = PARAMS.iter().filter(|param| param.applies_to(OptimizerKind::Hybrid) && !first(param.name));
        let mut own: Vec<&str> = own.map(|param| param.name).filter(|name| *name != "lr1").collect();
        let mut named = AFTER_THE_SWITCH.to_vec();
        own.sort_unstable();
        named.sort_unstable();
        assert_eq!(own, named);
    }
}

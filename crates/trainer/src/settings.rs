//! A trial's configuration as typed settings, checked against the task's own list of parameters
//! (`pentagrid_protocol::task`). The coordinator has checked it too, but the trainer does not rely
//! on that.

use pentagrid_protocol::task::{
    OptimizerKind, PARAMS, PROTOCOL_AS_RUN, ParamDefault, ParamType, TaskParam,
};
use pentagrid_protocol::{Config, ParamValue};

use crate::error::TrialError;
use crate::optim::{
    AdahessianSettings, AdamSettings, HybridSettings, OptimizerSettings, SgdMomentumSettings,
    SgdSettings,
};

/// Everything that defines a trial, besides its seed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// The optimizer and its hyper-parameters.
    pub optimizer: OptimizerSettings,
    /// Passes over the training images.
    pub epochs: u32,
    /// Images per step.
    pub batch_size: i64,
    /// Number of training images, from the first on; all if `None`.
    pub train_images: Option<i64>,
    /// Folder of IDX files; the embedded images if `None`.
    pub data_dir: Option<String>,
    /// What is measured on which images.
    pub protocol: Protocol,
}

/// What is measured on which images, and what counts as training time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// As the paper says.
    Paper,
    /// As its authors' program did (`facts.md` 1a to 1f: train.py of riccardocadei/adahessian).
    AsRun,
}

impl Settings {
    /// The settings of a configuration.
    ///
    /// # Errors
    /// `TrialError::BadConfig`, naming the parameter.
    pub(crate) fn from_config(config: &Config) -> Result<Self, TrialError> {
        let optimizer = optimizer_kind(config)?;
        check(config, optimizer)?;
        let read = Reader { config };
        let epochs = read.int("epochs")?;
        let train_images = config
            .get("train_images")
            .map(|_| read.int("train_images"))
            .transpose()?;
        let protocol = match read.text("protocol") {
            Some(PROTOCOL_AS_RUN) => Protocol::AsRun,
            _ => Protocol::Paper,
        };
        Ok(Self {
            optimizer: read.optimizer(optimizer)?,
            epochs: u32::try_from(epochs).map_err(|_| bad("epochs", "is out of range"))?,
            batch_size: read.int("batch_size")?,
            train_images,
            data_dir: read.text("data_dir").map(str::to_owned),
            protocol,
        })
    }
}

fn bad(name: &str, problem: &str) -> TrialError {
    TrialError::BadConfig(format!("{name}: {problem}"))
}

fn optimizer_kind(config: &Config) -> Result<OptimizerKind, TrialError> {
    let known = OptimizerKind::ALL.map(OptimizerKind::name).join(", ");
    let problem = match config.get("optimizer") {
        None => format!("is missing; it is one of {known}"),
        Some(ParamValue::Text(name)) => match OptimizerKind::from_name(name) {
            Some(kind) => return Ok(kind),
            None => format!("there is no `{name}`; it is one of {known}"),
        },
        Some(other) => format!("must be text, not {} ({other})", other.kind()),
    };
    Err(bad("optimizer", &problem))
}

/// Checks that every given parameter is known, belongs to the optimizer, and has a value of its
/// type and in its range, and that every required one is given.
fn check(config: &Config, optimizer: OptimizerKind) -> Result<(), TrialError> {
    for (name, value) in &config.0 {
        if let Some(problem) = problem_with(name, value, optimizer) {
            return Err(bad(name, &problem));
        }
    }

    for param in PARAMS.iter().filter(|param| param.applies_to(optimizer)) {
        if param.default == ParamDefault::Required && config.get(param.name).is_none() {
            let problem = format!("is missing; {} needs it ({})", optimizer.name(), param.help);
            return Err(bad(param.name, &problem));
        }
    }
    Ok(())
}

/// What is wrong with a parameter, if anything is.
fn problem_with(name: &str, value: &ParamValue, optimizer: OptimizerKind) -> Option<String> {
    let Some(param) = TaskParam::find(name) else {
        let known: Vec<&str> = PARAMS
            .iter()
            .filter(|param| param.applies_to(optimizer))
            .map(|param| param.name)
            .collect();
        let known = known.join(", ");
        return Some(format!(
            "is no parameter of this task; {} has {known}",
            optimizer.name()
        ));
    };
    // A parameter without effect is probably a mistake.
    if !param.applies_to(optimizer) {
        return Some(format!("does not belong to {}", optimizer.name()));
    }

    // A whole number may stand for a float, but not the other way round.
    let expected = match (param.ty, value) {
        (ParamType::Int, ParamValue::Int(_))
        | (ParamType::Float, ParamValue::Int(_) | ParamValue::Float(_))
        | (ParamType::Text, ParamValue::Text(_))
        | (ParamType::Bool, ParamValue::Bool(_)) => None,
        (ParamType::Int, _) => Some("an integer"),
        (ParamType::Float, _) => Some("a number"),
        (ParamType::Text, _) => Some("text"),
        (ParamType::Bool, _) => Some("true or false"),
    };
    if let Some(expected) = expected {
        let kind = value.kind();
        return Some(format!("must be {expected}, not {kind} ({value})"));
    }
    if !param.range.contains(value) {
        let range = param.range.describe();
        return Some(format!("must be {range}, not {value}"));
    }
    None
}

/// Reads values of a configuration that `check` has passed, with the task's defaults.
struct Reader<'a> {
    config: &'a Config,
}

impl Reader<'_> {
    fn float(&self, name: &str) -> Result<f64, TrialError> {
        let given = self.config.get(name).and_then(ParamValue::as_f64);
        let default = TaskParam::find(name).and_then(|param| match param.default {
            ParamDefault::Float(value) => Some(value),
            _ => None,
        });
        given.or(default).ok_or_else(|| bad(name, "is missing"))
    }

    fn int(&self, name: &str) -> Result<i64, TrialError> {
        let default = TaskParam::find(name).map(|param| param.default);
        match (self.config.get(name), default) {
            (Some(&ParamValue::Int(value)), _) | (None, Some(ParamDefault::Int(value))) => {
                Ok(value)
            }
            _ => Err(bad(name, "is missing")),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.config.get(name) {
            Some(ParamValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn optimizer(&self, kind: OptimizerKind) -> Result<OptimizerSettings, TrialError> {
        // The default of `eps` depends on the optimizer, so it is not in the task's list.
        Ok(match kind {
            OptimizerKind::Sgd => OptimizerSettings::Sgd(SgdSettings {
                lr: self.float("lr")?,
            }),
            OptimizerKind::SgdMomentum => OptimizerSettings::SgdMomentum(self.momentum("lr")?),
            OptimizerKind::Adam => OptimizerSettings::Adam(AdamSettings {
                lr: self.float("lr")?,
                beta1: self.float("beta1")?,
                beta2: self.float("beta2")?,
                eps: self.float("eps").unwrap_or(1e-8),
            }),
            OptimizerKind::Adahessian => OptimizerSettings::Adahessian(self.adahessian("lr")?),
            OptimizerKind::Hybrid => OptimizerSettings::Hybrid(HybridSettings {
                first: self.momentum("lr1")?,
                tl: self.float("tl")?,
                second: self.adahessian("lr2")?,
            }),
        })
    }

    fn momentum(&self, lr: &str) -> Result<SgdMomentumSettings, TrialError> {
        Ok(SgdMomentumSettings {
            lr: self.float(lr)?,
            momentum: self.float("momentum")?,
            dampening: self.float("dampening")?,
        })
    }

    fn adahessian(&self, lr: &str) -> Result<AdahessianSettings, TrialError> {
        Ok(AdahessianSettings {
            lr: self.float(lr)?,
            beta1: self.float("beta1")?,
            beta2: self.float("beta2")?,
            eps: self.float("eps").unwrap_or(1e-4),
            hessian_power: self.float("hessian_power")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Settings, TrialError> {
        Settings::from_config(&serde_json::from_str(json).unwrap())
    }

    fn message(json: &str) -> String {
        let error = read(json).unwrap_err();
        assert!(matches!(error, TrialError::BadConfig(_)));
        error.to_string()
    }

    #[test]
    fn defaults_are_the_papers() {
        let settings = read(r#"{"optimizer": "sgd", "lr": 1}"#).unwrap();
        let expected = Settings {
            optimizer: OptimizerSettings::Sgd(SgdSettings { lr: 1.0 }),
            epochs: 15,
            batch_size: 100,
            train_images: None,
            data_dir: None,
            protocol: Protocol::Paper,
        };
        assert_eq!(settings, expected);
        let OptimizerSettings::Adam(adam) = read(r#"{"optimizer": "adam", "lr": 0.001}"#)
            .unwrap()
            .optimizer
        else {
            panic!()
        };
        assert_eq!((adam.beta1, adam.beta2, adam.eps), (0.9, 0.999, 1e-8));
    }

    #[test]
    fn everything_given_arrives() {
        let json = r#"{"optimizer": "hybrid", "lr1": 0.005, "lr2": 0.1, "tl": 1, "momentum": 0.9, "dampening": 0.9, "beta1": 0.8,
            "beta2": 0.99, "eps": 0.001, "hessian_power": 0.5, "epochs": 3, "batch_size": 20, "train_images": 400, "data_dir": "d",
            "protocol": "as_run"}"#;
        let expected = Settings {
            optimizer: OptimizerSettings::Hybrid(HybridSettings {
                first: SgdMomentumSettings {
                    lr: 0.005,
                    momentum: 0.9,
                    dampening: 0.9,
                },
                tl: 1.0,
                second: AdahessianSettings {
                    lr: 0.1,
                    beta1: 0.8,
                    beta2: 0.99,
                    eps: 0.001,
                    hessian_power: 0.5,
                },
            }),
            epochs: 3,
            batch_size: 20,
            train_images: Some(400),
            data_dir: Some("d".to_owned()),
            protocol: Protocol::AsRun,
        };
        assert_eq!(read(json).unwrap(), expected);
    }

    #[test]
    fn every_fault_names_the_parameter() {
        insta::assert_snapshot!(message("{}"), @"optimizer: is missing; it is one of sgd, sgd_momentum, adam, adahessian, hybrid");
        insta::assert_snapshot!(message(r#"{"optimizer": "lbfgs"}"#), @"optimizer: there is no `lbfgs`; it is one of sgd, sgd_momentum, adam, adahessian, hybrid");
        insta::assert_snapshot!(message(r#"{"optimizer": 3}"#), @"optimizer: must be text, not an integer (3)");
        insta::assert_snapshot!(message(r#"{"optimizer": "sgd"}"#), @"lr: is missing; sgd needs it (learning rate)");
        insta::assert_snapshot!(message(r#"{"optimizer": "sgd", "lr": 0.1, "momentun": 0.9}"#), @"momentun: is no parameter of this task; sgd has optimizer, lr, epochs, batch_size, train_images, data_dir, protocol");
        insta::assert_snapshot!(message(r#"{"optimizer": "sgd", "lr": 0.1, "tl": 0.9}"#), @"tl: does not belong to sgd");
        insta::assert_snapshot!(message(r#"{"optimizer": "sgd", "lr": "big"}"#), @"lr: must be a number, not text (big)");
        insta::assert_snapshot!(message(r#"{"optimizer": "sgd", "lr": 0.1, "epochs": 2.0}"#), @"epochs: must be an integer, not a float (2.0)");
        insta::assert_snapshot!(message(r#"{"optimizer": "sgd", "lr": 0.1, "data_dir": true}"#), @"data_dir: must be text, not a boolean (true)");
        insta::assert_snapshot!(message(r#"{"optimizer": "sgd", "lr": 0}"#), @"lr: must be greater than 0, not 0");
        insta::assert_snapshot!(message(r#"{"optimizer": "sgd", "lr": 0.1, "epochs": 0}"#), @"epochs: must be from 1 to 10000, not 0");
        insta::assert_snapshot!(message(r#"{"optimizer": "sgd", "lr": 0.1, "protocol": "as_is"}"#), @"protocol: must be paper or as_run, not as_is");
        insta::assert_snapshot!(message(r#"{"optimizer": "sgd_momentum", "lr": 0.1, "momentum": 1.0}"#), @"momentum: must be at least 0 and less than 1, not 1.0");
        insta::assert_snapshot!(message(r#"{"optimizer": "hybrid", "lr1": 0.1, "lr2": 0.1, "momentum": 0.9}"#), @"tl: is missing; hybrid needs it (validation loss below which hybrid switches to AdaHessian)");
    }
}

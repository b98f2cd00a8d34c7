//! Keys of other programs' sweep files, and keys in the wrong place, that are refused by name.

/// A key of another program that is refused with help of its own.
pub(super) struct Foreign {
    pub message: String,
    pub label: &'static str,
    pub help: &'static str,
}

/// Keys that people write at the top of the file.
pub(super) fn in_sweep(name: &str) -> Option<Foreign> {
    let (why, label, help) = match name {
        "early_terminate" => (
            "is not supported: pentagrid runs full grids only",
            "not a full grid",
            "remove it; every trial runs to its end. `prune: safe` leaves out trials that cannot change the winner",
        ),
        "run_cap" => (
            "is not supported: pentagrid runs full grids only",
            "not a full grid",
            "remove it; list fewer values instead",
        ),
        "controller" | "imageuri" | "image_uri" | "job" | "scheduler" => (
            "belongs to the W&B service",
            "W&B only",
            "remove it; pentagrid keeps its results in a folder, `runs/<name>`",
        ),
        "seed" | "random_seed" => (
            "is not a key",
            "unknown key",
            "name the seeds under `seeds`: `seeds: {tune: 5, final: 10}`",
        ),
        "tune" | "final" => (
            "is a key of `seeds`",
            "in the wrong place",
            "write it under `seeds`: `seeds: {tune: 5, final: 10}`",
        ),
        "goal" => (
            "is a key of `metric`",
            "in the wrong place",
            "write it under `metric`: `metric: {name: loss, goal: minimize}`",
        ),
        "timeout" | "retries" | "max_failures" => (
            "is a key of `limits`",
            "in the wrong place",
            "write it under `limits`: `limits: {timeout: 2h, retries: 2, max_failures: 10}`",
        ),
        "threads" | "per_gpu" => (
            "is a key of `resources`",
            "in the wrong place",
            "write it under `resources`: `resources: {per_gpu: 4, threads: 2}`",
        ),
        "hyperparameters" | "hyper_parameters" | "params" | "param_grid" | "search_space"
        | "space" => (
            "is not a key",
            "unknown key",
            "write `parameters: {lr: {values: [0.01, 0.1]}}`",
        ),
        "script" | "entrypoint" | "file" => {
            ("is not a key", "unknown key", "write `program: train.py`")
        }
        "protocol" => (
            "is a parameter of the built-in task, not a key of the sweep",
            "a parameter",
            "write it under `parameters`: `protocol: {value: as_run}`",
        ),
        _ => return None,
    };
    Some(Foreign {
        message: format!("`{name}` {why}"),
        label,
        help,
    })
}

/// Names of the keys of `metric` in other programs.
pub(super) fn in_metric(name: &str) -> Option<Foreign> {
    let (why, help) = match name {
        "mode" | "direction" | "objective" => (
            "is called `goal` here",
            "write `goal: maximize` or `goal: minimize`, without another key for it",
        ),
        "target" => (
            "is not supported: it stops a sweep before all points have had their seeds",
            "remove it",
        ),
        _ => return None,
    };
    Some(Foreign {
        message: format!("`{name}` {why}"),
        label: "unknown key",
        help,
    })
}

/// W&B's keys of a parameter that describe a random distribution.
pub(super) fn in_parameter(name: &str) -> Option<Foreign> {
    const RANDOM: [&str; 3] = ["mu", "sigma", "probabilities"];
    RANDOM.contains(&name).then(|| random(name))
}

/// A key that describes a random search.
pub(super) fn random(name: &str) -> Foreign {
    Foreign {
        message: format!("`{name}` describes a random search; pentagrid runs full grids only"),
        label: "not a grid",
        help: "list what to try under `values`, write `linspace`, `logspace` or `range`, or fix it with `value`",
    }
}

//! Every key that a sweep file may have, with its description: the walkers accept these and no
//! others, and the JSON schema is made of the same lists. Also the keys of W&B's sweep files that
//! are refused by name.

/// A key and what it means.
#[derive(Debug)]
pub(super) struct Key {
    pub name: &'static str,
    pub doc: &'static str,
}

const fn key(name: &'static str, doc: &'static str) -> Key {
    Key { name, doc }
}

const ZIP: Key = key(
    "zip",
    "Parameters that advance together, as lists of equal length do: `[lr, batch_size]`, or a list of such groups.",
);
const EXCLUDE: Key = key(
    "exclude",
    "Rules for what to leave out: each a mapping of parameters to a value or a list of values. A configuration that has one of the values of each is left out.",
);

/// The file itself.
pub(super) const SWEEP: &[Key] = &[
    key(
        "name",
        "Name of the sweep; its results go to the folder `runs/<name>`.",
    ),
    key("description", "Free text: what the sweep is for."),
    key(
        "task",
        "Who trains: `mnist-resnet18`, the built-in task. A program of your own is named under `program`, `command` or `worker` instead.",
    ),
    key(
        "worker",
        "Who trains: a program of your own that speaks the worker protocol, as a list of its words (no shell). See docs/protocol.md.",
    ),
    key(
        "affinity",
        "Parameters of a worker's trials: trials that agree in all of them have work in common and go to one worker together.",
    ),
    key(
        "program",
        "Who trains: a program of your own that trains one trial and ends. See docs/programs.md.",
    ),
    key(
        "command",
        "How that program is started, as a list of its words (no shell), with W&B's macros such as `${args}`. Default: `[${interpreter}, ${program}, ${args}]` for a Python program, else `[${program}, ${args}]`.",
    ),
    key(
        "env",
        "Environment variables of the worker or program, over those that pentagrid was started with.",
    ),
    key(
        "workdir",
        "The folder that the worker or program is started in; relative to the one that the sweep was started from.",
    ),
    key(
        "method",
        "How points are chosen: always `grid`, every combination of the values.",
    ),
    key(
        "metric",
        "What selects the best point of each arm: its mean over the tuning seeds.",
    ),
    key(
        "seeds",
        "Which random seeds each point is trained with, and which the winners are trained with again.",
    ),
    key(
        "prune",
        "`safe`: points that cannot win any more, whatever their remaining seeds give, get no further seeds. The selected points are those of the full grid. Default: `none`.",
    ),
    key(
        "parameters",
        "The hyper-parameters that all arms have in common.",
    ),
    ZIP,
    EXCLUDE,
    key(
        "grids",
        "Without `arms`: grids whose union is searched, each beside the common parameters.",
    ),
    key(
        "arms",
        "The competitors: each has a grid of its own, and the tables compare their best points.",
    ),
    key(
        "limits",
        "How long a trial may take, how often it is tried again, and how many may fail.",
    ),
    key(
        "resources",
        "What a trial takes of the machine: how many share a GPU, and how many threads each has.",
    ),
    key(
        "launcher",
        "How workers and programs are started: on this machine, by Slurm, or by another program such as ssh. Changes no result.",
    ),
    key(
        "published",
        "Figures from a publication, shown beside yours: arm, then metric, then mean, std and n.",
    ),
    key("project", "W&B's: without effect here."),
    key("entity", "W&B's: without effect here."),
    key("apiVersion", "W&B's: without effect here."),
    key("kind", "W&B's: without effect here."),
    key(
        "claims",
        "Sentences to judge by the results: each a text under `says`, and what it means under one other key.",
    ),
];

/// `metric`.
pub(super) const METRIC: &[Key] = &[
    key("name", "A final metric that every trial reports."),
    key(
        "goal",
        "`maximize` if higher is better, `minimize` if lower is better. Beside `program` or `command` the default is W&B's: `minimize`.",
    ),
    key(
        "best",
        "The best value that the metric can take, which `prune: safe` needs: 1.0 for an accuracy, 0.0 for a loss to minimize. For programs of your own; known for the built-in task.",
    ),
];

/// `seeds`.
pub(super) const SEEDS: &[Key] = &[
    key(
        "tune",
        "Seeds for the search, one run of every point with each: a count N (the seeds 0 to N-1) or a list. 0 if there is nothing to choose.",
    ),
    key(
        "final",
        "Fresh seeds for the best point of each arm: a count N (the seeds 1000 to 1000+N-1) or a list. 0 for no final runs.",
    ),
];

/// An arm.
pub(super) const ARM: &[Key] = &[
    key("label", "What tables and figures call the arm."),
    key(
        "parameters",
        "The hyper-parameters of this arm, beside or instead of the common ones.",
    ),
    ZIP,
    EXCLUDE,
    key(
        "grids",
        "Grids whose union is the arm's, each beside the parameters of the arm.",
    ),
    key(
        "resources",
        "What trials of this arm take of the machine, beside or instead of the common ones.",
    ),
    key(
        "limits",
        "Limits of this arm, beside or instead of the common ones.",
    ),
];

/// One grid of a union.
pub(super) const GRID: &[Key] = &[
    key(
        "parameters",
        "The hyper-parameters of this grid, beside or instead of those around it.",
    ),
    ZIP,
    EXCLUDE,
];

/// `limits`, of the sweep or of an arm.
pub(super) const LIMITS: &[Key] = &[
    key(
        "timeout",
        "An attempt that takes longer is ended and has failed: `90s`, `30m`, `1h30m`, `2d`.",
    ),
    key(
        "retries",
        "How often a trial is tried again. Configurations that cannot be run and missing metrics are never tried again.",
    ),
    key(
        "max_failures",
        "If more trials than these fail for good, the sweep ends; it can be resumed.",
    ),
];

/// `resources`.
pub(super) const RESOURCES: &[Key] = &[
    key(
        "per_gpu",
        "How many trials share a GPU at a time. Default: 1.",
    ),
    key(
        "threads",
        "How many CPU threads a trial is told to use, and how many cores it takes of the machine. Default: 1.",
    ),
];

/// `launcher`.
pub(super) const LAUNCHER: &[Key] = &[
    key(
        "kind",
        "`local` (the default), `slurm` (docs/slurm.md) or `command`: any program that carries stdin and stdout (docs/launchers.md).",
    ),
    key(
        "max_workers",
        "Slurm: the most workers at a time. Default: as many as an allocation has GPUs (or CPUs) for, 8 outside one.",
    ),
    key(
        "steps",
        "Slurm: whether workers are steps of the allocation that pentagrid runs in, instead of jobs of their own. Default: true inside one.",
    ),
    key("partition", "Slurm: the partition."),
    key("account", "Slurm: the account."),
    key("qos", "Slurm: the quality of service."),
    key(
        "time",
        "Slurm: the time limit of each worker: `4h`, `1h30m`, or as Slurm has it (`4:00:00`).",
    ),
    key(
        "gpus",
        "Slurm: GPUs for each worker. Default: 1 where there are any.",
    ),
    key(
        "cpus",
        "Slurm: CPUs for each worker. Default: `threads` under `resources`.",
    ),
    key(
        "mem",
        "Slurm: memory for each worker, as Slurm has it: `8G`.",
    ),
    key(
        "args",
        "Slurm: further options of `srun`, as a list of words.",
    ),
    key(
        "prefix",
        "Command: the program that starts a worker, and its arguments, as a list of words; the worker's command line is put behind them. `${slot}` is the worker's number, from 0.",
    ),
    key("workers", "Command: how many workers. Default: 1."),
    key(
        "quote",
        "Command: whether a shell on the other side reads the command line, as with ssh. Default: true if the program is ssh.",
    ),
    key(
        "start",
        "Command: how long a worker may take to say hello. Default: 2m.",
    ),
    key(
        "agent",
        "Where pentagrid is found on the other side. Slurm's default: where it is here.",
    ),
    key(
        "heartbeat",
        "A worker that hears nothing of its coordinator for so long ends itself. Default: 2m.",
    ),
];

/// A parameter.
pub(super) const PARAMETER: &[Key] = &[
    key("value", "One fixed value."),
    key("values", "The values to try, each once."),
    key(
        "parameters",
        "Nested parameters; their names are joined by dots.",
    ),
    key(
        "type",
        "Type of the values: `float` (whole numbers are read as floats), `int`, `bool` or `text`.",
    ),
    key(
        "when",
        "The parameter exists only where others have these values: `{optimizer: sgd}`, `{optimizer: [sgd, adam]}`.",
    ),
];

/// A published figure.
pub(super) const FIGURE: &[Key] = &[
    key("mean", "The published mean."),
    key("std", "The published standard deviation."),
    key("n", "Over how many runs."),
    key(
        "images",
        "On how many images, if the mean is a percentage of images: a mean that n runs on so many images cannot give is flagged.",
    ),
];

/// A claim: `says`, and one of the others.
pub(super) const CLAIM: &[Key] = &[
    key("says", "The sentence, as it was published."),
    key(
        "highest",
        "The arm has the highest mean of a final metric of all arms, or of those under `among`.",
    ),
    key(
        "lowest",
        "The arm has the lowest mean of a final metric of all arms, or of those under `among`.",
    ),
    key(
        "greater",
        "The arm's mean of a final metric is greater than another arm's.",
    ),
    key(
        "less",
        "The arm's mean of a final metric is less than another arm's.",
    ),
    key(
        "ratio",
        "One arm's mean of a final metric is so many times another's.",
    ),
    key(
        "at_least",
        "Each arm's mean of a final metric is at least this value.",
    ),
    key(
        "at_most",
        "Each arm's mean of a final metric is at most this value.",
    ),
    key(
        "saturates",
        "From about this epoch on, a metric of the history gets hardly any better.",
    ),
    key(
        "always_above",
        "One metric of the history is greater than another at every epoch of every trial.",
    ),
];

const METRIC_OF_CLAIM: Key = key("metric", "A final metric.");
const ARMS_OF_CLAIM: Key = key("arms", "The arms that it speaks of; all, when left out.");

/// What stands under each kind of claim.
pub(super) const EXTREME: &[Key] = &[
    key("arm", "The arm that it speaks of."),
    METRIC_OF_CLAIM,
    key(
        "among",
        "The arms that it is compared with; all others, when left out.",
    ),
];
pub(super) const COMPARISON: &[Key] = &[
    METRIC_OF_CLAIM,
    key("arm", "The arm that it speaks of."),
    key("than", "The arm that it is compared with."),
];
pub(super) const RATIO: &[Key] = &[
    METRIC_OF_CLAIM,
    key("of", "The arm above the line."),
    key("to", "The arm below the line."),
    key("is", "The ratio: 1.26 for 26 % more."),
    key(
        "within",
        "By what share of the ratio the measured one may differ. Default: 0.1.",
    ),
];
pub(super) const BOUND: &[Key] = &[METRIC_OF_CLAIM, ARMS_OF_CLAIM, key("value", "The value.")];
pub(super) const SATURATES: &[Key] = &[
    key("metric", "A metric of the history."),
    key(
        "goal",
        "`minimize` or `maximize`: which way the metric gets better. Needed only where it is not known.",
    ),
    ARMS_OF_CLAIM,
    key("at", "The epoch."),
    key(
        "within",
        "By how many epochs the measured one may differ. Default: 1.",
    ),
    key(
        "tolerance",
        "What share of the whole improvement may still be to come. Default: 0.05.",
    ),
];
pub(super) const ALWAYS_ABOVE: &[Key] = &[
    key("metric", "The greater metric of the history."),
    key("than", "The lesser metric of the history."),
    ARMS_OF_CLAIM,
];

/// A key that is refused by name, because people will bring it from elsewhere.
pub(super) struct Foreign {
    pub message: String,
    pub label: &'static str,
    pub help: &'static str,
}

/// W&B's top-level keys that this program does not have.
pub(super) fn foreign_to_sweep(name: &str) -> Option<Foreign> {
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

/// What other tools call the keys of `metric`.
pub(super) fn foreign_to_metric(name: &str) -> Option<Foreign> {
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

/// W&B's parameter keys that describe what to draw from.
pub(super) fn foreign_to_parameter(name: &str) -> Option<Foreign> {
    const RANDOM: [&str; 7] = [
        "distribution",
        "min",
        "max",
        "mu",
        "sigma",
        "q",
        "probabilities",
    ];
    RANDOM.contains(&name).then(|| Foreign {
        message: format!("`{name}` describes a random search; pentagrid runs full grids only"),
        label: "not a grid",
        help: "list what to try under `values`, or fix it with `value`, and remove this key",
    })
}

/// What people write between the words of a name: `val-acc`, `val/acc`, `val_acc`.
const SEPARATORS: [char; 3] = ['-', '/', '.'];

/// The name that was probably meant.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // Longer than any name we know: nothing is near, and comparing would take long.
    if name.len() > 64 {
        return None;
    }
    // The beginning of just one name, as in `val_acc`.
    let mut longer = known
        .iter()
        .filter(|other| name.len() >= 3 && other.starts_with(name));
    if let (Some(only), None) = (longer.next(), longer.next()) {
        return Some(only);
    }
    let folded = name.to_lowercase().replace(SEPARATORS, "_");
    let distance = |other: &str| {
        strsim::damerau_levenshtein(&folded, &other.to_lowercase().replace(SEPARATORS, "_"))
    };
    let most = (folded.chars().count() / 3).max(1);
    known
        .iter()
        .map(|other| (distance(other), *other))
        .filter(|(d, _)| *d <= most)
        .min_by_key(|(d, _)| *d)
        .map(|(_, o)| o)
}

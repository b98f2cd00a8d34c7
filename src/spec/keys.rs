//! Every key that a sweep file may have, with its description. The readers accept these and no
//! others, and the JSON schema is made from the same lists.

/// A key and its description.
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
        "The built-in task to train: `mnist-resnet18`. A program of your own is named under `program`, `command` or `worker` instead.",
    ),
    key(
        "worker",
        "A program of your own that speaks the worker protocol, as a list of its words (no shell). See docs/protocol.md.",
    ),
    key(
        "affinity",
        "Parameters of a worker's trials: trials that agree in all of them have work in common and go to one worker together.",
    ),
    key(
        "program",
        "A program of your own that trains one trial and exits. See docs/programs.md.",
    ),
    key(
        "command",
        "How that program is started, as a list of its words (no shell), with W&B's macros such as `${args}`. Default: `[${interpreter}, ${program}, ${args}]` for a Python program, else `[${program}, ${args}]`.",
    ),
    key(
        "args",
        "How lists, null and booleans are written as arguments of a program; a parameter may have its own.",
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
        "The metric that selects the best point of each arm, by its mean over the tuning seeds.",
    ),
    key(
        "metrics",
        "Where a program's metrics are read from: `wandb`, `tensorboard`, `trainer_state`, `{csv: FILE}`, `{json: FILE}`, `{stdout: REGEX}`, or a list of these. Default: JSON lines, as docs/programs.md describes them.",
    ),
    key(
        "seeds",
        "The random seeds of each point, and those of the selected points.",
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
        "The methods to compare: each has a grid of its own, and the tables compare their best points.",
    ),
    key(
        "limits",
        "How long a trial may take, how often it is retried, and how many may fail.",
    ),
    key(
        "resources",
        "The share of the machine that a trial takes: how many share a GPU, and how many threads each has.",
    ),
    key(
        "launcher",
        "How workers and programs are started: on this machine, by Slurm, or by another program such as ssh. Changes no result.",
    ),
    key(
        "timed",
        "Whether final trials run one at a time on each device, as Table II needs. Default: true where `training_seconds` is measured.",
    ),
    key(
        "published",
        "Figures from a publication, shown beside yours: arm, then metric, then mean, std and n.",
    ),
    key("project", "A key of W&B, without effect here."),
    key("entity", "A key of W&B, without effect here."),
    key("apiVersion", "A key of W&B, without effect here."),
    key("kind", "A key of W&B, without effect here."),
    key(
        "claims",
        "Sentences to check against the results: each a text under `says`, and its meaning under one other key.",
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
        "at",
        "Which value of its history is a trial's: `last` (the default), `best` (the other metrics are those of the same epoch), or the mean of the last ones, `mean_last_5`.",
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
    key(
        "parameter",
        "What the program calls its seed, `seed` if left out. If it is one of the parameters, its values are the tuning seeds.",
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
        "The share of the machine that trials of this arm take, beside or instead of the common one.",
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
        "An attempt that takes longer is stopped and has failed: `90s`, `30m`, `1h30m`, `2d`.",
    ),
    key(
        "retries",
        "How often a trial is retried. Configurations that cannot be run and missing metrics are never retried.",
    ),
    key(
        "max_failures",
        "If more trials than this have failed with no retries left, the sweep ends; it can be resumed.",
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
        "How many CPU threads a trial is told to use, and how many cores of the machine it takes. Default: 1.",
    ),
];

/// `launcher`.
pub(super) const LAUNCHER: &[Key] = &[
    key(
        "kind",
        "`local` (the default), `slurm` (docs/slurm.md) or `command`: any program that forwards stdin and stdout (docs/launchers.md).",
    ),
    key(
        "max_workers",
        "Slurm: maximum number of workers at a time. Default: as many as an allocation has GPUs (or CPUs) for, 8 outside one.",
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
        "Slurm: more options for `srun`, as a list of words.",
    ),
    key(
        "prefix",
        "Command: the program that starts a worker, and its arguments, as a list of words; the worker's command line follows them. `${slot}` is the worker's number, from 0.",
    ),
    key("workers", "Command: how many workers. Default: 1."),
    key(
        "quote",
        "Command: whether a shell on the other side reads the command line, as with ssh. Default: true if the program is ssh.",
    ),
    key(
        "start",
        "Command: how long a worker may take to send its first message. Default: 2m.",
    ),
    key(
        "agent",
        "The path of pentagrid on the other side. Slurm's default: its path on this machine.",
    ),
    key(
        "heartbeat",
        "A worker that hears nothing from its coordinator for this long exits. Default: 2m.",
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
        "args",
        "How this parameter is written as an argument, if it is a list, null or a boolean.",
    ),
    key(
        "min",
        "With `max` and whole numbers: all whole numbers from `min` to `max`, as W&B's `int_uniform`.",
    ),
    key("max", "See `min`."),
    key(
        "q",
        "With `distribution: q_uniform`: the values from `min` to below `max` in steps of `q`, as W&B's grid has it.",
    ),
    key(
        "distribution",
        "W&B's word for how values are chosen: `categorical`, `constant`, `int_uniform` or `q_uniform`.",
    ),
    key(
        "linspace",
        "Evenly spaced values: `{from: 0, to: 1, points: 5}`, both ends included.",
    ),
    key(
        "logspace",
        "Values with even ratios: `{from: 1e-4, to: 1e-1, points: 4}`, both ends included.",
    ),
    key(
        "range",
        "Values in steps: `{from: 16, to: 64, step: 16}`, the end included.",
    ),
    key(
        "when",
        "The parameter exists only where others have these values: `{optimizer: sgd}`, `{optimizer: [sgd, adam]}`.",
    ),
];

/// `args`, of the sweep or of a parameter.
pub(super) const ARGS: &[Key] = &[
    key(
        "lists",
        "`literal` (the default): `--hidden=[64, 64]`, or `words`: `--hidden 64 64`.",
    ),
    key(
        "null",
        "`literal` (the default): `--decay=None`, or `omit`: no argument.",
    ),
    key(
        "booleans",
        "`literal` (the default): `--augment=True`; `flags`: `--augment` or `--no-augment`; `store_true`: `--augment` or no argument.",
    ),
];

/// `linspace` and `logspace`.
pub(super) const SPACE: &[Key] = &[
    key("from", "The first value."),
    key("to", "The last value."),
    key("points", "Number of values, at least 2."),
];

/// `range`.
pub(super) const RANGE: &[Key] = &[
    key("from", "The first value."),
    key("to", "The last value, if the steps reach it."),
    key("step", "Difference between two values."),
];

/// A published figure.
pub(super) const FIGURE: &[Key] = &[
    key("mean", "The published mean."),
    key("std", "The published standard deviation."),
    key("n", "The number of runs."),
    key(
        "images",
        "The number of images, if the mean is a percentage of images: a mean that n runs on that many images cannot give is flagged.",
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
        "One arm's mean of a final metric is a multiple of another's.",
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
const ARMS_OF_CLAIM: Key = key("arms", "The arms that it is about; all, when left out.");

/// The keys of a claim of the kind `highest` or `lowest`.
pub(super) const EXTREME: &[Key] = &[
    key("arm", "The arm that it is about."),
    METRIC_OF_CLAIM,
    key(
        "among",
        "The arms that it is compared with; all others, when left out.",
    ),
];

/// The keys of a claim of the kind `greater` or `less`.
pub(super) const COMPARISON: &[Key] = &[
    METRIC_OF_CLAIM,
    key("arm", "The arm that it is about."),
    key("than", "The arm that it is compared with."),
];

/// The keys of a claim of the kind `ratio`.
pub(super) const RATIO: &[Key] = &[
    METRIC_OF_CLAIM,
    key("of", "The arm of the numerator."),
    key("to", "The arm of the denominator."),
    key("is", "The ratio: 1.26 for 26 % more."),
    key(
        "within",
        "Relative tolerance of the measured ratio. Default: 0.1.",
    ),
];

/// The keys of a claim of the kind `at_least` or `at_most`.
pub(super) const BOUND: &[Key] = &[METRIC_OF_CLAIM, ARMS_OF_CLAIM, key("value", "The value.")];

/// The keys of a claim of the kind `saturates`.
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
        "Tolerance of the measured epoch, in epochs. Default: 1.",
    ),
    key(
        "tolerance",
        "The share of the whole improvement that may still be to come. Default: 0.05.",
    ),
];

/// The keys of a claim of the kind `always_above`.
pub(super) const ALWAYS_ABOVE: &[Key] = &[
    key("metric", "The greater metric of the history."),
    key("than", "The smaller metric of the history."),
    ARMS_OF_CLAIM,
];

//! The program as its users run it: real processes, real files, real faults. What needs the built-in
//! task's program is tested in `crates/trainer/tests`.

// What each file shows:
mod architecture; // the table of folders in docs/architecture.md, and no circles of imports
mod audit; // published figures, claims, `report --check`
mod background; // ignored signals, output that is not read, daemons
mod cluster; // a real Slurm of a test's own
mod columns; // names of parameters and metrics that clash; SQL views
mod coming_from; // the examples for users of Optuna and W&B
mod commands; // every command on a finished sweep; help texts
mod export; // files for other tools
mod faults; // workers that crash, lie, hang, flood
mod floods; // workers that say more than can be written, or kept
mod harm; // a full disk, a read-only place, damaged ledgers, binary logs, a clock that jumps
mod identity; // run directories that are copied, moved, removed or renamed, or lack files; other hosts
mod json; // answers as JSON, and the page that describes them
mod launchers; // workers behind a prefix: env, ssh; the agent
mod limits; // trials that take too long, fail too often, lack memory; a suspended coordinator
mod locked; // a ledger that another program has locked
mod metrics; // what loggers write: epochs and steps, notes, the last line of output
mod pipes; // pipes, folders and links where a file should be
mod programs; // programs that train one trial each: examples, environment, failures, processes
mod promises; // the tests that docs/reliability.md names exist
mod racing; // `prune: safe`: fewer trials, the same tables
mod resume; // SIGKILL, Ctrl-C, changed specs, second coordinators, other ledgers
mod secrets; // values of `${envvar:NAME}` are shown nowhere
mod selection; // which point is selected, and what is said where none can be
mod serve; // the web page: its answers, changes, and who may see it
mod shapes; // zip, exclude, when and grids, from the file to the report
mod sharing; // trials with work in common
mod shortages; // no inodes, open files or processes; a program that is missing for a while
mod simulation; // the reactor on simulated clusters of any size
mod slurm; // jobs and steps of a real Slurm, and what goes wrong with them
mod slurm_batch; // the batch script; a coordinator that is stopped, by Ctrl-Z and Ctrl-C
mod slurm_ends; // preemption, time limits and lack of memory, as Slurm does them
mod sources; // `metrics`: scripts that log as they always did
mod specs; // the committed sweep files; bad specs on the command line
mod starting; // how programs are found, named, started and told what to train
mod support; // the `Test` builder
mod terminal; // nothing from workers that a terminal obeys
mod timed; // final trials that are timed, and those that are not
mod versions; // what is trained is part of a result
mod watch; // the same in a terminal
mod worker_check; // good and bad workers of other people's

/// The program that the tests run.
fn pentagrid() -> std::path::PathBuf {
    env!("CARGO_BIN_EXE_pentagrid").into()
}

//! The program as its users run it: real processes, real files, real faults.

// What each file shows:
mod audit; // published figures, claims, `report --check`
mod builtin; // the built-in task: bit-identical results, real MNIST, verify
mod commands; // every command on a finished sweep; help texts
mod faults; // workers that crash, lie, hang, flood
mod resume; // SIGKILL, Ctrl-C, changed specs, second coordinators, other ledgers
mod shapes; // zip, exclude, when and grids, from the file to the report
mod specs; // the committed sweep files; bad specs on the command line
mod support; // the `Test` builder

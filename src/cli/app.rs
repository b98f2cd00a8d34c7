//! One run of the program: parses the arguments, calls the verb, says once what went wrong, and
//! gives the exit code.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::args::{AgentArgs, Cli, Common, Verb};
use super::error::{self, CliError};
use super::printer::Printer;
use super::{
    export, json, logs, plan, report, resume, run as run_verb, serve, show, status, trials, verify,
    watch, worker_check,
};
use crate::schedule::agent::Agent;
use crate::schedule::ulimits;
use crate::sweep::Outcome;

/// Runs the program with these arguments, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    crate::schedule::reset_child_signal();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Of a command line that is not understood one can see this much. Behind `--` stand a worker's
    // words.
    let json = arguments
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--json");
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, on stdout and with success; usage errors with
            // exit code 2.
            let code = if error.use_stderr() { error::USAGE } else { 0 };
            if json && error.use_stderr() {
                let printer = Printer::new(&Common::default());
                printer.json(&json::misuse(&error.to_string()));
                printer.flush();
                return ExitCode::from(code);
            }
            return if error.print().is_ok() {
                ExitCode::from(code)
            } else {
                ExitCode::FAILURE
            };
        }
    };
    if let Verb::Agent(arguments) = cli.verb {
        return agent(arguments);
    }
    ulimits::adapt();
    let printer = Printer::new(&cli.common);
    logs::start(&cli.common, &printer);
    let json = cli.verb.json();
    let code = match act(cli.verb, &printer) {
        Ok(outcome) => ExitCode::from(error::exit_code(outcome)),
        // The reader of our output has seen enough (`pentagrid trials ... | head`).
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            match json {
                true => printer.json(&json::failure(&error)),
                false => printer.error(&error),
            }
            ExitCode::from(error.exit_code())
        }
    };
    printer.flush();
    code
}

/// Stands beside a worker; the exit code is the worker's. Its stdout is the coordinator's.
fn agent(arguments: AgentArgs) -> ExitCode {
    let AgentArgs {
        silence,
        run,
        metrics,
        workdir,
        secrets,
        command,
    } = arguments;
    let agent = Agent {
        command,
        workdir,
        run,
        metrics,
        secrets,
        silence: Duration::from_secs(silence),
    };
    match agent.run() {
        Ok(code) => ExitCode::from(code),
        // The coordinator sees that nothing was said of how the worker ended.
        Err(_) => ExitCode::FAILURE,
    }
}

fn act(verb: Verb, printer: &Printer) -> Result<Outcome, CliError> {
    if !matches!(
        verb,
        Verb::Schema | Verb::Completions { .. } | Verb::Man { .. }
    ) {
        ulimits::check()?;
    }
    match verb {
        Verb::Plan(arguments) => plan::plan(&arguments, printer),
        Verb::Run(arguments) => run_verb::run(&arguments, printer),
        Verb::Resume(arguments) => resume::resume(&arguments, printer),
        Verb::Status(arguments) => status::status(&arguments, printer),
        Verb::Watch(arguments) => watch::watch(&arguments, printer),
        Verb::Serve(arguments) => serve::serve(&arguments, printer),
        Verb::Trials(arguments) => trials::trials(&arguments, printer),
        Verb::Show(arguments) => show::show(&arguments, printer),
        Verb::Verify(arguments) => verify::verify(&arguments, printer),
        Verb::Report(arguments) => report::report(&arguments, printer),
        Verb::Export(arguments) => export::export(&arguments, printer),
        Verb::WorkerCheck(arguments) => worker_check::worker_check(&arguments, printer),
        // It has its own exit codes.
        Verb::Agent(_) => Ok(Outcome::Done),
        Verb::Schema => {
            printer.data(&crate::spec::json_schema())?;
            Ok(Outcome::Done)
        }
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "pentagrid", &mut script);
            printer.data(&String::from_utf8_lossy(&script))?;
            Ok(Outcome::Done)
        }
        Verb::Man { command } => man(command.as_deref(), printer),
    }
}

/// The manual page of the program or of one of its commands, in roff.
fn man(command: Option<&str>, printer: &Printer) -> Result<Outcome, CliError> {
    let mut all = Cli::command();
    // Names commands in full, as they are typed.
    all.build();
    let page = match command {
        None => all,
        Some(name) => match all.find_subcommand(name) {
            Some(found) => found.clone(),
            None => {
                let names: Vec<&str> = all.get_subcommands().map(clap::Command::get_name).collect();
                return Err(CliError::Usage(format!(
                    "there is no command {name:?}; there are {}",
                    names.join(", ")
                )));
            }
        },
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut roff)
        .map_err(CliError::Output)?;
    printer.data(String::from_utf8_lossy(&roff).trim_end())?;
    Ok(Outcome::Done)
}

//! `pentagrid serve`: a sweep as a web page, while it runs and after.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use nix::sys::signal::Signal;

use super::args::ServeArgs;
use super::error::{CliError, Outcome};
use super::printer::Printer;
use super::show::rerun;
use super::sweep::runtime;
use crate::live::Sweep;
use crate::schedule::{listen_to, next_signal};
use crate::serve::{Engine, Guard, Token, serve as serve_page};
use crate::spec::command::shell_path;

/// Serves the page until Ctrl-C.
pub fn serve(arguments: &ServeArgs, printer: &Printer) -> Result<Outcome, CliError> {
    // Nothing is listened to before there is something to show.
    let sweep = Sweep::open(&arguments.dir)?;
    let address = SocketAddr::new(arguments.host, arguments.port);
    let listener = TcpListener::bind(address).map_err(|error| refused(address, &error, arguments))?;
    let unexpected = |error: std::io::Error| CliError::Unexpected(format!("cannot serve the page: {error}"));
    let port = listener.local_addr().map_err(unexpected)?.port();
    listener.set_nonblocking(true).map_err(unexpected)?;
    let wants_token = arguments.token || !arguments.host.is_loopback();
    let token = wants_token.then(Token::new).transpose().map_err(unexpected)?;
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let guard = Guard::new(arguments.host, port, host, token);
    let dir = arguments.dir.clone();
    let engine = Engine::start(
        sweep,
        Box::new(move |ledger, sweep, id, arm| {
            let Some(planned) = sweep.planned(id) else { return String::new() };
            let config = sweep.grid().arms()[arm].config(planned.index);
            rerun(sweep.spec(), ledger, &dir, (id, arm), &config).unwrap_or_else(|error| error.to_string())
        }),
    );
    printer.data(&guard.url())?;
    printer.say(&format!("shows {}; Ctrl-C ends it", shell_path(&arguments.dir)));
    runtime()?
        .block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let mut interrupt = listen_to(Signal::SIGINT)?;
            let mut terminate = listen_to(Signal::SIGTERM)?;
            tokio::select! {
                served = serve_page(listener, engine, guard) => served,
                () = next_signal(&mut interrupt) => Ok(()),
                () = next_signal(&mut terminate) => Ok(()),
            }
        })
        .map_err(unexpected)?;
    Ok(Outcome::Done)
}

fn refused(address: SocketAddr, error: &std::io::Error, arguments: &ServeArgs) -> CliError {
    let again = format!("pentagrid serve {}", shell_path(&arguments.dir));
    CliError::Usage(match error.kind() {
        ErrorKind::AddrInUse => format!(
            "port {} of {} is taken, perhaps by another `pentagrid serve`\nuse another one: {again} --port 0 takes any that is free",
            address.port(),
            address.ip()
        ),
        ErrorKind::PermissionDenied => {
            format!("port {} needs special rights\nuse one above 1023: {again} --port 8055", address.port())
        }
        ErrorKind::AddrNotAvailable => format!(
            "{} is no address of this machine\n--host takes one of its own addresses, or 0.0.0.0 for all of them",
            address.ip()
        ),
        _ => format!("cannot listen at {address}: {error}"),
    })
}

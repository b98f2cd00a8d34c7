//! `pentagrid serve`: a sweep as a web page, while it runs and after.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};

use nix::sys::signal::Signal;

use super::args::ServeArgs;
use super::error::CliError;
use super::printer::Printer;
use crate::machine::host_name;
use crate::monitor::Sweep;
use crate::schedule::{is_ignored, listen_to, next_signal};
use crate::serve::{Engine, Guard, Token, routes, serve as serve_page};
use crate::shell::shell_path;
use crate::sweep::{self, FoundTrial, Outcome, rerun_command, runtime};

/// Serves the page until Ctrl-C.
pub(crate) fn serve(arguments: &ServeArgs, printer: &Printer) -> Result<Outcome, CliError> {
    // Nothing is listened to before there is something to show.
    let sweep = Sweep::open(&arguments.dir)?;
    let secrets = sweep::secrets(sweep.spec());
    printer.hide(secrets.clone());
    let unexpected =
        |error: std::io::Error| CliError::Unexpected(format!("cannot serve the page: {error}"));
    let (listener, name) = listen(arguments)?;
    let address = listener.local_addr().map_err(unexpected)?;
    listener.set_nonblocking(true).map_err(unexpected)?;
    let wants_token = arguments.token || !address.ip().is_loopback();
    let token = wants_token
        .then(Token::new)
        .transpose()
        .map_err(unexpected)?;
    let guard = Guard::new(address, name, host_name().unwrap_or_default(), token);
    let dir = arguments.dir.clone();
    let engine = Engine::start(
        sweep,
        Box::new(move |ledger, sweep, id, arm| {
            let Some(planned) = sweep.planned(id) else {
                return String::new();
            };
            let config = sweep.grid()[planned.arm].config(planned.index);
            let trial = FoundTrial { id, arm, config };
            rerun_command(sweep.spec(), ledger, &dir, &trial)
                .unwrap_or_else(|error| error.to_string())
        }),
        secrets,
    );
    printer.data(&guard.url())?;
    // As behind `nohup`, or `&` in a script.
    let stop = if is_ignored(Signal::SIGINT) {
        format!("`kill {}`", std::process::id())
    } else {
        "Ctrl-C".to_owned()
    };
    printer.say(&format!(
        "shows {}; {stop} stops it",
        shell_path(&arguments.dir)
    ));
    runtime()?
        .block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let mut interrupt = listen_to(Signal::SIGINT)?;
            let mut terminate = listen_to(Signal::SIGTERM)?;
            tokio::select! {
                served = serve_page(listener, routes(engine, guard)) => served,
                () = next_signal(&mut interrupt) => Ok(()),
                () = next_signal(&mut terminate) => Ok(()),
            }
        })
        .map_err(unexpected)?;
    Ok(Outcome::Done)
}

/// Listens at the address that was asked for. With the name of it, where it was given by one.
fn listen(arguments: &ServeArgs) -> Result<(TcpListener, Option<String>), CliError> {
    let given = arguments.host.trim_start_matches('[').trim_end_matches(']');
    let mut addresses: Vec<SocketAddr> = match given.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, arguments.port)],
        Err(_) => (given, arguments.port)
            .to_socket_addrs()
            .map_err(|error| {
                CliError::Usage(format!(
                    "--host {given:?} is neither an address nor a name that is known here: {error}\n\
                     write one of this machine's addresses, `localhost`, or 0.0.0.0 for all of them"
                ))
            })?
            .collect(),
    };
    // Tunnels and scripts expect the older kind.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let name = given.parse::<IpAddr>().is_err().then(|| given.to_owned());
    let mut refusal = None;
    for address in addresses {
        match TcpListener::bind(address) {
            Ok(listener) => return Ok((listener, name)),
            Err(error) => refusal = refusal.or(Some(refused(address, &error, arguments))),
        }
    }
    Err(refusal.unwrap_or_else(|| CliError::Usage(format!("--host {given:?} has no address"))))
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
            format!(
                "port {} needs special rights\nuse one above 1023: {again} --port 8055",
                address.port()
            )
        }
        ErrorKind::AddrNotAvailable => format!(
            "{} is no address of this machine\n--host takes one of its own addresses, or 0.0.0.0 for all of them",
            address.ip()
        ),
        _ => format!("cannot listen at {address}: {error}"),
    })
}

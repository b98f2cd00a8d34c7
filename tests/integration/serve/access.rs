//! Who may see the page, at which addresses, and connections that ask for nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use super::{Server, finished};
use crate::support::PATIENCE;

#[test]
fn only_who_may_see_it_sees_it() {
    let test = finished();
    let local = Server::start(&test, &["runs/toy"]);
    assert_eq!(local.get_with("/", "Host: evil.example\r\n").status, 421);
    assert_eq!(
        local.get_with("/api/overview", "").status,
        421,
        "a request without a host"
    );
    for arguments in [
        &["runs/toy", "--host", "0.0.0.0"][..],
        &["runs/toy", "--token"],
    ] {
        let open = Server::start(&test, arguments);
        // Behind the `#`, which browsers send to no server.
        let token = open.url.split_once("/#token=").unwrap().1.to_owned();
        for path in [
            "/api/overview",
            "/events",
            "/api/trials",
            &format!("/api/overview?token={token}"),
        ] {
            let refused = open.get(path);
            assert_eq!(refused.status, 401, "{path}");
            assert!(
                refused
                    .body
                    .contains("open the URL that `pentagrid serve` printed"),
                "{}",
                refused.body
            );
        }
        // A cookie would be sent to every port of the host.
        let cookie = format!(
            "Host: localhost\r\nCookie: pentagrid-{}={token}; token={token}\r\n",
            open.port()
        );
        assert_eq!(open.get_with("/api/overview", &cookie).status, 401);
        for page in ["/", "/page.js", "/page.css", &format!("/?token={token}")] {
            let page = open.get(page);
            assert_eq!(
                page.status, 200,
                "the page itself holds nothing of the sweep"
            );
            assert!(
                !page.head.contains("set-cookie") && !page.head.contains("location"),
                "{}",
                page.head
            );
            assert!(!page.body.contains("toy"), "{}", page.body);
        }
        let wrong = format!(
            "Host: localhost\r\nAuthorization: Bearer {}\r\n",
            "0".repeat(token.len())
        );
        assert_eq!(open.get_with("/api/overview", &wrong).status, 401);
        let right = format!("Host: localhost\r\nAuthorization: Bearer {token}\r\n");
        assert_eq!(open.get_with("/api/overview", &right).status, 200);
    }
}

#[test]
fn nothing_is_redirected() {
    let test = finished();
    let server = Server::start(&test, &["runs/toy", "--token"]);
    let token = server.url.split_once("#token=").unwrap().1;
    let headers = format!("Host: localhost\r\nAuthorization: Bearer {token}\r\n");
    for path in [
        "//evil.example/?token=T",
        &format!("//evil.example/?token={token}"),
        "/\\evil.example/?token=T",
        "/%2f%2fevil.example/",
        "http://evil.example/?token=T",
        "/.//evil.example",
        "/?token=T",
    ] {
        for headers in ["Host: localhost\r\n", &headers] {
            let answer = server.get_with(path, headers);
            assert!(
                !(300..400).contains(&answer.status) && !answer.head.contains("location:"),
                "{path}: {}",
                answer.head
            );
        }
    }
}

#[test]
fn a_name_of_this_machine_will_do_as_an_address() {
    let test = finished();
    for name in ["localhost", "LOCALHOST", "[::1]", "127.0.0.2"] {
        if name == "[::1]" && std::net::TcpListener::bind("[::1]:0").is_err() {
            continue;
        }
        let server = Server::start(&test, &["runs/toy", "--host", name]);
        let place = server
            .url
            .strip_prefix("http://")
            .unwrap()
            .trim_end_matches('/');
        assert!(
            place.starts_with(&format!("{name}:")),
            "{}: loopback needs no token",
            server.url
        );

        let mut stream = TcpStream::connect(place).unwrap();
        write!(
            stream,
            "GET /api/overview HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    let unknown = test
        .run(&[
            "serve",
            "runs/toy",
            "--host",
            "no such host.invalid",
            "--port",
            "0",
        ])
        .expect(2);
    assert!(
        unknown.stderr.contains("neither an address nor a name"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn connections_that_ask_for_nothing_are_closed_and_keep_no_other_out() {
    let test = finished();
    // Fewer open files than there are connections.
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -n 100; exec \"$@\"",
        "sh",
        env!("CARGO_BIN_EXE_pentagrid"),
        "serve",
        "runs/toy",
        "--port",
        "0",
    ]);
    let server = Server::spawn(command.current_dir(test.path("")));

    let half = || {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        // It may have been closed already.
        let _ = write!(stream, "GET / HTTP/1.1\r\nHost: local");
        stream
    };
    let mut idle: Vec<TcpStream> = (0..300).map(|_| half()).collect();
    for _ in 0..3 {
        assert_eq!(server.get("/api/overview").status, 200);
    }
    // The last of them was not in the way of any, and is closed all the same.
    let mut last = idle.pop().unwrap();
    last.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut rest = Vec::new();
    match last.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn what_cannot_be_served_is_reported() {
    let test = finished();
    let server = Server::start(&test, &["runs/toy"]);
    let taken = test
        .run(&["serve", "runs/toy", "--port", &server.port().to_string()])
        .expect(2);
    insta::with_settings!({filters => vec![(r"port \d+ of", "port [PORT] of")]}, {
        insta::assert_snapshot!(taken.stderr, @r"
        error: port [PORT] of 127.0.0.1 is taken, perhaps by another `pentagrid serve`
        use another one: pentagrid serve runs/toy --port 0 takes any that is free
        ");
    });
    let absent = test.run(&["serve", "runs/none"]).expect(2);
    assert!(
        absent.stderr.contains("holds no sweep"),
        "{}",
        absent.stderr
    );
    let foreign = test
        .run(&["serve", "runs/toy", "--host", "203.0.113.1", "--port", "0"])
        .expect(2);
    assert!(
        foreign.stderr.contains("no address of this machine"),
        "{}",
        foreign.stderr
    );
}

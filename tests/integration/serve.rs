//! `pentagrid serve` without a browser: what it answers, to whom, and that it leaves the run
//! directory as it is.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::SystemTime;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{PATIENCE, TOY, Test, wait_until};

const DONE: &str = "SELECT count(*) FROM trial WHERE state = 'done'";

/// A server, ended with the test.
struct Server {
    child: Child,
    url: String,
}

/// What a server answered.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Server {
    fn start(test: &Test, arguments: &[&str]) -> Self {
        let mut command = test.command(&[&["serve"], arguments, &["--port", "0"]].concat());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        assert!(url.starts_with("http://"), "{url:?}");
        Self {
            child,
            url: url.trim().to_owned(),
        }
    }

    fn port(&self) -> u16 {
        self.url
            .rsplit(':')
            .next()
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    fn connect(&self, path: &str, headers: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n{headers}\r\n").unwrap();
        BufReader::new(stream)
    }

    fn get_with(&self, path: &str, headers: &str) -> Answer {
        let mut text = String::new();
        self.connect(path, &format!("{headers}Connection: close\r\n"))
            .read_to_string(&mut text)
            .unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    fn get(&self, path: &str) -> Answer {
        self.get_with(path, "Host: localhost\r\n")
    }

    #[track_caller]
    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn finished() -> Test {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    test
}

fn slow() -> String {
    TOY.replace(
        "epochs: {value: 3}",
        "epochs: {value: 40}, epoch_ms: {value: 5}",
    )
}

/// Every file of a folder with its size and time.
fn files(test: &Test, dir: &str) -> BTreeMap<String, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(test.path(dir)).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        found.insert(
            entry.file_name().into_string().unwrap(),
            (metadata.len(), metadata.modified().unwrap()),
        );
    }
    found
}

#[test]
fn the_page_is_whole_and_brings_its_policy() {
    let test = finished();
    let server = Server::start(&test, &["runs/toy"]);
    let page = server.get("/");
    assert_eq!(page.status, 200);
    for header in [
        "default-src 'none'; script-src 'self'",
        "nosniff",
        "no-referrer",
        "no-store",
    ] {
        assert!(page.head.contains(header), "{}", page.head);
    }
    // All that the page names is there, and nothing of it is somewhere else.
    let names = page
        .body
        .split(['"', '\''])
        .filter(|word| word.ends_with(".js") || word.ends_with(".css") || word.ends_with(".svg"));
    let mut left: Vec<String> = names.map(str::to_owned).collect();
    let mut seen = Vec::new();
    while let Some(name) = left.pop() {
        let file = server.get(&format!("/{}", name.trim_start_matches("./")));
        assert_eq!(file.status, 200, "{name}");
        assert!(!file.body.contains("https://"), "{name}");
        let imports = file
            .body
            .split('\'')
            .filter(|word| word.starts_with("./") && word.ends_with(".js"))
            .map(str::to_owned);
        left.extend(imports.filter(|import| !seen.contains(import)));
        seen.push(name);
    }
    assert!(seen.len() >= 8, "{seen:?}");
    assert_eq!(server.get("/../../etc/passwd").status, 404);
    assert_eq!(server.get("/elsewhere").status, 404);
}

#[test]
fn it_answers_what_the_commands_say() {
    let test = finished();
    let server = Server::start(&test, &["runs/toy"]);
    let seen = server.json("/api/overview");
    assert_eq!(
        (
            seen["sweep"]["state"].as_str(),
            seen["sweep"]["total"]["done"].as_u64()
        ),
        (Some("finished"), Some(20))
    );
    assert_eq!(seen["arms"][1]["selected"]["values"], "x = 5, deep.a = 0.5");
    let table = std::fs::read_to_string(test.path("reports/toy/table1.txt")).unwrap();
    let cell = seen["tables"][0]["rows"][0]["cells"][0]["text"]
        .as_str()
        .unwrap();
    assert!(table.contains(cell), "{cell} in\n{table}");
    let table = std::fs::read_to_string(test.path("reports/toy/table2.txt")).unwrap();
    let note = "Each final trial ran alone on its device: thin air, 1 thread.";
    assert_eq!(seen["tables"][1]["notes"][0], note);
    assert!(table.contains(note), "{table}");
    assert_eq!(seen["leaders"][0]["best"][0]["selected"], true);
    assert_eq!(
        seen["devices"]
            .as_array()
            .unwrap()
            .iter()
            .map(|slot| slot["done"].as_u64().unwrap())
            .sum::<u64>(),
        20
    );

    let total = |query: &str| {
        server.json(&format!("/api/trials?count=5&{query}"))["total"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(total(""), 20);
    assert_eq!(total("arm=near"), 9);
    assert_eq!(total("state=failed"), 0);
    assert_eq!(total("q=x%3E5%20phase%3Dtune"), 4);
    let listed = test.run(&["trials", "runs/toy", "--json"]).expect(0).stdout;
    let scores = listed.lines().map(|line| {
        serde_json::from_str::<Value>(line).unwrap()["metrics"]["score"]
            .as_f64()
            .unwrap()
    });
    let above = scores.filter(|score| *score > 99.0).count() as u64;
    assert_eq!((total("q=score%3E99"), above > 0), (above, true));
    assert_eq!(total("q=away%20deep.a%3D0.5%20seed%3C1"), 2);
    assert_eq!(total("q=nosuch%3D1"), 0);
    let unknown =
        |query: &str| server.json(&format!("/api/trials?count=5&{query}"))["unknown"].to_string();
    assert_eq!(
        unknown("q=nosuch%3D1%20x%3E5%20also%3Dtext"),
        "[\"nosuch\",\"also\"]"
    );
    assert_eq!(
        unknown("q=score%3E99%20x%3E5%20seed%3D1%20state%3Ddone%20near"),
        "[]"
    );
    let best = server.json("/api/trials?count=2&sort=metric&descending=true");
    let best = &best["rows"][0];
    assert_eq!(
        (best["arm"].as_str(), best["values"].as_str()),
        (Some("Near"), Some("x=3"))
    );
    let id = best["trial"].as_str().unwrap();
    let trial = server.json(&format!("/api/trial/{id}"));
    let shown = test.run(&["show", "runs/toy", id]).expect(0).stdout;
    assert!(
        shown.trim_end().ends_with(trial["rerun"].as_str().unwrap()),
        "{shown}"
    );
    assert_eq!(trial["history"]["epochs"].as_array().unwrap().len(), 3);
    assert_eq!(server.json("/api/curves")["arms"][0]["seeds"], 3);
    let matters = server.json("/api/parameters?arm=far");
    assert_eq!(
        (
            matters["known"].as_u64(),
            matters["heat"]["cells"].as_array().unwrap().len()
        ),
        (Some(4), 2)
    );
    let rows = server.json("/api/trials?count=5&q=x=3+phase=tune")["rows"].clone();
    let ids: Vec<&str> = [0, 1]
        .into_iter()
        .map(|row| rows[row]["trial"].as_str().unwrap())
        .collect();
    let compared = server.json(&format!(
        "/api/compare?trials={},{},{},zzz",
        ids[0], ids[1], ids[0]
    ));
    assert_eq!(compared["trials"].as_array().unwrap().len(), 2);
    assert_eq!(
        (
            &compared["trials"][0]["label"],
            &compared["trials"][1]["label"]
        ),
        (&"seed=0".into(), &"seed=1".into())
    );
    assert_eq!(
        compared["trials"][0]["history"]["epochs"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        (
            &compared["metric"],
            &compared["unknown"][0],
            &compared["common"][0][1]
        ),
        (&"score".into(), &"zzz".into(), &"Near".into())
    );
    for path in [
        "/api/trial/zzz",
        "/api/trial/..%2f..%2fetc",
        "/api/trial/0000000000-0",
        "/api/parameters?arm=none",
    ] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

#[test]
fn a_running_sweep_sends_what_changes() {
    let test = Test::with_spec(&slow());
    let mut run = test.start(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"]);
    test.wait_for("runs/toy", DONE, 1);
    let server = Server::start(&test, &["runs/toy"]);
    let mut events = server.connect("/events", "Host: localhost\r\n");
    let mut next = || loop {
        let mut line = String::new();
        assert!(
            events.read_line(&mut line).unwrap() > 0,
            "the stream has ended"
        );
        if let Some(json) = line.strip_prefix("data: ") {
            return serde_json::from_str::<Value>(json).unwrap();
        }
    };
    let first = next();
    assert_eq!(first["sweep"]["state"], "running");
    assert!(
        first["arms"].is_array() && first["tables"].is_array(),
        "the first event has everything"
    );
    let done = |event: &Value| event["sweep"]["total"]["done"].as_u64();
    let mut last = done(&first).unwrap();
    let mut state = "running".to_owned();
    while state == "running" {
        let event = next();
        if let Some(now) = done(&event) {
            assert!(now >= last, "{event}");
            last = now;
            state = event["sweep"]["state"].as_str().unwrap().to_owned();
        }
    }
    assert_eq!((state.as_str(), last), ("finished", 20));
    assert_eq!(run.wait().unwrap().code(), Some(0));
    // What was put together from changes is what somebody sees who comes now.
    let seen = server.json("/api/overview");
    let fresh = Server::start(&test, &["runs/toy"]).json("/api/overview");
    for section in [
        "sweep", "arms", "tables", "leaders", "running", "failures", "devices",
    ] {
        assert_eq!(seen[section], fresh[section], "{section}");
    }
}

#[test]
fn a_crashed_sweep_is_shown_and_left_as_it_is() {
    let test = Test::with_spec(&slow());
    let mut run = test.start(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"]);
    test.wait_for("runs/toy", DONE, 3);
    run.kill().unwrap();
    run.wait().unwrap();
    let before = files(&test, "runs/toy");
    assert!(
        before["ledger.sqlite-wal"].0 > 0,
        "results stand in the log that the coordinator left"
    );
    let server = Server::start(&test, &["runs/toy"]);
    let seen = server.json("/api/overview");
    assert_eq!(
        (
            seen["sweep"]["state"].as_str(),
            seen["sweep"]["killed"].as_bool()
        ),
        (Some("stopped"), Some(true))
    );
    assert!(seen["sweep"]["total"]["done"].as_u64().unwrap() >= 3);
    assert_eq!(
        (
            seen["sweep"]["total"]["running"].as_u64(),
            seen["running"].as_array().unwrap().len()
        ),
        (Some(0), 0)
    );
    let id = server.json("/api/trials?state=done&count=1")["rows"][0]["trial"]
        .as_str()
        .unwrap()
        .to_owned();
    server.json(&format!("/api/trial/{id}"));
    assert_eq!(files(&test, "runs/toy"), before);
    // It goes on before our eyes.
    test.run(&["resume", "runs/toy", "-q", "--devices", "cpu:2"])
        .expect(0);
    wait_until("the page says that it is finished", || {
        server.json("/api/overview")["sweep"]["state"] == "finished"
    });
    assert_eq!(server.json("/api/overview")["sweep"]["total"]["done"], 20);
}

#[test]
fn a_finished_sweep_gets_no_file_beside_its_ledger() {
    let test = finished();
    // As a copy of the one file, or after the coordinator was the last to close it.
    for name in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(test.path("runs/toy").join(name));
    }
    let before = files(&test, "runs/toy");
    let server = Server::start(&test, &["runs/toy"]);
    assert_eq!(server.json("/api/overview")["sweep"]["state"], "finished");
    server.json("/api/curves");
    assert_eq!(files(&test, "runs/toy"), before);
}

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
        let mut command = test.command(&["serve", "runs/toy", "--host", name, "--port", "0"]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        let place = url
            .trim()
            .strip_prefix("http://")
            .unwrap()
            .trim_end_matches('/')
            .to_owned();
        assert!(
            place.starts_with(&format!("{name}:")),
            "{url}: loopback needs no token"
        );
        let mut stream = TcpStream::connect(&*place).unwrap();
        write!(
            stream,
            "GET /api/overview HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        child.kill().unwrap();
        child.wait().unwrap();
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
    let mut command = std::process::Command::new("sh");
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
    let mut child = command
        .current_dir(test.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    let server = Server {
        child,
        url: url.trim().to_owned(),
    };
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
fn what_cannot_be_served_is_told() {
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

#[test]
fn ctrl_c_ends_it_also_while_somebody_looks() {
    let test = finished();
    let mut server = Server::start(&test, &["runs/toy"]);
    let mut events = server.connect("/events", "Host: localhost\r\n");
    let mut line = String::new();
    events.read_line(&mut line).unwrap();
    kill(Pid::from_raw(server.child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_ledger_that_becomes_a_pipe_is_told_and_hangs_nothing() {
    let test = Test::with_spec(TOY);
    test.run(&["run", "sweep.yaml", "--devices", "cpu:2", "-q"])
        .expect(0);
    let server = Server::start(&test, &["runs/toy"]);
    let known = server.json("/api/trials?count=5")["total"].clone();
    let ledger = test.path("runs/toy/ledger.sqlite");
    std::fs::rename(&ledger, test.path("kept")).unwrap();
    nix::unistd::mkfifo(&ledger, nix::sys::stat::Mode::S_IRWXU).unwrap();

    // What is known stays on the page, with a word about it.
    wait_until("the page tells", || {
        let trouble = server.json("/api/overview")["trouble"].to_string();
        trouble.contains("FIFO")
    });
    assert_eq!(server.json("/api/trials?count=5")["total"], known);
    for verb in ["serve", "watch"] {
        let refused = test.run(&[verb, "runs/toy"]).expect(5).stderr;
        assert!(refused.contains("FIFO"), "{verb}: {refused}");
    }

    std::fs::rename(test.path("kept"), &ledger).unwrap();
    wait_until("the page recovers", || {
        server.json("/api/overview")["trouble"].is_null()
    });
}

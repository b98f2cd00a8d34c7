//! `pentagrid serve` without a browser.

mod access; // who may see the page
mod answers; // the page and the JSON behind it
mod changes; // sweeps that run, crash or end; the run directory is left as it is

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{PATIENCE, TOY, Test};

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
        Self::spawn(&mut test.command(&[&["serve"], arguments, &["--port", "0"]].concat()))
    }

    /// Starts a command that serves, and reads the URL that it prints.
    fn spawn(command: &mut Command) -> Self {
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

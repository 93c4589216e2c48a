//! The bare relay passes on all bytes and both ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A server that ends at the end of its stdin.
struct Server {
    child: Child,
    port: String,
}

impl Server {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        Self { child, port: line.trim().trim_start_matches("port ").to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("the server ends");
    }
}

#[track_caller]
fn passes(mode: &str, options: &[&str], load: &[&str]) {
    let server = Server::start(env!("CARGO_BIN_EXE_bare"), &[mode]);
    let arguments = [&[&server.port as &str], options].concat();
    let relay = Server::start(env!("CARGO_BIN_EXE_relay"), &arguments);
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(load)
        .args(["--port", &relay.port, "--connections", "5"])
        .output()
        .expect("the load generator runs");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && report.contains("\"errors\":0"), "{report}");
}

#[test]
fn echoes_pass_through_the_relay() {
    passes("echo", &[], &["echo", "--operations", "2000"]);
    passes(
        "echo",
        &["--splice"],
        &["echo", "--operations", "500", "--size", "65536", "--pipeline", "20"],
    );
}

#[test]
fn bulk_passes_through_the_relay() {
    for options in [&[] as &[&str], &["--splice"]] {
        passes("sink", options, &["bulk", "--bytes", "100000000"]);
    }
}

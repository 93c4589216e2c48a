//! What a server does wrong is reported, and fails the run.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;

type Fault = fn(&mut TcpStream, &[u8], usize) -> bool;

/// Runs the load generator against a server that calls `serve` with the bytes of each receive, and how many came before
/// them; it closes the connection when that returns false.
fn load(arguments: &[&str], serve: Fault) -> Output {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || converse(stream, serve));
        }
    });
    Command::new(env!("CARGO_BIN_EXE_load"))
        .args(arguments)
        .args(["--port", &port, "--connections", "3"])
        .output()
        .expect("the load generator runs")
}

fn converse(mut stream: TcpStream, serve: Fault) {
    let (mut buffer, mut before) = ([0; 65_536], 0);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        // The probe of one byte that follows the opening of connections is answered in any case.
        let goes_on = if count == 1 {
            stream.write_all(&buffer[..1]).is_ok()
        } else {
            serve(&mut stream, &buffer[..count], before)
        };
        if !goes_on {
            return;
        }
        before += count;
    }
}

fn echoes(stream: &mut TcpStream, bytes: &[u8], _: usize) -> bool {
    stream.write_all(bytes).is_ok()
}

fn flips_a_bit(stream: &mut TcpStream, bytes: &[u8], before: usize) -> bool {
    let mut copy = bytes.to_vec();
    if before > 2000 {
        copy[0] ^= 1;
    }
    stream.write_all(&copy).is_ok()
}

fn says_more(stream: &mut TcpStream, bytes: &[u8], before: usize) -> bool {
    let more: &[u8] = if before > 2000 { b"more" } else { b"" };
    stream.write_all(&[bytes, more].concat()).is_ok()
}

fn falls_silent(stream: &mut TcpStream, bytes: &[u8], before: usize) -> bool {
    before > 2000 || stream.write_all(bytes).is_ok()
}

fn closes(stream: &mut TcpStream, bytes: &[u8], before: usize) -> bool {
    before <= 2000 && stream.write_all(bytes).is_ok()
}

#[track_caller]
fn fails(output: &Output, why: &str) {
    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert!(report.contains(why) && !report.contains("\"errors\":0"), "{report}");
}

#[test]
fn echo_counts_what_came_back() {
    let output = load(&["echo", "--operations", "500"], echoes);
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success()
            && report.contains("\"operations\":500,\"bytes\":32000,\"errors\":0"),
        "{report}"
    );
}

#[test]
fn an_open_loop_does_as_many_as_asked_for() {
    let output = load(&["echo", "--operations", "200", "--rate", "2000"], echoes);
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && report.contains("\"operations\":200,"), "{report}");
}

/// 20 operations are due in the first 20 ms, and none is answered before 300 ms have passed: all have to show it.
#[test]
fn an_open_loop_leaves_no_delay_out() {
    fn sleeps_first(stream: &mut TcpStream, bytes: &[u8], before: usize) -> bool {
        if before <= 1 {
            thread::sleep(std::time::Duration::from_millis(300));
        }
        stream.write_all(bytes).is_ok()
    }
    let output = load(&["echo", "--operations", "20", "--rate", "1000"], sleeps_first);
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let median = report
        .split("\"p50\":")
        .nth(1)
        .and_then(|rest| rest.split('.').next())
        .and_then(|digits| digits.parse::<u64>().ok());
    assert!(median.is_some_and(|micros| micros > 250_000), "{report}");
}

#[test]
fn other_bytes_are_an_error() {
    fails(&load(&["echo", "--operations", "500"], flips_a_bit), "other bytes than those sent");
    fails(
        &load(&["echo", "--operations", "500", "--pipeline", "8", "--size", "1000"], flips_a_bit),
        "other bytes than those sent",
    );
}

#[test]
fn bytes_that_nobody_asked_for_are_an_error() {
    fails(&load(&["echo", "--operations", "500"], says_more), "other bytes than those sent");
}

#[test]
fn silence_is_an_error() {
    fails(&load(&["echo", "--operations", "500", "--stall", "1"], falls_silent), "no progress");
}

#[test]
fn an_early_end_is_an_error() {
    fails(&load(&["echo", "--operations", "500"], closes), "the server has closed the connection");
    fails(&load(&["churn", "--operations", "20", "--size", "3000"], |_, _, _| false), "");
}

#[test]
fn a_wrong_count_is_an_error_in_bulk() {
    fails(&load(&["bulk", "--bytes", "300000"], |_, _, _| true), "the server has counted");
}

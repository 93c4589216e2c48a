//! Errors of a server are reported, and the run fails.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;

type Fault = fn(&mut TcpStream, &[u8], usize) -> bool;

/// Runs the load generator against a server that calls `serve` with the bytes of each read and the number of bytes
/// before them. The server closes the connection when `serve` returns false.
fn load(arguments: &[&str], serve: Fault) -> Output {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve_connection(stream, serve));
        }
    });
    Command::new(env!("CARGO_BIN_EXE_load"))
        .args(arguments)
        .args(["--port", &port, "--connections", "3"])
        .output()
        .expect("the load generator runs")
}

fn serve_connection(mut stream: TcpStream, serve: Fault) {
    let (mut buffer, mut before) = ([0; 65_536], 0);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        // The one-byte probe, which follows the opening of connections, is always echoed.
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

fn sends_too_much(stream: &mut TcpStream, bytes: &[u8], before: usize) -> bool {
    let more: &[u8] = if before > 2000 { b"more" } else { b"" };
    stream.write_all(&[bytes, more].concat()).is_ok()
}

fn stops_answering(stream: &mut TcpStream, bytes: &[u8], before: usize) -> bool {
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
fn echo_counts_the_received_bytes() {
    let output = load(&["echo", "--operations", "500"], echoes);
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success()
            && report.contains("\"operations\":500,\"bytes\":32000,\"errors\":0"),
        "{report}"
    );
}

#[test]
fn an_open_loop_performs_the_requested_number_of_operations() {
    let output = load(&["echo", "--operations", "200", "--rate", "2000"], echoes);
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && report.contains("\"operations\":200,"), "{report}");
}

/// 20 operations are due in the first 20 ms, and the server answers none within 300 ms: every latency includes the
/// delay.
#[test]
fn an_open_loop_measures_latency_from_the_due_time() {
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
fn wrong_bytes_are_an_error() {
    fails(&load(&["echo", "--operations", "500"], flips_a_bit), "wrong bytes received");
    fails(
        &load(&["echo", "--operations", "500", "--pipeline", "8", "--size", "1000"], flips_a_bit),
        "wrong bytes received",
    );
}

#[test]
fn additional_bytes_are_an_error() {
    fails(&load(&["echo", "--operations", "500"], sends_too_much), "wrong bytes received");
}

#[test]
fn a_stall_is_an_error() {
    fails(&load(&["echo", "--operations", "500", "--stall", "1"], stops_answering), "no progress");
}

#[test]
fn an_early_close_is_an_error() {
    fails(&load(&["echo", "--operations", "500"], closes), "the server closed the connection");
    fails(&load(&["churn", "--operations", "20", "--size", "3000"], |_, _, _| false), "");
}

#[test]
fn wrong_bytes_and_a_wrong_count_are_errors_in_fetch() {
    fails(&load(&["fetch", "--bytes", "300000"], echoes), "wrong bytes received");
    fails(&load(&["fetch", "--bytes", "300000"], |_, _, _| true), "0 bytes received, not");
}

#[test]
fn a_wrong_count_is_an_error_in_bulk() {
    fails(&load(&["bulk", "--bytes", "300000"], |_, _, _| true), "the server counted");
}

//! Loads a TCP server on 127.0.0.1, checks every byte that it sends, and reports as JSON.

use std::process::ExitCode;

use load::options::{HELP, Options};
use load::{bulk, churn, echo, fetch, idle, sys};

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("load: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    sys::raise_limit();
    sys::reduce_timer_slack();
    let result = match options.workload.as_str() {
        "echo" => echo::run(&options),
        "bulk" => bulk::run(&options),
        "fetch" => fetch::run(&options),
        "churn" | "accept" => churn::run(&options),
        "idle" => idle::run(&options),
        other => {
            eprintln!("load: unknown workload {other:?}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

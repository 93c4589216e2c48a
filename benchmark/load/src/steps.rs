//! Begins and ends when whoever measures says so.

use std::io::{Write, stdin, stdout};

/// Says that all is set up, and waits for a line.
pub fn ready(steps: bool) {
    if steps {
        println!("ready");
        let _ = stdout().flush();
        line();
    }
}

/// Keeps what is open until the report has been taken.
pub fn done(steps: bool) {
    if steps {
        line();
    }
}

/// Waits for a line of stdin, or its end.
pub fn line() {
    let _ = stdin().read_line(&mut String::new());
}

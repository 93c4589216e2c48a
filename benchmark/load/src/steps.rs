//! With `--steps`, the measuring program says by lines on stdin when to begin and when to end.

use std::io::{Write, stdin, stdout};

/// Prints `ready`, and waits for a line.
pub fn ready(steps: bool) {
    if steps {
        println!("ready");
        let _ = stdout().flush();
        wait_for_line();
    }
}

/// Waits for a line, with all connections open.
pub fn done(steps: bool) {
    if steps {
        wait_for_line();
    }
}

/// Waits for a line on stdin, or for its end.
pub fn wait_for_line() {
    let _ = stdin().read_line(&mut String::new());
}

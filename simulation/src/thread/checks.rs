//! The checks. Each returns the number of orders that loom has played. To it a thread that is not woken, or does not
//! end, is a deadlock, and one that spins takes too many steps.

use std::sync::Arc;

use loom::thread::spawn;

use super::program::{Watch, explore};
use super::system::interrupt;

/// A drop before, during and after the first report, and where there is none.
#[must_use]
pub fn drop_during_a_report() -> usize {
    let without = explore(None, || Watch::start(false).end(0));
    without + explore(None, || Watch::start(true).end(1))
}

/// A drop while another thread resumes twice.
#[must_use]
pub fn drop_during_resumes() -> usize {
    explore(None, || {
        let watch = Watch::start(true);
        let resumer = Arc::clone(&watch.resumer);
        let resuming = spawn(move || {
            resumer.resume();
            resumer.resume();
        });
        let rest = watch.end(3);
        resuming.join().expect("it does not panic");
        rest
    })
}

/// A descriptor that stays readable is reported once for each resume.
#[must_use]
pub fn resume_of_a_readable_descriptor() -> usize {
    explore(None, || {
        let watch = Watch::start(true);
        watch.take_report();
        watch.resumer.resume();
        watch.take_report();
        watch.end(2)
    })
}

/// A resume while the thread is resumed already.
#[must_use]
pub fn resume_twice() -> usize {
    explore(None, || {
        let watch = Watch::start(true);
        watch.take_report();
        watch.resumer.resume();
        watch.resumer.resume();
        watch.take_report();
        watch.end(3)
    })
}

/// A resume before the first report, or while it is made.
#[must_use]
pub fn resume_before_the_pause() -> usize {
    explore(Some(4), || {
        let watch = Watch::start(false);
        let resumer = Arc::clone(&watch.resumer);
        let resuming = spawn(move || resumer.resume());
        watch.target.signal(1);
        watch.take_report();
        resuming.join().expect("it does not panic");
        watch.end(2)
    })
}

/// The descriptor becomes readable while the thread pauses, while it is resumed, or later.
#[must_use]
pub fn readiness_around_a_resume() -> usize {
    explore(Some(4), || {
        let watch = Watch::start(true);
        watch.take_report();
        watch.target.take();
        let target = Arc::clone(&watch.target);
        let network = spawn(move || target.signal(1));
        watch.resumer.resume();
        watch.take_report();
        network.join().expect("it does not panic");
        watch.end(2)
    })
}

/// Signal handlers run during poll(2).
#[must_use]
pub fn signals_during_poll() -> usize {
    explore(Some(3), || {
        let watch = Watch::start(true);
        let signals = spawn(|| {
            interrupt();
            interrupt();
        });
        watch.take_report();
        watch.resumer.resume();
        watch.take_report();
        let rest = watch.end(2);
        signals.join().expect("it does not panic");
        rest
    })
}

/// What `bindings/thread_watch.rs` does: each report is handled before its resume, and never does a second one wait.
/// The last handler drops the thread, so that its resume comes after the drop.
#[must_use]
pub fn javascript() -> usize {
    explore(Some(4), || {
        let watch = Watch::start(false);
        let target = Arc::clone(&watch.target);
        let network = spawn(move || {
            target.signal(1);
            target.signal(1);
        });
        watch.take_report();
        let mut received = watch.target.take();
        while received < 2 {
            assert_eq!(watch.waiting_reports(), 0, "a report without a resume");
            watch.resumer.resume();
            watch.take_report();
            received += watch.target.take();
        }
        network.join().expect("it does not panic");
        watch.end(2)
    })
}

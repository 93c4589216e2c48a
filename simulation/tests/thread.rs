//! The thread that waits on Bun and Deno, in all orders in which it can meet others.

use simulation::thread;

/// A check that plays only one order checks nothing.
#[track_caller]
fn play(check: fn() -> usize) {
    let orders = check();
    println!("{orders} orders");
    assert!(orders > 1);
}

#[test]
fn a_drop_ends_the_thread_at_any_moment_of_a_report() {
    play(thread::drop_during_a_report);
}

#[test]
fn a_drop_ends_a_thread_that_is_being_resumed() {
    play(thread::drop_during_resumes);
}

#[test]
fn a_descriptor_that_stays_readable_is_reported_once_for_each_resume() {
    play(thread::resume_of_a_readable_descriptor);
}

#[test]
fn a_second_resume_is_not_lost_and_allows_for_one_report_at_most() {
    play(thread::resume_twice);
}

#[test]
fn a_resume_before_the_pause_costs_no_report() {
    play(thread::resume_before_the_pause);
}

#[test]
fn readiness_that_comes_around_a_resume_is_reported() {
    play(thread::readiness_around_a_resume);
}

#[test]
fn a_signal_during_poll_costs_no_report() {
    play(thread::signals_during_poll);
}

#[test]
fn javascript_gets_one_report_at_a_time_and_all_bytes() {
    play(thread::javascript);
}

//! The model is held against the kernel of this machine: random scripts are played on both.

mod model;
mod real;
mod script;
mod trace;

use std::ops::Range;
use std::time::Duration;

use script::Script;
use trace::difference;

/// The pauses after each step: the first run has none. Loopback may be late under load, so that only what differs in
/// each of these runs is a difference.
const PACES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_micros(200),
    Duration::from_millis(10),
    Duration::from_millis(100),
];

/// Plays the scripts of seeds on the model and on the kernel.
///
/// # Errors
/// The first script that differs, without the steps that it differs without, and what each step has shown.
pub fn conform(seeds: Range<u64>) -> Result<(), String> {
    for seed in seeds {
        let script = Script::new(seed);
        if differs(&script, &PACES) {
            return Err(outcome(&shrunk(script)));
        }
    }
    Ok(())
}

/// Whether a script differs each time.
fn differs(script: &Script, paces: &[Duration]) -> bool {
    let model = model::run(script, Duration::ZERO);
    let has_wrong_bytes = model.iter().any(|step| step.outcome.ends_with("wrong bytes"));
    let differs = |pace: &Duration| difference(&model, &real::run(script, *pace)).is_some();
    has_wrong_bytes || paces.iter().all(differs)
}

/// Leaves out one step after the other, as long as the rest differs.
fn shrunk(mut script: Script) -> Script {
    let mut index = script.steps.len();
    while index > 0 {
        index -= 1;
        let shorter = script.without(index);
        if differs(&shorter, &PACES[..2]) {
            script = shorter;
            index = index.min(script.steps.len());
        }
    }
    script
}

fn outcome(script: &Script) -> String {
    let model = model::run(script, Duration::ZERO);
    let kernel = real::run(script, PACES[1]);
    let at = difference(&model, &kernel);
    let polls = if script.polls { ", with poll(2) after each step" } else { "" };
    let mut lines = vec![format!("seed {}{polls}: the kernel differs from the model", script.seed)];
    for (index, (model, kernel)) in model.iter().zip(&kernel).enumerate() {
        let step = script.steps.get(index).map_or("Wait".to_owned(), ToString::to_string);
        let marked = if Some(index) == at { ">" } else { " " };
        lines.push(format!("{marked} {step}"));
        lines.push(format!("    model:  {}", model.line()));
        if model.line() != kernel.line() {
            lines.push(format!("    kernel: {}", kernel.line()));
        }
    }
    lines.join("\n")
}

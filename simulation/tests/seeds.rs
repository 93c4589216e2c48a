//! Random programs against the kernel in memory: always the same seeds, and the programs that found something.

use std::fs;

/// How many programs are played.
const SEEDS: u64 = 50_000;

/// One program a fault that was found.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/simulation/programs");

#[test]
fn every_program_holds() -> Result<(), String> {
    let outcomes = (0..SEEDS).map(|seed| (seed, simulation::play_seed(seed).failure));
    let failed = outcomes.into_iter().find_map(|(seed, failure)| Some((seed, failure?)));
    failed.map_or(Ok(()), |(seed, failure)| {
        Err(format!("seed {seed}: {failure}\n{}", simulation::shrunk(seed)))
    })
}

#[test]
fn what_was_found_once_is_not_found_again() -> Result<(), String> {
    let mut count = 0;
    for entry in fs::read_dir(KEPT).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let program = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let (outcome, trace) = simulation::replay(&program)?;
        if let Some(failure) = outcome.failure {
            return Err(format!("{}: {failure}\n{}", path.display(), trace.join("\n")));
        }
        count += 1;
    }
    if count > 0 { Ok(()) } else { Err(format!("no program in {KEPT}")) }
}

//! Random programs against the kernel in memory: always the same seeds.

/// How many programs are played.
const SEEDS: u64 = 50_000;

#[test]
fn every_program_holds() -> Result<(), String> {
    let outcomes = (0..SEEDS).map(|seed| (seed, simulation::play_seed(seed).failure));
    let failed = outcomes.into_iter().find_map(|(seed, failure)| Some((seed, failure?)));
    failed.map_or(Ok(()), |(seed, failure)| {
        Err(format!("seed {seed}: {failure}\n{}", simulation::shrunk(seed)))
    })
}

//! The model of the kernel does what the kernel does.

/// The scripts that are played.
const SEEDS: std::ops::Range<u64> = 1..8000;

#[test]
fn the_model_agrees_with_the_kernel() -> Result<(), String> {
    simulation::conform(SEEDS).inspect_err(|outcome| eprintln!("{outcome}"))
}

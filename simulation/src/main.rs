//! Plays random programs against core until one fails, or for a time.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lexopt::{Arg, ValueExt};

const USAGE: &str = "\
usage: simulation [--seconds N] [--seed N] [--runs N] [--survey] [--program FILE]
  --seconds N     how long to play, by default 10
  --seed N        the first seed, by default one of the clock; the next ones follow it
  --runs N        how many programs to play at most
  --survey        go on after a failure, and count the kinds of failures
  --program FILE  the program to play, once, with a trace of what it does";

struct Options {
    time: Duration,
    seed: u64,
    runs: u64,
    survey: bool,
    program: Option<String>,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // What panics is reported with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    match &options.program {
        Some(file) => replay(file),
        None => play(&options),
    }
}

fn options() -> Result<Options, lexopt::Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut options = Options {
        time: Duration::from_secs(10),
        seed: now.as_secs() << 20,
        runs: u64::MAX,
        survey: false,
        program: None,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("seconds") => options.time = Duration::from_secs(parser.value()?.parse()?),
            Arg::Long("seed") => options.seed = parser.value()?.parse()?,
            Arg::Long("runs") => options.runs = parser.value()?.parse()?,
            Arg::Long("survey") => options.survey = true,
            Arg::Long("program") => options.program = Some(parser.value()?.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

fn play(options: &Options) -> ExitCode {
    let begin = Instant::now();
    let (mut steps, mut runs) = (0, 0);
    let mut kinds = BTreeMap::new();
    while begin.elapsed() < options.time && runs < options.runs {
        let seed = options.seed.wrapping_add(runs);
        let outcome = simulation::play_seed(seed);
        steps += outcome.steps;
        runs += 1;
        if let Some(failure) = outcome.failure {
            if options.survey {
                let kind = simulation::kind(&failure);
                let entry = kinds.entry(kind).or_insert((0_u64, seed));
                entry.0 += 1;
                continue;
            }
            println!("seed {seed} fails after {:.1} s: {failure}", begin.elapsed().as_secs_f64());
            report(seed);
            return ExitCode::FAILURE;
        }
    }
    for (kind, (count, seed)) in &kinds {
        println!("{count:8}  first seed {seed}: {kind}");
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{runs} programs from seed {}, {steps} steps in {seconds:.1} s: {:.0} a second, {} kinds of failures",
        options.seed,
        f64::from(u32::try_from(steps).unwrap_or(u32::MAX)) / seconds,
        kinds.len(),
    );
    if kinds.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the smallest program that fails as well, and what it does.
fn report(seed: u64) {
    let program = simulation::shrunk(seed);
    println!("shrunk to {} steps:\n\n{program}\n", program.lines().count());
    if let Ok((outcome, trace)) = simulation::replay(&program) {
        println!("{}\n{}", trace.join("\n"), outcome.failure.unwrap_or_default());
    }
}

fn replay(file: &str) -> ExitCode {
    let played = std::fs::read_to_string(file)
        .map_err(|error| format!("{file}: {error}"))
        .and_then(|program| simulation::replay(&program));
    match played {
        Ok((outcome, trace)) => {
            println!("{}", trace.join("\n"));
            let Some(failure) = outcome.failure else { return ExitCode::SUCCESS };
            println!("{failure}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

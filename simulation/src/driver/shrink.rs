//! The smallest program that still fails.

use super::step::Step;

/// Removes and simplifies steps for as long as the program still fails, in at most `budget` trials.
pub(crate) fn shrink(
    mut steps: Vec<Step>,
    mut budget: usize,
    fails: impl Fn(&[Step]) -> bool,
) -> Vec<Step> {
    loop {
        let before = steps.clone();
        remove_steps(&mut steps, &mut budget, &fails);
        simplify_steps(&mut steps, &mut budget, &fails);
        if steps == before || budget == 0 {
            return steps;
        }
    }
}

/// Removes runs of steps, long ones first: Zeller's and Hildebrandt's delta debugging.
fn remove_steps(steps: &mut Vec<Step>, budget: &mut usize, fails: &impl Fn(&[Step]) -> bool) {
    let mut size = steps.len().div_ceil(2);
    while size > 0 && *budget > 0 {
        let mut end = steps.len();
        while end > 0 && *budget > 0 {
            let start = end.saturating_sub(size);
            let mut fewer = steps.clone();
            fewer.drain(start..end);
            *budget -= 1;
            if fails(&fewer) {
                *steps = fewer;
            }
            end = start;
        }
        size /= 2;
    }
}

/// Makes numbers smaller.
fn simplify_steps(steps: &mut [Step], budget: &mut usize, fails: &impl Fn(&[Step]) -> bool) {
    for index in 0..steps.len() {
        let mut field = 0;
        while field < 4 && *budget > 0 {
            let step = steps[index];
            let value = value_of(&step, field);
            let simpler = [0, 1, value / 2, value.saturating_sub(1)];
            let simpler = simpler.into_iter().find(|simpler| {
                if *simpler >= value || *budget == 0 {
                    return false;
                }
                *budget -= 1;
                steps[index] = with_value(step, field, *simpler);
                let still_fails = fails(steps);
                steps[index] = step;
                still_fails
            });
            match simpler {
                Some(simpler) => steps[index] = with_value(step, field, simpler),
                None => field += 1,
            }
        }
    }
}

fn value_of(step: &Step, field: usize) -> u16 {
    step.numbers.get(field).copied().unwrap_or(step.luck)
}

fn with_value(mut step: Step, field: usize, value: u16) -> Step {
    match step.numbers.get_mut(field) {
        Some(number) => *number = value,
        None => step.luck = value,
    }
    step
}

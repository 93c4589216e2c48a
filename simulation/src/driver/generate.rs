//! Programs from seeds.

use super::step::{Action, Step};
use crate::world::Luck;

/// The most steps of a program.
const MOST_STEPS: usize = 400;

/// The program of a seed.
///
/// Each seed leaves some actions out, and makes others frequent: what needs many of the same kind in a row comes up
/// more often that way than with even chances (Groce and others, "Swarm Testing", 2012).
pub(crate) fn program(seed: u64) -> Vec<Step> {
    let mut luck = Luck::new(seed.wrapping_add(1));
    let weights: Vec<u32> = Action::ALL.iter().map(|action| weight(*action, &mut luck)).collect();
    let total: u32 = weights.iter().sum();
    let has_luck = luck.one_in(2);
    let length = 1 + luck.below(MOST_STEPS);
    (0..length)
        .map(|_| Step {
            action: draw(&weights, luck.below(total as usize)),
            numbers: std::array::from_fn(|_| number(&mut luck)),
            luck: if has_luck && luck.one_in(2) { luck.below(1 << 16) as u16 } else { 0 },
        })
        .collect()
}

fn weight(action: Action, luck: &mut Luck) -> u32 {
    match luck.below(8) {
        0 => action.weight().min(1),
        1 => 0,
        2 => action.weight() * 4,
        _ => action.weight(),
    }
}

fn draw(weights: &[u32], mut at: usize) -> Action {
    for (action, weight) in Action::ALL.iter().zip(weights) {
        match at.checked_sub(*weight as usize) {
            Some(rest) => at = rest,
            None => return *action,
        }
    }
    Action::Wait
}

/// Small numbers are more frequent than large ones.
fn number(luck: &mut Luck) -> u16 {
    let bits = 1 + luck.below(16);
    luck.below(1 << bits) as u16
}

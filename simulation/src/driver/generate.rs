//! Programs from seeds.

use super::step::{Action, Step};
use crate::world::Luck;

/// The most steps of a program.
const MOST_STEPS: usize = 400;

/// What programs that begin with a relay do more often.
const OF_RELAYS: [Action; 5] = [
    Action::PeerFlood,
    Action::PeerDrain,
    Action::ServeRelays,
    Action::Deliver,
    Action::LargeBuffers,
];

/// What programs that begin with a file do more often.
const OF_FILES: [Action; 7] = [
    Action::SendFile,
    Action::LoadFile,
    Action::CancelFile,
    Action::ResizeFile,
    Action::Advance,
    Action::Deliver,
    Action::PeerReceive,
];

/// The program of a seed.
///
/// Each seed leaves some actions out, and makes others frequent. What needs many of the same kind in a row comes up more
/// often that way than with even chances (Groce and others, "Swarm Testing", 2012).
pub(crate) fn program(seed: u64) -> Vec<Step> {
    let mut luck = Luck::new(seed.wrapping_add(1));
    let (relays, files) = (luck.one_in(3), luck.one_in(4));
    let weights: Vec<u32> = Action::ALL
        .iter()
        .map(|action| {
            let is_of_relays = relays && OF_RELAYS.contains(action);
            let is_of_files = files && OF_FILES.contains(action);
            weight(*action, if is_of_relays || is_of_files { 6 } else { 1 }, &mut luck)
        })
        .collect();
    let total: u32 = weights.iter().sum();
    let has_luck = luck.one_in(2);
    let length = 1 + luck.below(MOST_STEPS);
    let mut steps = match (relays, files) {
        (true, _) => begin_with_relay(files, &mut luck),
        (false, true) => begin_with_file(&mut luck),
        (false, false) => Vec::new(),
    };
    steps.extend((0..length).map(|_| Step {
        action: draw(&weights, luck.below(total as usize)),
        numbers: std::array::from_fn(|_| number(&mut luck)),
        luck: if has_luck && luck.one_in(2) { luck.below(1 << 16) as u16 } else { 0 },
    }));
    steps
}

/// Two connections with the peer, through buffers of many pages, and a relay between them.
fn begin_with_relay(files: bool, luck: &mut Luck) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |action, numbers| steps.push(Step { action, numbers, luck: 0 });
    if !luck.one_in(4) {
        step(Action::LargeBuffers, [luck.below(640) as u16, luck.below(640) as u16, 0]);
    }
    step(Action::OpenMultiplexer, [0; 3]);
    for _ in 0..2 {
        let family = luck.below(2) as u16;
        step(Action::Connect, [0, family, 0]);
        step(Action::Deliver, [0, 0, 0]);
        step(Action::PeerAccept, [family, 0, 0]);
    }
    if files {
        step(Action::SendFile, [luck.below(2) as u16, number(luck), number(luck)]);
    }
    step(Action::Relay, [0, 0, 1]);
    steps
}

/// A connection with the peer through small buffers, that a multiplexer serves, and a file.
fn begin_with_file(luck: &mut Luck) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |action, numbers| steps.push(Step { action, numbers, luck: 0 });
    if !luck.one_in(4) {
        step(Action::Buffers, [luck.below(1000) as u16, luck.below(2000) as u16, 0]);
    }
    let family = luck.below(2) as u16;
    step(Action::OpenMultiplexer, [0; 3]);
    step(Action::Connect, [0, family, 0]);
    step(Action::Deliver, [0, 0, 0]);
    step(Action::PeerAccept, [family, 0, 0]);
    step(Action::Add, [0, 0, number(luck)]);
    step(Action::SendFile, [0, number(luck), number(luck)]);
    steps
}

fn weight(action: Action, factor: u32, luck: &mut Luck) -> u32 {
    let weight = action.weight() * factor;
    match luck.below(8) {
        0 => weight.min(1),
        1 => 0,
        2 => weight * 4,
        _ => weight,
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

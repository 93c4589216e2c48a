//! Random scripts: lists of operations with small numbers.

use std::fmt;

use crate::kernel::flags;
use crate::world::Luck;

/// Names of descriptors: sockets, epoll descriptors, an eventfd, a timer and a pipe.
pub(crate) const SOCKETS: usize = 6;
pub(crate) const EPOLLS: usize = 2;
pub(crate) const EVENT: usize = SOCKETS + EPOLLS;
pub(crate) const TIMER: usize = EVENT + 1;
/// The ends of a pipe.
pub(crate) const READER: usize = TIMER + 1;
pub(crate) const WRITER: usize = READER + 1;
pub(crate) const NAMES: usize = WRITER + 1;

/// What a step does. The numbers of the step name descriptors first, and what is left is a size or a set of flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Open,
    Bind,
    Listen,
    Connect,
    ConnectToSelf,
    Accept,
    Pair,
    Duplicate,
    Send,
    SendPieces,
    SendFile,
    SendUrgent,
    Pass,
    ReceivePassed,
    Receive,
    Peek,
    Fill,
    Drain,
    Shutdown,
    Close,
    Reset,
    Error,
    Addresses,
    Kind,
    Signal,
    Clear,
    Fire,
    Disarm,
    OpenPipe,
    ResizePipe,
    CloseReader,
    CloseWriter,
    SpliceIn,
    SpliceOut,
    Pump,
    OpenEpoll,
    CloseEpoll,
    Add,
    Modify,
    Delete,
    Wait,
}

use Operation as Op;

/// Each operation as often as it is to come.
const OPERATIONS: [(Operation, u8); 41] = [
    (Op::Open, 4),
    (Op::Bind, 4),
    (Op::Listen, 4),
    (Op::Connect, 6),
    (Op::ConnectToSelf, 1),
    (Op::Accept, 5),
    (Op::Pair, 10),
    (Op::Duplicate, 2),
    (Op::Send, 10),
    (Op::SendPieces, 2),
    (Op::SendFile, 6),
    (Op::SendUrgent, 2),
    (Op::Pass, 3),
    (Op::ReceivePassed, 3),
    (Op::Receive, 10),
    (Op::Peek, 3),
    (Op::Fill, 2),
    (Op::Drain, 4),
    (Op::Shutdown, 5),
    (Op::Close, 5),
    (Op::Reset, 3),
    (Op::Error, 3),
    (Op::Addresses, 2),
    (Op::Kind, 1),
    (Op::Signal, 1),
    (Op::Clear, 1),
    (Op::Fire, 1),
    (Op::Disarm, 1),
    (Op::OpenPipe, 4),
    (Op::ResizePipe, 1),
    (Op::CloseReader, 1),
    (Op::CloseWriter, 1),
    (Op::SpliceIn, 8),
    (Op::SpliceOut, 8),
    (Op::Pump, 3),
    (Op::OpenEpoll, 4),
    (Op::CloseEpoll, 1),
    (Op::Add, 12),
    (Op::Modify, 4),
    (Op::Delete, 2),
    (Op::Wait, 14),
];

/// The flags of registrations.
const INTERESTS: [u32; 8] = [
    flags::IN | flags::OUT | flags::RDHUP | flags::ET,
    flags::IN | flags::RDHUP | flags::ET,
    flags::OUT | flags::ET,
    flags::IN | flags::OUT | flags::PRI | flags::RDHUP | flags::ET,
    flags::IN | flags::OUT,
    flags::IN,
    flags::ET,
    0,
];

#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub(crate) operation: Operation,
    pub(crate) numbers: [usize; 3],
}

impl Step {
    /// The flags of a registration.
    pub(crate) fn interest(&self) -> u32 {
        INTERESTS[self.numbers[2] % INTERESTS.len()]
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, two, three] = self.numbers;
        write!(f, "{:?} {one} {two} {three}", self.operation)?;
        match self.operation {
            Op::Add | Op::Modify => write!(f, " ({:#x})", self.interest()),
            _ => Ok(()),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    /// Whether poll(2) asks after every step: it makes the kernel report room in a send buffer.
    pub(crate) polls: bool,
    pub(crate) steps: Vec<Step>,
}

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        let mut luck = Luck::new(seed);
        let length = 4 + luck.below(36);
        let polls = luck.one_in(2);
        let mut steps = prologue(&mut luck);
        steps.extend((0..length).map(|_| step(&mut luck)));
        Self { seed, polls, steps }
    }

    /// The script without one of its steps.
    pub(crate) fn without(&self, index: usize) -> Self {
        let mut shorter = self.clone();
        shorter.steps.remove(index);
        shorter
    }
}

/// Mostly the first steps make connections, so that the others find some.
fn prologue(luck: &mut Luck) -> Vec<Step> {
    let family = luck.below(2);
    let operations: &[(Operation, usize, usize)] = match luck.below(9) {
        0 => &[],
        1 => &[(Op::Pair, 0, 1)],
        2 => &[(Op::Pair, 0, 1), (Op::OpenEpoll, 0, 0), (Op::Add, 0, 0), (Op::Add, 0, 1)],
        3 => &[
            (Op::Pair, 0, 1),
            (Op::OpenEpoll, 0, 0),
            (Op::Add, 0, 0),
            (Op::Fill, 0, 0),
            (Op::Wait, 0, 0),
        ],
        4 => &[(Op::Pair, 0, 1), (Op::OpenPipe, 0, 0), (Op::SpliceIn, 0, 0)],
        5 => &[
            (Op::Pair, 0, 1),
            (Op::Pair, 2, 3),
            (Op::OpenPipe, 0, 0),
            (Op::OpenEpoll, 0, 0),
            (Op::Add, 0, 0),
            (Op::Add, 0, READER),
            (Op::Add, 0, WRITER),
        ],
        6 => &[(Op::Pair, 0, 1), (Op::Pair, 2, 3), (Op::Fill, 0, 0), (Op::OpenPipe, 0, 0)],
        7 => &[
            (Op::Open, 0, 0),
            (Op::Bind, 0, 0),
            (Op::Listen, 0, 0),
            (Op::Open, 1, 0),
            (Op::Connect, 1, 0),
            (Op::Open, 2, 0),
            (Op::Connect, 2, 0),
        ],
        _ => &[
            (Op::OpenEpoll, 0, 0),
            (Op::Open, 0, 0),
            (Op::Bind, 0, 0),
            (Op::Listen, 0, 0),
            (Op::Add, 0, 0),
            (Op::Open, 1, 0),
            (Op::Add, 0, 1),
            (Op::Connect, 1, 0),
        ],
    };
    let mut steps = Vec::new();
    for (operation, one, two) in operations {
        let third = match operation {
            Op::Add => luck.below(64),
            // The shortest backlog.
            Op::Listen => 0,
            Op::Pair if *one > 0 => luck.below(2),
            _ => family,
        };
        steps.push(Step { operation: *operation, numbers: [*one, *two, third] });
    }
    steps
}

fn step(luck: &mut Luck) -> Step {
    let total: usize = OPERATIONS.iter().map(|(_, weight)| usize::from(*weight)).sum();
    let mut at = luck.below(total);
    let mut operation = Op::Wait;
    for (candidate, weight) in OPERATIONS {
        if at < usize::from(weight) {
            operation = candidate;
            break;
        }
        at -= usize::from(weight);
    }
    // Most scripts are about few descriptors, so that operations meet.
    let most = if luck.one_in(2) { 3 } else { NAMES };
    Step { operation, numbers: [luck.below(most), luck.below(most), luck.below(64)] }
}

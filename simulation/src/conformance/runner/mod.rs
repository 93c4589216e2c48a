//! Plays a script. This module is there twice: `super::sys` is the model or the kernel.

mod connections;
mod passing;
mod pipes;
mod transfers;
mod watches;

use std::time::Duration;

use super::super::script::{
    EPOLLS, EVENT, NAMES, Operation, READER, SOCKETS, Script, Step, TIMER, WRITER,
};
use super::super::trace::{Event, Observation, Polled};
use super::sys::{
    self, Address, AsRawFd, Epoll, Errno, EventFd, Family, OwnedFd, PollFd, TimerFd, flags,
};
use crate::world::Origins;
use pipes::Pipe;

/// What is known of a socket, whatever names its descriptors have.
struct Entry {
    family: Family,
    stream: u32,
    sent: u64,
    received: u64,
    /// Where it is bound, and the number of connections that it lets wait.
    address: Option<Address>,
    backlog: Option<usize>,
    queue: Vec<usize>,
    peer: Option<usize>,
    /// Its send buffer was filled, and the peer has not drained it.
    is_filled: bool,
    /// A TCP connect has met its full backlog: the kernel tries again after a second.
    is_overrun: bool,
    shut_read: bool,
}

struct Runner {
    seed: u64,
    pace: Duration,
    entries: Vec<Entry>,
    sockets: [Option<(OwnedFd, usize)>; SOCKETS],
    epolls: [Option<Epoll>; EPOLLS],
    event: Option<EventFd>,
    timer: Option<TimerFd>,
    pipe: Pipe,
    /// Whose bytes the sockets have sent.
    origins: Origins,
    bound: usize,
    /// A byte was received that is not the next of the peer's.
    has_wrong_bytes: bool,
    /// The events of the wait of this step, and those that the kernel may add.
    waited: (Vec<Event>, Vec<Event>),
}

/// Plays a script, and returns what each step has shown. The kernel gets a pause after each step.
pub(crate) fn run(script: &Script, pace: Duration) -> Vec<Observation> {
    super::begin();
    let mut runner = Runner {
        seed: script.seed,
        pace,
        entries: Vec::new(),
        sockets: [const { None }; SOCKETS],
        epolls: [const { None }; EPOLLS],
        event: EventFd::new().ok(),
        timer: TimerFd::new().ok(),
        pipe: Pipe::default(),
        origins: Origins::default(),
        bound: 0,
        has_wrong_bytes: false,
        waited: (Vec::new(), Vec::new()),
    };
    let mut observations = Vec::new();
    for step in &script.steps {
        observations.push(runner.observe(step, script.polls));
    }
    let last = Step { operation: Operation::Wait, numbers: [0; 3] };
    for epoll in 0..EPOLLS {
        observations.push(runner.observe(&Step { numbers: [epoll, 0, 0], ..last }, true));
    }
    runner.tidy();
    drop(runner);
    super::end();
    observations
}

impl Runner {
    fn observe(&mut self, step: &Step, polls: bool) -> Observation {
        let mut outcome = self.play(step);
        if self.has_wrong_bytes {
            outcome += ", wrong bytes";
        }
        self.settle();
        let polled = if polls { self.poll_all() } else { Vec::new() };
        let (events, possible) = std::mem::take(&mut self.waited);
        Observation { outcome, events, possible, polled }
    }

    fn play(&mut self, step: &Step) -> String {
        let [one, two, three] = step.numbers;
        match step.operation {
            Operation::Open => self.open(one, family(three)),
            Operation::Bind => self.bind(one),
            Operation::Listen => self.listen(one, three % 3),
            Operation::Connect => self.connect(one, two),
            Operation::ConnectToSelf => self.connect(one, one),
            Operation::Accept => self.accept(one, two),
            Operation::Pair => self.pair(one, two, family(three)),
            Operation::Duplicate => self.duplicate(one, two),
            Operation::Send => self.send(one, &[three]),
            Operation::SendPieces => self.send(one, &[three, two, 0, three]),
            Operation::SendFile => self.send_file(one, two, three),
            Operation::SendUrgent => self.send_urgent(one),
            Operation::Pass => self.pass(one, three),
            Operation::ReceivePassed => self.receive_passed(one, three),
            Operation::Receive => self.receive(one, three, false),
            Operation::Peek => self.receive(one, three, true),
            Operation::Fill => self.fill(one),
            Operation::Drain => self.drain(one),
            Operation::Shutdown => self.shutdown(one, three),
            Operation::Close => self.close(one, false),
            Operation::Reset => self.close(one, true),
            Operation::Error => self.error(one),
            Operation::Addresses => self.addresses(one),
            Operation::Kind => self.kind(one),
            _ => self.play_on_others(step),
        }
    }

    fn play_on_others(&mut self, step: &Step) -> String {
        let [one, two, three] = step.numbers;
        match step.operation {
            Operation::Signal => self.event.as_ref().map(|it| it.signal(1)).map_or("", |()| "done"),
            Operation::Clear => {
                return self.event.as_ref().map_or(String::new(), |it| it.take().to_string());
            }
            Operation::Fire => return self.set_timer(Duration::ZERO),
            Operation::Disarm => return self.set_timer(Duration::from_secs(3600)),
            Operation::OpenPipe => return self.open_pipe(three),
            Operation::ResizePipe => return self.resize_pipe(three),
            Operation::CloseReader => return self.close_reader(),
            Operation::CloseWriter => return self.close_writer(),
            Operation::SpliceIn => return self.splice_in(one, three),
            Operation::SpliceOut => return self.splice_out(one, three),
            Operation::Pump => return self.pump(one, two),
            Operation::OpenEpoll => return self.open_epoll(one),
            Operation::CloseEpoll => return self.close_epoll(one),
            Operation::Add => return self.add(one, two, step.interest()),
            Operation::Modify => return self.modify(one, two, step.interest()),
            Operation::Delete => return self.delete(one, two),
            Operation::Wait => return self.wait(one),
            _ => "",
        }
        .to_owned()
    }

    /// The socket of a name, and what is known of it.
    fn socket(&mut self, name: usize) -> Option<(&OwnedFd, &mut Entry)> {
        let (fd, id) = self.sockets[name % SOCKETS].as_ref()?;
        Some((fd, &mut self.entries[*id]))
    }

    /// The descriptor of a name.
    fn descriptor(&self, name: usize) -> Option<i32> {
        match name {
            0..SOCKETS => self.sockets[name].as_ref().map(|(fd, _)| fd.as_raw_fd()),
            EVENT => self.event.as_ref().map(EventFd::fd),
            TIMER => self.timer.as_ref().map(AsRawFd::as_raw_fd),
            READER => self.pipe.reader.as_ref().map(AsRawFd::as_raw_fd),
            WRITER => self.pipe.writer.as_ref().map(AsRawFd::as_raw_fd),
            name => self.epolls.get(name - SOCKETS)?.as_ref().map(AsRawFd::as_raw_fd),
        }
    }

    fn settle(&self) {
        super::settle(self.pace);
        for (fd, id) in self.sockets.iter().flatten() {
            if self.entries[*id].family != Family::Unix {
                super::acknowledge(fd);
            }
        }
    }

    fn poll_all(&mut self) -> Vec<Polled> {
        let names: Vec<_> = (0..NAMES).filter(|name| self.descriptor(*name).is_some()).collect();
        let all = flags::IN | flags::PRI | flags::OUT | flags::RDHUP;
        let of = |name: &usize| PollFd::new(self.descriptor(*name).unwrap_or(-1), all);
        let mut polled: Vec<_> = names.iter().map(of).collect();
        let _ = sys::poll(&mut polled, 0);
        let polled = polled.into_iter().map(PollFd::flags);
        let with_possible = |(name, flags): (usize, u32)| {
            let possible = self.descriptor(name).map_or(0, super::possible_flags);
            (name, flags, flags | possible & all)
        };
        names.into_iter().zip(polled).map(with_possible).collect()
    }

    /// Nothing of the script is left in the kernel.
    fn tidy(&mut self) {
        for (fd, _) in self.sockets.iter().flatten() {
            let _ = sys::discard_on_close(sys::AsFd::as_fd(fd));
        }
    }
}

fn family(number: usize) -> Family {
    if number.is_multiple_of(2) { Family::Ipv4 } else { Family::Unix }
}

/// A result as it is compared.
fn outcome<T>(result: &Result<T, Errno>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(errno) => format!("error {}", -errno.negated()),
    }
}

/// The outcome of a step that the script has no descriptor for, or whose outcome the kernel leaves open.
fn skipped() -> String {
    String::new()
}

//! The program that is played: its state, and its steps.

use std::collections::HashSet;

use super::book::{Departure, End, Kind, Multiplexer, Relay, Source};
use super::file::{Load, SentFile};
use super::step::Step;
use crate::core::{Handle, Registry};
use crate::kernel::{Address, Errno};
use crate::world::{self, Luck, World};

/// What did not hold.
pub(super) type Violation = String;

pub(super) struct Player {
    pub(super) registry: Registry,
    pub(super) multiplexers: Vec<Multiplexer>,
    pub(super) sources: Vec<Source>,
    /// Handles that are gone.
    pub(super) gone: Vec<Handle>,
    pub(super) departures: Vec<Departure>,
    pub(super) ends: Vec<End>,
    pub(super) relays: Vec<Relay>,
    /// The files that were sent, in order, and what the pool loads.
    pub(super) files: Vec<SentFile>,
    pub(super) loads: Vec<Load>,
    /// Sockets of relays that were closed before they were reported to have left.
    pub(super) relayed_before: Vec<i32>,
    /// The listeners of the peer, and where they and those of the program listen.
    pub(super) peer_listeners: Vec<(i32, Address)>,
    pub(super) own_addresses: Vec<(Handle, Address)>,
    /// The most sources at a time.
    pub(super) peak: usize,
    pub(super) played: u64,
    pub(super) next_name: u32,
    /// Whether epoll may watch what is not registered any more.
    pub(super) has_ghosts: bool,
    /// Descriptors of the program that no source has.
    pub(super) loose: HashSet<i32>,
}

impl Player {
    pub(super) fn new() -> Self {
        Self {
            registry: Registry::new(),
            multiplexers: Vec::new(),
            sources: Vec::new(),
            gone: Vec::new(),
            departures: Vec::new(),
            ends: Vec::new(),
            relays: Vec::new(),
            files: Vec::new(),
            loads: Vec::new(),
            relayed_before: Vec::new(),
            peer_listeners: Vec::new(),
            own_addresses: Vec::new(),
            peak: 0,
            played: 0,
            next_name: 0,
            has_ghosts: false,
            loose: HashSet::new(),
        }
    }

    /// Plays a program, and ends it.
    ///
    /// # Errors
    /// What did not hold.
    pub(super) fn play(&mut self, steps: &[Step]) -> Result<(), Violation> {
        self.open_peer_listeners();
        for (index, step) in steps.iter().enumerate() {
            world::with(|world| world.note(|| format!("{step}")));
            self.play_step(*step).map_err(|what| format!("step {}: {what}", index + 1))?;
        }
        world::with(|world| {
            world.luck = Luck::NONE;
            world.note(|| "the end".to_owned());
        });
        self.end().map_err(|what| format!("at the end: {what}"))
    }

    fn play_step(&mut self, step: Step) -> Result<(), Violation> {
        self.played += 1;
        world::with(|world| {
            world.calls_of_step = 0;
            world.luck = Luck::new(step.luck.into());
        });
        self.act(step.action, step.numbers.map(usize::from))?;
        self.check()
    }

    /// A source of a kind, by a number.
    pub(super) fn choose(
        &self,
        number: usize,
        is_chosen: impl Fn(&Source) -> bool,
    ) -> Option<usize> {
        let chosen: Vec<_> =
            (0..self.sources.len()).filter(|index| is_chosen(&self.sources[*index])).collect();
        chosen.get(number % chosen.len().max(1)).copied()
    }

    /// A socket of the program that it has not closed.
    pub(super) fn choose_socket(&self, number: usize) -> Option<usize> {
        self.choose(number, Source::is_free)
    }

    /// As `choose_socket`, also one that is relayed.
    pub(super) fn choose_any_socket(&self, number: usize) -> Option<usize> {
        self.choose(number, |source| source.is_socket() && !source.closing)
    }

    pub(super) fn choose_multiplexer(&self, number: usize) -> Option<usize> {
        (!self.multiplexers.is_empty()).then(|| number % self.multiplexers.len())
    }

    pub(super) fn find(&self, handle: i32) -> Option<usize> {
        self.sources.iter().position(|source| source.handle.raw() == handle)
    }

    /// The descriptor of a source, if it has one.
    pub(super) fn fd(&self, index: usize) -> Option<i32> {
        match self.sources[index].kind {
            Kind::Foreign { fd, is_open, .. } => is_open.then_some(fd),
            _ => self.registry.raw_fd(self.sources[index].handle).ok(),
        }
    }

    /// What poll(2) would say of a source.
    pub(super) fn flags(&self, index: usize) -> u32 {
        if let Kind::Foreign { file, is_open, .. } = self.sources[index].kind {
            return if is_open { with(|world| world.flags_of(file)) } else { 0 };
        }
        let Some(fd) = self.fd(index) else { return 0 };
        with(|world| world.file(world::Process::Program, fd).map_or(0, |file| world.flags_of(file)))
    }

    pub(super) fn queued(&mut self, index: usize) -> usize {
        let handle = self.sources[index].handle;
        self.registry.any_socket(handle).map_or(0, |socket| socket.queue_length())
    }

    /// Whether a send was the call that failed.
    pub(super) fn send_failed(&mut self, index: usize) -> bool {
        let handle = self.sources[index].handle;
        let failure = self.registry.any_socket(handle).ok().and_then(|socket| socket.failure());
        failure.is_some_and(|(call, _)| call as i32 == 1)
    }

    pub(super) fn failure(&mut self, index: usize) -> Option<Errno> {
        let handle = self.sources[index].handle;
        self.registry.any_socket(handle).ok()?.failure().map(|(_, errno)| errno)
    }

    /// The program has a new source.
    pub(super) fn add_source(&mut self, handle: Handle, kind: Kind) -> Result<(), Violation> {
        if self.find(handle.raw()).is_some() {
            return Err(format!("handle {} is given twice", handle.raw()));
        }
        let stream =
            self.registry.raw_fd(handle).ok().map_or(0, |fd| {
                with(|world| world.socket_of(fd).map_or(0, |socket| socket.stream))
            });
        self.sources.push(Source::new(handle, kind, stream));
        self.peak = self.peak.max(self.sources.len());
        if handle.slot() as usize >= self.peak {
            return Err(format!("slot {} with {} sources at most", handle.slot(), self.peak));
        }
        Ok(())
    }

    /// A source of the program is gone.
    pub(super) fn remove_source(&mut self, index: usize, is_graceful: bool) {
        let source = self.sources.swap_remove(index);
        if let Kind::Foreign { file, .. } = source.kind {
            for multiplexer in &mut self.multiplexers {
                multiplexer.wake = multiplexer.wake.filter(|wake| *wake != file);
            }
        }
        self.gone.push(source.handle);
        if !is_graceful {
            self.note_dropped(source.handle);
        }
        if source.is_socket() {
            self.departures.push(Departure {
                stream: source.stream,
                taken: source.taken,
                is_graceful: is_graceful && !source.is_broken,
                has_lost: is_graceful && source.send_failed && !source.cannot_reset,
            });
        }
    }
}

pub(super) fn with<T>(action: impl FnOnce(&mut World) -> T) -> T {
    world::with(action)
}

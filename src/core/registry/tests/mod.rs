//! The core on real sockets, without JavaScript and without an event loop.

mod back_off;
mod descriptors;
mod events;
mod failures;
mod foreign;
mod output;
mod passing;
mod prefetch;
mod relay;
mod travel;

use std::io::IoSlice;

use super::Registry;
use crate::core::multiplexer::Event;
use crate::core::receive_buffer::{PREFETCH_LIMIT, ReceiveBuffer};
use crate::core::{Handle, Interest, Mode, SendStatus};
use crate::sys::{Address, Errno, Family};

type Outcome = Result<(), Errno>;

const READ: Interest = Interest { read: true, ..Interest::NONE };
const BOTH: Interest = Interest { read: true, write: true, prefetch: false };
const WRITE: Interest = Interest { write: true, ..Interest::NONE };
const PREFETCH: Interest = Interest { prefetch: true, ..READ };

/// A registry with a multiplexer and a listener.
struct Rig {
    registry: Registry,
    multiplexer: Handle,
    listener: Handle,
    address: Address,
}

impl Rig {
    fn new() -> Result<Self, Errno> {
        let mut registry = Registry::new();
        let multiplexer = registry.open_multiplexer()?;
        let listener = registry.open(Family::Ipv4)?;
        registry.bind(listener, &Address::numeric("127.0.0.1", 0)?)?;
        registry.listen(listener, 128)?;
        let address = crate::sys::local_address(registry.fd(listener)?)?;
        Ok(Self { registry, multiplexer, listener, address })
    }

    /// A connected pair: the socket that connected, and the one that was accepted.
    fn pair(&mut self) -> Result<(Handle, Handle), Errno> {
        let near = self.registry.open(Family::Ipv4)?;
        let address = self.address.clone();
        self.registry.connect(near, &address)?;
        self.registry.state_bits(near)?;
        Ok((near, self.registry.accept(self.listener)?))
    }

    fn add(&mut self, handle: Handle, interest: Interest, mode: Mode) -> Outcome {
        self.registry.add(self.multiplexer, handle, interest, mode)
    }

    fn send(&mut self, handle: Handle, bytes: &[u8]) -> Result<SendStatus, Errno> {
        self.registry.with_socket(handle, |socket| socket.send(&[IoSlice::new(bytes)]))
    }

    fn receive(&mut self, handle: Handle, length: usize) -> Result<usize, Errno> {
        self.registry.with_socket(handle, |socket| socket.receive(&mut vec![0; length]))
    }

    /// The length of the ready list.
    fn listed(&self) -> usize {
        let multiplexer = self.registry.multiplexers.by_handle(self.multiplexer);
        multiplexer.map_or(0, |multiplexer| multiplexer.ready.len())
    }

    fn wait_for(&mut self, timeout: i32, limit: usize) -> Result<Vec<Event>, Errno> {
        self.wait_into(timeout, limit, &mut ReceiveBuffer::none())
    }

    fn wait_into(
        &mut self,
        timeout: i32,
        limit: usize,
        buffer: &mut ReceiveBuffer<'_>,
    ) -> Result<Vec<Event>, Errno> {
        let mut events = Vec::new();
        self.registry.wait(self.multiplexer, timeout, limit, buffer, |event| events.push(event))?;
        Ok(events)
    }

    /// The bytes that one wait prefetches.
    fn prefetched(&mut self) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; 2 * PREFETCH_LIMIT];
        let events = self.wait_into(1000, 1000, &mut ReceiveBuffer::new(&mut bytes, 0))?;
        let parts = events.into_iter().filter_map(|event| bytes.get(event.received));
        Ok(parts.flatten().copied().collect())
    }

    /// The events that one wait reports.
    fn reported(&mut self, timeout: i32) -> Result<Vec<(Handle, u32)>, Errno> {
        let events = self.wait_for(timeout, 1000)?;
        Ok(events.iter().map(|event| (event.handle, event.bits)).collect())
    }
}

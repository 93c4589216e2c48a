//! Relays over real sockets and pipes.

use super::{BOTH, Outcome, READ, Rig};
use crate::core::multiplexer::event_bits;
use crate::core::registry::CloseResult;
use crate::core::source::Source;
use crate::core::{Handle, Mode, SendStatus};
use crate::sys::{Errno, Family, Shutdown};

/// Far more than a back-off, in milliseconds: a wait for nothing fails the test.
const LONG: i32 = 20_000;

/// The most turns of a transfer.
const TURNS: usize = 1_000_000;

const SO_SNDBUF: (i32, i32) = (1, 7);
const SO_RCVBUF: (i32, i32) = (1, 8);

/// Two connections, the inner ends of which are relayed.
struct Relay {
    near: Handle,
    a: Handle,
    b: Handle,
    far: Handle,
}

/// What two outer ends exchange, and how far they have come.
struct Flow {
    from: Handle,
    to: Handle,
    bytes: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
}

impl Flow {
    fn new(from: Handle, to: Handle, length: usize) -> Self {
        let byte = |index| u8::try_from((index * 31 + index / 251) % 256).unwrap_or_default();
        let bytes = (0..length).map(byte).collect();
        Self { from, to, bytes, sent: 0, received: Vec::new() }
    }
}

impl Rig {
    fn relay(&mut self) -> Result<Relay, Errno> {
        let (near, a) = self.pair()?;
        let (far, b) = self.pair()?;
        self.registry.relay(self.multiplexer, a, b)?;
        Ok(Relay { near, a, b, far })
    }

    /// As `relay`, with kernel buffers that hold a few kilobytes.
    fn narrow_relay(&mut self) -> Result<Relay, Errno> {
        let relay = self.relay()?;
        for handle in [relay.near, relay.a, relay.b, relay.far] {
            for (level, name) in [SO_SNDBUF, SO_RCVBUF] {
                self.registry.set_option(handle, level, name, &4096_i32.to_ne_bytes())?;
            }
        }
        Ok(relay)
    }

    fn unlimit(&mut self, handle: Handle) -> Outcome {
        self.registry.with_socket(handle, |socket| {
            socket.set_queue_limit(usize::MAX);
            Ok(())
        })
    }

    /// Sends a piece of a flow, and receives one, of at most so many bytes. Returns whether it made progress.
    fn step(&mut self, flow: &mut Flow, most: usize) -> Result<bool, Errno> {
        let piece = flow.bytes.get(flow.sent..).unwrap_or_default();
        let piece = piece.get(..most.min(piece.len())).unwrap_or_default().to_vec();
        let before = flow.sent + flow.received.len();
        if self.send(flow.from, &piece)? != SendStatus::NotSent {
            flow.sent += piece.len();
        }
        self.receive_some(flow, most)?;
        Ok(flow.sent + flow.received.len() > before)
    }

    fn receive_some(&mut self, flow: &mut Flow, most: usize) -> Outcome {
        let mut into = vec![0; most];
        match self.registry.with_socket(flow.to, |socket| socket.receive(&mut into)) {
            Ok(count) => flow.received.extend(into.get(..count).unwrap_or_default()),
            Err(Errno::AGAIN) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }

    /// Exchanges all bytes of flows, and compares them.
    fn exchange(&mut self, flows: &mut [Flow], most: usize) -> Outcome {
        for flow in &*flows {
            self.add(flow.from, READ, Mode::Edge)?;
        }
        for _ in 0..TURNS {
            for flow in &mut *flows {
                self.step(flow, most)?;
            }
            self.wait_for(1, 1000)?;
            if flows.iter().all(|it| it.received.len() >= it.bytes.len()) {
                break;
            }
        }
        assert!(flows.iter().all(|it| it.received == it.bytes));
        Ok(())
    }

    /// Whether bytes of a direction are in a pipe.
    fn has_pipe(&mut self, handle: Handle) -> bool {
        self.registry.sources.by_handle(handle).is_some_and(Source::has_relay_pipe)
    }

    /// The handles that the next waits report as detached.
    fn detached(&mut self, count: usize) -> Result<Vec<Handle>, Errno> {
        let mut handles = Vec::new();
        while handles.len() < count {
            let reported = self.reported(LONG)?;
            assert_ne!(reported, [], "nothing was reported");
            handles.extend(
                reported.iter().filter(|(_, bits)| *bits == event_bits::DETACHED).map(|it| it.0),
            );
        }
        handles.sort_by_key(|it| it.raw());
        Ok(handles)
    }
}

fn sorted(mut handles: Vec<Handle>) -> Vec<Handle> {
    handles.sort_by_key(|it| it.raw());
    handles
}

#[test]
fn bytes_come_as_they_were_through_pipes_of_any_size() -> Outcome {
    for size in [4096, 16_384, 65_536, 262_144] {
        for most in [100_000, 1 << 20] {
            let mut rig = Rig::new()?;
            rig.registry.relay_memory.set_pipe_size(size);
            let relay = rig.relay()?;
            let there = Flow::new(relay.near, relay.far, 400_000);
            let back = Flow::new(relay.far, relay.near, 200_000);
            rig.exchange(&mut [there, back], most)?;
        }
    }
    Ok(())
}

#[test]
fn bytes_come_as_they_were_through_full_buffers() -> Outcome {
    for size in [4096, 65_536] {
        let mut rig = Rig::new()?;
        rig.registry.relay_memory.set_pipe_size(size);
        let relay = rig.narrow_relay()?;
        let there = Flow::new(relay.near, relay.far, 40_000);
        let back = Flow::new(relay.far, relay.near, 40_000);
        rig.exchange(&mut [there, back], 5000)?;
    }
    Ok(())
}

/// Sends until the relay holds what its target does not take, in a pipe.
fn fill(rig: &mut Rig, relay: &Relay, flow: &mut Flow) -> Outcome {
    rig.unlimit(relay.near)?;
    let bytes = std::mem::take(&mut flow.bytes);
    rig.send(relay.near, &bytes)?;
    flow.sent = bytes.len();
    flow.bytes = bytes;
    rig.add(relay.near, READ, Mode::Edge)?;
    for _ in 0..50 {
        rig.wait_for(1, 1000)?;
    }
    assert!(rig.has_pipe(relay.a));
    Ok(())
}

fn drain(rig: &mut Rig, flow: &mut Flow) -> Outcome {
    for _ in 0..TURNS {
        rig.receive_some(flow, 1 << 20)?;
        if flow.received.len() >= flow.bytes.len() {
            break;
        }
        rig.wait_for(1, 1000)?;
    }
    assert!(flow.received == flow.bytes);
    Ok(())
}

#[test]
fn a_pipe_is_kept_only_while_bytes_are_in_it() -> Outcome {
    let mut rig = Rig::new()?;
    let relay = rig.relay()?;
    let mut flow = Flow::new(relay.near, relay.far, 16_000_000);
    fill(&mut rig, &relay, &mut flow)?;
    drain(&mut rig, &mut flow)?;
    assert!(!rig.has_pipe(relay.a) && !rig.has_pipe(relay.b));
    Ok(())
}

#[test]
fn what_a_target_without_memory_has_to_send_is_sent_after_a_back_off() -> Outcome {
    let mut rig = Rig::new()?;
    let relay = rig.relay()?;
    let mut flow = Flow::new(relay.near, relay.far, 16_000_000);
    fill(&mut rig, &relay, &mut flow)?;
    rig.registry.any_socket(relay.b)?.starve();
    drain(&mut rig, &mut flow)
}

#[test]
fn an_end_behind_bytes_in_a_pipe_comes_behind_them() -> Outcome {
    let mut rig = Rig::new()?;
    let relay = rig.relay()?;
    let mut flow = Flow::new(relay.near, relay.far, 16_000_000);
    fill(&mut rig, &relay, &mut flow)?;
    rig.registry.with_socket(relay.near, |socket| socket.shutdown(Shutdown::Write))?;
    drain(&mut rig, &mut flow)?;
    rig.add(relay.far, READ, Mode::Edge)?;
    let end = event_bits::READABLE | event_bits::READ_ENDED;
    assert_eq!(rig.reported(LONG)?, [(relay.far, end)]);
    assert_eq!(rig.receive(relay.far, 64)?, 0);
    rig.registry.with_socket(relay.far, |socket| socket.shutdown(Shutdown::Write))?;
    assert_eq!(rig.detached(2)?, sorted(vec![relay.a, relay.b]));
    assert_eq!(rig.registry.state_bits(relay.a)? & 3, 1, "open, and both halves have ended");
    rig.registry.close(relay.a)?;
    rig.registry.close(relay.b)?;
    Ok(())
}

#[test]
fn a_relay_that_is_stopped_with_bytes_in_a_pipe_reports_the_other_one() -> Outcome {
    for stop in 0..4 {
        let mut rig = Rig::new()?;
        let relay = rig.relay()?;
        let mut flow = Flow::new(relay.near, relay.far, 16_000_000);
        fill(&mut rig, &relay, &mut flow)?;
        match stop {
            0 => rig.registry.reset(relay.a)?,
            1 => assert_eq!(rig.registry.close(relay.a)?, CloseResult::Closed),
            2 => rig.registry.remove(rig.multiplexer, relay.a)?,
            _ => rig.registry.disown(relay.a)?,
        }
        assert_eq!(rig.detached(1)?, [relay.b]);
        assert!(rig.send(relay.b, b"a socket as before").is_ok());
    }
    Ok(())
}

#[test]
fn sockets_of_a_closed_multiplexer_are_as_before() -> Outcome {
    let mut rig = Rig::new()?;
    let relay = rig.relay()?;
    rig.registry.close_multiplexer(rig.multiplexer)?;
    assert_eq!(rig.send(relay.near, b"hello")?, SendStatus::Sent);
    assert_eq!(rig.receive(relay.a, 64)?, 5);
    rig.multiplexer = rig.registry.open_multiplexer()?;
    rig.registry.relay(rig.multiplexer, relay.a, relay.b)?;
    let there = Flow::new(relay.near, relay.far, 100_000);
    rig.exchange(&mut [there], 10_000)
}

#[test]
fn what_is_no_open_socket_is_refused() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    let (one, other) = rig.pair()?;
    let relayed = |rig: &mut Rig, one, other| rig.registry.relay(rig.multiplexer, one, other);
    assert_eq!(relayed(&mut rig, near, near), Err(Errno::INVAL));
    let listener = rig.listener;
    assert_eq!(relayed(&mut rig, near, listener), Err(Errno::INVAL));
    assert_eq!(relayed(&mut rig, listener, near), Err(Errno::INVAL));
    rig.add(one, BOTH, Mode::Level)?;
    assert_eq!(relayed(&mut rig, near, one), Err(Errno::EXIST));
    assert_eq!(relayed(&mut rig, one, near), Err(Errno::EXIST));
    rig.registry.reset(other)?;
    assert_eq!(relayed(&mut rig, near, other), Err(Errno::BADF));
    assert_eq!(rig.registry.end_relayed(near), Err(Errno::INVAL));
    assert_eq!(rig.registry.end_relayed(other), Err(Errno::BADF));
    assert_eq!(rig.registry.relay(near, near, far), Err(Errno::BADF));
    assert_eq!(rig.send(near, b"hello")?, SendStatus::Sent);
    assert_eq!(rig.receive(far, 64)?, 5);
    Ok(())
}

#[test]
fn a_socket_that_is_closing_is_refused() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, _far) = rig.pair()?;
    let (one, _other) = rig.pair()?;
    rig.unlimit(near)?;
    rig.send(near, &vec![0; 16_000_000])?;
    assert_eq!(rig.registry.close(near)?, CloseResult::Unregistered);
    assert_eq!(rig.registry.relay(rig.multiplexer, near, one), Err(Errno::NOTCONN));
    assert_eq!(rig.registry.relay(rig.multiplexer, one, near), Err(Errno::NOTCONN));
    Ok(())
}

#[test]
fn a_socket_that_never_connects_ends_it() -> Outcome {
    let mut rig = Rig::new()?;
    let (_near, a) = rig.pair()?;
    let b = rig.registry.open(Family::Ipv4)?;
    rig.registry.relay(rig.multiplexer, a, b)?;
    assert_eq!(rig.detached(2)?, sorted(vec![a, b]));
    Ok(())
}

#[test]
fn a_relayed_socket_is_busy() -> Outcome {
    let mut rig = Rig::new()?;
    let Relay { near, a, b, far } = rig.relay()?;
    assert_eq!(rig.receive(a, 64), Err(Errno::BUSY));
    assert_eq!(rig.send(a, b"x"), Err(Errno::BUSY));
    assert_eq!(rig.registry.write(a, b"x", true), Err(Errno::BUSY));
    assert_eq!(rig.registry.modify(rig.multiplexer, a, BOTH, Mode::Edge), Err(Errno::BUSY));
    assert_eq!(rig.registry.relay(rig.multiplexer, a, b), Err(Errno::EXIST));
    assert_eq!(rig.add(a, BOTH, Mode::Edge), Err(Errno::EXIST));
    let there = Flow::new(near, far, 1000);
    rig.exchange(&mut [there], 100)
}

//! The core alone, on real sockets: no JavaScript, no loop of Node's.

use std::io::IoSlice;

use super::{CloseResult, Registry};
use crate::core::multiplexer::{Event, event_bits};
use crate::core::receive_buffer::{PREFETCH_LIMIT, ReceiveBuffer};
use crate::core::socket::Call;
use crate::core::{Handle, Interest, Mode, SendStatus};
use crate::sys::{Address, Errno, Family, Shutdown};

type Outcome = Result<(), Errno>;

const READ: Interest = Interest { read: true, ..Interest::NONE };
const BOTH: Interest = Interest { read: true, write: true, prefetch: false };
const WRITE: Interest = Interest { write: true, ..Interest::NONE };
const PREFETCH: Interest = Interest { prefetch: true, ..READ };

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

    /// A connected pair: the connecting side and the accepted one.
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

    /// How many stand on the ready list.
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

    /// What one wait has prefetched.
    fn received(&mut self) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; 2 * PREFETCH_LIMIT];
        let events = self.wait_into(1000, 1000, &mut ReceiveBuffer::new(&mut bytes, 0))?;
        let parts = events.into_iter().filter_map(|event| bytes.get(event.received));
        Ok(parts.flatten().copied().collect())
    }

    fn reported(&mut self, timeout: i32) -> Result<Vec<(Handle, u32)>, Errno> {
        let events = self.wait_for(timeout, 1000)?;
        Ok(events.iter().map(|event| (event.handle, event.bits)).collect())
    }
}

#[test]
fn truth_1_what_was_not_drained_is_told_again_and_what_was_is_not() -> Outcome {
    for (mode, take) in [(Mode::Edge, 6), (Mode::Level, 64)] {
        let mut rig = Rig::new()?;
        let (near, far) = rig.pair()?;
        rig.add(far, READ, mode)?;
        rig.send(near, b"sixsix")?;
        assert_eq!(rig.reported(1000)?, [(far, event_bits::READABLE)]);
        assert_eq!(rig.reported(0)?, [(far, event_bits::READABLE)], "untouched");
        assert_eq!(rig.receive(far, 2)?, 2);
        assert_eq!(rig.reported(0)?, [(far, event_bits::READABLE)], "partly read");
        assert_eq!(rig.receive(far, take)?, 4);
        assert_eq!(rig.reported(0)?, [], "drained");
    }
    Ok(())
}

#[test]
fn truth_2_data_and_fin_in_one_edge_delivers_both() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.send(near, b"abc")?;
    rig.registry.shutdown(near, Shutdown::Write)?;
    rig.add(far, READ, Mode::Edge)?;
    let end = event_bits::READABLE | event_bits::READ_ENDED;
    assert_eq!(rig.reported(1000)?, [(far, end)]);
    assert_eq!(rig.receive(far, 64)?, 3);
    assert_eq!(rig.reported(0)?, [(far, end)]);
    assert_eq!(rig.receive(far, 64)?, 0);
    assert_eq!(rig.reported(0)?, []);
    Ok(())
}

#[test]
fn truth_5_more_ready_than_a_batch_holds_are_told_in_turn() -> Outcome {
    let mut rig = Rig::new()?;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let (near, far) = rig.pair()?;
        rig.add(far, READ, Mode::Edge)?;
        rig.send(near, b"x")?;
        sockets.push(far);
    }
    let mut reported = Vec::new();
    for _ in 0..5 {
        reported.extend(rig.wait_for(1000, 2)?.iter().map(|event| event.handle));
    }
    for far in sockets {
        assert_eq!(reported.iter().filter(|handle| **handle == far).count(), 2, "two turns each");
    }
    Ok(())
}

#[test]
fn truth_7_an_edge_of_a_closed_socket_never_reaches_the_next_owner_of_its_slot() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, READ, Mode::Edge)?;
    rig.send(near, b"x")?;
    rig.registry.close(far)?;
    let (_other, next) = rig.pair()?;
    rig.add(next, READ, Mode::Edge)?;
    assert_eq!(rig.reported(0)?, []);
    assert_eq!(rig.receive(far, 1), Err(Errno::BADF));
    Ok(())
}

#[test]
fn truth_26_oneshot_is_silent_until_modified() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, READ, Mode::Oneshot)?;
    rig.send(near, b"x")?;
    assert_eq!(rig.reported(1000)?.len(), 1);
    rig.send(near, b"y")?;
    assert_eq!(rig.reported(20)?, []);
    rig.registry.modify(rig.multiplexer, far, READ, Mode::Oneshot)?;
    assert_eq!(rig.reported(1000)?.len(), 1);
    Ok(())
}

#[test]
fn level_tells_writable_for_as_long_as_it_lasts_and_edge_once() -> Outcome {
    for (mode, again) in [(Mode::Level, 1), (Mode::Edge, 0)] {
        let mut rig = Rig::new()?;
        let (near, _far) = rig.pair()?;
        rig.add(near, BOTH, mode)?;
        assert_eq!(rig.reported(1000)?, [(near, event_bits::WRITABLE)]);
        assert_eq!(rig.reported(0)?.len(), again);
    }
    Ok(())
}

#[test]
fn a_close_behind_a_full_queue_loses_nothing_and_ends_with_a_detached() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.registry.socket(near)?.set_queue_limit(32 << 20);
    let mut sent = 0;
    while rig.send(near, &[7; 16384])? == SendStatus::Sent {
        sent += 16384;
    }
    sent += 16384;
    rig.add(near, READ, Mode::Edge)?;
    assert!(rig.registry.is_referenced(rig.multiplexer), "queued output holds");
    assert_eq!(rig.registry.close(near)?, CloseResult::AfterQueue);
    let (mut received, mut detached) = (0, false);
    while !detached || received < sent {
        while let Ok(count @ 1..) = rig.receive(far, 65536) {
            received += count;
        }
        detached |= rig.reported(10)?.contains(&(near, event_bits::DETACHED));
    }
    assert_eq!(rig.receive(far, 1)?, 0, "then the end");
    assert!(!rig.registry.is_referenced(rig.multiplexer));
    assert_eq!(rig.registry.raw_fd(near), Err(Errno::BADF));
    Ok(())
}

#[test]
fn a_refused_connect_is_told_once_and_leaves() -> Outcome {
    let mut rig = Rig::new()?;
    let address = rig.address.clone();
    rig.registry.close(rig.listener)?;
    let near = rig.registry.open(Family::Ipv4)?;
    rig.registry.connect(near, &address)?;
    rig.add(near, BOTH, Mode::Edge)?;
    let reported = rig.reported(1000)?;
    let expected =
        event_bits::READABLE | event_bits::WRITABLE | event_bits::ERROR | event_bits::DETACHED;
    assert!(
        matches!(reported.as_slice(), [(handle, bits)] if *handle == near && bits & expected == expected)
    );
    assert_eq!(rig.registry.raw_fd(near), Err(Errno::BADF));
    assert_eq!(rig.receive(near, 1), Err(Errno::NOTCONN));
    let failure = rig.registry.socket(near)?.failure();
    assert!(matches!(failure, Some((Call::Connect, Errno::CONNREFUSED))));
    assert_eq!(rig.reported(0)?, []);
    Ok(())
}

#[test]
fn truth_14_a_listener_is_told_again_until_nobody_waits() -> Outcome {
    let mut rig = Rig::new()?;
    rig.add(rig.listener, READ, Mode::Edge)?;
    for _ in 0..3 {
        let near = rig.registry.open(Family::Ipv4)?;
        let address = rig.address.clone();
        rig.registry.connect(near, &address)?;
    }
    for _ in 0..3 {
        assert_eq!(rig.reported(1000)?.len(), 1);
        rig.registry.accept(rig.listener)?;
    }
    assert_eq!(rig.reported(0)?, []);
    assert_eq!(rig.registry.accept(rig.listener), Err(Errno::AGAIN));
    Ok(())
}

#[test]
fn truth_36_a_refused_registration_is_rolled_back() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, _far) = rig.pair()?;
    rig.add(near, READ, Mode::Edge)?;
    assert_eq!(rig.add(near, READ, Mode::Edge), Err(Errno::EXIST));
    rig.registry.remove(rig.multiplexer, near)?;
    assert_eq!(rig.registry.remove(rig.multiplexer, near), Err(Errno::NOENT));
    rig.add(near, READ, Mode::Edge)
}

#[test]
fn gathered_writes_leave_together_and_nothing_overtakes_them() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    for _ in 0..3 {
        let taken = rig.registry.with_socket(near, |socket| socket.write(b"small", true))?;
        assert_eq!(taken, 5);
    }
    assert_eq!(rig.receive(far, 64), Err(Errno::AGAIN), "still gathered");
    assert_eq!(rig.send(near, b"last")?, SendStatus::Sent);
    assert_eq!(rig.receive(far, 64)?, 19);
    Ok(())
}

#[test]
fn a_write_takes_what_there_is_room_for_to_the_byte() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.registry.socket(near)?.set_queue_limit(1000);
    let mut taken = 0;
    loop {
        let count = rig.registry.with_socket(near, |socket| socket.write(&[1; 7777], false))?;
        taken += count;
        if count < 7777 {
            break;
        }
    }
    assert_eq!(rig.registry.socket(near)?.queue_length(), 1000);
    let mut received = 0;
    while received < taken {
        received += rig.receive(far, 65536).unwrap_or(0);
        rig.registry.with_socket(near, |socket| Ok(socket.flush()))?;
    }
    assert_eq!(rig.receive(far, 1), Err(Errno::AGAIN));
    Ok(())
}

#[test]
fn a_wait_with_an_inbox_receives_for_those_who_want_it() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, PREFETCH, Mode::Edge)?;
    for _ in 0..2 {
        rig.send(near, b"now")?;
        assert_eq!(rig.received()?, b"now");
        assert_eq!(rig.reported(0)?, []);
    }
    rig.registry.modify(rig.multiplexer, far, READ, Mode::Edge)?;
    rig.send(near, b"later")?;
    assert_eq!(rig.received()?, b"");
    assert_eq!(rig.receive(far, 64), Ok(5));
    Ok(())
}

#[test]
fn what_is_put_back_is_told_anew_and_comes_first() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, PREFETCH, Mode::Edge)?;
    rig.send(near, b"first")?;
    assert_eq!(rig.received()?, b"first");
    rig.registry.unread(far, b"first")?;
    rig.send(near, b"second")?;
    assert_eq!(rig.reported(1000)?, [(far, event_bits::READABLE)]);
    let socket = rig.registry.socket(far)?;
    assert_eq!(socket.totals().0, 0);
    let mut peeked = [0; 8];
    assert_eq!(socket.peek(&mut peeked), Ok(5));
    assert_eq!(&peeked, b"first\0\0\0");
    assert_eq!(rig.receive(far, 2), Ok(2));
    assert_eq!(rig.reported(1000)?, [(far, event_bits::READABLE)]);
    assert_eq!(rig.receive(far, 64), Ok(3));
    assert_eq!(rig.receive(far, 64), Ok(6));
    assert_eq!(rig.reported(0)?, []);
    assert_eq!(rig.registry.socket(far)?.totals().0, 11);
    Ok(())
}

#[test]
fn what_is_put_back_is_told_where_the_socket_goes_next() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, PREFETCH, Mode::Edge)?;
    rig.send(near, b"first")?;
    assert_eq!(rig.received()?, b"first");
    rig.registry.unread(far, b"first")?;
    // At once, after it has been reported here, after a part has been taken, after a pause.
    for taken in [0, 0, 2, 0] {
        rig.registry.remove(rig.multiplexer, far)?;
        rig.multiplexer = rig.registry.open_multiplexer()?;
        rig.add(far, READ, Mode::Edge)?;
        assert_eq!(rig.reported(0)?, [(far, event_bits::READABLE)]);
        assert_eq!(rig.receive(far, taken), Ok(taken));
        rig.registry.modify(rig.multiplexer, far, WRITE, Mode::Edge)?;
        assert_eq!(rig.reported(1000)?, [(far, event_bits::WRITABLE)]);
    }
    assert_eq!(rig.receive(far, 64), Ok(3));
    Ok(())
}

#[test]
fn who_leaves_and_comes_again_stands_on_the_ready_list_once() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, PREFETCH, Mode::Edge)?;
    rig.send(near, b"first")?;
    assert_eq!(rig.received()?, b"first");
    rig.registry.unread(far, b"first")?;
    for _ in 0..3 {
        rig.registry.remove(rig.multiplexer, far)?;
        rig.add(far, READ, Mode::Level)?;
    }
    for _ in 0..2 {
        assert_eq!(rig.reported(0)?, [(far, event_bits::READABLE)]);
        assert_eq!(rig.listed(), 1);
    }
    assert_eq!(rig.receive(far, 64), Ok(5));
    assert_eq!(rig.reported(0)?, []);
    assert_eq!(rig.listed(), 0);
    Ok(())
}

#[test]
fn who_sends_much_at_a_time_is_left_to_the_owner() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, PREFETCH, Mode::Edge)?;
    rig.send(near, &[7; 2 * PREFETCH_LIMIT])?;
    assert_eq!(rig.received()?.len(), PREFETCH_LIMIT);
    assert_eq!(rig.received()?.len(), 0);
    assert_eq!(rig.receive(far, 2 * PREFETCH_LIMIT), Ok(PREFETCH_LIMIT));
    rig.send(near, b"little")?;
    assert_eq!(rig.received()?, b"");
    assert_eq!(rig.receive(far, 64), Ok(6));
    rig.send(near, b"little")?;
    assert_eq!(rig.received()?, b"little");
    Ok(())
}

#[test]
fn an_end_is_left_to_the_owner() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, PREFETCH, Mode::Edge)?;
    rig.send(near, b"last words")?;
    rig.registry.shutdown(near, Shutdown::Write)?;
    assert_eq!(rig.received()?, b"");
    assert_eq!(rig.receive(far, 64), Ok(10));
    assert_eq!(rig.receive(far, 64), Ok(0));
    Ok(())
}

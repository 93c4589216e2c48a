//! Sockets that are taken out of a registry, and in by another one.

use super::{BOTH, Outcome, PREFETCH, READ, Rig, WRITE};
use crate::core::multiplexer::event_bits;
use crate::core::registry::Registry;
use crate::core::{Handle, Mode, SendStatus};
use crate::sys::{Errno, Family, Shutdown};

/// Two registries that give a socket to each other.
fn moved(from: &mut Registry, handle: Handle, to: &mut Registry) -> Result<Handle, Errno> {
    to.take_in(from.take_out(handle)?)
}

#[test]
fn a_socket_moves_with_what_is_unread_and_queued() -> Outcome {
    let (mut rig, mut other) = (Rig::new()?, Rig::new()?);
    let (near, far) = rig.pair()?;
    rig.add(near, READ, Mode::Edge)?;
    rig.registry.socket(near)?.set_queue_limit(usize::MAX);
    rig.send(far, b"received, not received")?;
    assert_eq!(rig.reported(1000)?.len(), 1);
    assert_eq!(rig.receive(near, 8)?, 8);
    rig.registry.unread(near, b"received")?;
    while rig.send(near, &[1; 16384])? == SendStatus::Sent {}
    rig.send(near, b"last")?;
    let queued = rig.registry.socket(near)?.queue_length();
    let totals = rig.registry.socket(near)?.totals();
    assert!(rig.registry.is_referenced(rig.multiplexer));

    let there = moved(&mut rig.registry, near, &mut other.registry)?;
    assert!(!rig.registry.is_referenced(rig.multiplexer));
    assert_eq!(rig.reported(0)?, []);
    assert_eq!(rig.registry.close(near), Err(Errno::BADF));
    let socket = other.registry.socket(there)?;
    assert_eq!((socket.unread_length(), socket.queue_length()), (8, queued));
    assert_eq!((socket.totals(), socket.queue_limit()), (totals, usize::MAX));
    other.add(there, READ, Mode::Edge)?;
    assert!(other.registry.is_referenced(other.multiplexer));
    assert_eq!(other.reported(1000)?, [(there, event_bits::READABLE)]);
    assert_eq!((other.receive(there, 64)?, other.receive(there, 64)?), (8, 14));

    // The end waits for the queue, wherever that is.
    other.registry.shutdown(there, Shutdown::Write)?;
    let back = moved(&mut other.registry, there, &mut rig.registry)?;
    rig.add(back, READ, Mode::Edge)?;
    let mut received = 0;
    loop {
        match rig.receive(far, 1 << 20) {
            Ok(0) => break,
            Ok(count) => received += count as u64,
            Err(Errno::AGAIN) => assert_eq!(rig.reported(100)?, []),
            Err(errno) => return Err(errno),
        }
    }
    assert_eq!(received, totals.1 + queued as u64);
    Ok(())
}

#[test]
fn an_end_that_was_received_is_reported_to_the_new_owner() -> Outcome {
    let (mut rig, mut other) = (Rig::new()?, Rig::new()?);
    let (near, far) = rig.pair()?;
    rig.registry.shutdown(far, Shutdown::Write)?;
    rig.add(near, READ, Mode::Edge)?;
    assert_eq!(rig.reported(1000)?.len(), 1);
    assert_eq!(rig.receive(near, 8)?, 0);
    assert_eq!(rig.reported(0)?, []);
    let there = moved(&mut rig.registry, near, &mut other.registry)?;
    other.add(there, PREFETCH, Mode::Edge)?;
    let bits = event_bits::READABLE | event_bits::READ_ENDED;
    assert_eq!(other.reported(1000)?, [(there, bits)]);
    assert_eq!(other.receive(there, 8)?, 0);
    assert_eq!(other.reported(0)?, []);
    Ok(())
}

#[test]
fn a_failure_that_was_met_is_reported_to_the_new_owner() -> Outcome {
    for interest in [READ, WRITE, BOTH] {
        let (mut rig, mut other) = (Rig::new()?, Rig::new()?);
        let (near, far) = rig.pair()?;
        rig.registry.reset(far)?;
        // The kernel returns the error once.
        while rig.registry.socket(near)?.failure().is_none() {
            let _ = rig.registry.with_socket(near, |socket| socket.peek(&mut [0]));
        }
        let there = moved(&mut rig.registry, near, &mut other.registry)?;
        other.add(there, interest, Mode::Edge)?;
        let reported = other.reported(1000)?;
        assert_eq!(reported.len(), 1);
        assert!(reported.iter().all(|(_, bits)| bits & event_bits::ERROR != 0), "{reported:?}");
        let failure = other.registry.socket(there)?.failure().map(|(_, errno)| errno);
        assert_eq!(other.receive(there, 8).err(), failure);
    }
    Ok(())
}

#[test]
fn what_is_corked_leaves_before_the_socket_does() -> Outcome {
    let (mut rig, mut other) = (Rig::new()?, Rig::new()?);
    let (near, far) = rig.pair()?;
    assert_eq!(rig.registry.write(near, b"corked", true)?, 6);
    let there = moved(&mut rig.registry, near, &mut other.registry)?;
    assert_eq!(other.registry.socket(there)?.queue_length(), 0);
    assert_eq!(rig.registry.flush_corked(), 1);
    assert_eq!(rig.receive(far, 8)?, 6);
    Ok(())
}

#[test]
fn what_cannot_move_stays() -> Outcome {
    let (mut rig, mut other) = (Rig::new()?, Rig::new()?);
    let ((a, b), (c, d)) = (rig.pair()?, rig.pair()?);
    let mut refused = |rig: &mut Rig, handle| {
        moved(&mut rig.registry, handle, &mut other.registry).map(Handle::raw)
    };
    rig.registry.relay(rig.multiplexer, b, c)?;
    assert_eq!(refused(&mut rig, b), Err(Errno::BUSY));
    rig.send(a, b"relayed")?;
    assert_eq!(rig.reported(100)?, []);
    assert_eq!(rig.receive(d, 8)?, 7);

    let listener = rig.listener;
    assert_eq!(refused(&mut rig, listener), Err(Errno::BADF));
    let (near, _far) = rig.pair()?;
    rig.registry.socket(near)?.set_queue_limit(usize::MAX);
    while rig.send(near, &[1; 16384])? == SendStatus::Sent {}
    rig.registry.close(near)?;
    assert_eq!(refused(&mut rig, near), Err(Errno::BADF));

    let unconnected = rig.registry.open(Family::Unix)?;
    rig.registry.connect(unconnected, &crate::sys::Address::Unix(b"\0nowhere".to_vec()))?;
    assert_eq!(refused(&mut rig, unconnected), Err(Errno::NOTCONN));
    assert!(rig.registry.any_socket(unconnected)?.failure().is_some());
    Ok(())
}

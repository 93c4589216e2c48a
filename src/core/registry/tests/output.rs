//! Queued output.

use super::{BOTH, Outcome, READ, Rig};
use crate::core::multiplexer::event_bits;
use crate::core::registry::CloseResult;
use crate::core::{Handle, Mode, SendStatus};
use crate::sys::{Errno, Family};

#[test]
fn a_graceful_close_sends_the_queue_and_then_reports_detached() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.registry.socket(near)?.set_queue_limit(32 << 20);
    let mut sent = 0;
    while rig.send(near, &[7; 16384])? == SendStatus::Sent {
        sent += 16384;
    }
    sent += 16384;
    rig.add(near, READ, Mode::Edge)?;
    assert!(rig.registry.is_referenced(rig.multiplexer), "queued output keeps the process alive");
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
fn corked_writes_are_sent_together_and_not_overtaken() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    for _ in 0..3 {
        let taken = rig.registry.with_socket(near, |socket| socket.write(b"small", true))?;
        assert_eq!(taken, 5);
    }
    assert_eq!(rig.receive(far, 64), Err(Errno::AGAIN), "still corked");
    assert_eq!(rig.send(near, b"last")?, SendStatus::Sent);
    assert_eq!(rig.receive(far, 64)?, 19);
    Ok(())
}

#[test]
fn a_write_fills_the_queue_exactly_to_its_limit() -> Outcome {
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

/// Fills the kernel's buffers and then some; returns how many bytes the kernel has taken.
fn overfill(rig: &mut Rig, socket: Handle) -> Result<u64, Errno> {
    while rig.send(socket, &[7; 16384])? == SendStatus::Sent {}
    Ok(rig.registry.socket(socket)?.totals().1)
}

#[test]
fn a_discarded_queue_is_not_sent_and_the_connection_ends_regularly() -> Outcome {
    for closes_first in [false, true] {
        let mut rig = Rig::new()?;
        let (near, far) = rig.pair()?;
        rig.send(far, b"unread input, for which close(2) alone would send RST")?;
        let taken = overfill(&mut rig, near)?;
        rig.add(near, READ, Mode::Edge)?;
        if closes_first {
            assert_eq!(rig.registry.close(near)?, CloseResult::AfterQueue);
        }
        rig.registry.discard(near)?;
        assert!(!rig.registry.is_referenced(rig.multiplexer));
        assert_eq!(rig.registry.raw_fd(near), Err(Errno::BADF));
        rig.add(far, READ, Mode::Edge)?;
        let mut received = 0;
        loop {
            rig.wait_for(1000, 10)?;
            match rig.receive(far, 1 << 20) {
                Ok(0) => break,
                Ok(count) => received += count as u64,
                Err(errno) => assert_eq!(errno, Errno::AGAIN),
            }
        }
        assert_eq!(received, taken);
        assert_eq!(rig.registry.discard(near), Err(Errno::BADF));
    }
    Ok(())
}

#[test]
fn what_is_corked_leaves_before_the_rest_of_the_queue_is_discarded() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.registry.with_socket(near, |socket| socket.write(b"corked", true))?;
    rig.registry.discard(near)?;
    assert_eq!(rig.receive(far, 64)?, 6);
    assert_eq!(rig.receive(far, 64)?, 0);
    Ok(())
}

#[test]
fn a_socket_that_connects_is_discarded_and_not_reported() -> Outcome {
    let mut rig = Rig::new()?;
    let near = rig.registry.open(Family::Ipv4)?;
    let address = rig.address.clone();
    rig.registry.connect(near, &address)?;
    rig.add(near, BOTH, Mode::Edge)?;
    rig.registry.discard(near)?;
    assert_eq!(rig.reported(0)?, []);
    let far = rig.registry.accept(rig.listener)?;
    assert_eq!(rig.receive(far, 64)?, 0);
    Ok(())
}

#[test]
fn a_close_sends_fin_although_bytes_have_come_since_the_last_receive() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    assert_eq!(rig.receive(near, 1), Err(Errno::AGAIN));
    assert_eq!(rig.send(far, b"late")?, SendStatus::Sent);
    assert_eq!(rig.send(near, b"answer")?, SendStatus::Sent);
    assert_eq!(rig.registry.close(near)?, CloseResult::Closed);
    assert_eq!(rig.receive(far, 64)?, 6);
    assert_eq!(rig.receive(far, 64)?, 0, "the end, and no reset");
    Ok(())
}

#[test]
fn two_sockets_that_close_with_full_queues_end_both() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    for handle in [near, far] {
        rig.registry.socket(handle)?.set_queue_limit(32 << 20);
        while rig.send(handle, &[7; 16384])? == SendStatus::Sent {}
        assert_eq!(rig.send(handle, &vec![7; 1 << 20])?, SendStatus::Queued);
        rig.add(handle, READ, Mode::Edge)?;
    }
    for handle in [near, far] {
        assert_eq!(rig.registry.close(handle)?, CloseResult::AfterQueue);
    }
    let mut detached = Vec::new();
    for _ in 0..100 {
        detached.extend(rig.reported(100)?);
        if detached.len() == 2 {
            break;
        }
    }
    detached.sort_by_key(|(handle, _)| handle.raw());
    assert_eq!(detached, [(near, event_bits::DETACHED), (far, event_bits::DETACHED)]);
    Ok(())
}

#[test]
fn a_level_triggered_socket_is_writable_once_its_corked_bytes_are_sent() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, _) = rig.pair()?;
    rig.add(near, BOTH, Mode::Level)?;
    assert_eq!(rig.reported(1000)?, [(near, event_bits::WRITABLE)]);
    assert_eq!(rig.registry.write(near, b"corked", true)?, 6);
    assert_eq!(rig.reported(0)?, [], "not while bytes are queued");
    assert_eq!(rig.registry.flush_corked(), 1);
    assert_eq!(rig.reported(1000)?, [(near, event_bits::WRITABLE)]);
    Ok(())
}

#[test]
fn a_queue_that_does_not_fit_where_it_is_taken_stays_corked() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    assert_eq!(rig.registry.write(near, b"corked", true)?, 6);
    let taken = rig.registry.with_socket(near, |socket| socket.take_queue(&mut [0; 5]));
    assert_eq!(taken, Err(Errno::INVAL));
    rig.registry.flush_corked();
    assert_eq!(rig.receive(far, 64)?, 6);
    Ok(())
}

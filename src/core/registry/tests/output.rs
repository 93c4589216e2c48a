//! Queued output.

use super::{Outcome, READ, Rig};
use crate::core::multiplexer::event_bits;
use crate::core::registry::CloseResult;
use crate::core::{Mode, SendStatus};
use crate::sys::Errno;

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

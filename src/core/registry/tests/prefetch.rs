//! Prefetched bytes, and bytes that were given back.

use super::{Outcome, PREFETCH, READ, Rig, WRITE};
use crate::core::Mode;
use crate::core::multiplexer::event_bits;
use crate::core::receive_buffer::PREFETCH_LIMIT;
use crate::sys::Shutdown;

#[test]
fn a_wait_with_a_buffer_prefetches_if_the_interest_says_so() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, PREFETCH, Mode::Edge)?;
    for _ in 0..2 {
        rig.send(near, b"now")?;
        assert_eq!(rig.prefetched()?, b"now");
        assert_eq!(rig.reported(0)?, []);
    }
    rig.registry.modify(rig.multiplexer, far, READ, Mode::Edge)?;
    rig.send(near, b"later")?;
    assert_eq!(rig.prefetched()?, b"");
    assert_eq!(rig.receive(far, 64), Ok(5));
    Ok(())
}

#[test]
fn unread_bytes_are_reported_again_and_received_first() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, PREFETCH, Mode::Edge)?;
    rig.send(near, b"first")?;
    assert_eq!(rig.prefetched()?, b"first");
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
fn unread_bytes_are_reported_by_the_next_multiplexer() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, PREFETCH, Mode::Edge)?;
    rig.send(near, b"first")?;
    assert_eq!(rig.prefetched()?, b"first");
    rig.registry.unread(far, b"first")?;
    // Before a report, after one, after a part was received, and after the interest was changed.
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
fn a_source_that_is_removed_and_added_is_on_the_ready_list_once() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, PREFETCH, Mode::Edge)?;
    rig.send(near, b"first")?;
    assert_eq!(rig.prefetched()?, b"first");
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
fn large_input_is_left_to_the_owner() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, PREFETCH, Mode::Edge)?;
    rig.send(near, &[7; 2 * PREFETCH_LIMIT])?;
    assert_eq!(rig.prefetched()?.len(), PREFETCH_LIMIT);
    assert_eq!(rig.prefetched()?.len(), 0);
    assert_eq!(rig.receive(far, 2 * PREFETCH_LIMIT), Ok(PREFETCH_LIMIT));
    rig.send(near, b"little")?;
    assert_eq!(rig.prefetched()?, b"");
    assert_eq!(rig.receive(far, 64), Ok(6));
    rig.send(near, b"little")?;
    assert_eq!(rig.prefetched()?, b"little");
    Ok(())
}

#[test]
fn the_end_is_left_to_the_owner() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(far, PREFETCH, Mode::Edge)?;
    rig.send(near, b"last words")?;
    rig.registry.shutdown(near, Shutdown::Write)?;
    assert_eq!(rig.prefetched()?, b"");
    assert_eq!(rig.receive(far, 64), Ok(10));
    assert_eq!(rig.receive(far, 64), Ok(0));
    Ok(())
}

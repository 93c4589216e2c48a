//! The events that a wait reports.

use super::{BOTH, Outcome, READ, Rig};
use crate::core::Mode;
use crate::core::multiplexer::event_bits;
use crate::core::socket::Call;
use crate::sys::{Errno, Family, Shutdown};

#[test]
fn truth_1_a_socket_is_reported_again_until_it_is_drained() -> Outcome {
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
fn truth_2_data_and_an_end_in_one_edge_are_both_received() -> Outcome {
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
fn truth_5_more_ready_sockets_than_a_batch_holds_are_reported_in_turn() -> Outcome {
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
fn truth_7_an_event_of_a_closed_socket_does_not_reach_the_next_socket() -> Outcome {
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
fn truth_26_a_oneshot_registration_reports_nothing_until_it_is_modified() -> Outcome {
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
fn writable_is_reported_at_each_wait_by_level_and_once_by_edge() -> Outcome {
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
fn a_refused_connect_is_reported_once_and_detached() -> Outcome {
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
fn truth_14_a_listener_is_reported_again_until_no_connection_is_pending() -> Outcome {
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
fn truth_36_a_failed_registration_is_rolled_back() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, _far) = rig.pair()?;
    rig.add(near, READ, Mode::Edge)?;
    assert_eq!(rig.add(near, READ, Mode::Edge), Err(Errno::EXIST));
    rig.registry.remove(rig.multiplexer, near)?;
    assert_eq!(rig.registry.remove(rig.multiplexer, near), Err(Errno::NOENT));
    rig.add(near, READ, Mode::Edge)
}

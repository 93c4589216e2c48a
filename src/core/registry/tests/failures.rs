//! Failures and ends that a call outside of a wait meets.

use super::{BOTH, Outcome, PREFETCH, READ, Rig, WRITE};
use crate::core::multiplexer::event_bits;
use crate::core::socket::Call;
use crate::core::{Mode, SendStatus};
use crate::sys::{Address, Errno, Family, Shutdown};

const SOL_SOCKET: i32 = 1;
const SO_ERROR: i32 = 4;
const END: u32 = event_bits::READABLE | event_bits::READ_ENDED;

/// The bits of the event of a socket in the next wait, 0 for none.
fn bits_of(rig: &mut Rig, handle: crate::core::Handle) -> Result<u32, Errno> {
    let reported = rig.reported(0)?;
    Ok(reported.iter().find(|(it, _)| *it == handle).map_or(0, |(_, bits)| *bits))
}

#[test]
fn truth_43_an_error_that_a_send_met_is_reported_and_received_after_the_bytes() -> Outcome {
    for peeks in [false, true] {
        let mut rig = Rig::new()?;
        let (near, far) = rig.pair()?;
        rig.send(far, b"last")?;
        rig.add(near, WRITE, Mode::Edge)?;
        rig.registry.reset(far)?;
        assert_ne!(rig.reported(1000)?, [], "the edge");
        assert_eq!(rig.reported(0)?, []);
        assert_eq!(rig.send(near, b"x")?, SendStatus::Closed);
        assert_ne!(bits_of(&mut rig, near)? & event_bits::ERROR, 0);
        assert_eq!(rig.receive(near, 64)?, 4);
        if peeks {
            let peeked = rig.registry.with_socket(near, |socket| socket.peek(&mut [0; 8]));
            assert!(matches!(peeked, Err(errno) if errno != Errno::AGAIN));
        }
        assert!(matches!(rig.receive(near, 64), Err(errno) if errno != Errno::AGAIN));
        assert!(matches!(rig.registry.socket(near)?.failure(), Some((Call::Write, _))));
    }
    Ok(())
}

#[test]
fn truth_43_an_error_that_was_peeked_or_asked_for_is_kept() -> Outcome {
    for asks in [false, true] {
        let mut rig = Rig::new()?;
        let (near, far) = rig.pair()?;
        rig.add(near, READ, Mode::Edge)?;
        rig.registry.reset(far)?;
        if asks {
            let mut value = [0; 4];
            assert_eq!(rig.registry.get_option(near, SOL_SOCKET, SO_ERROR, &mut value), Ok(4));
            assert_ne!(value, [0; 4]);
        } else {
            let peeked = rig.registry.with_socket(near, |socket| socket.peek(&mut [0; 8]));
            assert!(peeked.is_err());
        }
        for _ in 0..2 {
            assert_ne!(bits_of(&mut rig, near)? & event_bits::ERROR, 0);
        }
        assert!(matches!(rig.receive(near, 64), Err(errno) if errno != Errno::AGAIN));
        assert!(matches!(rig.registry.socket(near)?.failure(), Some((Call::Read, _))));
    }
    Ok(())
}

#[test]
fn the_outcome_of_a_connect_is_kept_when_its_error_was_asked_for() -> Outcome {
    let mut rig = Rig::new()?;
    let address = rig.address.clone();
    rig.registry.close(rig.listener)?;
    let near = rig.registry.open(Family::Ipv4)?;
    rig.registry.connect(near, &address)?;
    rig.add(near, BOTH, Mode::Edge)?;
    let mut value = [0; 4];
    rig.registry.get_option(near, SOL_SOCKET, SO_ERROR, &mut value)?;
    assert_ne!(value, [0; 4]);
    let bits = bits_of(&mut rig, near)?;
    let expected = event_bits::ERROR | event_bits::DETACHED;
    assert_eq!(bits & expected, expected);
    let failure = rig.registry.socket(near)?.failure();
    assert!(matches!(failure, Some((Call::Connect, Errno::CONNREFUSED))));
    Ok(())
}

#[test]
fn a_failure_is_reported_by_a_multiplexer_that_the_socket_enters_later() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, _far) = rig.pair()?;
    rig.registry.socket(near)?.break_connection(Errno::NOTCONN, Call::Write);
    rig.add(near, READ, Mode::Edge)?;
    assert_ne!(bits_of(&mut rig, near)? & event_bits::ERROR, 0);
    assert_eq!(rig.receive(near, 1), Err(Errno::NOTCONN));
    Ok(())
}

#[test]
fn corked_writes_that_fail_are_reported_without_an_edge() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(near, WRITE, Mode::Edge)?;
    rig.registry.reset(far)?;
    rig.reported(1000)?;
    assert_eq!(rig.registry.write(near, b"corked", true)?, 6);
    assert_eq!(rig.reported(0)?, []);
    assert_eq!(rig.registry.flush_corked(), 1);
    assert_ne!(bits_of(&mut rig, near)? & event_bits::ERROR, 0);
    assert!(rig.registry.flush(near).is_err());
    Ok(())
}

#[test]
fn truth_28_a_shutdown_for_reading_is_reported_until_the_end_is_received() -> Outcome {
    for (interest, mode) in [(READ, Mode::Edge), (READ, Mode::Level), (PREFETCH, Mode::Edge)] {
        let mut rig = Rig::new()?;
        let (near, far) = rig.pair()?;
        rig.send(near, b"discarded")?;
        rig.add(far, interest, mode)?;
        assert_eq!(rig.reported(1000)?, [(far, event_bits::READABLE)]);
        for _ in 0..2 {
            rig.registry.shutdown(far, Shutdown::Read)?;
            assert_eq!(rig.reported(0)?, [(far, END)]);
        }
        rig.send(near, b"discarded too")?;
        assert_eq!(rig.reported(20)?, [(far, END)]);
        assert_eq!(rig.receive(far, 64)?, 0);
        rig.send(near, b"and this")?;
        assert_eq!(rig.reported(20)?, []);
        rig.registry.reset(near)?;
        assert_ne!(rig.reported(1000)?.first().map_or(0, |(_, bits)| bits & event_bits::ERROR), 0);
        assert!(rig.receive(far, 64).is_err(), "the reset");
    }
    Ok(())
}

#[test]
fn truth_21_a_refused_self_connection_leaves_its_port_free() -> Outcome {
    for (host, family) in [("127.0.0.1", Family::Ipv4), ("::1", Family::Ipv6)] {
        for closes in [false, true] {
            let mut rig = Rig::new()?;
            let near = rig.registry.open(family)?;
            rig.registry.bind(near, &Address::numeric(host, 0)?)?;
            let address = crate::sys::local_address(rig.registry.fd(near)?)?;
            rig.registry.connect(near, &address)?;
            if closes {
                rig.registry.close(near)?;
            } else {
                rig.registry.state_bits(near)?;
                assert_eq!(rig.receive(near, 1), Err(Errno::NOTCONN));
            }
            let listener = rig.registry.open(family)?;
            rig.registry.bind(listener, &address)?;
            rig.registry.listen(listener, 1)?;
        }
    }
    Ok(())
}

//! Descriptors of the program.

use super::{BOTH, Outcome, READ, Rig};
use crate::core::Mode;
use crate::core::multiplexer::event_bits;
use crate::sys::{Errno, EventFd};

#[test]
fn a_modify_that_fails_changes_nothing() -> Outcome {
    let mut rig = Rig::new()?;
    let target = EventFd::new()?;
    let handle = rig.registry.add_descriptor(rig.multiplexer, target.fd(), READ, Mode::Oneshot)?;
    drop(target);
    // ENOENT: another test has the number by now.
    let modified = rig.registry.modify(rig.multiplexer, handle, BOTH, Mode::Level);
    assert!(matches!(modified, Err(Errno::BADF | Errno::NOENT)));
    let source = rig.registry.sources.by_handle(handle).ok_or(Errno::BADF)?;
    let registration = source.registration.as_ref().ok_or(Errno::BADF)?;
    assert_eq!((registration.interest, registration.mode), (READ, Mode::Oneshot));
    rig.registry.remove(rig.multiplexer, handle)
}

#[test]
fn a_descriptor_is_reported_until_it_is_stale() -> Outcome {
    let mut rig = Rig::new()?;
    let target = EventFd::new()?;
    target.signal(1);
    let handle = rig.registry.add_descriptor(rig.multiplexer, target.fd(), READ, Mode::Level)?;
    for _ in 0..2 {
        assert_eq!(rig.reported(1000)?, [(handle, event_bits::READABLE)]);
    }
    let token = rig.registry.token(handle)?;
    rig.registry.sources.get_mut(token).ok_or(Errno::BADF)?.set_stale();
    assert_eq!(rig.reported(0)?, []);
    assert_eq!(rig.registry.modify(rig.multiplexer, handle, BOTH, Mode::Level), Err(Errno::BADF));
    // What a duplicate of the descriptor keeps reporting.
    target.signal(1);
    assert_eq!(rig.reported(0)?, []);
    rig.registry.remove(rig.multiplexer, handle)
}

#[test]
fn the_number_of_a_closed_descriptor_is_not_polled_for_its_successor() -> Outcome {
    let mut rig = Rig::new()?;
    let target = EventFd::new()?;
    target.signal(1);
    let handle = rig.registry.add_descriptor(rig.multiplexer, target.fd(), READ, Mode::Level)?;
    assert_eq!(rig.reported(1000)?, [(handle, event_bits::READABLE)]);
    // Whatever descriptor has the number by now, here or in another test, is not registered.
    drop(target);
    let successor = EventFd::new()?;
    successor.signal(1);
    assert_eq!(rig.reported(0)?, []);
    rig.registry.remove(rig.multiplexer, handle)
}

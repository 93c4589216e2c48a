//! Descriptors that are taken over and given up.

use super::{BOTH, Outcome, READ, Rig};
use crate::core::registry::Registry;
use crate::core::{Handle, Mode, SendStatus};
use crate::sys::{self, Address, AsFd, Errno, Family, IntoRawFd};

/// Bytes of a socket: unread ones, and the queue.
fn take(registry: &mut Registry, handle: Handle) -> Result<(Vec<u8>, Vec<u8>), Errno> {
    let socket = registry.socket(handle)?;
    let mut unread = vec![0; socket.unread_length()];
    let mut queue = vec![0; socket.queue_length()];
    if !unread.is_empty() {
        assert_eq!(socket.receive(&mut unread)?, unread.len());
    }
    assert_eq!(socket.take_queue(&mut queue)?, queue.len());
    Ok((unread, queue))
}

#[test]
fn a_socket_is_given_up_with_what_is_unread_and_queued() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.add(near, READ, Mode::Edge)?;
    rig.registry.socket(near)?.set_queue_limit(usize::MAX);
    rig.send(far, b"received, not received")?;
    assert_eq!(rig.reported(1000)?.len(), 1);
    assert_eq!(rig.receive(near, 8)?, 8);
    rig.registry.unread(near, b"received")?;
    while rig.send(near, &[1; 16384])? == SendStatus::Sent {}
    rig.send(near, b"last")?;
    assert!(rig.registry.is_referenced(rig.multiplexer));

    let fd = rig.registry.raw_fd(near)?;
    let (unread, queue) = take(&mut rig.registry, near)?;
    assert_eq!(unread, b"received");
    assert!(queue.ends_with(b"\x01last"));
    rig.registry.disown(near)?;
    assert!(!rig.registry.is_referenced(rig.multiplexer));
    assert_eq!(rig.reported(0)?, []);
    assert_eq!(rig.registry.disown(near), Err(Errno::BADF));

    let adopted = rig.registry.adopt_socket(fd)?;
    assert_eq!(rig.receive(adopted, 64)?, 14);
    assert_eq!(rig.registry.raw_fd(adopted)?, fd);
    Ok(())
}

#[test]
fn a_socket_that_connects_is_given_up_and_taken_over() -> Outcome {
    let mut rig = Rig::new()?;
    let near = rig.registry.open(Family::Ipv4)?;
    let address = rig.address.clone();
    rig.registry.connect(near, &address)?;
    rig.add(near, BOTH, Mode::Edge)?;
    let fd = rig.registry.raw_fd(near)?;
    rig.registry.disown(near)?;
    assert_eq!(rig.reported(0)?, []);
    let adopted = rig.registry.adopt_socket(fd)?;
    assert_eq!(rig.send(adopted, b"sent")?, SendStatus::Sent);
    Ok(())
}

#[test]
fn an_unconnected_descriptor_is_adopted_and_connected() -> Outcome {
    let mut rig = Rig::new()?;
    for is_bound in [false, true] {
        let fd = sys::socket(Family::Ipv4)?;
        if is_bound {
            sys::bind(fd.as_fd(), &Address::numeric("127.0.0.1", 0)?)?;
        }
        let fd = fd.into_raw_fd();
        let near = rig.registry.adopt_unconnected(fd)?;
        assert_eq!(rig.registry.adopt_unconnected(fd), Err(Errno::EXIST));
        let address = rig.address.clone();
        rig.registry.connect(near, &address)?;
        rig.registry.state_bits(near)?;
        let far = rig.registry.accept(rig.listener)?;
        assert_eq!(rig.send(near, b"adopted")?, SendStatus::Sent);
        assert_eq!(rig.receive(far, 64)?, 7);
        rig.registry.close(near)?;
        assert_eq!(sys::check_open(fd), Err(Errno::BADF));
    }
    Ok(())
}

#[test]
fn what_cannot_be_connected_is_not_adopted_and_stays_open() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, _far) = rig.pair()?;
    let connected = rig.registry.raw_fd(near)?;
    rig.registry.disown(near)?;
    let listener = rig.registry.raw_fd(rig.listener)?;
    rig.registry.disown(rig.listener)?;
    let datagram = sys::datagram_socket()?.into_raw_fd();
    for (fd, errno) in
        [(connected, Errno::ISCONN), (listener, Errno::ISCONN), (datagram, Errno::PROTOTYPE)]
    {
        assert_eq!(rig.registry.adopt_unconnected(fd), Err(errno));
        sys::check_open(fd)?;
    }
    assert_eq!(rig.registry.adopt_unconnected(-1), Err(Errno::BADF));
    rig.registry.adopt_socket(connected)?;
    rig.registry.adopt_listener(listener, Some(1))?;
    Ok(())
}

#[test]
fn a_duplicate_is_a_descriptor_of_its_own() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    let copy = sys::duplicate(rig.registry.raw_fd(near)?)?.into_raw_fd();
    rig.registry.close(near)?;
    let adopted = rig.registry.adopt_socket(copy)?;
    assert_eq!(rig.send(adopted, b"by the copy")?, SendStatus::Sent);
    assert_eq!(rig.receive(far, 64)?, 11);
    assert!(sys::duplicate(-1).is_err());
    Ok(())
}

#[test]
fn an_adopted_socket_with_linger_does_not_block_its_close() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, _) = rig.pair()?;
    let linger = [1, 0, 0, 0, 60, 0, 0, 0];
    let (level, name) = sys::LINGER;
    rig.registry.set_option(near, level, name, &linger)?;
    let fd = rig.registry.raw_fd(near)?;
    rig.registry.disown(near)?;
    let near = rig.registry.adopt_socket(fd)?;
    let duplicate = sys::duplicate(fd)?;
    assert_eq!(sys::lingers(duplicate.as_fd()), Ok(true));
    rig.registry.close(near)?;
    assert_eq!(sys::lingers(duplicate.as_fd()), Ok(false));
    Ok(())
}

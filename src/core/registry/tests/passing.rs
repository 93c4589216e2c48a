//! Descriptors that are passed over Unix sockets.

use std::io::IoSlice;

use super::{BOTH, Outcome, READ, Rig};
use crate::core::{Handle, Mode, SendStatus};
use crate::sys::{self, Address, AsRawFd, Errno, Family, Message, RawFd};

/// A connected pair of Unix sockets.
fn unix_pair(rig: &mut Rig, name: &str) -> Result<(Handle, Handle), Errno> {
    let name = format!("\0m-socket core {name} {}", std::process::id());
    let address = Address::Unix(name.into_bytes());
    let listener = rig.registry.open(Family::Unix)?;
    rig.registry.bind(listener, &address)?;
    rig.registry.listen(listener, 1)?;
    let near = rig.registry.open(Family::Unix)?;
    rig.registry.connect(near, &address)?;
    rig.registry.state_bits(near)?;
    let far = rig.registry.accept(listener)?;
    rig.registry.close(listener)?;
    Ok((near, far))
}

fn pass(rig: &mut Rig, handle: Handle, text: &str, fds: &[RawFd]) -> Result<SendStatus, Errno> {
    let pieces = [IoSlice::new(text.as_bytes())];
    rig.registry.with_socket(handle, |socket| socket.send_descriptors(&pieces, fds))
}

fn take(rig: &mut Rig, handle: Handle, length: usize) -> Result<Message, Errno> {
    let mut into = vec![0; length];
    rig.registry.with_socket(handle, |socket| socket.receive_descriptors(&mut into))
}

#[test]
fn descriptors_come_with_the_first_of_their_bytes() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = unix_pair(&mut rig, "first")?;
    let fd = rig.registry.raw_fd(near)?;
    assert_eq!(rig.send(near, b"before")?, SendStatus::Sent);
    assert_eq!(pass(&mut rig, near, "passed", &[fd, fd])?, SendStatus::Sent);
    assert_eq!(pass(&mut rig, near, "again", &[fd])?, SendStatus::Sent);
    let message = take(&mut rig, far, 8)?;
    assert_eq!((message.length, message.descriptors.len(), message.is_truncated), (8, 2, false));
    assert!(message.descriptors.iter().all(|it| it.as_raw_fd() != fd));
    // The rest is like any other bytes, and is joined with what follows.
    let message = take(&mut rig, far, 64)?;
    assert_eq!((message.length, message.descriptors.len()), (9, 1));
    assert_eq!(take(&mut rig, far, 64).err(), Some(Errno::AGAIN));
    let totals = rig.registry.socket(far)?.totals();
    assert_eq!(totals, (17, 0));
    Ok(())
}

#[test]
fn nothing_is_sent_before_the_queue() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = unix_pair(&mut rig, "queue")?;
    rig.add(near, BOTH, Mode::Edge)?;
    rig.registry.socket(near)?.set_queue_limit(usize::MAX);
    let fd = rig.registry.raw_fd(near)?;
    while rig.send(near, &[0; 16384])? == SendStatus::Sent {}
    let queued = rig.registry.socket(near)?.queue_length();
    assert!(queued > 0);
    assert_eq!(pass(&mut rig, near, "x", &[fd])?, SendStatus::NotSent);
    assert_eq!(rig.registry.socket(near)?.queue_length(), queued);
    while take(&mut rig, far, 1 << 20).is_ok_and(|message| message.descriptors.is_empty()) {
        rig.registry.flush(near)?;
    }
    assert_eq!(pass(&mut rig, near, "x", &[fd])?, SendStatus::Sent);
    assert_eq!(take(&mut rig, far, 8)?.descriptors.len(), 1);
    Ok(())
}

#[test]
fn corked_bytes_are_sent_before() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = unix_pair(&mut rig, "corked")?;
    let fd = rig.registry.raw_fd(near)?;
    assert_eq!(rig.registry.write(near, b"corked", true)?, 6);
    assert_eq!(pass(&mut rig, near, "x", &[fd])?, SendStatus::Sent);
    let message = take(&mut rig, far, 64)?;
    assert_eq!((message.length, message.descriptors.len()), (7, 1));
    Ok(())
}

#[test]
fn what_cannot_be_passed_leaves_the_connection_as_it_is() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = unix_pair(&mut rig, "refused")?;
    let (tcp, _) = rig.pair()?;
    let fd = rig.registry.raw_fd(near)?;
    assert_eq!(pass(&mut rig, tcp, "x", &[fd]), Err(Errno::OPNOTSUPP));
    assert_eq!(take(&mut rig, tcp, 1).err(), Some(Errno::OPNOTSUPP));
    assert_eq!(pass(&mut rig, near, "", &[fd]), Err(Errno::INVAL));
    assert_eq!(pass(&mut rig, near, "x", &[fd, -1]), Err(Errno::BADF));
    assert_eq!(pass(&mut rig, near, "x", &[fd; sys::MAX_DESCRIPTORS + 1]), Err(Errno::INVAL));
    assert_eq!(take(&mut rig, far, 1).err(), Some(Errno::AGAIN));
    assert_eq!(pass(&mut rig, near, "x", &[fd; sys::MAX_DESCRIPTORS])?, SendStatus::Sent);
    assert_eq!(take(&mut rig, far, 8)?.descriptors.len(), sys::MAX_DESCRIPTORS);
    assert_eq!(rig.registry.socket(near)?.failure(), None);
    Ok(())
}

#[test]
fn given_back_bytes_come_alone_and_the_end_last() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = unix_pair(&mut rig, "alone")?;
    let fd = rig.registry.raw_fd(near)?;
    assert_eq!(rig.send(near, b"back")?, SendStatus::Sent);
    assert_eq!(rig.receive(far, 8)?, 4);
    assert_eq!(pass(&mut rig, near, "x", &[fd])?, SendStatus::Sent);
    rig.registry.unread(far, b"back")?;
    let message = take(&mut rig, far, 8)?;
    assert_eq!((message.length, message.descriptors.len()), (4, 0));
    assert_eq!(take(&mut rig, far, 8)?.descriptors.len(), 1);
    rig.registry.close(near)?;
    let message = take(&mut rig, far, 8)?;
    assert_eq!((message.length, message.descriptors.len()), (0, 0));
    assert_eq!(take(&mut rig, far, 8)?.length, 0);
    Ok(())
}

#[test]
fn a_broken_connection_passes_nothing() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = unix_pair(&mut rig, "broken")?;
    let fd = rig.registry.raw_fd(near)?;
    rig.add(near, READ, Mode::Edge)?;
    rig.registry.close(far)?;
    assert_eq!(pass(&mut rig, near, "x", &[fd])?, SendStatus::Closed);
    assert_eq!(pass(&mut rig, near, "x", &[fd])?, SendStatus::Closed);
    assert_eq!(take(&mut rig, near, 8).err(), Some(Errno::PIPE));
    Ok(())
}

#[test]
fn the_close_of_a_socket_that_was_passed_takes_nothing_from_the_others() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = unix_pair(&mut rig, "carrier")?;
    let (client, server) = rig.pair()?;
    let fd = rig.registry.raw_fd(server)?;
    assert_eq!(pass(&mut rig, near, "x", &[fd])?, SendStatus::Sent);
    rig.registry.socket(server)?.set_passed();
    assert_eq!(rig.send(client, b"unread")?, SendStatus::Sent);
    rig.registry.close(server)?;
    let descriptors = take(&mut rig, far, 8)?.descriptors;
    let [passed] = &descriptors[..] else { return Err(Errno::INVAL) };
    let adopted = rig.registry.adopt_socket(passed.as_raw_fd())?;
    assert_eq!(rig.receive(adopted, 64)?, 6);
    assert_eq!(rig.send(adopted, b"answer")?, SendStatus::Sent);
    assert_eq!(rig.receive(client, 64)?, 6);
    rig.registry.disown(adopted)
}

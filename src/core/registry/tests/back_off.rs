//! Back-offs: what no edge comes for.

use super::{BOTH, Outcome, READ, Rig};
use crate::core::multiplexer::{Multiplexer, event_bits};
use crate::core::registry::CloseResult;
use crate::core::{Handle, Mode};
use crate::sys::{self, Errno, PollFd, Shutdown, flags};

/// Far more than a back-off, in milliseconds: a wait for nothing fails the test.
const LONG: i32 = 20_000;

impl Rig {
    /// Makes a queue whose flush has failed with ENOBUFS. No edge comes: the socket has been reported as writable.
    fn starve_with_queue(&mut self, near: Handle) -> Outcome {
        self.add(near, BOTH, Mode::Edge)?;
        assert_eq!(self.reported(LONG)?, [(near, event_bits::WRITABLE)]);
        self.registry.write(near, b"queued", true)?;
        self.starve(near)
    }

    fn starve(&mut self, near: Handle) -> Outcome {
        self.registry.with_socket(near, |socket| {
            socket.starve();
            Ok(())
        })
    }

    fn is_in_back_off(&self, handle: Handle) -> bool {
        let registration = self.registry.sources.by_handle(handle).map(|it| &it.registration);
        registration.is_some_and(|it| it.as_ref().is_some_and(|it| it.backing_off))
    }

    /// The number of sources in back-off.
    fn in_back_off(&self) -> usize {
        let multiplexer = self.registry.multiplexers.by_handle(self.multiplexer);
        multiplexer.map_or(0, Multiplexer::backing_off)
    }

    /// Sleeps until the epoll descriptor is readable, as the host's loop does.
    fn sleep(&self) -> Outcome {
        let request = PollFd::new(self.registry.epoll_fd(self.multiplexer)?, flags::IN);
        let mut requests = [request];
        sys::poll(&mut requests, LONG)?;
        assert!(requests.iter().all(|it| it.flags() & flags::IN != 0));
        Ok(())
    }

    fn service(&mut self) -> Result<Vec<(Handle, u32)>, Errno> {
        let mut events = Vec::new();
        let report = |event: crate::core::Event| events.push((event.handle, event.bits));
        self.registry.service(self.multiplexer, 1000, report)?;
        Ok(events)
    }
}

#[test]
fn a_starved_queue_is_flushed_by_a_wait() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.starve_with_queue(near)?;
    assert!(rig.is_in_back_off(near));
    assert!(rig.registry.is_referenced(rig.multiplexer));
    assert_eq!(rig.reported(LONG)?, [(near, event_bits::WRITABLE)]);
    assert_eq!(rig.receive(far, 64), Ok(6));
    assert!(!rig.is_in_back_off(near));
    assert!(!rig.registry.is_referenced(rig.multiplexer));
    Ok(())
}

#[test]
fn a_starved_queue_is_flushed_between_waits() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.starve_with_queue(near)?;
    rig.sleep()?;
    assert_eq!(rig.service()?, []);
    assert_eq!(rig.receive(far, 64), Ok(6));
    Ok(())
}

#[test]
fn a_shutdown_and_a_close_follow_a_starved_queue() -> Outcome {
    for closes in [false, true] {
        let mut rig = Rig::new()?;
        let (near, far) = rig.pair()?;
        rig.starve_with_queue(near)?;
        if closes {
            assert_eq!(rig.registry.close(near)?, CloseResult::AfterQueue);
        } else {
            rig.registry.shutdown(near, Shutdown::Write)?;
        }
        rig.sleep()?;
        let detached = rig.service()?;
        assert_eq!(detached, if closes { vec![(near, event_bits::DETACHED)] } else { vec![] });
        assert_eq!(rig.receive(far, 64), Ok(6));
        assert_eq!(rig.receive(far, 64), Ok(0));
    }
    Ok(())
}

#[test]
fn a_close_follows_a_starved_queue_that_the_program_flushes() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.starve_with_queue(near)?;
    assert_eq!(rig.registry.close(near)?, CloseResult::AfterQueue);
    assert!(rig.registry.with_socket(near, |socket| Ok(socket.flush()))?);
    rig.sleep()?;
    assert_eq!(rig.service()?, [(near, event_bits::DETACHED)]);
    assert_eq!(rig.receive(far, 64), Ok(6));
    assert_eq!(rig.receive(far, 64), Ok(0));
    Ok(())
}

#[test]
fn a_starved_socket_without_a_queue_is_reported_as_writable_when_it_may_try_again() -> Outcome {
    for mode in [Mode::Edge, Mode::Level] {
        let mut rig = Rig::new()?;
        let (near, _far) = rig.pair()?;
        rig.add(near, BOTH, mode)?;
        assert_eq!(rig.reported(LONG)?, [(near, event_bits::WRITABLE)]);
        rig.starve(near)?;
        let source = rig.registry.sources.by_handle(near);
        assert!(source.is_some_and(|it| !it.reportable().write), "not before");
        assert_eq!(rig.reported(LONG)?, [(near, event_bits::WRITABLE)]);
    }
    Ok(())
}

#[test]
fn a_starved_socket_tries_again_in_its_next_multiplexer() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, far) = rig.pair()?;
    rig.starve_with_queue(near)?;
    rig.registry.remove(rig.multiplexer, near)?;
    rig.multiplexer = rig.registry.open_multiplexer()?;
    rig.add(near, READ, Mode::Edge)?;
    rig.sleep()?;
    assert_eq!(rig.service()?, []);
    assert_eq!(rig.receive(far, 64), Ok(6));
    Ok(())
}

#[test]
fn a_source_that_is_removed_and_added_is_in_back_off_once() -> Outcome {
    let mut rig = Rig::new()?;
    let (near, _far) = rig.pair()?;
    rig.add(near, READ, Mode::Edge)?;
    for _ in 0..3 {
        rig.starve(near)?;
        rig.starve(near)?;
        assert_eq!(rig.in_back_off(), 1);
        rig.registry.remove(rig.multiplexer, near)?;
        assert_eq!(rig.in_back_off(), 0);
        rig.add(near, READ, Mode::Edge)?;
        assert!(!rig.is_in_back_off(near));
    }
    Ok(())
}

#[test]
fn a_listener_in_back_off_is_reported_again() -> Outcome {
    for rearms in [false, true] {
        let mut rig = Rig::new()?;
        rig.add(rig.listener, READ, Mode::Edge)?;
        let near = rig.registry.open(crate::sys::Family::Ipv4)?;
        let address = rig.address.clone();
        rig.registry.connect(near, &address)?;
        assert_eq!(rig.reported(LONG)?, [(rig.listener, event_bits::READABLE)]);
        // As accept4(2) with EMFILE.
        let token = rig.registry.token(rig.listener)?;
        let source = rig.registry.sources.get_mut(token).ok_or(Errno::BADF)?;
        source.readiness_mut().would_block_reader();
        rig.registry.back_off(token);
        if rearms {
            rig.registry.modify(rig.multiplexer, rig.listener, READ, Mode::Edge)?;
            assert!(rig.is_in_back_off(rig.listener));
        }
        assert_eq!(rig.reported(LONG)?, [(rig.listener, event_bits::READABLE)]);
        rig.registry.accept(rig.listener)?;
        assert_eq!(rig.registry.accept(rig.listener), Err(Errno::AGAIN));
        assert!(!rig.is_in_back_off(rig.listener));
    }
    Ok(())
}

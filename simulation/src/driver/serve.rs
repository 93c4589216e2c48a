//! Connections that waits accept.

use super::book::{Kind, Registration, Source, event_bits as bits};
use super::player::{Player, Violation};
use super::register::watching;
use crate::core::{Event, Handle, Interest, Mode, Serving};
use crate::kernel::Errno;

/// The limits of the queues of accepted sockets, in bytes.
const LIMITS: [usize; 4] = [65536, 100, 0, 3000];

/// The most connections that a step has accepted.
const MOST_ROOM: usize = 8;

/// The source that an event is a report of: of an accepted socket the listener.
pub(super) fn reported_by(event: &Event) -> i32 {
    if event.bits & bits::ACCEPTED != 0 { listener_of(event) } else { event.handle.raw() }
}

fn listener_of(event: &Event) -> i32 {
    i32::try_from(event.received.start).unwrap_or(-1)
}

fn errno_of(number: usize) -> Option<Errno> {
    Errno::from_raw(i32::try_from(number).unwrap_or(0))
}

impl Player {
    /// Has waits accept the connections of a listener.
    pub(super) fn serve(
        &mut self,
        number: usize,
        how: usize,
        room: usize,
    ) -> Result<(), Violation> {
        let is_served = |it: &Source| it.kind == Kind::Listener && it.registration.is_some();
        let Some(index) = self.choose(number, is_served) else { return Ok(()) };
        let source = &self.sources[index];
        let Some(registration) = source.registration else { return Ok(()) };
        let multiplexer = Handle::from_raw(registration.multiplexer);
        let (interest, _) = watching(how);
        let queue_limit = LIMITS[how / 8 % LIMITS.len()];
        let serving = Serving { interest, queue_limit, room: room % MOST_ROOM };
        match self.registry.serve(multiplexer, source.handle, serving) {
            Ok(()) => {
                let read = Interest { read: true, ..Interest::NONE };
                let mut registration = Registration::new(multiplexer.raw(), read, Mode::Edge);
                registration.serving = Some(serving);
                self.sources[index].registration = Some(registration);
                Ok(())
            }
            Err(errno) => self.expect_fault("serve", errno),
        }
    }

    /// An event of a connection that a wait has accepted, or of one that was refused.
    pub(super) fn check_accepted(
        &mut self,
        multiplexer: i32,
        event: &Event,
    ) -> Result<(), Violation> {
        let wrong = |what: &str| Err(format!("{event:?}: {what}"));
        let Some(index) = self.find(reported_by(event)) else {
            return wrong("of a listener that is gone");
        };
        let source = &mut self.sources[index];
        let Some(registration) =
            source.registration.as_mut().filter(|it| it.multiplexer == multiplexer)
        else {
            return wrong("of a listener that is not registered here");
        };
        let Some(serving) = registration.serving.as_mut().filter(|it| it.room > 0) else {
            return wrong("accepted without being asked to");
        };
        registration.passed_over = 0;
        if event.bits & bits::REFUSED != 0 {
            let Some(errno) = errno_of(event.received.start) else { return wrong("for no reason") };
            return self.expect_fault("accept", errno);
        }
        serving.room -= 1;
        let serving = *serving;
        self.add_source(event.handle, Kind::Socket)?;
        let limit = self.registry.socket(event.handle).map_or(0, |it| it.queue_limit());
        if limit != serving.queue_limit {
            return wrong("with another limit");
        }
        if let Some(errno) = errno_of(event.received.len()) {
            return self.expect_fault("add", errno);
        }
        if let Some(source) = self.sources.last_mut() {
            source.registration =
                Some(Registration::new(multiplexer, serving.interest, Mode::Edge));
        }
        Ok(())
    }
}

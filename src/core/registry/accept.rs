//! Connections that a wait accepts: it registers their sockets, and reports each by an event.

use super::Registry;
use crate::core::handle::{Handle, Token};
use crate::core::interest::{Interest, Mode};
use crate::core::listener::{Listener, Serving};
use crate::core::multiplexer::{Event, event_bits};
use crate::core::source::Kind;
use crate::sys::Errno;

/// The most connections of one listener that a wait accepts, before other sources get their turn.
const ACCEPTS_PER_WAIT: usize = 64;

impl Registry {
    /// Has the waits of a multiplexer accept the connections of a listener that is registered with it, until `modify`.
    ///
    /// # Errors
    /// As `modify`; EINVAL for a handle that is not a listener's. The registration then stays as it was.
    pub(crate) fn serve(
        &mut self,
        multiplexer: Handle,
        handle: Handle,
        serving: Serving,
    ) -> Result<(), Errno> {
        self.listener(handle)?;
        let interest = Interest { read: true, ..Interest::NONE };
        self.watch_for(multiplexer, handle, (interest, Mode::Edge), Some(serving))
    }

    /// Accepts what is pending at a listener that was taken from the ready list, and reports it, at most `limit` events.
    /// Returns their number, and `None` for any other source.
    pub(super) fn accept_pending(
        &mut self,
        multiplexer: Token,
        token: Token,
        limit: usize,
        report: &mut impl FnMut(Event),
    ) -> Option<usize> {
        let source = self.sources.get_mut(token)?;
        let Kind::Listener(listener) = &source.kind else { return None };
        let serving = listener.serving?;
        let mut reported = 0;
        if source.is_registered_with(multiplexer.slot) && source.pending_bits() != 0 {
            source.set_reported();
            let most = serving.room.min(limit).min(ACCEPTS_PER_WAIT);
            while reported < most
                && let Some(event) = self.accept_one(multiplexer, token, serving)
            {
                reported += 1;
                let is_refused = event.bits == event_bits::REFUSED;
                report(event);
                if is_refused {
                    break;
                }
            }
        }
        self.leave_list(multiplexer, token);
        Some(reported)
    }

    /// Accepts one connection. `None` when none is pending.
    fn accept_one(&mut self, multiplexer: Token, token: Token, serving: Serving) -> Option<Event> {
        let listener = token.handle();
        match self.accept(listener) {
            Ok(handle) => {
                self.listener(listener).ok()?.take_room();
                let registered = self.begin_serving(multiplexer, handle, serving);
                let errno = registered.map_or_else(number_of, |()| 0);
                let start = usize::try_from(listener.raw()).unwrap_or(0);
                Some(Event { handle, bits: event_bits::ACCEPTED, received: start..start + errno })
            }
            Err(Errno::AGAIN) => None,
            Err(errno) => {
                let errno = number_of(errno);
                let received = errno..errno;
                Some(Event { handle: listener, bits: event_bits::REFUSED, received })
            }
        }
    }

    fn begin_serving(
        &mut self,
        multiplexer: Token,
        handle: Handle,
        serving: Serving,
    ) -> Result<(), Errno> {
        self.socket(handle)?.set_queue_limit(serving.queue_limit);
        let token = self.token(handle)?;
        self.register(multiplexer.slot, token, serving.interest, Mode::Edge)
    }

    /// A source was taken from the ready list. It is appended again if it may still be ready.
    fn leave_list(&mut self, multiplexer: Token, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let Some(registration) = &mut source.registration else { return };
        if registration.multiplexer != multiplexer.slot {
            return;
        }
        registration.listed = false;
        if source.is_unverified() || source.pending_bits() != 0 {
            self.push_ready(token);
        }
    }

    /// # Errors
    /// EBADF for a stale handle; EINVAL for one that is not a listener's.
    fn listener(&mut self, handle: Handle) -> Result<&mut Listener, Errno> {
        match &mut self.source_mut(handle)?.kind {
            Kind::Listener(listener) => Ok(listener),
            _ => Err(Errno::INVAL),
        }
    }
}

/// The number of an errno.
fn number_of(errno: Errno) -> usize {
    usize::try_from(-errno.negated()).unwrap_or(0)
}

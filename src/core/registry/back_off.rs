//! Back-off: sources for which the process or the system is out of descriptors or memory.
//!
//! accept(2) may fail and leave the connection in the backlog, send(2) may fail with ENOBUFS or ENOMEM while the
//! kernel's buffer has room, and recv(2) while it has bytes. epoll(7) then reports no new edge, so that the multiplexer
//! tries again after a time. Its timer is reported like an edge, whatever waits for the epoll descriptor.

use super::{EVENTS_PER_WAIT, Registry};
use crate::core::handle::Token;
use crate::core::source::Kind;
use crate::sys::{Instant, flags};

impl Registry {
    /// Begins the back-off of a registered source, unless it is in back-off. A source that is in no multiplexer needs
    /// none: `EPOLL_CTL_ADD` reports what is ready.
    pub(super) fn back_off(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let Some(registration) = &mut source.registration else { return };
        if registration.backing_off {
            return;
        }
        if let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer) {
            registration.backing_off = true;
            multiplexer.back_off(token);
        }
    }

    /// Ends the back-offs of a multiplexer that are over, since its timer has fired. What is above the limit ends when
    /// the timer fires again, at once.
    pub(super) fn end_back_offs(&mut self, multiplexer: Token) {
        let now = Instant::now();
        for _ in 0..EVENTS_PER_WAIT {
            let Some(entry) = self.multiplexers.get_mut(multiplexer) else { return };
            let Some(token) = entry.take_ended(now) else { break };
            self.end_back_off(multiplexer, token);
        }
        if let Some(entry) = self.multiplexers.get(multiplexer) {
            entry.set_timer();
        }
    }

    fn end_back_off(&mut self, multiplexer: Token, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let Some(registration) = &mut source.registration else { return };
        registration.backing_off = false;
        source.end_back_off();
        if source.is_relayed() {
            return self.merge_relayed(multiplexer, token, flags::IN | flags::OUT);
        }
        let is_foreign = source.is_foreign();
        let discards = matches!(&source.kind, Kind::Socket(socket) if socket.discards());
        if source.has_output() || source.should_detach() || discards {
            // As the edge that does not come: the queue is flushed, input is discarded. The program may have flushed
            // the queue meanwhile.
            self.merge(
                multiplexer,
                token,
                if discards { flags::IN | flags::OUT } else { flags::OUT },
            );
        }
        // What epoll_ctl(2) refused: see `modify`.
        if !is_foreign && self.extend_epoll_flags(token).is_err() {
            self.back_off(token);
        }
        self.push_ready(token);
    }
}

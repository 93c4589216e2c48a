//! Accept back-off: listeners of a process that is out of descriptors or memory.
//!
//! accept(2) fails with EMFILE, ENFILE, ENOBUFS or ENOMEM and leaves the connection in the backlog. epoll(7) does not
//! report a new edge for it, so that the multiplexer makes the listener's readiness unverified after a time.

use std::time::Instant;

use super::Registry;
use crate::core::handle::Token;
use crate::core::source::Kind;

impl Registry {
    /// Adds a listener to those in back-off, once.
    pub(super) fn back_off(&mut self, token: Token) {
        let Some(source) = self.sources.get(token) else { return };
        let Some(registration) = &source.registration else { return };
        if let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer)
            && !multiplexer.backing_off.contains(&token)
        {
            multiplexer.backing_off.push(token);
        }
    }

    /// When the back-off of a listener ends; `None` for a source that is not in back-off.
    pub(super) fn back_off_end(&self, token: Token) -> Option<Instant> {
        match &self.sources.get(token)?.kind {
            Kind::Listener(listener) => listener.back_off,
            _ => None,
        }
    }

    /// Ends the back-offs of a multiplexer's listeners that are over.
    pub(super) fn end_back_offs(&mut self, token: Token) {
        let Some(multiplexer) = self.multiplexers.get_mut(token) else { return };
        if multiplexer.backing_off.is_empty() {
            return;
        }
        let now = Instant::now();
        for listener in std::mem::take(&mut multiplexer.backing_off) {
            match self.back_off_end(listener) {
                Some(end) if end > now => self.back_off(listener),
                Some(_) => self.end_back_off(listener),
                None => {}
            }
        }
    }

    fn end_back_off(&mut self, token: Token) {
        if let Some(source) = self.sources.get_mut(token) {
            source.readiness_mut().invalidate();
            if let Kind::Listener(listener) = &mut source.kind {
                listener.back_off = None;
            }
        }
        self.push_ready(token);
    }
}

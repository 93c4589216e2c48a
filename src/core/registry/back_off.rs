//! A listener's back-off.

use std::time::Instant;

use super::Registry;
use crate::core::handle::Token;
use crate::core::source::Kind;

impl Registry {
    pub(super) fn back_off_end(&self, token: Token) -> Option<Instant> {
        match &self.sources.get(token)?.kind {
            Kind::Listener(listener) => listener.back_off,
            _ => None,
        }
    }

    /// A listener met the limit of descriptors or memory: no edge will come for those who wait.
    pub(super) fn back_off(&mut self, token: Token) {
        let Some(source) = self.sources.get(token) else { return };
        let Some(registration) = &source.registration else { return };
        if let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer)
            && !multiplexer.backing_off.contains(&token)
        {
            multiplexer.backing_off.push(token);
        }
    }

    /// Listeners whose back-off is over are in doubt again.
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
        self.list_ready(token);
    }
}

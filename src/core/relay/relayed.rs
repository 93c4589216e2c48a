//! A source that is relayed, and one that is so no more.

use super::Direction;
use crate::core::handle::Token;
use crate::core::source::{Kind, Source};

impl Source {
    /// The socket that sends what this one receives, if it is relayed.
    pub(in crate::core) fn relay_target(&self) -> Option<Token> {
        match &self.kind {
            Kind::Relayed(_, direction) => Some(direction.target),
            _ => None,
        }
    }

    /// Whether bytes that it has received are in a pipe.
    #[cfg(test)]
    pub(in crate::core) fn has_relay_pipe(&self) -> bool {
        matches!(&self.kind, Kind::Relayed(_, direction) if direction.has_pipe())
    }

    pub(in crate::core) fn enter_relay(&mut self, direction: Direction) {
        self.kind = match self.take_kind() {
            Kind::Socket(socket) => Kind::Relayed(socket, Box::new(direction)),
            kind => kind,
        };
    }

    /// It is a socket again. What it had queued before the relay is that of the relay.
    pub(in crate::core) fn leave_relay(&mut self) {
        self.kind = match self.take_kind() {
            Kind::Relayed(mut socket, _) => {
                socket.set_drain_reported();
                Kind::Socket(socket)
            }
            kind => kind,
        };
    }
}

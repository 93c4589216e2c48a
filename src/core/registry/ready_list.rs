//! The ready list of a multiplexer.

use super::Registry;
use crate::core::handle::Token;
use crate::core::multiplexer::{Event, event_bits};
use crate::core::receive_buffer::ReceiveBuffer;
use crate::core::source::Kind;
use crate::sys::{self, PollFd, flags};

impl Registry {
    /// Puts a source on its multiplexer's ready list, once.
    pub(super) fn list_ready(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let Some(registration) = &mut source.registration else { return };
        if registration.listed {
            return;
        }
        if let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer) {
            registration.listed = true;
            multiplexer.ready.push_back(token);
        }
    }

    /// Strikes from the ready list whoever has been drained since; poll(2) answers the doubts.
    pub(super) fn verify_ready(&mut self, token: Token, limit: usize) {
        self.end_back_offs(token);
        self.retain_reportable(token);
        let Some(multiplexer) = self.multiplexers.get(token) else { return };
        let mut poll_requests = std::mem::take(&mut self.poll_requests);
        poll_requests.extend(
            multiplexer.ready.iter().filter_map(|token| self.poll_request(*token)).take(limit),
        );
        if !poll_requests.is_empty() {
            self.poll_unverified(&mut poll_requests);
            self.retain_reportable(token);
        }
        self.poll_requests = poll_requests;
    }

    /// The poll(2) request that a source on the ready list needs, if any.
    fn poll_request(&self, token: Token) -> Option<(Token, PollFd)> {
        let source = self.sources.get(token)?;
        if source.pending_bits() != 0 {
            return None;
        }
        let fd = source.raw_fd()?;
        Some((token, PollFd::new(fd, flags::IN | flags::OUT | flags::RDHUP)))
    }

    fn poll_unverified(&mut self, poll_requests: &mut Vec<(Token, PollFd)>) {
        let mut polled: Vec<PollFd> =
            poll_requests.iter().map(|(_, poll_request)| *poll_request).collect();
        // With a timeout of 0 there is no EINTR; ENOMEM leaves the doubts for the next turn.
        if sys::poll(&mut polled, 0).is_ok() {
            for ((token, _), answer) in poll_requests.iter().zip(&polled) {
                if let Some(source) = self.sources.get_mut(*token) {
                    source.verify(answer.flags());
                }
            }
        }
        poll_requests.clear();
    }

    /// Leaves on the ready list, once each, those with something to report or to verify. One that was removed and added again may stand there twice.
    fn retain_reportable(&mut self, token: Token) {
        let Some(multiplexer) = self.multiplexers.get_mut(token) else { return };
        let sources = &mut self.sources;
        multiplexer.ready.retain(|listed| {
            let Some(source) = sources.get_mut(*listed) else { return false };
            let stays = source.pending_bits() != 0 || source.is_unverified();
            match &mut source.registration {
                Some(registration) if registration.multiplexer == token.slot => {
                    std::mem::take(&mut registration.listed) && stays
                }
                _ => false,
            }
        });
        for listed in &multiplexer.ready {
            if let Some(registration) =
                sources.get_mut(*listed).and_then(|it| it.registration.as_mut())
            {
                registration.listed = true;
            }
        }
    }

    pub(super) fn report_ready(
        &mut self,
        token: Token,
        limit: usize,
        buffer: &mut ReceiveBuffer<'_>,
        report: &mut impl FnMut(Event),
    ) -> usize {
        let mut reported = 0;
        let listed = self.multiplexers.get(token).map_or(0, |multiplexer| multiplexer.ready.len());
        for _ in 0..listed {
            if reported == limit {
                break;
            }
            let first = self.multiplexers.get_mut(token).and_then(|plex| plex.ready.pop_front());
            let Some(first) = first else { break };
            if let Some(event) = self.take_event(token, first, buffer) {
                report(event);
                reported += 1;
            }
        }
        reported
    }

    /// What a listed source has to report; one that may have more goes to the list's end.
    fn take_event(
        &mut self,
        multiplexer: Token,
        token: Token,
        buffer: &mut ReceiveBuffer<'_>,
    ) -> Option<Event> {
        let source = self.sources.get_mut(token)?;
        let mut bits = source.pending_bits();
        if bits != 0 {
            source.set_reported();
        }
        let received = if source.is_prefetched(bits) {
            let handle = token.handle();
            buffer.receive(|space| self.with_socket(handle, |socket| socket.receive(space)))
        } else {
            None
        };
        let source = self.sources.get_mut(token)?;
        let failed = matches!(&source.kind, Kind::Socket(socket) if socket.is_closed());
        let stays = source.is_unverified() && !failed;
        let registration =
            source.registration.as_mut().filter(|it| it.multiplexer == multiplexer.slot)?;
        registration.listed = false;
        if stays {
            self.list_ready(token);
        }
        if failed {
            self.deregister(token);
            bits |= event_bits::DETACHED;
        }
        let received = received.unwrap_or_default();
        (bits != 0).then(|| Event { handle: token.handle(), bits, received })
    }
}

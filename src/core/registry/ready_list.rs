//! The ready list of a multiplexer: sources to report, in order.
//!
//! An edge puts a source on the list, and it stays there until it is drained. So a source that was not drained is
//! reported again, although epoll(7) does not report its edge again.

use super::Registry;
use crate::core::handle::Token;
use crate::core::multiplexer::{Event, event_bits};
use crate::core::receive_buffer::ReceiveBuffer;
use crate::core::source::{Kind, Source};
use crate::sys::{self, PollFd, flags};

impl Registry {
    /// Appends a source to the ready list of its multiplexer, once.
    pub(super) fn push_ready(&mut self, token: Token) {
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

    /// Has a failure reported that a call met outside of a wait, or detaches a closing socket whose queue it has sent.
    /// There may be no edge for it, as when the peer does not read.
    pub(super) fn report_end(&mut self, token: Token) {
        let Some(source) = self.sources.get(token) else { return };
        let Some(registration) = &source.registration else { return };
        if !matches!(&source.kind, Kind::Socket(socket) if socket.is_finished()) {
            return self.report_or_leave(token);
        }
        if let Some(multiplexer) = self.multiplexers.token_at(registration.multiplexer) {
            self.detach(multiplexer, token);
        }
    }

    /// Has a socket reported whose queue a call has emptied outside of a wait: it may be writable since before, and then
    /// there is no edge for it.
    pub(super) fn report_emptied(&mut self, token: Token) {
        let Some(source) = self.sources.get(token) else { return };
        let Some(registration) = &source.registration else { return };
        let is_only_read = registration.interest.read && !registration.interest.write;
        let may_be_ready = || source.pending_bits() != 0 || source.is_unverified();
        if !is_only_read && (source.should_detach() || may_be_ready()) {
            self.report_or_leave(token);
        }
    }

    /// Puts a source on the list. One that was only flushed leaves in the next wait: until then its owner may send more.
    fn report_or_leave(&mut self, token: Token) {
        let Some(source) = self.sources.get(token) else { return };
        let Some(registration) = &source.registration else { return };
        if let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer) {
            multiplexer.has_emptied |= source.should_detach();
        }
        self.push_ready(token);
    }

    /// Detaches the sources that were only flushed, and whose queues calls have emptied.
    pub(super) fn detach_emptied(&mut self, token: Token) {
        let Some(multiplexer) = self.multiplexers.get_mut(token) else { return };
        if !std::mem::take(&mut multiplexer.has_emptied) {
            return;
        }
        let sources = &self.sources;
        let should_detach =
            |source: &Source| source.is_registered_with(token.slot) && source.should_detach();
        let listed = multiplexer.ready.iter().copied();
        let emptied: Vec<_> =
            listed.filter(|listed| sources.get(*listed).is_some_and(should_detach)).collect();
        for listed in emptied {
            // A source that was removed and added again is on the list twice.
            if self.sources.get(listed).is_some_and(|it| it.is_registered_with(token.slot)) {
                self.detach(token, listed);
            }
        }
    }

    /// Verifies the first `limit` sources with unverified readiness by poll(2), and removes those that are not ready.
    pub(super) fn verify_ready(&mut self, token: Token, limit: usize) {
        self.retain_ready(token);
        let Some(multiplexer) = self.multiplexers.get(token) else { return };
        let mut requests = std::mem::take(&mut self.poll_requests);
        requests.extend(
            multiplexer.ready.iter().filter_map(|token| self.poll_request(*token)).take(limit),
        );
        if !requests.is_empty() {
            self.leave_out_stale(token, &mut requests);
            self.poll_unverified(&mut requests);
            self.retain_ready(token);
        }
        self.poll_requests = requests;
    }

    /// The request for a source on the list; `None` when it has an event to report, and so is ready, or nothing to verify.
    fn poll_request(&self, token: Token) -> Option<(Token, PollFd)> {
        let source = self.sources.get(token)?;
        if source.pending_bits() != 0 || !source.is_unverified() {
            return None;
        }
        let fd = source.raw_fd()?;
        Some((token, PollFd::new(fd, flags::IN | flags::OUT | flags::RDHUP)))
    }

    /// `poll(2)`. After ENOMEM the sources are registered again instead: epoll then reports those that are ready.
    fn poll_unverified(&mut self, requests: &mut Vec<(Token, PollFd)>) {
        let mut polled: Vec<PollFd> = requests.iter().map(|(_, request)| *request).collect();
        let is_polled = sys::poll(&mut polled, 0).is_ok();
        for ((token, _), result) in requests.drain(..).zip(&polled) {
            let Some(source) = self.sources.get_mut(token) else { continue };
            if is_polled {
                source.verify(result.flags());
            } else {
                source.verify_unpolled();
            }
            // The peek of a bare error had no memory, or met an error, with which the queue is dropped.
            if source.is_starved() || source.is_referenced() && !source.has_output() {
                self.update_registration(token);
            }
            if !is_polled {
                self.narrow_epoll_flags(token);
            }
        }
    }

    /// Removes sources that have nothing to report and nothing to verify, and do not leave in the next wait, and the second
    /// entry of a source that was removed from the multiplexer and added again.
    fn retain_ready(&mut self, token: Token) {
        let Some(multiplexer) = self.multiplexers.get_mut(token) else { return };
        let (sources, has_emptied) = (&mut self.sources, multiplexer.has_emptied);
        multiplexer.ready.retain(|listed| {
            let Some(source) = sources.get_mut(*listed) else { return false };
            let stays = source.pending_bits() != 0
                || source.is_unverified()
                || has_emptied && source.should_detach();
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

    /// Reports the sources at the head of the list, at most `limit` of them and each once.
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
            let Some(multiplexer) = self.multiplexers.get_mut(token) else { break };
            let Some(first) = multiplexer.ready.pop_front() else { break };
            if let Some(accepted) = self.accept_pending(token, first, limit - reported, report) {
                reported += accepted;
                continue;
            }
            if let Some(event) = self.take_event(token, first, buffer) {
                report(event);
                reported += 1;
            }
        }
        reported
    }

    /// The event of a source that was taken from the list. A source that may still be ready is appended again.
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
        let mut received = None;
        if source.is_prefetched(bits) {
            let handle = token.handle();
            received =
                buffer.receive(|part| self.with_socket(handle, |socket| socket.prefetch(part)));
            let source = self.sources.get_mut(token)?;
            // The failure that a receive returned is reported with this event.
            if received.is_none() && source.pending_bits() != 0 {
                bits |= source.pending_bits();
                source.set_reported();
            }
        }
        let source = self.sources.get_mut(token)?;
        let failed = matches!(&source.kind, Kind::Socket(socket) if socket.is_closed());
        let stays = source.is_unverified() && !failed;
        let registration =
            source.registration.as_mut().filter(|it| it.multiplexer == multiplexer.slot)?;
        registration.listed = false;
        if stays {
            self.push_ready(token);
        }
        if failed {
            self.deregister(token);
            bits |= event_bits::DETACHED;
        }
        let received = received.unwrap_or_default();
        (bits != 0).then(|| Event { handle: token.handle(), bits, received })
    }
}

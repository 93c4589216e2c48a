//! Waiting: epoll events come in, events for the owner go out, in order of arrival.

use std::time::{Duration, Instant};

use super::Registry;
use crate::core::handle::{Handle, Token};
use crate::core::multiplexer::{Event, event_bits};
use crate::core::receive_buffer::ReceiveBuffer;
use crate::core::source::Kind;
use crate::sys::{self, Errno, PollFd, flags};

impl Registry {
    /// Sleeps until there is something to report, the time is up or a listener's back-off ends, and passes the
    /// events to `report`, at most `limit` of them. What comes for those who want it so is received
    /// into `buffer` at once: one batch of `recv(2)`, and one call across the seam for all.
    ///
    /// `timeout` is in milliseconds, -1 without end. Signals do not shorten it: `epoll_wait(2)` is
    /// begun anew with what is left.
    ///
    /// # Notes
    /// While the ready list is not empty, `epoll_wait` is still called, with no timeout: neither
    /// those who were ready before nor those who are now starve.
    pub(crate) fn wait(
        &mut self,
        handle: Handle,
        timeout: i32,
        limit: usize,
        buffer: &mut ReceiveBuffer<'_>,
        mut report: impl FnMut(Event),
    ) -> Result<usize, Errno> {
        let token = self.multiplexers.token(handle).ok_or(Errno::BADF)?;
        let deadline = u64::try_from(timeout)
            .ok()
            .map(|timeout| Instant::now() + Duration::from_millis(timeout));
        loop {
            self.verify_ready(token, limit);
            let timeout = if timeout == 0 { 0 } else { self.epoll_timeout(token, deadline) };
            self.collect_events(token, timeout)?;
            let reported = self.report_detached(token, limit, &mut report);
            let reported =
                reported + self.report_ready(token, limit - reported, buffer, &mut report);
            if reported > 0 || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(reported);
            }
        }
    }

    /// Does what needs no owner: empties queues, completes closes. Edges turn into entries of the
    /// ready list. Tells only who has left.
    pub(crate) fn service(
        &mut self,
        handle: Handle,
        limit: usize,
        mut report: impl FnMut(Event),
    ) -> Result<usize, Errno> {
        let token = self.multiplexers.token(handle).ok_or(Errno::BADF)?;
        self.collect_events(token, 0)?;
        Ok(self.report_detached(token, limit, &mut report))
    }

    /// How long a wait could sleep now: 0 when there is something to report, else milliseconds until a listener's
    /// back-off ends, or -1.
    pub(crate) fn idle(&mut self, handle: Handle, limit: usize) -> Result<i32, Errno> {
        let token = self.multiplexers.token(handle).ok_or(Errno::BADF)?;
        self.verify_ready(token, limit);
        Ok(self.epoll_timeout(token, None))
    }

    fn epoll_timeout(&self, token: Token, deadline: Option<Instant>) -> i32 {
        let Some(multiplexer) = self.multiplexers.get(token) else { return 0 };
        if !multiplexer.ready.is_empty() || !multiplexer.detached.is_empty() {
            return 0;
        }
        let back_offs =
            multiplexer.backing_off.iter().filter_map(|token| self.back_off_end(*token));
        match back_offs.chain(deadline).min() {
            Some(end) => milliseconds_until(end),
            None => -1,
        }
    }

    fn back_off_end(&self, token: Token) -> Option<Instant> {
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
    fn end_back_offs(&mut self, token: Token) {
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

    /// Strikes from the ready list whoever has been drained since; poll(2) answers the doubts.
    fn verify_ready(&mut self, token: Token, limit: usize) {
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

    /// One `epoll_wait(2)`, and what each of its events sets in motion.
    fn collect_events(&mut self, token: Token, timeout: i32) -> Result<(), Errno> {
        let mut events = std::mem::take(&mut self.events);
        let waited = match self.multiplexers.get(token) {
            Some(multiplexer) => multiplexer.epoll.wait(&mut events, timeout),
            None => Err(Errno::BADF),
        };
        for edge in events.iter().take(waited.unwrap_or(0)) {
            self.merge(token, Token::from_raw(edge.token()), edge.flags());
        }
        self.events = events;
        match waited {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// An edge; one of a source that has left in the meantime finds nothing.
    fn merge(&mut self, multiplexer: Token, token: Token, flags: u32) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let left_over = source.merge(flags);
        if source.should_detach() {
            return self.detach(multiplexer, token);
        }
        let unneeded =
            flags & (flags::IN | flags::RDHUP) != 0 && source.needed_flags() & flags::IN == 0;
        let has_news = source.pending_bits() != 0;
        if left_over || unneeded {
            self.narrow_epoll_flags(token);
        }
        self.refresh(token);
        if has_news {
            self.list_ready(token);
        }
    }

    /// A queue has gone out, and nothing else kept its socket here.
    fn detach(&mut self, multiplexer: Token, token: Token) {
        self.deregister(token);
        if let Some(source) = self.sources.get_mut(token)
            && let Kind::Socket(socket) = &mut source.kind
            && socket.is_finished()
        {
            socket.prepare_close();
            self.sources.remove(token);
        }
        if let Some(multiplexer) = self.multiplexers.get_mut(multiplexer) {
            multiplexer.detached.push_back(token.handle());
        }
    }

    fn report_detached(
        &mut self,
        token: Token,
        limit: usize,
        report: &mut impl FnMut(Event),
    ) -> usize {
        let Some(multiplexer) = self.multiplexers.get_mut(token) else { return 0 };
        let count = limit.min(multiplexer.detached.len());
        for handle in multiplexer.detached.drain(..count) {
            report(Event { handle, bits: event_bits::DETACHED, received: 0..0 });
        }
        count
    }

    fn report_ready(
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

/// Rounded up: a wait must not end before its time.
fn milliseconds_until(end: Instant) -> i32 {
    let left = end.saturating_duration_since(Instant::now());
    i32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

//! Waiting: epoll events come in, events for the owner go out, in order of arrival.

use std::time::{Duration, Instant};

use super::Registry;
use crate::core::handle::{Handle, Token};
use crate::core::multiplexer::{Event, event_bits};
use crate::core::receive_buffer::ReceiveBuffer;
use crate::core::source::Kind;
use crate::sys::{Errno, flags};

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
}

/// Rounded up: a wait must not end before its time.
fn milliseconds_until(end: Instant) -> i32 {
    let left = end.saturating_duration_since(Instant::now());
    i32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

//! Waiting for events.

use std::time::Duration;

use super::relay::EVENTS_WITH_RELAYS;
use super::{EVENTS_PER_WAIT, Registry};
use crate::core::handle::{Handle, Token};
use crate::core::interest::{Interest, Mode};
use crate::core::multiplexer::{Detached, Event, event_bits};
use crate::core::receive_buffer::ReceiveBuffer;
use crate::core::source::{Kind, Source};
use crate::sys::{Errno, Instant, flags};

impl Registry {
    /// `epoll_wait(2)`: blocks until there are events, or until the timeout. Calls `report` with each event, at most
    /// `limit` of them, and returns their number. Prefetches into `buffer`.
    ///
    /// `timeout` is in milliseconds; -1 blocks without limit.
    ///
    /// # Errors
    /// EBADF for a handle that is not a multiplexer's; EINVAL for a limit of 0, with which a wait would not end.
    ///
    /// # Notes
    /// After EINTR the wait continues with the rest of the timeout. While the ready list is not empty, `epoll_wait(2)`
    /// is called with a timeout of 0: neither the sources on the list nor those that become ready starve.
    pub(crate) fn wait(
        &mut self,
        handle: Handle,
        timeout: i32,
        limit: usize,
        buffer: &mut ReceiveBuffer<'_>,
        mut report: impl FnMut(Event),
    ) -> Result<usize, Errno> {
        let token = self.waited_for(handle, limit)?;
        let deadline = u64::try_from(timeout)
            .ok()
            .map(|timeout| Instant::now() + Duration::from_millis(timeout));
        loop {
            self.verify_ready(token, limit);
            let epoll_timeout = if timeout == 0 { 0 } else { self.epoll_timeout(token, deadline) };
            self.begin_relay_turn();
            self.collect_events(token, epoll_timeout)?;
            self.detach_emptied(token);
            let detached = self.report_detached(token, limit, &mut report);
            let reported =
                detached + self.report_ready(token, limit - detached, buffer, &mut report);
            if reported > 0 || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                if let Some(multiplexer) = self.multiplexers.get_mut(token) {
                    multiplexer.prefetched.keep(buffer);
                }
                return Ok(reported);
            }
        }
    }

    /// Collects events without blocking: flushes queues, completes closes, ends back-offs, and fills the ready list.
    /// Reports only detached sources, and progress of files.
    ///
    /// # Errors
    /// EBADF for a handle that is not a multiplexer's; EINVAL for a limit of 0.
    pub(crate) fn service(
        &mut self,
        handle: Handle,
        limit: usize,
        mut report: impl FnMut(Event),
    ) -> Result<usize, Errno> {
        let token = self.waited_for(handle, limit)?;
        self.begin_relay_turn();
        self.collect_events(token, 0)?;
        self.detach_emptied(token);
        Ok(self.report_detached(token, limit, &mut report))
    }

    /// Whether there is nothing to report until an edge comes.
    ///
    /// # Errors
    /// EBADF for a handle that is not a multiplexer's; EINVAL for a limit of 0.
    pub(crate) fn is_idle(&mut self, handle: Handle, limit: usize) -> Result<bool, Errno> {
        let token = self.waited_for(handle, limit)?;
        self.verify_ready(token, limit);
        Ok(self.has_no_events(token))
    }

    pub(super) fn has_no_events(&self, token: Token) -> bool {
        self.multiplexers.get(token).is_some_and(|it| {
            it.ready.is_empty() && it.detached.is_empty() && it.file_progress.is_empty()
        })
    }

    fn waited_for(&self, handle: Handle, limit: usize) -> Result<Token, Errno> {
        let token = self.multiplexers.token(handle).ok_or(Errno::BADF)?;
        if limit == 0 { Err(Errno::INVAL) } else { Ok(token) }
    }

    /// Copies what the last wait prefetched to the offsets that it had in its buffer; false when `into` is too short.
    ///
    /// # Errors
    /// EBADF for a handle that is not a multiplexer's.
    pub(crate) fn copy_prefetched(&self, handle: Handle, into: &mut [u8]) -> Result<bool, Errno> {
        let multiplexer = self.multiplexers.by_handle(handle).ok_or(Errno::BADF)?;
        Ok(multiplexer.prefetched.copy_to(into))
    }

    fn epoll_timeout(&self, token: Token, deadline: Option<Instant>) -> i32 {
        if self.has_no_events(token) { deadline.map_or(-1, milliseconds_until) } else { 0 }
    }

    /// Calls `epoll_wait(2)` once and merges its events. Returns their number.
    pub(super) fn collect_events(&mut self, token: Token, timeout: i32) -> Result<usize, Errno> {
        let mut events = std::mem::take(&mut self.events);
        let waited = match self.multiplexers.get(token) {
            Some(multiplexer) => {
                let most =
                    if multiplexer.relayed > 0 { EVENTS_WITH_RELAYS } else { EVENTS_PER_WAIT };
                multiplexer.epoll.wait(events.split_at_mut(most).0, timeout)
            }
            None => Err(Errno::BADF),
        };
        for event in events.iter().take(waited.unwrap_or(0)) {
            self.merge(token, Token::from_raw(event.token()), event.flags());
        }
        self.events = events;
        match waited {
            Err(Errno::INTR) => Ok(0),
            waited => waited,
        }
    }

    /// Merges the flags of an edge-triggered event. The token of a source that was removed meanwhile finds nothing; a
    /// registration that could not be deleted finds a source that is not registered here.
    pub(super) fn merge(&mut self, multiplexer: Token, token: Token, flags: u32) {
        let Some(source) = self.sources.get_mut(token) else {
            if token == Token::TIMER {
                self.end_back_offs(multiplexer);
            }
            return;
        };
        if !source.is_registered_with(multiplexer.slot) {
            return;
        }
        if source.is_relayed() {
            return self.merge_relayed_within_turn(multiplexer, token, flags);
        }
        let has_more = source.merge(flags);
        if source.should_detach() {
            return self.detach(multiplexer, token);
        }
        let is_unneeded =
            flags & (flags::IN | flags::RDHUP) != 0 && source.needed_flags() & flags::IN == 0;
        let is_pending = source.pending_bits() != 0;
        if has_more || is_unneeded {
            self.narrow_epoll_flags(token);
        }
        self.update_registration(token);
        if is_pending {
            self.push_ready(token);
        }
    }

    /// Deregisters a source that has nothing left to do here, and closes a socket that is closing.
    pub(super) fn detach(&mut self, multiplexer: Token, token: Token) {
        self.deregister(token);
        let (mut failure, mut is_closed) = (0, false);
        if let Some(source) = self.sources.get_mut(token)
            && let Kind::Socket(socket) = &mut source.kind
            && socket.is_finished()
        {
            failure = socket.failure_code();
            socket.prepare_close();
            self.keep_file_ends(token);
            self.sources.remove(token);
            is_closed = true;
        }
        if let Some(multiplexer) = self.multiplexers.get_mut(multiplexer) {
            let handle = token.handle();
            multiplexer.detached.push_back(Detached {
                handle,
                is_closed,
                was_relayed: false,
                failure,
            });
        }
    }

    /// Registers a source again that was only flushed, and has a queue again before it was reported as detached: its
    /// owner relies on the registration until then. Returns whether it is registered.
    fn returns(&mut self, multiplexer: Token, token: Token) -> bool {
        let has_queue = |source: &Source| {
            let Kind::Socket(socket) = &source.kind else { return false };
            socket.has_unsent() && source.registration.is_none()
        };
        self.sources.get(token).is_some_and(has_queue)
            && self.register(multiplexer.slot, token, Interest::NONE, Mode::Edge).is_ok()
    }

    /// Whether a source that has left is still there, and does not return.
    fn leaves(&mut self, multiplexer: Token, handle: Handle, was_relayed: bool) -> bool {
        let Some(token) = self.sources.token(handle) else { return false };
        if was_relayed {
            return true;
        }
        if self.returns(multiplexer, token) {
            return false;
        }
        self.finish_close(token, handle);
        true
    }

    /// Closes a socket whose owner has closed it, and whose queue has been sent since: no edge comes for it any more.
    fn finish_close(&mut self, token: Token, handle: Handle) {
        let is_closing =
            |source: &Source| matches!(&source.kind, Kind::Socket(it) if it.is_closing());
        if self.sources.get(token).is_some_and(is_closing) {
            let _already_reported_as_closed = self.close(handle);
        }
    }

    fn report_detached(
        &mut self,
        token: Token,
        limit: usize,
        report: &mut impl FnMut(Event),
    ) -> usize {
        let mut count = self.report_file_progress(token, limit, report);
        while count < limit
            && let Some(detached) =
                self.multiplexers.get_mut(token).and_then(|it| it.detached.pop_front())
        {
            let Detached { handle, is_closed, was_relayed, failure } = detached;
            // A source that only left may have been closed since, or have a queue again.
            if is_closed || self.leaves(token, handle, was_relayed) {
                report(Event { handle, bits: event_bits::DETACHED, received: failure..failure });
                count += 1;
            }
        }
        count
    }
}

/// Rounds up, since a wait must not end before its timeout.
fn milliseconds_until(end: Instant) -> i32 {
    let left = end.saturating_duration_since(Instant::now());
    i32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

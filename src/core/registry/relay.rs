//! Relays: what each of two sockets receives is sent by the other one, within the waits of their multiplexer.

use super::Registry;
use crate::core::handle::{Handle, Token};
use crate::core::interest::{Interest, Mode};
use crate::core::multiplexer::Detached;
use crate::core::relay::{Direction, Progress};
use crate::core::source::{Kind, Source};
use crate::sys::{Errno, Shutdown, flags};

/// The most events that one `epoll_wait(2)` returns of a multiplexer with relays: what they do is done at once.
pub(super) const EVENTS_WITH_RELAYS: usize = 64;

/// How often the epoll descriptor is asked in one turn of the event loop, as long as it reports several events.
const ROUNDS_PER_TURN: usize = 8;

/// The number of bytes after which a turn of the event loop ends.
const BYTES_PER_TURN: usize = 4 * 1024 * 1024;

impl Registry {
    /// Relays two open or connecting sockets: what is unread and queued goes first. When both directions have ended, or
    /// one of them has failed, both are reported as detached; they stay open, and are sockets as before.
    ///
    /// # Errors
    /// EINVAL for one socket and itself, and for what is not a socket; EEXIST for one that is registered with a
    /// multiplexer; ENOTCONN after a failed connect, and for one that is closing; ENOSPC, ENOMEM; EBADF for a stale
    /// handle. Both sockets then stay as they were.
    pub(crate) fn relay(
        &mut self,
        multiplexer: Handle,
        one: Handle,
        other: Handle,
    ) -> Result<(), Errno> {
        let multiplexer = self.multiplexers.token(multiplexer).ok_or(Errno::BADF)?;
        let tokens = [self.token(one)?, self.token(other)?];
        if tokens[0] == tokens[1] {
            return Err(Errno::INVAL);
        }
        for token in tokens {
            self.check_relayable(token)?;
        }
        self.register_relay(multiplexer, tokens).inspect_err(|_| self.end_relay(tokens[0]))?;
        // What was received before has no edge.
        for token in tokens {
            self.begin_relay(multiplexer, token);
        }
        Ok(())
    }

    fn check_relayable(&mut self, token: Token) -> Result<(), Errno> {
        let source = self.sources.get_mut(token).ok_or(Errno::BADF)?;
        if source.registration.is_some() {
            return Err(Errno::EXIST);
        }
        let Kind::Socket(socket) = &mut source.kind else { return Err(Errno::INVAL) };
        if socket.is_closed() || socket.is_closing() {
            return Err(Errno::NOTCONN);
        }
        // Corked bytes would wait for a flush of the program's.
        if socket.is_corked() {
            socket.flush();
        }
        Ok(())
    }

    fn register_relay(
        &mut self,
        multiplexer: Token,
        [one, other]: [Token; 2],
    ) -> Result<(), Errno> {
        for (token, target) in [(one, other), (other, one)] {
            let source = self.sources.get_mut(token).ok_or(Errno::BADF)?;
            source.enter_relay(Direction::to(target));
            self.register(multiplexer.slot, token, Interest::NONE, Mode::Edge)?;
            if let Some(entry) = self.multiplexers.get_mut(multiplexer) {
                entry.relayed += 1;
            }
        }
        Ok(())
    }

    fn begin_relay(&mut self, multiplexer: Token, token: Token) {
        let socket = self.sources.get_mut(token).and_then(Source::any_socket);
        if socket.is_some_and(|socket| socket.kept_flags() != 0) {
            self.merge_relayed(multiplexer, token, flags::IN);
        }
    }

    /// Ends the relay of a socket: it and the other one are sockets as before, which are in no multiplexer.
    pub(super) fn end_relay(&mut self, token: Token) {
        let Some(target) = self.sources.get(token).and_then(Source::relay_target) else { return };
        for token in [token, target] {
            let Some(source) = self.sources.get_mut(token) else { continue };
            source.leave_relay();
            let Some(registration) = &source.registration else { continue };
            if let Some(entry) = self.multiplexers.at_mut(registration.multiplexer) {
                entry.relayed = entry.relayed.saturating_sub(1);
            }
            self.deregister(token);
            // The descriptor of a failed connect is of no use.
            self.update_registration(token);
        }
    }

    /// As `end_relay`, and has both sockets reported as detached.
    fn finish_relay(&mut self, multiplexer: Token, token: Token) {
        let Some(target) = self.sources.get(token).and_then(Source::relay_target) else { return };
        self.end_relay(token);
        if let Some(entry) = self.multiplexers.get_mut(multiplexer) {
            entry.detached.extend([token, target].map(|it| Detached::of_relay(it.handle())));
        }
    }

    /// Stops the relay of a socket, if it has one: both sockets leave their multiplexer, and the other one is reported as
    /// detached.
    pub(super) fn leave_relay(&mut self, token: Token) {
        let Some(source) = self.sources.get(token) else { return };
        let Some(target) = source.relay_target() else { return };
        let slot = source.registration.as_ref().map(|it| it.multiplexer);
        self.end_relay(token);
        if let Some(entry) = slot.and_then(|slot| self.multiplexers.at_mut(slot)) {
            entry.detached.push_back(Detached::of_relay(target.handle()));
        }
    }

    /// Ends what a relayed socket sends, behind what the other one has received: as if that had ended.
    ///
    /// # Errors
    /// EBADF for a stale handle; EINVAL for a socket that is not relayed.
    pub(crate) fn end_relayed(&mut self, handle: Handle) -> Result<(), Errno> {
        let source = self.sources.by_handle(handle).ok_or(Errno::BADF)?;
        let other = source.relay_target().ok_or(Errno::INVAL)?;
        if let Some(socket) = self.sources.get_mut(other).and_then(Source::any_socket) {
            // ENOTCONN: its next receive returns why.
            let _ = socket.shutdown(Shutdown::Read);
        }
        self.resume_relay(handle)
    }

    /// Keeps an error that a relayed socket has returned, for the end of the relay.
    ///
    /// # Errors
    /// EBADF for a stale handle; EINVAL for a socket that is not relayed.
    pub(super) fn fail_relayed(&mut self, handle: Handle, errno: Errno) -> Result<(), Errno> {
        self.any_socket(handle)?.take_error(errno);
        self.resume_relay(handle)
    }

    /// A call has changed a relayed socket: moves what there is to move.
    ///
    /// # Errors
    /// EBADF for a stale handle; EINVAL for a socket that is not relayed.
    pub(super) fn resume_relay(&mut self, handle: Handle) -> Result<(), Errno> {
        let token = self.token(handle)?;
        let source = self.sources.get(token).ok_or(Errno::BADF)?;
        let slot = source.registration.as_ref().ok_or(Errno::INVAL)?.multiplexer;
        let multiplexer = self.multiplexers.token_at(slot).ok_or(Errno::BADF)?;
        self.merge_relayed(multiplexer, token, flags::IN);
        Ok(())
    }

    pub(super) fn begin_relay_turn(&mut self) {
        self.relay_memory.moved = 0;
    }

    /// As `merge_relayed`. Once the turn has moved enough, epoll is asked to report the edge again instead.
    pub(super) fn merge_relayed_within_turn(
        &mut self,
        multiplexer: Token,
        token: Token,
        flags: u32,
    ) {
        if self.relay_memory.moved < BYTES_PER_TURN {
            self.merge_relayed(multiplexer, token, flags);
        } else {
            self.narrow_epoll_flags(token);
        }
    }

    /// Merges the flags of an edge of a relayed socket, and moves what there is to move in both directions.
    pub(super) fn merge_relayed(&mut self, multiplexer: Token, token: Token, flags: u32) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let has_more = source.merge(flags);
        let Some(target) = source.relay_target() else { return };
        if flags & flags::ERR != 0 {
            self.check_unread_error(token, target);
        }
        let forward = self.transfer(token, target);
        let backward = self.transfer(target, token);
        let is_over = forward == Progress::Over && backward == Progress::Over;
        let has_failed = [forward, backward].contains(&Progress::Failed)
            || self.has_failed(token, target)
            || self.has_failed(target, token);
        if is_over || has_failed {
            return self.finish_relay(multiplexer, token);
        }
        if has_more || forward == Progress::More {
            self.narrow_epoll_flags(token);
        }
        if backward == Progress::More {
            self.narrow_epoll_flags(target);
        }
        for token in [token, target] {
            self.report_files(token);
        }
    }

    /// Keeps the error of a relayed socket that is not received from any more, or not before the other one is connected.
    fn check_unread_error(&mut self, token: Token, target: Token) {
        let Some([source, target]) = self.sources.pair_mut([token, target]) else { return };
        let Kind::Relayed(socket, direction) = &mut source.kind else { return };
        let has_to_wait = target.any_socket().is_some_and(|it| it.is_connecting());
        if direction.is_over() || has_to_wait && !socket.is_connecting() {
            socket.check_error();
        }
    }

    /// Whether a socket has failed, and nothing that it received before is under way to the other one.
    fn has_failed(&mut self, token: Token, target: Token) -> bool {
        let Some([source, target]) = self.sources.pair_mut([token, target]) else { return true };
        let (Kind::Relayed(socket, direction), Some(target)) =
            (&mut source.kind, target.any_socket())
        else {
            return true;
        };
        let is_under_way = !direction.is_over() && !target.is_connecting();
        socket.is_closed() || socket.failure().is_some() && !is_under_way
    }

    fn transfer(&mut self, from: Token, to: Token) -> Progress {
        let Some([source, target]) = self.sources.pair_mut([from, to]) else {
            return Progress::Failed;
        };
        let (Kind::Relayed(source, direction), Some(target)) =
            (&mut source.kind, target.any_socket())
        else {
            return Progress::Failed;
        };
        let progress = direction.transfer(source, target, &mut self.relay_memory);
        // At once: the next send to a socket forgets that a receive has found no memory.
        for token in [from, to] {
            if self.sources.get(token).is_some_and(Source::is_starved) {
                self.back_off(token);
            }
        }
        progress
    }

    pub(crate) fn has_relays(&self, handle: Handle) -> bool {
        self.multiplexers.by_handle(handle).is_some_and(|multiplexer| multiplexer.relayed > 0)
    }

    /// Moves what the relays of a multiplexer can move now, within the bounds of one turn of the event loop. Returns
    /// whether a wait, or a service, would find something else to do.
    ///
    /// # Errors
    /// EBADF for a handle that is not a multiplexer's; the errors of `epoll_wait(2)`.
    pub(crate) fn serve_relays(&mut self, handle: Handle) -> Result<bool, Errno> {
        let token = self.multiplexers.token(handle).ok_or(Errno::BADF)?;
        self.begin_relay_turn();
        for _ in 0..ROUNDS_PER_TURN {
            let count = self.collect_events(token, 0)?;
            if count < 2 || self.relay_memory.moved >= BYTES_PER_TURN / 2 {
                break;
            }
        }
        self.detach_emptied(token);
        Ok(!self.has_no_events(token))
    }
}

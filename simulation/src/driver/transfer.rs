//! The steps of the program that move bytes.

use std::io::IoSlice;

use super::player::{Player, Violation, with};
use crate::core::SendStatus;
use crate::kernel::Errno;

/// The most bytes of one step.
pub(super) const MOST_BYTES: usize = 6000;

impl Player {
    pub(super) fn receive(
        &mut self,
        number: usize,
        size: usize,
        peeks: bool,
    ) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        self.receive_of(index, size % MOST_BYTES, peeks).map(drop)
    }

    /// Receives once. Returns the number of bytes, `None` when there is nothing.
    pub(super) fn receive_of(
        &mut self,
        index: usize,
        size: usize,
        peeks: bool,
    ) -> Result<Option<usize>, Violation> {
        self.learn_origin(index);
        let mut buffer = vec![0; size];
        let handle = self.sources[index].handle;
        let into = &mut buffer[..];
        let result = self.registry.with_socket(handle, |socket| {
            if peeks { socket.peek(into) } else { socket.receive(into) }
        });
        with(|world| {
            world.note(|| {
                format!("  {} of {size} = {result:?}", if peeks { "peek" } else { "receive" })
            });
        });
        self.note_received(index, result, &buffer, peeks)
    }

    /// Takes note of what a receive has returned. Returns the number of bytes, `None` when there is nothing.
    pub(super) fn note_received(
        &mut self,
        index: usize,
        result: Result<usize, Errno>,
        buffer: &[u8],
        peeks: bool,
    ) -> Result<Option<usize>, Violation> {
        match result {
            Ok(0) if buffer.is_empty() => Ok(None),
            Ok(0) => {
                self.end_of_input(index, peeks)?;
                Ok(None)
            }
            Ok(count) => {
                self.check_bytes(index, &buffer[..count])?;
                if !peeks {
                    self.sources[index].got += count as u64;
                }
                Ok(Some(count))
            }
            Err(Errno::AGAIN) => Ok(None),
            Err(errno) => {
                self.check_reason(index, errno)?;
                let source = &mut self.sources[index];
                source.is_broken = true;
                source.read_done |= !peeks;
                Ok(None)
            }
        }
    }

    /// The peer's end has come, or the program has shut the half down.
    fn end_of_input(&mut self, index: usize, peeks: bool) -> Result<(), Violation> {
        let flags = self.flags(index);
        if self.failure(index).is_some() {
            return Err("a receive returns 0 after a failure".to_owned());
        }
        let source = &mut self.sources[index];
        let is_end = source.read_shut
            || flags & (crate::kernel::flags::RDHUP | crate::kernel::flags::HUP) != 0;
        if !is_end {
            return Err("a receive returns 0, and the peer has not ended".to_owned());
        }
        source.read_done |= !peeks;
        source.has_ended |= !peeks;
        let has_more = !source.read_shut && self.unread_in_kernel(index) > 0;
        if has_more { Err("a receive returns 0 before the last byte".to_owned()) } else { Ok(()) }
    }

    fn unread_in_kernel(&self, index: usize) -> usize {
        let fd = self.fd(index);
        fd.map_or(0, |fd| with(|world| world.socket_of(fd).map_or(0, |socket| socket.incoming)))
    }

    /// Checks that received bytes are those that come next.
    pub(super) fn check_bytes(&self, index: usize, bytes: &[u8]) -> Result<(), Violation> {
        let source = &self.sources[index];
        let at = with(|world| world.origins.mismatch(bytes, source.origin, source.got));
        match at {
            None => Ok(()),
            Some(at) => Err(format!(
                "{} bytes received from position {} of stream {}: the one at {at} is another",
                bytes.len(),
                source.got,
                source.origin
            )),
        }
    }

    /// Takes note of what a socket receives.
    pub(super) fn learn_origin(&mut self, index: usize) {
        if self.sources[index].origin == 0
            && let Some(fd) = self.fd(index)
        {
            self.sources[index].origin =
                with(|world| world.socket_of(fd).map_or(0, |socket| socket.source));
        }
    }

    pub(super) fn send(
        &mut self,
        number: usize,
        size: usize,
        count: usize,
    ) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let (size, count) = (size % MOST_BYTES, 1 + count.saturating_sub(1) % 5);
        let pieces: Vec<Vec<u8>> =
            (0..count).map(|piece| self.bytes_to_send(index, piece * size, size)).collect();
        let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let (handle, limit) = (self.sources[index].handle, self.limit(index));
        let before = self.queued(index);
        let result = self.registry.with_socket(handle, |socket| socket.send(&slices));
        self.sources[index].is_corked = false;
        with(|world| world.note(|| format!("  send of {} = {result:?}", size * count)));
        let after = self.queued(index);
        match result {
            Ok(SendStatus::Sent) if after > 0 && size > 0 => {
                return Err("sent, and the queue is not empty".to_owned());
            }
            Ok(SendStatus::Queued) if after.saturating_sub(size * count) >= limit && size > 0 => {
                return Err("queued, and the queue is full".to_owned());
            }
            Ok(SendStatus::Sent | SendStatus::PartiallySent | SendStatus::Queued) => {
                self.sources[index].taken += (size * count) as u64;
            }
            Ok(SendStatus::NotSent) if before < limit => {
                return Err("not sent, and the queue has room".to_owned());
            }
            Ok(SendStatus::NotSent | SendStatus::Closed) | Err(_) => {}
        }
        self.check_totals(index)
    }

    pub(super) fn write(
        &mut self,
        number: usize,
        size: usize,
        cork: usize,
    ) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let (handle, cork) = (self.sources[index].handle, cork % 2 == 1);
        let bytes = self.bytes_to_send(index, 0, size % MOST_BYTES);
        let (limit, before) = (self.limit(index), self.queued(index));
        let result = self.registry.write(handle, &bytes, cork);
        with(|world| world.note(|| format!("  write of {} = {result:?}", bytes.len())));
        if let Ok(count) = result {
            self.sources[index].taken += count as u64;
        }
        self.sources[index].was_corked |= cork;
        let after = self.queued(index);
        let is_begun = self.is_begun(index) && with(|world| world.faults.injected().is_empty());
        // Behind a file bytes are queued; an empty one adds nothing to the queue's length.
        let is_begun = is_begun && self.unsent(index) == after && !self.is_sending(handle);
        let source = &mut self.sources[index];
        let is_small = bytes.len() <= 4096.min(limit.saturating_sub(before));
        source.is_corked =
            cork && is_small && is_begun && after > 0 && (before == 0 || source.is_corked);
        if after > limit.max(before) {
            return Err(format!("a write fills the queue to {after}, of {limit}"));
        }
        self.check_totals(index)
    }

    pub(super) fn limit(&mut self, index: usize) -> usize {
        let handle = self.sources[index].handle;
        self.registry.socket(handle).map_or(0, |socket| socket.queue_limit())
    }

    pub(super) fn bytes_to_send(&self, index: usize, offset: usize, size: usize) -> Vec<u8> {
        let source = &self.sources[index];
        let mut bytes = vec![0; size];
        let position = self.next_position(index) + offset as u64;
        with(|world| world.origins.fill(&mut bytes, source.stream, position));
        bytes
    }

    /// What was accepted is what the kernel has and what is queued; the counters say so.
    pub(super) fn check_totals(&mut self, index: usize) -> Result<(), Violation> {
        let Some(fd) = self.fd(index) else { return Ok(()) };
        if self.sources[index].relayed.is_some() {
            return Ok(());
        }
        if self.failure(index).is_some() {
            self.sources[index].is_broken = true;
            return Ok(());
        }
        let handle = self.sources[index].handle;
        let Ok(socket) = self.registry.socket(handle) else { return Ok(()) };
        let ((received, counted), unsent) = (socket.totals(), socket.unsent_length());
        let sent = with(|world| world.socket_of(fd).map_or(0, |socket| socket.sent));
        let source = &self.sources[index];
        let left_out = with(|world| world.left_out_of(source.stream));
        if source.taken != sent + unsent + left_out {
            return Err(format!(
                "{} bytes accepted, {sent} sent, {unsent} unsent and {left_out} left out",
                source.taken
            ));
        }
        // A socket that was adopted counts from its adoption.
        if !source.is_broken
            && (counted != sent || !source.read_shut && !source.closing && received != source.got)
        {
            return Err(format!("counters say {received} received and {counted} sent"));
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, number: usize) -> Result<(), Violation> {
        self.choose_socket(number).map_or(Ok(()), |index| self.flush_of(index))
    }

    pub(super) fn flush_of(&mut self, index: usize) -> Result<(), Violation> {
        let handle = self.sources[index].handle;
        self.sources[index].is_corked = false;
        let result = self.registry.flush(handle);
        let may_be_left = self.has_empty_file(Some(index));
        self.collect_files(handle)?;
        match result {
            Ok(is_empty) if is_empty != (self.unsent(index) == 0) && !may_be_left => {
                Err("a flush is wrong about the queue".to_owned())
            }
            _ => self.check_totals(index),
        }
    }

    pub(super) fn flush_corked(&mut self) -> Result<(), Violation> {
        self.registry.flush_corked();
        for index in 0..self.sources.len() {
            self.sources[index].was_corked = false;
            self.sources[index].is_corked = false;
            if self.sources[index].is_socket() {
                self.check_totals(index)?;
            }
        }
        Ok(())
    }

    pub(super) fn unread(&mut self, number: usize, size: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let source = &self.sources[index];
        let size = (size as u64 % 300).min(source.got);
        if source.is_broken || !source.has_ended && (source.read_done || size == 0) {
            return Ok(());
        }
        let (handle, position) = (source.handle, source.got - size);
        let mut bytes = vec![0; size as usize];
        with(|world| world.origins.fill(&mut bytes, source.origin, position));
        self.registry.unread(handle, &bytes).map_err(|errno| format!("unread: {errno:?}"))?;
        if self.unread_length(index) > 0 {
            self.sources[index].got = position;
        }
        // An end that has been received comes again.
        (self.sources[index].read_done, self.sources[index].has_ended) = (false, false);
        Ok(())
    }

    pub(super) fn unread_length(&mut self, index: usize) -> usize {
        let handle = self.sources[index].handle;
        self.registry.any_socket(handle).map_or(0, |socket| socket.unread_length())
    }

    pub(super) fn take_queue(&mut self, number: usize, room: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let (handle, queued) = (self.sources[index].handle, self.queued(index));
        let has_files = self.unsent(index) > queued || self.has_empty_file(Some(index));
        let mut into = vec![0; room % 20_000];
        match self.registry.with_socket(handle, |socket| socket.take_queue(&mut into)) {
            Ok(count) => {
                let source = &mut self.sources[index];
                source.taken -= count as u64;
                // A shutdown that waits for the queue is the program's to make now.
                source.is_broken |= source.write_shut;
                source.cannot_end |= source.write_shut;
                let (taken, stream) = (&into[..count], source.stream);
                let position = self.next_position(index);
                let mismatch = with(|world| {
                    let mismatch = world.origins.mismatch(taken, stream, position);
                    // What comes next is the socket's own, also where a relay has queued what was taken.
                    world.origins.add(stream, position, (stream, position));
                    mismatch
                });
                match mismatch {
                    Some(at) => Err(format!("byte {at} of the queue is another")),
                    None if count != queued => Err("a part of the queue was taken".to_owned()),
                    None => Ok(()),
                }
            }
            Err(_) if queued > into.len() || has_files => Ok(()),
            Err(errno) => Err(format!("take_queue: {errno:?}")),
        }
    }

    pub(super) fn set_limit(&mut self, number: usize, limit: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let handle = self.sources[index].handle;
        if let Ok(socket) = self.registry.socket(handle) {
            socket.set_queue_limit(limit);
        }
        Ok(())
    }

    /// Blocks on one socket.
    pub(super) fn sleep_on(
        &mut self,
        number: usize,
        write: usize,
        time: usize,
    ) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let (handle, time) = (self.sources[index].handle, i32::try_from(time % 500).unwrap_or(0));
        let _ = self.registry.sleep_on(handle, write % 2 == 1, time);
        Ok(())
    }
}

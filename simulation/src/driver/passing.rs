//! The steps of the program that pass descriptors.

use std::io::IoSlice;

use super::player::{Player, Violation, with};
use super::transfer::MOST_BYTES;
use crate::core::SendStatus;
use crate::world::{Process, Socket, World};

impl Player {
    /// Passes an eventfd some times, or a number that is not open.
    pub(super) fn send_descriptors(
        &mut self,
        number: usize,
        size: usize,
        count: usize,
    ) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let bytes = self.bytes_to_send(index, 0, size % MOST_BYTES);
        let (handle, is_tcp) = (self.sources[index].handle, self.has_tcp(index));
        let passed = with(|world| world.passed);
        let fd = with(World::event_fd);
        let mut descriptors = vec![fd; count % 6];
        if count % 16 == 15 {
            descriptors.push(-1);
        }
        let has_closed = descriptors.contains(&-1);
        let result = self.registry.with_socket(handle, |socket| {
            socket.send_descriptors(&[IoSlice::new(&bytes)], &descriptors)
        });
        self.sources[index].is_corked = false;
        with(|world| {
            world.note(|| format!("  send_descriptors of {} = {result:?}", bytes.len()));
            world.close(Process::Program, fd)
        })
        .map_err(|errno| format!("close: {errno:?}"))?;
        let is_sent = matches!(result, Ok(SendStatus::Sent | SendStatus::PartiallySent));
        if is_sent {
            self.sources[index].taken += bytes.len() as u64;
        }
        let gone = with(|world| world.passed) - passed;
        let expected = if is_sent { descriptors.len() as u64 } else { 0 };
        if gone != expected {
            return Err(format!("{gone} descriptors have gone, and not {expected}"));
        }
        match result {
            Ok(SendStatus::Queued) => return Err("descriptors are queued".to_owned()),
            Ok(SendStatus::Sent) if self.queued(index) > 0 => {
                return Err("sent, and the queue is not empty".to_owned());
            }
            Ok(_) if is_tcp && is_sent => return Err("descriptors are passed by TCP".to_owned()),
            Ok(_) if has_closed && is_sent => return Err("a closed number is passed".to_owned()),
            _ => {}
        }
        self.check_totals(index)
    }

    /// Receives bytes, and closes the descriptors that come with them. Bytes that have lost some are given back.
    pub(super) fn receive_descriptors(
        &mut self,
        number: usize,
        size: usize,
    ) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        self.learn_origin(index);
        let mut buffer = vec![0; size % MOST_BYTES];
        let (handle, is_tcp) = (self.sources[index].handle, self.has_tcp(index));
        let result =
            self.registry.with_socket(handle, |socket| socket.receive_descriptors(&mut buffer));
        if is_tcp {
            return match result {
                Ok(message) if message.length > 0 => Err("received, and it is TCP".to_owned()),
                _ => Ok(()),
            };
        }
        let shown = result.as_ref().map(|it| (it.length, it.descriptors.len())).map_err(|it| *it);
        with(|world| {
            world.note(|| format!("  receive_descriptors of {} = {shown:?}", buffer.len()));
        });
        let length = shown.map(|(length, _)| length);
        let is_truncated = result.as_ref().is_ok_and(|message| message.is_truncated);
        drop(result);
        self.note_received(index, length, &buffer, false)?;
        let bytes = &buffer[..length.unwrap_or(0)];
        if is_truncated {
            self.registry.unread(handle, bytes).map_err(|errno| format!("unread: {errno:?}"))?;
            self.sources[index].got -= bytes.len() as u64;
        }
        Ok(())
    }

    fn has_tcp(&self, index: usize) -> bool {
        let fd = self.fd(index);
        fd.is_some_and(|fd| with(|world| world.socket_of(fd).is_ok_and(Socket::has_tcp)))
    }
}

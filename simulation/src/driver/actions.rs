//! The steps of the program: which is which, and those of multiplexers and of single calls.

use super::book::{Kind, Multiplexer};
use super::player::{Player, Violation, with};
use super::step::Action;
use crate::core::{Interest, Mode, probe_path};
use crate::kernel::{Address, Errno};
use crate::world::{Process, Socket, World};

/// The most multiplexers at a time.
const MOST_MULTIPLEXERS: usize = 3;

impl Player {
    pub(super) fn act(&mut self, action: Action, numbers: [usize; 3]) -> Result<(), Violation> {
        let [first, second, third] = numbers;
        match action {
            Action::OpenMultiplexer => self.open_multiplexer(),
            Action::CloseMultiplexer => self.close_multiplexer(first),
            Action::Listen => self.listen(first, second),
            Action::Accept => self.accept(first),
            Action::Serve => self.serve(first, second, third),
            Action::Connect => self.connect(first, second, third),
            Action::Receive => self.receive(first, second, false),
            Action::Peek => self.receive(first, second, true),
            Action::Send => self.send(first, second, 1),
            Action::SendPieces => self.send(first, second, third),
            Action::SendDescriptors => self.send_descriptors(first, second, third),
            Action::ReceiveDescriptors => self.receive_descriptors(first, second),
            Action::Write => self.write(first, second, third),
            Action::TryWrite => self.try_write(first, second),
            Action::End => self.end_half(first, second),
            Action::Flush => self.flush(first),
            Action::FlushCorked => self.flush_corked(),
            Action::Unread => self.unread(first, second),
            Action::TakeQueue => self.take_queue(first, second),
            Action::SetLimit => self.set_limit(first, second),
            Action::Add => self.add(first, second, third),
            Action::Modify => self.modify(first, second),
            Action::Remove => self.remove(first),
            Action::Wait => self.wait_once(first, second, third),
            Action::Service => self.service(first, second),
            Action::Idle => self.idle(first),
            Action::Shutdown => self.shutdown(first, second),
            Action::Close => self.close(first),
            Action::Reset => self.reset(first),
            Action::Discard => self.discard(first),
            Action::Adopt => self.adopt(first),
            Action::Travel => self.travel(first),
            Action::State => self.state(first),
            Action::Ask => self.ask(first, second),
            Action::GetError => self.get_error(first),
            Action::SetLinger => self.set_linger(first, second),
            Action::SleepOn => self.sleep_on(first, second, third),
            Action::AddForeign => self.add_foreign(first, second, third),
            Action::CloseForeign => self.close_foreign(first),
            Action::StirForeign => self.stir_foreign(first),
            Action::Stale => self.use_stale(first),
            Action::Settle => self.settle(),
            Action::Relay => self.relay(first, second, third),
            Action::ServeRelays => self.serve_relays(first),
            Action::EndRelayed => self.end_relayed(first),
            Action::StopRelay => self.stop_relay(first, second),
            Action::TouchRelayed => self.touch_relayed(first),
            Action::SendFile => self.send_file(first, second, third),
            Action::LoadFile => self.load_file(first, second),
            Action::CancelFile => self.cancel_file(first),
            Action::ResizeFile => {
                self.resize_file(first, second);
                Ok(())
            }
            Action::FlushWaiting => self.flush_waiting(first),
            other => {
                self.act_outside(other, numbers);
                Ok(())
            }
        }
    }

    pub(super) fn open_multiplexer(&mut self) -> Result<(), Violation> {
        if self.multiplexers.len() == MOST_MULTIPLEXERS {
            return Ok(());
        }
        let Ok(handle) = self.registry.open_multiplexer() else { return Ok(()) };
        let fd = self.registry.epoll_fd(handle).map_err(|errno| format!("epoll_fd: {errno:?}"))?;
        self.multiplexers.push(Multiplexer { handle, fd, wake: None });
        self.add_wake(self.multiplexers.len() - 1)
    }

    /// Registers an eventfd, as `wake()` has it.
    fn add_wake(&mut self, index: usize) -> Result<(), Violation> {
        let fd = with(World::event_fd);
        let file = with(|world| world.file(Process::Program, fd)).unwrap_or(0);
        let interest = Interest { read: true, ..Interest::NONE };
        if self.add_descriptor(index, fd, (interest, Mode::Edge))? {
            self.multiplexers[index].wake = Some(file);
        } else {
            with(|world| world.close_own(fd)).map_err(|it| format!("{it:?}"))?;
        }
        Ok(())
    }

    fn close_multiplexer(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_multiplexer(number) else { return Ok(()) };
        let Multiplexer { handle, .. } = self.multiplexers.swap_remove(index);
        self.stop_relays_of(handle.raw());
        self.registry.close_multiplexer(handle).map_err(|it| format!("close: {it:?}"))?;
        self.forget_relays_of(handle.raw());
        for index in (0..self.sources.len()).rev() {
            if !self.sources[index].is_of(handle.raw()) {
                continue;
            }
            self.sources[index].registration = None;
            self.collect_files(self.sources[index].handle)?;
            // A close that was completed is not reported any more.
            let is_gone = self.registry.raw_fd(self.sources[index].handle) == Err(Errno::BADF);
            if self.sources[index].closing && is_gone {
                self.remove_source(index, true);
                continue;
            }
            if let Kind::Foreign { fd, is_open, .. } = self.sources[index].kind {
                self.remove_source(index, false);
                self.loose.extend(is_open.then_some(fd));
            }
        }
        Ok(())
    }

    fn state(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_any_socket(number) else { return Ok(()) };
        let handle = self.sources[index].handle;
        self.registry.state_bits(handle).map(drop).map_err(|it| format!("state: {it:?}"))
    }

    /// Compares what a socket says of its peer, and looks for a listener at a path.
    fn ask(&mut self, number: usize, at: usize) -> Result<(), Violation> {
        let listens = self.own_addresses.get(at % self.own_addresses.len().max(1));
        if let Some((listener, address @ Address::Unix(_))) = listens
            && self.registry.fd(*listener).is_ok()
            && probe_path(address) == Err(Errno::CONNREFUSED)
            && !with(|world| world.faults.has_injected(Errno::CONNREFUSED))
        {
            return Err("no socket is found where a listener is".to_owned());
        }
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let Some(fd) = self.fd(index) else { return Ok(()) };
        let handle = self.sources[index].handle;
        let has_peer = self.registry.socket(handle).is_ok_and(|it| it.remote_address().is_ok());
        let is_connected = with(|world| world.socket_of(fd).is_ok_and(Socket::is_connected));
        let has_faults = with(|world| !world.faults.injected().is_empty());
        if has_peer || !is_connected || has_faults || self.failure(index).is_some() {
            return Ok(());
        }
        Err("a connected socket has no peer".to_owned())
    }

    fn get_error(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let (handle, mut value) = (self.sources[index].handle, [0; 4]);
        let _ = self.registry.get_option(handle, libc::SOL_SOCKET, libc::SO_ERROR, &mut value);
        if self.failure(index).is_some() {
            self.sources[index].is_broken = true;
        }
        Ok(())
    }

    fn set_linger(&mut self, number: usize, seconds: usize) -> Result<(), Violation> {
        let Some(index) = self.choose(number, |it| it.is_free() || it.kind == Kind::Listener)
        else {
            return Ok(());
        };
        let mut value = [1, 0, 0, 0, 0, 0, 0, 0];
        value[4] = (1 + seconds % 9) as u8;
        let handle = self.sources[index].handle;
        let _ = self.registry.set_option(handle, libc::SOL_SOCKET, libc::SO_LINGER, &value);
        Ok(())
    }

    /// A handle that is gone names nothing.
    fn use_stale(&mut self, number: usize) -> Result<(), Violation> {
        let Some(handle) = self.gone.get(number % self.gone.len().max(1)).copied() else {
            return Ok(());
        };
        match self.registry.state_bits(handle) {
            Err(Errno::BADF) => Ok(()),
            result => Err(format!("a stale handle says {result:?}")),
        }
    }

    /// # Errors
    /// When no fault was injected in this step, that explains an error.
    pub(super) fn expect_fault(&mut self, what: &str, errno: Errno) -> Result<(), Violation> {
        if with(|world| world.faults.has_injected(errno)) {
            return Ok(());
        }
        Err(format!("{what} fails with {errno:?}"))
    }
}

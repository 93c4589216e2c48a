//! The steps of the peer, the network and time.

use super::book::End;
use super::player::{Player, with};
use super::step::Action;
use crate::kernel::{Errno, Family, Shutdown};
use crate::world::{Call, FileId, Process, Socket, World};

/// The most sockets of the peer at a time.
const MOST_ENDS: usize = 24;

/// The backlog of the peer's listeners.
const BACKLOG: i32 = 2;

/// Each call that can be made to fail, with its errnos: docs/faults.md, but for ENOENT of `EPOLL_CTL_MOD`, which says that
/// a descriptor of the program was closed.
const FAULTS: &[(Call, &[i32])] = &[
    (Call::Socket, &[libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::EPERM]),
    (Call::Bind, &[libc::EADDRINUSE, libc::EACCES, libc::ENOMEM]),
    (Call::Listen, &[libc::EADDRINUSE, libc::EOPNOTSUPP, libc::EIO]),
    (
        Call::Accept,
        &[
            libc::EINTR,
            libc::ECONNABORTED,
            libc::EPROTO,
            libc::EPERM,
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOBUFS,
            libc::ENOMEM,
            libc::EIO,
            libc::EINVAL,
        ],
    ),
    (
        Call::Connect,
        &[
            libc::ECONNREFUSED,
            libc::EINTR,
            libc::ENETUNREACH,
            libc::EADDRNOTAVAIL,
            libc::EAGAIN,
            libc::EPERM,
        ],
    ),
    (Call::GetOption, &[libc::ENOPROTOOPT, libc::ENOMEM, libc::EIO, libc::EPERM]),
    (Call::SetOption, &[libc::EDOM, libc::ENOMEM, libc::EINVAL]),
    (Call::LocalAddress, &[libc::ENOBUFS, libc::EIO]),
    (Call::RemoteAddress, &[libc::ENOBUFS, libc::EIO, libc::EINVAL]),
    (
        Call::Receive,
        &[
            libc::ECONNRESET,
            libc::ETIMEDOUT,
            libc::EHOSTUNREACH,
            libc::ENOMEM,
            libc::ENOBUFS,
            libc::EIO,
        ],
    ),
    (
        Call::Send,
        &[
            libc::EPIPE,
            libc::ECONNRESET,
            libc::ETIMEDOUT,
            libc::ENOBUFS,
            libc::ENOMEM,
            libc::ENOBUFS,
            libc::EMSGSIZE,
            libc::EIO,
        ],
    ),
    (
        Call::SendDescriptors,
        &[
            libc::EPIPE,
            libc::ECONNRESET,
            libc::ENOBUFS,
            libc::ENOMEM,
            libc::EBADF,
            libc::ETOOMANYREFS,
            libc::EPERM,
        ],
    ),
    (Call::ReceiveDescriptors, &[libc::ECONNRESET, libc::ENOMEM, libc::ENOBUFS, libc::EIO]),
    (Call::Shutdown, &[libc::ENOBUFS, libc::EIO, libc::EINVAL]),
    (Call::EpollCreate, &[libc::EMFILE, libc::ENFILE, libc::ENOMEM]),
    (Call::EpollAdd, &[libc::ENOSPC, libc::ENOMEM, libc::EPERM]),
    (Call::EpollModify, &[libc::ENOMEM, libc::EIO]),
    (Call::EpollDelete, &[libc::ENOENT, libc::EIO]),
    (Call::EpollWait, &[libc::EINTR, libc::ENOMEM, libc::EIO]),
    (Call::Poll, &[libc::EINTR, libc::ENOMEM, libc::EIO]),
    (Call::TimerCreate, &[libc::EMFILE, libc::ENFILE]),
    (Call::Fcntl, &[libc::EBADF, libc::EIO]),
    (Call::Pipe, &[libc::EMFILE, libc::ENFILE, libc::ENOMEM]),
    (Call::SetPipeSize, &[libc::EPERM, libc::EBUSY, libc::ENOMEM]),
    (
        Call::Splice,
        &[
            libc::EPIPE,
            libc::ECONNRESET,
            libc::ETIMEDOUT,
            libc::ENOBUFS,
            libc::ENOMEM,
            libc::EINVAL,
            libc::EIO,
        ],
    ),
    (
        Call::SendFile,
        &[
            libc::EINTR,
            libc::ENOMEM,
            libc::ENOBUFS,
            libc::EIO,
            libc::EOVERFLOW,
            libc::EPIPE,
            libc::ECONNRESET,
            libc::ETIMEDOUT,
            libc::EINVAL,
            libc::EPERM,
        ],
    ),
];

impl Player {
    /// Steps that do not call `core`.
    pub(super) fn act_outside(&mut self, action: Action, [first, second, third]: [usize; 3]) {
        match action {
            Action::PeerConnect => self.peer_connect(first),
            Action::PeerAccept => self.peer_accept(first),
            Action::PeerSend => self.at_end(first, |world, file| {
                let _ = world.send_some(file, 1 + second % 6000);
            }),
            Action::PeerReceive => self.at_end(first, |world, file| {
                let _ = world.receive_some(file, 1 + second % 6000, false);
            }),
            Action::PeerFlood => self.at_end(first, |world, file| {
                let most = world.flood_of(file);
                let _ = world.send_some(file, most.min((1 + second % 400) << 10));
            }),
            Action::PeerDrain => self.at_end(first, |world, file| {
                while matches!(world.receive_some(file, 1 << 20, false), Ok(1..)) {}
            }),
            Action::LargeBuffers => with(|world| {
                world.buffer_limits = ((1 + first % 640) << 10, (1 + second % 640) << 10);
            }),
            Action::PeerShutdown => self.shut_end(first),
            Action::PeerClose => self.close_end(first, None),
            Action::PeerReset => self.close_end(first, Some(0)),
            Action::PeerMark => self.at_end(first, |world, file| {
                world.send_urgent(file);
                world.pass_descriptors(file);
            }),
            Action::Stamp => {
                self.at_socket(first, World::stamp);
                if let Some(index) = self.choose_any_socket(first) {
                    self.sources[index].bare_errors = 0;
                }
            }
            Action::Fail => {
                let errnos = [libc::ETIMEDOUT, libc::ECONNRESET, libc::EHOSTUNREACH];
                let errno = Errno::from_raw(errnos[second % 3]).unwrap_or(Errno::PIPE);
                self.at_socket(first, |world, file| {
                    if world.socket(file).is_some_and(Socket::has_tcp) {
                        world.fail_socket(file, errno);
                    }
                });
            }
            Action::Buffers => with(|world| {
                world.buffer_limits = (64 + first % 8192, 64 + second % 8192);
            }),
            Action::Deliver => with(|world| {
                let count = world.in_flight().max(1);
                world.deliver_from(first % count, 1 + second);
            }),
            Action::Advance => with(|world| world.advance((first as u64 % 300) * 1_000_000)),
            Action::Fault => inject(first, second, third),
            Action::Repair => with(|world| world.faults.clear()),
            _ => {}
        }
    }

    pub(super) fn open_peer_listeners(&mut self) {
        for family in [Family::Ipv4, Family::Unix] {
            let address = self.new_address(family);
            let opened = with(|world| {
                let fd = world.socket_call(Process::Peer, family);
                world.bind(Process::Peer, fd, &address)?;
                world.listen(Process::Peer, fd, BACKLOG)?;
                let file = world.file(Process::Peer, fd)?;
                Ok::<_, Errno>((fd, world.socket(file).map_or(address, Socket::local_name)))
            });
            self.peer_listeners.extend(opened.ok());
        }
    }

    fn peer_connect(&mut self, number: usize) {
        let Some((_, address)) = self.own_addresses.get(number % self.own_addresses.len().max(1))
        else {
            return;
        };
        if self.ends.len() >= MOST_ENDS {
            return;
        }
        let family = super::open::family_of(address);
        let fd = with(|world| {
            let fd = world.socket_call(Process::Peer, family);
            let _ = world.connect(Process::Peer, fd, address);
            fd
        });
        self.ends.push(End { fd });
    }

    fn peer_accept(&mut self, number: usize) {
        let listener = self.peer_listeners.get(number % self.peer_listeners.len().max(1));
        if self.ends.len() >= MOST_ENDS {
            return;
        }
        let accepted = listener.map(|(fd, _)| with(|world| world.accept(Process::Peer, *fd)));
        if let Some(Ok(fd)) = accepted {
            self.ends.push(End { fd });
        }
    }

    /// Does something to a socket of the peer.
    fn at_end(&mut self, number: usize, action: impl FnOnce(&mut World, FileId)) {
        let Some(end) = self.ends.get(number % self.ends.len().max(1)) else { return };
        with(|world| {
            if let Ok(file) = world.file(Process::Peer, end.fd) {
                action(world, file);
            }
        });
    }

    fn shut_end(&mut self, number: usize) {
        let Some(end) = self.ends.get(number % self.ends.len().max(1)) else { return };
        let _ = with(|world| world.shutdown(Process::Peer, end.fd, Shutdown::Write));
    }

    fn close_end(&mut self, number: usize, linger: Option<u32>) {
        if self.ends.is_empty() {
            return;
        }
        let End { fd } = self.ends.swap_remove(number % self.ends.len());
        with(|world| {
            if let Ok(file) = world.file(Process::Peer, fd)
                && let Some(socket) = world.socket_mut(file)
            {
                socket.set_linger(linger);
            }
            let _ = world.close(Process::Peer, fd);
        });
    }

    /// Does something to a connected socket of the program, in the kernel.
    fn at_socket(&mut self, number: usize, action: impl FnOnce(&mut World, FileId)) {
        let Some(index) = self.choose_any_socket(number) else { return };
        let Some(fd) = self.fd(index) else { return };
        with(|world| {
            if let Ok(file) = world.file(Process::Program, fd)
                && world.socket(file).is_some_and(Socket::is_connected)
            {
                action(world, file);
            }
        });
    }
}

fn inject(call: usize, errno: usize, count: usize) {
    let (call, errnos) = FAULTS[call % FAULTS.len()];
    let errno = Errno::from_raw(errnos[errno % errnos.len()]).unwrap_or(Errno::INVAL);
    let most = if errno == Errno::INTR { 20 } else { u32::MAX };
    let count = [1, 1, 1, 2, 3, 20, 500, u32::MAX][count % 8].min(most);
    with(|world| world.faults.add(call, errno, count));
}

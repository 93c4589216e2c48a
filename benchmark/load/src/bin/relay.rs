//! The bare epoll relay that all proxies are compared with: each accepted connection is relayed to 127.0.0.1:PORT.
//!
//! Prints `port N`, and ends at the end of stdin.

use std::io::{Error, ErrorKind, Result, Write, stdout};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use load::direction::{Direction, Pipes};
use load::sys::{self, EDGE, END_FLAGS, Epoll, Event, IN, OUT, RDHUP};

const HELP: &str = "relay PORT [--splice]

  PORT      of the server on 127.0.0.1
  --splice  what fills the buffer is followed by splice(2) through a pipe, until less comes";

const LISTENER: u64 = u64::MAX;
const STDIN: u64 = u64::MAX - 1;

/// One end of a pair.
struct End {
    socket: OwnedFd,
    other: RawFd,
    /// From this end to the other.
    direction: Direction,
    connected: bool,
}

struct Relay {
    backend: u16,
    epoll: Epoll,
    listener: OwnedFd,
    /// By descriptor.
    ends: Vec<Option<Box<End>>>,
    buffer: Vec<u8>,
    pipes: Option<Pipes>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let splices = arguments.iter().any(|argument| argument == "--splice");
    let Some(backend) = arguments.first().and_then(|argument| argument.parse().ok()) else {
        println!("{HELP}");
        return Ok(());
    };
    sys::raise_limit();
    let (listener, port) = sys::listen(4096)?;
    let epoll = Epoll::new()?;
    epoll.add(listener.as_raw_fd(), IN, LISTENER)?;
    // epoll_ctl(2): EPERM for a file or /dev/null, whose end need not be watched.
    let _ = epoll.add(0, IN, STDIN);
    println!("port {port}");
    stdout().flush()?;
    let pipes = splices.then(Pipes::default);
    Relay { backend, epoll, listener, ends: Vec::new(), buffer: vec![0; 65_536], pipes }.run()
}

impl Relay {
    fn run(&mut self) -> Result<()> {
        let mut events = vec![Event { events: 0, u64: 0 }; 1024];
        loop {
            let count = self.epoll.wait(&mut events, None)?;
            for event in &events[..count] {
                match event.u64 {
                    LISTENER => self.accept()?,
                    STDIN => {
                        if matches!(sys::read(0, &mut self.buffer), Ok(0) | Err(_)) {
                            return Ok(());
                        }
                    }
                    fd => self.serve(fd as RawFd, event.events),
                }
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        while let Some(client) = sys::accept(&self.listener)? {
            let server = sys::connect(self.backend, Ipv4Addr::LOCALHOST, false)?;
            let pair = (client.as_raw_fd(), server.as_raw_fd());
            self.add(client, pair.1, true)?;
            self.add(server, pair.0, false)?;
        }
        Ok(())
    }

    fn add(&mut self, socket: OwnedFd, other: RawFd, connected: bool) -> Result<()> {
        let fd = socket.as_raw_fd();
        self.epoll.add(fd, IN | OUT | RDHUP | EDGE, fd as u64)?;
        if self.ends.len() <= fd as usize {
            self.ends.resize_with(fd as usize + 1, || None);
        }
        let end = End { socket, other, direction: Direction::default(), connected };
        self.ends[fd as usize] = Some(Box::new(end));
        Ok(())
    }

    fn serve(&mut self, fd: RawFd, flags: u32) {
        // An event of a descriptor that was closed in the same batch.
        let Some(end) = &mut self.ends[fd as usize] else { return };
        let other = end.other;
        let wakes = flags & OUT != 0
            && (!std::mem::replace(&mut end.connected, true) || self.is_blocked(other));
        let result = (if wakes { self.advance(other, END_FLAGS) } else { Ok(()) })
            .and_then(|()| if flags & !OUT == 0 { Ok(()) } else { self.advance(fd, flags) });
        let ended =
            |fd: RawFd| self.ends[fd as usize].as_ref().is_none_or(|end| end.direction.has_ended());
        if result.is_err() || (ended(fd) && ended(other)) {
            for fd in [fd, other] {
                let Some(end) = self.ends[fd as usize].take() else { continue };
                if result.is_err() {
                    let _ = sys::reset_at_close(end.socket.as_raw_fd());
                }
            }
        }
    }

    fn is_blocked(&self, fd: RawFd) -> bool {
        self.ends[fd as usize].as_ref().is_some_and(|end| end.direction.is_blocked())
    }

    /// From `fd` to its other end.
    fn advance(&mut self, fd: RawFd, flags: u32) -> Result<()> {
        let gone = || Error::from(ErrorKind::NotConnected);
        let other = self.ends[fd as usize].as_ref().ok_or_else(gone)?.other;
        if !self.ends[other as usize].as_ref().is_some_and(|end| end.connected) {
            return Ok(());
        }
        let end = self.ends[fd as usize].as_mut().ok_or_else(gone)?;
        if !end.connected {
            return Ok(());
        }
        let ends = flags & END_FLAGS != 0;
        end.direction.advance((fd, other), &mut self.buffer, self.pipes.as_mut(), ends)
    }
}

//! The bare epoll server that all servers are compared with: epoll_wait(2), recv(2) into one buffer, send(2).
//!
//! Prints `port N`. At SIGTERM or the end of stdin it prints one line of JSON: its user and system CPU time in
//! microseconds, the number of connections that it accepted, and the number of bytes that it received.

use std::io::{Result, Write, stdout};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use load::sys::{self, EDGE, END_FLAGS, Epoll, Event, IN, OUT, RDHUP};

const HELP: &str = "bare [echo | sink | accept]

  echo    sends received bytes back
  sink    counts received bytes; answers the peer's end with their number in decimal
  accept  counts connections, and closes each at once";

const LISTENER: u64 = u64::MAX;
const STDIN: u64 = u64::MAX - 1;

static ENDED: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Echo,
    Sink,
    Accept,
}

#[derive(Default)]
struct Connection {
    socket: Option<OwnedFd>,
    /// Bytes that the kernel has not taken yet.
    rest: Vec<u8>,
    received: u64,
}

struct Server {
    mode: Mode,
    epoll: Epoll,
    listener: OwnedFd,
    /// By descriptor.
    connections: Vec<Connection>,
    accepted: u64,
    received: u64,
}

extern "C" fn on_signal(_: i32) {
    ENDED.store(true, Ordering::Relaxed);
}

fn main() -> Result<()> {
    let mut mode = Mode::Echo;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "echo" => mode = Mode::Echo,
            "sink" => mode = Mode::Sink,
            "accept" => mode = Mode::Accept,
            _ => {
                println!("{HELP}");
                return Ok(());
            }
        }
    }
    // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
    unsafe { libc::signal(libc::SIGTERM, on_signal as *const () as usize) };
    sys::raise_limit();
    let (listener, port) = sys::listen(4096)?;
    let epoll = Epoll::new()?;
    epoll.add(listener.as_raw_fd(), IN, LISTENER)?;
    // epoll_ctl(2): EPERM for a file or /dev/null, whose end need not be watched.
    let _ = epoll.add(0, IN, STDIN);
    println!("port {port}");
    stdout().flush()?;
    let mut server =
        Server { mode, epoll, listener, connections: Vec::new(), accepted: 0, received: 0 };
    server.run()?;
    let (user, system) = sys::usage();
    println!(
        "{{\"user\":{user},\"system\":{system},\"accepted\":{},\"bytes\":{}}}",
        server.accepted, server.received
    );
    Ok(())
}

impl Server {
    fn run(&mut self) -> Result<()> {
        let mut events = vec![Event { events: 0, u64: 0 }; 1024];
        let mut buffer = vec![0; 65_536];
        while !ENDED.load(Ordering::Relaxed) {
            let count = self.epoll.wait(&mut events, None)?;
            for event in &events[..count] {
                match event.u64 {
                    LISTENER => self.accept()?,
                    STDIN => {
                        if matches!(sys::read(0, &mut buffer), Ok(0) | Err(_)) {
                            return Ok(());
                        }
                    }
                    fd => {
                        if self.serve(fd as usize, event.events, &mut buffer).is_err() {
                            self.connections[fd as usize] = Connection::default();
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        while let Some(socket) = sys::accept(&self.listener)? {
            self.accepted += 1;
            if self.mode == Mode::Accept {
                continue;
            }
            let fd = socket.as_raw_fd() as usize;
            self.epoll.add(fd as RawFd, IN | OUT | RDHUP | EDGE, fd as u64)?;
            if self.connections.len() <= fd {
                self.connections.resize_with(fd + 1, Connection::default);
            }
            self.connections[fd] = Connection { socket: Some(socket), ..Connection::default() };
        }
        Ok(())
    }

    #[inline]
    fn serve(&mut self, fd: usize, flags: u32, buffer: &mut [u8]) -> Result<()> {
        let connection = &mut self.connections[fd];
        if connection.socket.is_none() {
            return Ok(());
        }
        if !connection.rest.is_empty() && !connection.flush(fd as RawFd)? {
            return Ok(());
        }
        loop {
            let Some(count) = sys::receive(fd as RawFd, buffer)? else { return Ok(()) };
            if count == 0 {
                if self.mode == Mode::Sink {
                    sys::send(fd as RawFd, connection.received.to_string().as_bytes())?;
                }
                *connection = Connection::default();
                return Ok(());
            }
            self.received += count as u64;
            connection.received += count as u64;
            if self.mode == Mode::Echo {
                let sent = sys::send(fd as RawFd, &buffer[..count])?.unwrap_or(0);
                if sent < count {
                    connection.rest.extend_from_slice(&buffer[sent..count]);
                    return Ok(());
                }
            }
            // epoll(7): after a short read the kernel's buffer is empty and the next bytes give an edge. An end that is
            // in this event already gives no other one.
            if count < buffer.len() && flags & END_FLAGS == 0 {
                return Ok(());
            }
        }
    }
}

impl Connection {
    /// Sends the rest. Returns whether all bytes are sent.
    fn flush(&mut self, fd: RawFd) -> Result<bool> {
        let sent = sys::send(fd, &self.rest)?.unwrap_or(0);
        self.rest.drain(..sent);
        Ok(self.rest.is_empty())
    }
}

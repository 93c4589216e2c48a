//! Calls that are made to fail.

use crate::kernel::Errno;

/// A system call that can be made to fail, as docs/faults.md lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Socket,
    Bind,
    Listen,
    Accept,
    Connect,
    GetOption,
    SetOption,
    LocalAddress,
    RemoteAddress,
    Receive,
    Send,
    SendFile,
    SendDescriptors,
    ReceiveDescriptors,
    Shutdown,
    EpollCreate,
    EpollAdd,
    EpollModify,
    EpollDelete,
    EpollWait,
    Poll,
    TimerCreate,
    Fcntl,
    Pipe,
    SetPipeSize,
    Splice,
}

/// An errno that the next calls of a kind return.
#[derive(Clone, Copy)]
struct Fault {
    call: Call,
    errno: Errno,
    left: u32,
}

/// A call that was made to fail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Injected {
    pub(crate) call: Call,
    /// The descriptor that it concerned, or -1.
    pub(crate) fd: i32,
    pub(crate) errno: Errno,
}

/// The faults that wait for their calls.
#[derive(Default)]
pub(crate) struct Faults {
    waiting: Vec<Fault>,
    injected: Vec<Injected>,
}

impl Faults {
    /// Has the next `count` calls of a kind fail.
    pub(crate) fn add(&mut self, call: Call, errno: Errno, count: u32) {
        self.waiting.retain(|fault| fault.call != call);
        self.waiting.push(Fault { call, errno, left: count });
    }

    /// Ends all faults.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The errno with which this call has to fail.
    pub(super) fn take(&mut self, call: Call, fd: i32) -> Option<Errno> {
        if self.waiting.is_empty() {
            return None;
        }
        let index = self.waiting.iter().position(|fault| fault.call == call)?;
        let fault = &mut self.waiting[index];
        let errno = fault.errno;
        fault.left -= 1;
        if fault.left == 0 {
            self.waiting.swap_remove(index);
        }
        self.injected.push(Injected { call, fd, errno });
        Some(errno)
    }

    /// The faults that were met since the last call of `take_injected`.
    pub(crate) fn injected(&self) -> &[Injected] {
        &self.injected
    }

    /// Whether one of those has an errno.
    pub(crate) fn has_injected(&self, errno: Errno) -> bool {
        self.injected.iter().any(|fault| fault.errno == errno)
    }

    /// The faults that were met since the last call of this.
    pub(crate) fn take_injected(&mut self) -> Vec<Injected> {
        std::mem::take(&mut self.injected)
    }
}

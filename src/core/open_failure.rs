//! Why a multiplexer could not be opened.

use crate::sys::Errno;

/// The call that failed, by its number in JavaScript.
#[derive(Clone, Copy)]
pub(crate) enum OpenCall {
    EpollCreate = 0,
    EpollCtl = 1,
    EventFd = 2,
    CreateThread = 3,
    /// The functions of libuv are missing.
    Libuv = 4,
    TimerCreate = 5,
}

pub(crate) struct OpenFailure {
    pub(crate) call: OpenCall,
    pub(crate) errno: Errno,
}

impl OpenFailure {
    pub(crate) fn of(call: OpenCall) -> impl FnOnce(Errno) -> Self {
        move |errno| Self { call, errno }
    }
}

#[cfg(test)]
impl From<OpenFailure> for Errno {
    fn from(failure: OpenFailure) -> Self {
        failure.errno
    }
}

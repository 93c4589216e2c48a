//! The steps of a program, and their text.

use std::fmt;
use std::str::FromStr;

/// Declares the actions, each with its name in a program's text and how often it is drawn.
macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident $text:literal $weight:literal,)*) => {
        /// What a step does. Its numbers choose among what there is: a number that is too large begins again at 0.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Action { $($(#[$doc])* $name,)* }

        impl Action {
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            pub(super) fn weight(self) -> u32 {
                match self { $(Self::$name => $weight,)* }
            }
        }
    };
}

actions! {
    /// A multiplexer is opened.
    OpenMultiplexer "open-multiplexer" 2,
    /// Multiplexer.
    CloseMultiplexer "close-multiplexer" 1,
    /// Family, backlog.
    Listen "listen" 2,
    /// Listener.
    Accept "accept" 8,
    /// Listener, what is reported of its sockets, how many.
    Serve "serve" 6,
    /// Where to, which listener, whether a shutdown follows at once.
    Connect "connect" 8,
    /// Socket, size of the buffer.
    Receive "receive" 20,
    /// Socket, size of the buffer.
    Peek "peek" 4,
    /// Socket, bytes.
    Send "send" 20,
    /// Socket, bytes of a piece, pieces.
    SendPieces "send-pieces" 6,
    /// Socket, bytes, descriptors.
    SendDescriptors "send-descriptors" 6,
    /// Socket, size of the buffer.
    ReceiveDescriptors "receive-descriptors" 6,
    /// Socket, bytes, whether corked.
    Write "write" 14,
    /// Socket, bytes.
    TryWrite "try-write" 4,
    /// Socket, bytes: the last ones.
    End "end" 3,
    /// Socket.
    Flush "flush" 6,
    FlushCorked "flush-corked" 6,
    /// Socket, bytes.
    Unread "unread" 6,
    /// Socket, room.
    TakeQueue "take-queue" 1,
    /// Socket, bytes.
    SetLimit "set-limit" 3,
    /// Multiplexer, source, interest and mode.
    Add "add" 14,
    /// Source, interest and mode.
    Modify "modify" 8,
    /// Source.
    Remove "remove" 3,
    /// Multiplexer, timeout, limit and prefetch.
    Wait "wait" 40,
    /// Multiplexer, limit.
    Service "service" 6,
    /// Multiplexer.
    Idle "idle" 2,
    /// Socket, how.
    Shutdown "shutdown" 4,
    /// Source.
    Close "close" 5,
    /// Socket.
    Reset "reset" 2,
    /// Socket.
    Discard "discard" 2,
    /// Socket: it is given up, and adopted again.
    Adopt "adopt" 1,
    /// Socket: it leaves the registry with all that it has, and comes back.
    Travel "travel" 2,
    /// Socket.
    State "state" 4,
    /// Socket, address: who is there?
    Ask "ask" 2,
    /// Socket.
    GetError "get-error" 2,
    /// Source, seconds.
    SetLinger "set-linger" 1,
    /// Socket, whether for writing, milliseconds.
    SleepOn "sleep-on" 1,
    /// Multiplexer, what, interest and mode.
    AddForeign "add-foreign" 4,
    /// Descriptor: closed before it is removed.
    CloseForeign "close-foreign" 2,
    /// Descriptor: something happens to it.
    StirForeign "stir-foreign" 4,
    /// A handle that is gone.
    Stale "stale" 1,
    /// Listener of the program.
    PeerConnect "peer-connect" 8,
    /// Listener of the peer.
    PeerAccept "peer-accept" 8,
    /// End, bytes.
    PeerSend "peer-send" 20,
    /// End, bytes.
    PeerReceive "peer-receive" 20,
    /// End.
    PeerShutdown "peer-shutdown" 3,
    /// End.
    PeerClose "peer-close" 3,
    /// End.
    PeerReset "peer-reset" 2,
    /// End: an urgent byte, or passed descriptors.
    PeerMark "peer-mark" 2,
    /// Socket: a time stamp in its error queue.
    Stamp "stamp" 1,
    /// Socket: its connection fails.
    Fail "fail" 1,
    /// The limits of the buffers of the sockets to come: to receive, to send.
    Buffers "buffers" 2,
    /// Which of those in flight, bytes.
    Deliver "deliver" 20,
    /// Milliseconds.
    Advance "advance" 4,
    /// Call, errno, how many times.
    Fault "fault" 6,
    /// The faults end.
    Repair "repair" 2,
    /// The program handles all events, until there are none.
    Settle "settle" 2,
    /// Multiplexer, socket, socket.
    Relay "relay" 4,
    /// Multiplexer: a turn of the event loop.
    ServeRelays "serve-relays" 6,
    /// Relayed socket: what it sends is ended.
    EndRelayed "end-relayed" 1,
    /// Relay, how.
    StopRelay "stop-relay" 1,
    /// Relayed socket.
    TouchRelayed "touch-relayed" 1,
    /// End, kilobytes.
    PeerFlood "peer-flood" 4,
    /// End: it receives all that there is.
    PeerDrain "peer-drain" 4,
    /// As `Buffers`, in kilobytes.
    LargeBuffers "large-buffers" 2,
    /// Socket, size, which part.
    SendFile "send-file" 6,
    /// What the pool loads, whether it can be read.
    LoadFile "load-file" 10,
    /// File.
    CancelFile "cancel-file" 1,
    /// File, how.
    ResizeFile "resize-file" 1,
    /// Socket: what it sends may wait for the disk.
    FlushWaiting "flush-waiting" 1,
}

/// One move of the program, of its peers, of the network, or of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) action: Action,
    pub(crate) numbers: [u16; 3],
    /// The seed of what is left to chance meanwhile; 0 for nothing.
    pub(crate) luck: u16,
}

impl fmt::Display for Step {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third] = self.numbers;
        write!(to, "{} {first} {second} {third} {}", self.action.text(), self.luck)
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || format!("not a step: {line}");
        let mut words = line.split_whitespace();
        let name = words.next().ok_or_else(wrong)?;
        let action = Action::ALL.iter().find(|action| action.text() == name).ok_or_else(wrong)?;
        let mut number = || words.next().map_or(Ok(0), |word| word.parse().map_err(|_| wrong()));
        let numbers = [number()?, number()?, number()?];
        Ok(Self { action: *action, numbers, luck: number()? })
    }
}

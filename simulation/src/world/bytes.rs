//! What the bytes of a stream are: a function of the stream and the position, so that a receiver can check each one.

use std::collections::HashMap;

use super::World;

/// Of the name of a stream: its own bytes, also where it has those of another one.
const OWN: u32 = 1 << 31;

/// The byte at a position of a stream.
fn byte(stream: u32, position: u64) -> u8 {
    let mixed = (position ^ u64::from(stream) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed.to_be_bytes()[1]
}

/// Fills `into` with the bytes of a stream from a position on.
pub(crate) fn fill(into: &mut [u8], stream: u32, position: u64) {
    for (position, to) in (position..).zip(into) {
        *to = byte(stream, position);
    }
}

/// The first index at which `bytes` are not those of a stream from a position on.
fn mismatch(bytes: &[u8], stream: u32, position: u64) -> Option<usize> {
    (position..).zip(bytes).position(|(position, is)| *is != byte(stream, position))
}

/// What has been sent by each stream, where the bytes are those of a test.
#[derive(Default)]
pub(crate) struct Contents(HashMap<u32, Vec<u8>>);

impl Contents {
    pub(super) fn add(&mut self, stream: u32, bytes: &[u8]) {
        self.0.entry(stream).or_default().extend_from_slice(bytes);
    }

    pub(super) fn read(&self, into: &mut [u8], stream: u32, position: u64) {
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        let sent = self.0.get(&stream).and_then(|sent| sent.get(position..)).unwrap_or(&[]);
        for (to, from) in into.iter_mut().zip(sent) {
            *to = *from;
        }
    }
}

/// Where the bytes of streams come from that do not have their own throughout: what is spliced has those of another.
#[derive(Default)]
pub(crate) struct Origins {
    parts: HashMap<u32, Vec<Part>>,
    expected: Vec<Expected>,
}

/// A stream goes on with what a socket receives that is not connected yet: the names of both, and where.
struct Expected {
    receiver: u32,
    stream: u32,
    begin: u64,
}

/// From `begin` on, a stream has the bytes of another one from `position` on.
struct Part {
    begin: u64,
    stream: u32,
    position: u64,
}

impl Origins {
    /// The stream whose bytes are not known.
    pub(crate) const UNKNOWN: u32 = 0;

    /// From `begin` on, `stream` has the bytes of another one from a position on.
    pub(crate) fn add(&mut self, stream: u32, begin: u64, (source, position): (u32, u64)) {
        if self.parts.is_empty()
            && self.expected.is_empty()
            && (stream, begin) == (source, position)
        {
            return;
        }
        self.expected.retain(|expected| expected.stream != stream);
        if let Some(parts) = self.parts.get_mut(&stream) {
            while parts.last().is_some_and(|part| part.begin >= begin) {
                parts.pop();
            }
        }
        let (known, at, _) = self.resolve(stream, begin);
        if (known, at) != (source, position) {
            let source = if source == stream { source | OWN } else { source };
            self.parts.entry(stream).or_default().push(Part { begin, stream: source, position });
        }
    }

    /// From `begin` on, `count` bytes of a stream are left out: what was to follow them comes at once.
    pub(super) fn leave_out(&mut self, stream: u32, begin: u64, count: u64) {
        let (source, position) = self.part_at(stream, begin + count);
        let parts = self.parts.entry(stream).or_default();
        parts.retain(|part| part.begin < begin || part.begin > begin + count);
        let index = parts.partition_point(|part| part.begin < begin);
        for part in &mut parts[index..] {
            part.begin -= count;
        }
        parts.insert(index, Part { begin, stream: source, position });
        for expected in self.expected.iter_mut().filter(|it| it.stream == stream) {
            if expected.begin > begin {
                expected.begin -= count;
            }
        }
    }

    /// The stream that a part of a stream is from, and where.
    fn part_at(&self, stream: u32, position: u64) -> (u32, u64) {
        let parts = self.parts.get(&stream).map_or(&[][..], Vec::as_slice);
        match parts[..parts.partition_point(|part| part.begin <= position)].last() {
            Some(part) => (part.stream, part.position + (position - part.begin)),
            None => (stream | OWN, position),
        }
    }

    /// As `add`, of what a socket receives from its first byte on, once it is connected.
    pub(crate) fn expect(&mut self, stream: u32, begin: u64, receiver: u32) {
        self.expected.push(Expected { receiver, stream, begin });
    }

    /// A socket is connected, and receives a stream.
    pub(super) fn connected(&mut self, receiver: u32, source: u32) {
        for expected in std::mem::take(&mut self.expected) {
            if expected.receiver == receiver {
                self.add(expected.stream, expected.begin, (source, 0));
            } else {
                self.expected.push(expected);
            }
        }
    }

    /// Whose byte is at a position of a stream, and where it is there.
    pub(super) fn name_of(&self, stream: u32, position: u64) -> (u32, u64) {
        let (name, position, _) = self.resolve(stream, position);
        (name, position)
    }

    /// Whose byte is at a position, and how many of those after it follow it there.
    fn resolve(&self, mut stream: u32, mut position: u64) -> (u32, u64, u64) {
        let mut length = u64::MAX;
        while let Some(parts) = self.parts.get(&stream) {
            let index = parts.partition_point(|part| part.begin <= position);
            if let Some(next) = parts.get(index) {
                length = length.min(next.begin - position);
            }
            let Some(part) = index.checked_sub(1).map(|index| &parts[index]) else { break };
            (stream, position) = (part.stream, part.position + (position - part.begin));
        }
        (stream & !OWN, position, length)
    }

    /// Fills `into` with the bytes of a stream from a position on.
    pub(crate) fn fill(&self, into: &mut [u8], stream: u32, position: u64) {
        let mut done = 0;
        while done < into.len() {
            let (source, at, length) = self.resolve(stream, position + done as u64);
            let end =
                into.len().min(done.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)));
            fill(&mut into[done..end], source, at);
            done = end;
        }
    }

    /// The first index at which `bytes` are not those of a stream from a position on.
    pub(crate) fn mismatch(&self, bytes: &[u8], stream: u32, position: u64) -> Option<usize> {
        let mut done = 0;
        while done < bytes.len() {
            let (source, at, length) = self.resolve(stream, position + done as u64);
            let end =
                bytes.len().min(done.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)));
            let found = mismatch(&bytes[done..end], source, at).filter(|_| source != Self::UNKNOWN);
            if let Some(index) = found {
                return Some(done + index);
            }
            done = end;
        }
        None
    }
}

impl World {
    /// The bytes of a stream from a position on.
    pub(super) fn read_stream(&self, into: &mut [u8], stream: u32, position: u64) {
        match &self.loopback {
            Some(contents) => contents.read(into, stream, position),
            None => self.origins.fill(into, stream, position),
        }
    }

    /// Bytes are sent, which have to be those that come next in the stream. In a script any bytes may come next.
    pub(super) fn write_stream(
        &mut self,
        bytes: &[u8],
        (stream, position): (u32, u64),
        origin: Option<(u32, u64)>,
    ) {
        if let Some(contents) = &mut self.loopback {
            contents.add(stream, bytes);
        } else if self.learns_origins {
            self.origins.add(stream, position, origin.unwrap_or((stream, position)));
        } else if let Some(index) = self.origins.mismatch(bytes, stream, position) {
            let at = position + index as u64;
            self.violate(|| format!("byte {at} of stream {stream} is sent in a wrong place"));
        }
    }
}

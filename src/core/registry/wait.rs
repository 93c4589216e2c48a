//! Waiting: edges come in, news go out, first come first told.

use std::time::{Duration, Instant};

use super::Context;
use crate::core::handle::{Handle, Token};
use crate::core::multiplexer::{Event, event_bits};
use crate::core::receive_buffer::Inbox;
use crate::core::source::Kind;
use crate::sys::{self, Errno, PollFd, flags};

/// `READABLE` and so on of an event that is only a farewell.
const FAREWELL: u32 = event_bits::LEFT;

impl Context {
    /// Sleeps until there is news, the time is up or a listener's back-off ends, and tells the
    /// news to `tell`, at most `limit` of them. What comes for those who want it so is received
    /// into `inbox` at once: one batch of `recv(2)`, and one call across the seam for all.
    ///
    /// `timeout` is in milliseconds, -1 without end. Signals do not shorten it: `epoll_wait(2)` is
    /// begun anew with what is left.
    ///
    /// # Notes
    /// While the ready list is not empty, `epoll_wait` is still called, with no timeout: neither
    /// those who were ready before nor those who are now starve.
    pub(crate) fn wait(
        &mut self,
        handle: Handle,
        timeout: i32,
        limit: usize,
        inbox: &mut Inbox<'_>,
        mut tell: impl FnMut(Event),
    ) -> Result<usize, Errno> {
        let token = self.multiplexers.token(handle).ok_or(Errno::BADF)?;
        let deadline = u64::try_from(timeout)
            .ok()
            .map(|timeout| Instant::now() + Duration::from_millis(timeout));
        loop {
            self.settle(token, limit);
            let sleep = if timeout == 0 { 0 } else { self.sleep(token, deadline) };
            self.absorb(token, sleep)?;
            let told = self.say_farewells(token, limit, &mut tell);
            let told = told + self.tell_news(token, limit - told, inbox, &mut tell);
            if told > 0 || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(told);
            }
        }
    }

    /// Does what needs no owner: empties queues, completes closes. Edges turn into entries of the
    /// ready list. Tells only who has left.
    pub(crate) fn service(
        &mut self,
        handle: Handle,
        limit: usize,
        mut tell: impl FnMut(Event),
    ) -> Result<usize, Errno> {
        let token = self.multiplexers.token(handle).ok_or(Errno::BADF)?;
        self.absorb(token, 0)?;
        Ok(self.say_farewells(token, limit, &mut tell))
    }

    /// How long a wait could sleep now: 0 when there is news, else milliseconds until a listener's
    /// back-off ends, or -1.
    pub(crate) fn idle(&mut self, handle: Handle, limit: usize) -> Result<i32, Errno> {
        let token = self.multiplexers.token(handle).ok_or(Errno::BADF)?;
        self.settle(token, limit);
        Ok(self.sleep(token, None))
    }

    fn sleep(&self, token: Token, deadline: Option<Instant>) -> i32 {
        let Some(multiplexer) = self.multiplexers.get(token) else { return 0 };
        if !multiplexer.ready.is_empty() || !multiplexer.farewells.is_empty() {
            return 0;
        }
        let back_offs =
            multiplexer.backing_off.iter().filter_map(|token| self.back_off_end(*token));
        match back_offs.chain(deadline).min() {
            Some(end) => milliseconds_until(end),
            None => -1,
        }
    }

    fn back_off_end(&self, token: Token) -> Option<Instant> {
        match &self.sources.get(token)?.kind {
            Kind::Listener(listener) => listener.back_off,
            _ => None,
        }
    }

    /// A listener met the limit of descriptors or memory: no edge will come for those who wait.
    pub(super) fn back_off(&mut self, token: Token) {
        let Some(source) = self.sources.get(token) else { return };
        let Some(place) = &source.registration else { return };
        if let Some(multiplexer) = self.multiplexers.at_mut(place.multiplexer)
            && !multiplexer.backing_off.contains(&token)
        {
            multiplexer.backing_off.push(token);
        }
    }

    /// Listeners whose back-off is over are in doubt again.
    fn end_back_offs(&mut self, token: Token) {
        let Some(multiplexer) = self.multiplexers.get_mut(token) else { return };
        if multiplexer.backing_off.is_empty() {
            return;
        }
        let now = Instant::now();
        for listener in std::mem::take(&mut multiplexer.backing_off) {
            match self.back_off_end(listener) {
                Some(end) if end > now => self.back_off(listener),
                Some(_) => self.look_again(listener),
                None => {}
            }
        }
    }

    fn look_again(&mut self, token: Token) {
        if let Some(source) = self.sources.get_mut(token) {
            source.readiness_mut().doubt();
            if let Kind::Listener(listener) = &mut source.kind {
                listener.back_off = None;
            }
        }
        self.list(token);
    }

    /// Strikes from the ready list whoever has been drained since; poll(2) answers the doubts.
    fn settle(&mut self, token: Token, limit: usize) {
        self.end_back_offs(token);
        self.strike(token);
        let Some(multiplexer) = self.multiplexers.get(token) else { return };
        let mut questions = std::mem::take(&mut self.questions);
        questions
            .extend(multiplexer.ready.iter().filter_map(|token| self.question(*token)).take(limit));
        if !questions.is_empty() {
            self.ask(&mut questions);
            self.strike(token);
        }
        self.questions = questions;
    }

    /// What poll(2) has to be asked about a listed source, if anything.
    fn question(&self, token: Token) -> Option<(Token, PollFd)> {
        let source = self.sources.get(token)?;
        if source.news() != 0 {
            return None;
        }
        let fd = source.raw_fd()?;
        Some((token, PollFd::new(fd, flags::IN | flags::OUT | flags::RDHUP)))
    }

    fn ask(&mut self, questions: &mut Vec<(Token, PollFd)>) {
        let mut asked: Vec<PollFd> = questions.iter().map(|(_, question)| *question).collect();
        // With a timeout of 0 there is no EINTR; ENOMEM leaves the doubts for the next turn.
        if sys::poll(&mut asked, 0).is_ok() {
            for ((token, _), answer) in questions.iter().zip(&asked) {
                if let Some(source) = self.sources.get_mut(*token) {
                    source.settle(answer.flags());
                }
            }
        }
        questions.clear();
    }

    /// Leaves on the ready list, once each, those with news or a doubt. Whoever has left and come again may stand there twice.
    fn strike(&mut self, token: Token) {
        let Some(multiplexer) = self.multiplexers.get_mut(token) else { return };
        let sources = &mut self.sources;
        multiplexer.ready.retain(|listed| {
            let Some(source) = sources.get_mut(*listed) else { return false };
            let stays = source.news() != 0 || source.is_doubtful();
            match &mut source.registration {
                Some(place) if place.multiplexer == token.slot => {
                    std::mem::take(&mut place.listed) && stays
                }
                _ => false,
            }
        });
        for listed in &multiplexer.ready {
            if let Some(place) = sources.get_mut(*listed).and_then(|it| it.registration.as_mut()) {
                place.listed = true;
            }
        }
    }

    /// One `epoll_wait(2)`, and what each of its edges sets in motion.
    fn absorb(&mut self, token: Token, sleep: i32) -> Result<(), Errno> {
        let mut edges = std::mem::take(&mut self.edges);
        let waited = match self.multiplexers.get(token) {
            Some(multiplexer) => multiplexer.epoll.wait(&mut edges, sleep),
            None => Err(Errno::BADF),
        };
        for edge in edges.iter().take(waited.unwrap_or(0)) {
            self.hear(token, Token::from_raw(edge.token()), edge.flags());
        }
        self.edges = edges;
        match waited {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// An edge; one of a source that has left in the meantime finds nothing.
    fn hear(&mut self, multiplexer: Token, token: Token, heard: u32) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let left_over = source.hear(heard);
        if source.is_done() {
            return self.bid_farewell(multiplexer, token);
        }
        let watched_in_vain =
            heard & (flags::IN | flags::RDHUP) != 0 && source.needs() & flags::IN == 0;
        let has_news = source.news() != 0;
        if left_over || watched_in_vain {
            self.rearm(token);
        }
        self.refresh(token);
        if has_news {
            self.list(token);
        }
    }

    /// A queue has gone out, and nothing else kept its socket here.
    fn bid_farewell(&mut self, multiplexer: Token, token: Token) {
        self.leave(token);
        if let Some(source) = self.sources.get_mut(token)
            && let Kind::Socket(socket) = &mut source.kind
            && socket.is_finished()
        {
            socket.prepare_close();
            self.sources.remove(token);
        }
        if let Some(multiplexer) = self.multiplexers.get_mut(multiplexer) {
            multiplexer.farewells.push_back(token.handle());
        }
    }

    fn say_farewells(&mut self, token: Token, limit: usize, tell: &mut impl FnMut(Event)) -> usize {
        let Some(multiplexer) = self.multiplexers.get_mut(token) else { return 0 };
        let count = limit.min(multiplexer.farewells.len());
        for handle in multiplexer.farewells.drain(..count) {
            tell(Event { handle, bits: FAREWELL, received: 0..0 });
        }
        count
    }

    fn tell_news(
        &mut self,
        token: Token,
        limit: usize,
        inbox: &mut Inbox<'_>,
        tell: &mut impl FnMut(Event),
    ) -> usize {
        let mut told = 0;
        let listed = self.multiplexers.get(token).map_or(0, |multiplexer| multiplexer.ready.len());
        for _ in 0..listed {
            if told == limit {
                break;
            }
            let first = self.multiplexers.get_mut(token).and_then(|plex| plex.ready.pop_front());
            let Some(first) = first else { break };
            if let Some(event) = self.news_of(token, first, inbox) {
                tell(event);
                told += 1;
            }
        }
        told
    }

    /// What a listed source has to tell; one that may have more goes to the list's end.
    fn news_of(
        &mut self,
        multiplexer: Token,
        token: Token,
        inbox: &mut Inbox<'_>,
    ) -> Option<Event> {
        let source = self.sources.get_mut(token)?;
        let mut bits = source.news();
        if bits != 0 {
            source.told();
        }
        let received = if source.is_received_ahead(bits) {
            let handle = token.handle();
            inbox.receive(|window| self.with_socket(handle, |socket| socket.receive(window)))
        } else {
            None
        };
        let source = self.sources.get_mut(token)?;
        let failed = matches!(&source.kind, Kind::Socket(socket) if socket.is_closed());
        let stays = source.is_doubtful() && !failed;
        let place = source.registration.as_mut().filter(|it| it.multiplexer == multiplexer.slot)?;
        place.listed = false;
        if stays {
            self.list(token);
        }
        if failed {
            self.leave(token);
            bits |= event_bits::LEFT;
        }
        let received = received.unwrap_or_default();
        (bits != 0).then(|| Event { handle: token.handle(), bits, received })
    }
}

/// Rounded up: a wait must not end before its time.
fn milliseconds_until(end: Instant) -> i32 {
    let left = end.saturating_duration_since(Instant::now());
    i32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

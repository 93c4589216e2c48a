//! Sources are registered, modified and removed.

use super::book::{Kind, Registration, Source};
use super::player::{Player, Violation};
use crate::core::{Handle, Interest, Mode};
use crate::kernel::Errno;

impl Player {
    pub(super) fn add(
        &mut self,
        number: usize,
        source: usize,
        how: usize,
    ) -> Result<(), Violation> {
        let Some(multiplexer) = self.choose_multiplexer(number) else { return Ok(()) };
        let is_free =
            |it: &Source| it.relayed.is_none() && (!it.closing || it.registration.is_none());
        let Some(index) = self.choose(source, |it| !it.is_foreign() && is_free(it)) else {
            return Ok(());
        };
        if self.sources[index].closing {
            return self.add_closing(multiplexer, index);
        }
        self.add_to(multiplexer, index, watching(how))
    }

    /// Registers what is closing, and in no multiplexer. What has nothing left to send is closed, as the library does it.
    pub(super) fn add_closing(
        &mut self,
        multiplexer: usize,
        index: usize,
    ) -> Result<(), Violation> {
        if self.unsent(index) == 0 && !self.has_empty_file(Some(index)) {
            return self.close_source(index);
        }
        self.add_to(multiplexer, index, (Interest::NONE, Mode::Edge))
    }

    pub(super) fn add_to(
        &mut self,
        multiplexer: usize,
        index: usize,
        (interest, mode): (Interest, Mode),
    ) -> Result<(), Violation> {
        let (multiplexer, source) = (self.multiplexers[multiplexer].handle, &self.sources[index]);
        let was_registered = source.registration.is_some();
        // A source leaves by itself once it is flushed, and when its connect fails; that may be reported later.
        let may_have_left = source.registration.is_some_and(|it| it.interest == Interest::NONE);
        let added = self.registry.add(multiplexer, source.handle, interest, mode);
        match added {
            Ok(()) if was_registered && !may_have_left => {
                return Err("a registered source is added again".to_owned());
            }
            Ok(()) => {
                let registration = Registration::new(multiplexer.raw(), interest, mode);
                let source = &mut self.sources[index];
                source.left.extend(source.registration.map(|it| it.multiplexer));
                // What has left a multiplexer and is back there is not reported any more.
                source.left.retain(|left| *left != multiplexer.raw());
                source.registration = Some(registration);
            }
            Err(Errno::EXIST) if was_registered || source.has_ghost || source.may_have_left() => {}
            Err(errno) => self.expect_fault("add", errno)?,
        }
        Ok(())
    }

    pub(super) fn modify(&mut self, number: usize, how: usize) -> Result<(), Violation> {
        let Some(index) = self.choose(number, |it| it.registration.is_some() && !it.closing) else {
            return Ok(());
        };
        let (interest, mode) = watching(how);
        self.modify_to(index, (interest, mode))
    }

    pub(super) fn modify_to(
        &mut self,
        index: usize,
        (interest, mode): (Interest, Mode),
    ) -> Result<(), Violation> {
        let source = &mut self.sources[index];
        let Some(registration) = source.registration else { return Ok(()) };
        let multiplexer = Handle::from_raw(registration.multiplexer);
        match self.registry.modify(multiplexer, source.handle, interest, mode) {
            Ok(()) => {
                let registration = Registration::new(registration.multiplexer, interest, mode);
                source.registration = Some(registration);
                Ok(())
            }
            Err(Errno::BADF) if source.is_foreign() => Ok(()),
            Err(Errno::NOENT) if registration.interest == Interest::NONE => Ok(()),
            Err(errno) if source.is_foreign() => self.expect_fault("modify", errno),
            Err(errno) => Err(format!("modify: {errno:?}")),
        }
    }

    pub(super) fn remove(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose(number, |it| it.registration.is_some() && !it.closing) else {
            return Ok(());
        };
        let source = &mut self.sources[index];
        let Some(registration) = source.registration.take() else { return Ok(()) };
        let multiplexer = Handle::from_raw(registration.multiplexer);
        match self.registry.remove(multiplexer, source.handle) {
            Ok(()) => {}
            Err(Errno::NOENT) if registration.interest == Interest::NONE => {
                source.left.push(registration.multiplexer);
            }
            Err(errno) => return Err(format!("remove: {errno:?}")),
        }
        self.collect_files(self.sources[index].handle)?;
        if let Kind::Foreign { fd, is_open, .. } = self.sources[index].kind {
            self.remove_source(index, false);
            self.loose.extend(is_open.then_some(fd));
        }
        Ok(())
    }
}

/// An interest and a mode, by a number.
pub(super) fn watching(number: usize) -> (Interest, Mode) {
    let bits = [1, 3, 5, 7, 2, 3, 5, 0][number % 8];
    // What is only flushed is edge-triggered: the library registers it so, and the core when it returns.
    let mode = if bits == 0 { 0 } else { [0, 0, 1, 2][number / 8 % 4] };
    let mode = Mode::from_number(mode).unwrap_or(Mode::Edge);
    (Interest::from_bits(bits).unwrap_or(Interest::NONE), mode)
}

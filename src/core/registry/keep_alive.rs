//! Queued output keeps the process alive: a multiplexer is referenced while one of its sources has any.

use super::Registry;
use crate::core::handle::Handle;

impl Registry {
    /// Adds a reference to a multiplexer, or removes one: one of its sources has queued output, or none any more.
    pub(super) fn set_reference(&mut self, slot: u32, referenced: bool) {
        let Some(multiplexer) = self.multiplexers.at_mut(slot) else { return };
        let before = multiplexer.references;
        multiplexer.references = if referenced { before + 1 } else { before.saturating_sub(1) };
        if (before == 0) != (multiplexer.references == 0)
            && let Some(token) = self.multiplexers.token_at(slot)
        {
            self.reference_changes.push(token.handle());
        }
    }

    /// Whether queued output keeps the process alive for this multiplexer.
    pub(crate) fn is_referenced(&self, handle: Handle) -> bool {
        self.multiplexers.by_handle(handle).is_some_and(|multiplexer| multiplexer.references > 0)
    }

    pub(crate) fn has_reference_changes(&self) -> bool {
        !self.reference_changes.is_empty()
    }

    /// The multiplexers for which `is_referenced` has changed since the last call.
    pub(crate) fn take_reference_changes(&mut self) -> Vec<Handle> {
        std::mem::take(&mut self.reference_changes)
    }
}

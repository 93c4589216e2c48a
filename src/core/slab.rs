//! A table of slots with generations.

use std::collections::VecDeque;

use super::handle::{Handle, MAX_SLOTS, Token};

struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

/// Values by handle or token. The name of an earlier value of a slot finds nothing.
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    /// The slot that was freed first is reused first, so that stale handles find nothing for as long as possible.
    free: VecDeque<u32>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), free: VecDeque::new() }
    }

    /// Inserts a value; `None` when all slots that a handle can name are in use.
    pub(crate) fn insert(&mut self, value: T) -> Option<Token> {
        if let Some(slot) = self.free.pop_front() {
            let entry = self.entries.get_mut(slot as usize)?;
            entry.value = Some(value);
            return Some(Token { slot, generation: entry.generation });
        }
        if self.entries.len() >= MAX_SLOTS {
            return None;
        }
        let slot = u32::try_from(self.entries.len()).ok()?;
        self.entries.push(Entry { generation: 0, value: Some(value) });
        Some(Token { slot, generation: 0 })
    }

    /// Whether `insert` has a slot for another value.
    pub(crate) fn has_room(&self) -> bool {
        !self.free.is_empty() || self.entries.len() < MAX_SLOTS
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<T> {
        let entry = self.entries.get_mut(token.slot as usize)?;
        if entry.generation != token.generation {
            return None;
        }
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push_back(token.slot);
        Some(value)
    }

    /// Removes all values for which `is_removed` is true.
    pub(crate) fn remove_all(&mut self, is_removed: impl Fn(&T) -> bool) {
        for (slot, entry) in (0..).zip(&mut self.entries) {
            if entry.value.take_if(|value| is_removed(value)).is_some() {
                entry.generation = entry.generation.wrapping_add(1);
                self.free.push_back(slot);
            }
        }
    }

    /// The token of a handle's value; `None` for a stale handle.
    pub(crate) fn token(&self, handle: Handle) -> Option<Token> {
        let entry = self.entries.get(handle.slot() as usize)?;
        let current = entry.value.is_some() && handle.is_of(entry.generation);
        current.then_some(Token { slot: handle.slot(), generation: entry.generation })
    }

    pub(crate) fn get(&self, token: Token) -> Option<&T> {
        let entry = self.entries.get(token.slot as usize)?;
        if entry.generation == token.generation { entry.value.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let entry = self.entries.get_mut(token.slot as usize)?;
        if entry.generation == token.generation { entry.value.as_mut() } else { None }
    }

    /// Two different values.
    pub(crate) fn pair_mut(&mut self, tokens: [Token; 2]) -> Option<[&mut T; 2]> {
        let slots = tokens.map(|token| token.slot as usize);
        let [first, second] = self.entries.get_disjoint_mut(slots).ok()?;
        let is_current =
            tokens[0].generation == first.generation && tokens[1].generation == second.generation;
        Some([first.value.as_mut()?, second.value.as_mut()?]).filter(|_| is_current)
    }

    pub(crate) fn by_handle(&self, handle: Handle) -> Option<&T> {
        let entry = self.entries.get(handle.slot() as usize)?;
        if handle.is_of(entry.generation) { entry.value.as_ref() } else { None }
    }

    /// The token of the value that is in a slot now.
    pub(crate) fn token_at(&self, slot: u32) -> Option<Token> {
        let entry = self.entries.get(slot as usize)?;
        entry.value.is_some().then_some(Token { slot, generation: entry.generation })
    }

    /// The value that is in a slot now.
    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.entries.get_mut(slot as usize)?.value.as_mut()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().filter_map(|entry| entry.value.as_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::Slab;

    #[test]
    fn a_stale_token_finds_nothing_in_a_reused_slot() {
        let mut slab = Slab::new();
        let old = slab.insert('a').unwrap_or_else(|| unreachable!());
        assert_eq!(slab.remove(old), Some('a'));
        let new = slab.insert('b').unwrap_or_else(|| unreachable!());
        assert_eq!(old.slot, new.slot);
        assert_eq!(slab.get(old), None);
        assert_eq!(slab.remove(old), None);
        assert_eq!(slab.token(old.handle()), None);
        assert_eq!(slab.get(new), Some(&'b'));
        assert_eq!(slab.by_handle(new.handle()), Some(&'b'));
    }

    #[test]
    fn the_slot_that_was_freed_first_is_reused_first() {
        let mut slab = Slab::new();
        let tokens: Vec<_> = (0..3).filter_map(|value| slab.insert(value)).collect();
        for token in &tokens {
            slab.remove(*token);
        }
        let slots: Vec<_> = (0..3).filter_map(|value| slab.insert(value)).map(|t| t.slot).collect();
        assert_eq!(slots, [0, 1, 2]);
    }
}

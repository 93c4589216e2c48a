//! What is left to chance in one step: a small generator, seeded by the step.

/// A source of numbers that is the same for the same seed. Without a seed everything turns out the plain way: all that
/// fits is taken, events keep their order, nothing moves in the background.
#[derive(Clone, Copy)]
pub(crate) struct Luck {
    state: u64,
    hurries: bool,
}

impl Luck {
    pub(crate) const NONE: Self = Self { state: 0, hurries: false };

    pub(crate) fn new(seed: u64) -> Self {
        let state = if seed == 0 { 0 } else { mix(seed) | 1 };
        Self { state, hurries: seed != 0 && seed.is_multiple_of(16) }
    }

    /// Whether the network moves between any two calls of the step, a little each time.
    pub(crate) fn hurries(self) -> bool {
        self.hurries
    }

    pub(crate) fn is_none(self) -> bool {
        self.state == 0
    }

    /// Whether something with a chance of one in `n` happens: never without a seed.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.state != 0 && self.next().is_multiple_of(n)
    }

    /// A number below `n`; 0 without a seed.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        if self.state == 0 || n == 0 {
            return 0;
        }
        usize::try_from(self.next() % n as u64).unwrap_or(0)
    }

    /// xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled".
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

/// The finalizer of `SplitMix64`: near seeds give unlike numbers.
fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

//! What a script has shown, and how two kernels may differ in it.

/// The data and the flags of an event.
pub(crate) type Event = (u64, u32);

/// The name of a descriptor, what poll(2) says of it, and what it may say where a FIN is acknowledged late.
pub(crate) type Polled = (usize, u32, u32);

/// What one step has shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observation {
    pub(crate) outcome: String,
    pub(crate) events: Vec<Event>,
    /// What a wait may report besides.
    pub(crate) possible: Vec<Event>,
    pub(crate) polled: Vec<Polled>,
}

/// The first step in which the kernel differs from the model.
pub(crate) fn difference(model: &[Observation], kernel: &[Observation]) -> Option<usize> {
    model.iter().zip(kernel).position(|(model, kernel)| !agree(model, kernel))
}

fn agree(model: &Observation, kernel: &Observation) -> bool {
    model.outcome == kernel.outcome
        && model.polled.len() == kernel.polled.len()
        && model.polled.iter().zip(&kernel.polled).all(|(model, kernel)| is_polled(*model, *kernel))
        && reports(model, kernel)
}

fn is_polled((_, flags, possible): Polled, (_, kernel, _): Polled) -> bool {
    kernel & flags == flags && kernel & !possible == 0
}

/// Whether the kernel reports what the model does, and else only what it may report again.
fn reports(model: &Observation, kernel: &Observation) -> bool {
    let is_spurious = |event: &&Event| !model.events.contains(event);
    model.events.iter().all(|event| kernel.events.contains(event))
        && kernel.events.iter().filter(is_spurious).all(|event| model.possible.contains(event))
}

impl Observation {
    /// One line, with flags in hexadecimal.
    pub(crate) fn line(&self) -> String {
        let events: Vec<_> =
            self.events.iter().map(|(token, flags)| format!("{flags:#x} of {token}")).collect();
        let polled: Vec<_> =
            self.polled.iter().map(|(name, flags, _)| format!("{name}: {flags:#x}")).collect();
        format!("{} [{}] polled {}", self.outcome, events.join(", "), polled.join(", "))
    }
}

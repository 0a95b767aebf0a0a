//! [`shrink`]: makes a failing schedule short, by leaving choices out and by making them zero, as long as it fails in the same way.

use crate::explore::choice::Choice;

/// How long a schedule is: the fewer choices other than zero, the better; then the fewer slices of fuel, steps, and choices in all.
pub(crate) type Length = (usize, usize, usize, usize, u64);

pub(crate) fn length(choices: &[Choice], steps: usize) -> Length {
    let other = choices.iter().filter(|choice| choice.value > 0).count();
    let slices = choices.iter().filter(|choice| choice.fuel > 0).count();
    let sum = choices.iter().map(|choice| u64::from(choice.value) + u64::from(choice.fuel)).sum();
    (other, slices, steps, choices.len(), sum)
}

/// A schedule that fails.
pub(crate) trait Failing {
    /// Its choices, without zeros at the end.
    fn choices(&self) -> &[Choice];
    fn length(&self) -> Length;
}

/// The most schedules that are run to make one short.
const MOST: u32 = 2_000;

/// `attempt` runs a schedule, and returns what became of it if it fails in the same way.
pub(crate) fn shrink<F: Failing>(first: F, mut attempt: impl FnMut(Vec<Choice>) -> Option<F>) -> F {
    let mut best = first;
    let mut left = MOST;
    loop {
        let before = best.length();
        for change in Change::ALL {
            let mut size = best.choices().len();
            while size > 0 {
                let mut at = 0;
                while at < best.choices().len() {
                    if left == 0 {
                        return best;
                    }
                    match change.apply(best.choices(), at, size) {
                        Some(choices) => {
                            left -= 1;
                            match attempt(choices) {
                                Some(found) if found.length() < best.length() => best = found,
                                _ => at += size,
                            }
                        }
                        None => at += size,
                    }
                }
                size /= 2;
            }
        }
        if best.length() == before {
            return best;
        }
    }
}

#[derive(Clone, Copy)]
enum Change {
    Remove,
    Zero,
    /// Leaves the slices of fuel.
    ZeroValue,
    Unslice,
    Lower,
}

impl Change {
    const ALL: [Self; 5] = [Self::Remove, Self::Zero, Self::ZeroValue, Self::Unslice, Self::Lower];

    /// Changes `size` choices. `None` if that would change nothing.
    fn apply(self, choices: &[Choice], at: usize, size: usize) -> Option<Vec<Choice>> {
        let mut changed = choices.to_vec();
        let end = changed.len().min(at + size);
        match self {
            Self::Remove => drop(changed.drain(at..end)),
            Self::Zero => changed[at..end].fill(Choice::NONE),
            Self::ZeroValue => changed[at..end].iter_mut().for_each(|choice| choice.value = 0),
            Self::Unslice => changed[at..end].iter_mut().for_each(|choice| choice.fuel = 0),
            Self::Lower => changed[at..end].iter_mut().for_each(|choice| {
                choice.value = choice.value.min(1).max(choice.value / 2);
                choice.fuel = choice.fuel.div_ceil(2);
            }),
        }
        (changed != choices).then_some(changed)
    }
}

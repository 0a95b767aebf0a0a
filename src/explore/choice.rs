//! [`Choice`]: one choice of a schedule, and the text of a list of them.

use std::fmt::Write;

/// Which of several possibilities a strategy has taken. The default is what comes next without preemption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) value: u32,
    /// The slice of fuel of the step; zero if it is unbounded.
    pub(crate) fuel: u32,
}

impl Choice {
    pub(crate) const NONE: Self = Self { value: 0, fuel: 0 };
}

/// Takes the zeros off the end, which mean nothing.
pub(crate) fn trim(choices: &mut Vec<Choice>) {
    while choices.last() == Some(&Choice::NONE) {
        choices.pop();
    }
}

/// The most choices that a text may stand for.
const MOST: usize = 10_000_000;

/// The text of a schedule.
pub(crate) fn print(choices: &[Choice]) -> String {
    let mut text = String::new();
    for same in choices.chunk_by(|a, b| a == b) {
        if !text.is_empty() {
            text.push('.');
        }
        let Choice { value, fuel } = same[0];
        // Writing to a `String` does not fail.
        let _ = write!(text, "{value}");
        if fuel > 0 {
            let _ = write!(text, "+{fuel}");
        }
        if same.len() > 1 {
            let _ = write!(text, "x{}", same.len());
        }
    }
    if text.is_empty() { "0".into() } else { text }
}

/// Reads the text of a schedule.
pub(crate) fn parse(text: &str) -> Option<Vec<Choice>> {
    let mut choices = Vec::new();
    for part in text.trim().split('.') {
        let (part, times) = match part.split_once('x') {
            Some((part, times)) => (part, times.parse().ok()?),
            None => (part, 1),
        };
        let (value, fuel) = match part.split_once('+') {
            Some((value, fuel)) => (value, fuel.parse().ok()?),
            None => (part, 0),
        };
        let choice = Choice { value: value.parse().ok()?, fuel };
        if choices.len().saturating_add(times) > MOST {
            return None;
        }
        choices.extend(std::iter::repeat_n(choice, times));
    }
    trim(&mut choices);
    Some(choices)
}

#[cfg(test)]
mod tests {
    use super::{Choice, parse, print};

    fn choice(value: u32, fuel: u32) -> Choice {
        Choice { value, fuel }
    }

    #[test]
    fn a_schedule_comes_back_out_of_its_text() {
        let choices = [choice(1, 0), choice(0, 0), choice(0, 0), choice(2, 35), choice(2, 35)];
        let text = print(&choices);
        assert_eq!(text, "1.0x2.2+35x2");
        assert_eq!(parse(&text).as_deref(), Some(&choices[..]));
        assert_eq!(print(&[]), "0");
        assert_eq!(parse("0").as_deref(), Some(&[][..]));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in
            ["", "1.", "a", "1x", "1+", "-1", "0x99999999999", "1.0x18446744073709551615", "1 2"]
        {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}

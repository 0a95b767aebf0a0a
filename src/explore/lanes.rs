//! [`Picture`]: the picture of a failure. Each job has a lane, the time goes downwards, and each line of the failure is a row with one box.
//!
//! This file says where everything is, and [`draw`] (next file) draws it. No text can be measured here, so all letters have one width, and more room than they need.

use crate::explore::failure::Failure;
use crate::explore::line::{End, Line, StepLine, Waker, Why};
use crate::explore::outcome::Outcome;
use std::mem;

mod draw;

impl Failure {
    /// The steps as a picture, in SVG. Each job has a lane, in which its steps are boxes, one below the other. An arrow leads from the step that has woken a job, or from the clock or the
    /// test, to the step in which the job goes on. The numbers are those of the lines in the text. While a job waits, its lane is dashed.
    ///
    /// Long texts are cut. Viewers show all of a text when the mouse is over its box.
    ///
    /// ```
    /// use wasm_jobs::explore::{self, World};
    /// use wasm_jobs::{Error, Event, Future, JobPool};
    ///
    /// let test = |world: &World| -> Result<(), Error> {
    ///     let bell = Event::new();
    ///     let rings = bell.wait();
    ///     let mut guest = Future::new(async { Ok(rings.await) }).named("guest");
    ///     world.pool().submit(guest.to_job()?);
    ///     world.pool().submit_fn(move || bell.set());
    ///     world.run_all();
    ///     Err(Error::other("nobody opens"))
    /// };
    /// let failure = explore::dfs(10).check(test).unwrap_err();
    /// let svg = failure.to_svg();
    /// assert_eq!(svg.matches(r#"<g class="step""#).count(), failure.steps().len());
    /// assert_eq!(svg.matches(r#"<path class="wake" data-from="2" data-to="3""#).count(), 1);
    /// std::fs::write(std::env::temp_dir().join("nobody_opens.svg"), svg)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn to_svg(&self) -> String {
        Picture::new(self).to_svg()
    }
}

/// The width of a letter of a box, and the height of its line.
const LETTER: usize = 8;
const TEXT: usize = 16;

/// The most letters in a line of a box, and the most lines for one thing that has happened.
const LETTERS: usize = 30;
const LINES: usize = 3;

/// The most things that have happened in a step which its box shows.
const PARTS: usize = 8;

/// The room beside the text of a box, between two lanes, between two rows, and around all.
const INSIDE: usize = 10;
const GAP: usize = 44;
const BETWEEN: usize = 12;
const MARGIN: usize = 20;

/// The room for the numbers of rows, and for the names of lanes, which are repeated after so many rows.
const NUMBERS: usize = 40;
const NAMES: usize = 46;
const REPEATED: usize = 30;

/// The width of a letter of the title, and the height of its line.
const TITLE_LETTER: usize = 10;
const TITLE: usize = 22;

/// The least width of a picture, so that there is room for the title.
const NARROWEST: usize = 640;

/// How many arrows have a place of their own between two lanes, how far from the left lane the first one is, and how far from that the next.
const PLACES: usize = 4;
const FIRST_PLACE: usize = 14;
const PLACE: usize = 5;

/// Who has a lane, in the order of the lanes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Test,
    Clock,
    Thread,
    Job(usize),
}

impl Owner {
    fn of(line: &Line) -> Self {
        match line {
            Line::Test(_) => Self::Test,
            Line::Clock(_) => Self::Clock,
            Line::Step(step) => Self::Job(step.job),
        }
    }

    fn of_waker(waker: Waker) -> Self {
        match waker {
            Waker::Job { job, .. } => Self::Job(job),
            Waker::Test => Self::Test,
            Waker::Clock => Self::Clock,
            Waker::Thread => Self::Thread,
        }
    }

    fn name(self, labels: &[String]) -> &str {
        match self {
            Self::Test => "the test",
            Self::Clock => "the clock",
            Self::Thread => "another thread",
            Self::Job(job) => &labels[job],
        }
    }
}

struct Lane {
    name: String,
    /// How it looks before its first box.
    ahead: Ahead,
    left: usize,
    width: usize,
}

impl Lane {
    fn middle(&self) -> usize {
        self.left + self.width / 2
    }

    fn right(&self) -> usize {
        self.left + self.width
    }
}

struct Row {
    /// The number of its lane.
    lane: usize,
    /// The lines in its box.
    text: Vec<String>,
    /// How many of these, the last ones, say how the step ended.
    ends: usize,
    look: Look,
    top: usize,
}

impl Row {
    fn new(lane: usize, line: &Line, labels: &[String]) -> Self {
        let mut parts = match line {
            Line::Test(note) => vec![note.to_string()],
            Line::Clock(to) => vec![format!("goes to {to:?}")],
            Line::Step(step) => step.parts(labels),
        };
        let end = wrap(&parts.pop().unwrap_or_default(), LETTERS, LINES);
        let shown = parts.iter().take(PARTS);
        let mut text = Vec::new();
        if matches!(line, Line::Step(StepLine { why: Why::Submitted, .. })) {
            text.push("submitted".into());
        }
        text.extend(shown.flat_map(|part| wrap(part, LETTERS, LINES)));
        if parts.len() > PARTS {
            text.push(format!("… and {} more", parts.len() - PARTS));
        }
        let ends = end.len();
        text.extend(end);
        Self { lane, text, ends, look: Look::of(line), top: 0 }
    }

    fn height(&self) -> usize {
        self.text.len() * TEXT + 10
    }

    fn middle(&self) -> usize {
        self.top + self.height() / 2
    }

    fn bottom(&self) -> usize {
        self.top + self.height()
    }
}

/// How a box looks, and the lane from there on.
#[derive(Clone, Copy)]
struct Look {
    name: &'static str,
    /// The colours of the inside and of the border.
    inside: &'static str,
    border: &'static str,
    /// The attributes of the lines that say how the step ended.
    end: &'static str,
    ahead: Ahead,
}

/// How a lane goes on until its next box.
#[derive(Clone, Copy)]
enum Ahead {
    Nothing,
    Line,
    Dashes,
}

impl Look {
    const fn of(line: &Line) -> Self {
        use Ahead::{Dashes, Line as Solid, Nothing};
        let (name, inside, border, end, ahead) = match line {
            Line::Test(_) | Line::Clock(_) => {
                ("event", "#e8f0fc", "#5b84c4", r##" fill="#24446f""##, Solid)
            }
            Line::Step(step) => match step.end {
                End::Yielded => ("yields", "#f4f6f8", "#8c96a0", r##" fill="#6a737d""##, Solid),
                End::Waits => ("waits", "#fff6da", "#c79a1b", r##" fill="#8a6508""##, Dashes),
                End::Done => (
                    "done",
                    "#e4f5e6",
                    "#3f9a50",
                    r##" fill="#22702f" font-weight="bold""##,
                    Nothing,
                ),
                End::Cancelled => (
                    "cancelled",
                    "#e2e2e2",
                    "#444444",
                    r##" fill="#333333" font-weight="bold""##,
                    Nothing,
                ),
                End::Failed => (
                    "failed",
                    "#fde4e4",
                    "#c62828",
                    r##" fill="#b01818" font-weight="bold""##,
                    Nothing,
                ),
                End::Never => (
                    "never",
                    "#f9c9c9",
                    "#8e0000",
                    r##" fill="#8e0000" font-weight="bold""##,
                    Nothing,
                ),
            },
        };
        Self { name, inside, border, end, ahead }
    }
}

/// An arrow.
struct Wake {
    /// The row that it comes from; or the lane, if its owner has no row for this.
    from: Result<usize, usize>,
    /// The row that it leads to.
    to: usize,
}

struct Picture<'a> {
    failure: &'a Failure,
    lanes: Vec<Lane>,
    rows: Vec<Row>,
    /// In the order of the rows that they come from.
    wakes: Vec<Wake>,
    title: Vec<String>,
    width: usize,
    /// The end of the lanes.
    bottom: usize,
}

impl<'a> Picture<'a> {
    fn new(failure: &'a Failure) -> Self {
        let Outcome { lines, labels, .. } = &failure.found.outcome;
        let wakers = lines.iter().filter_map(waker).map(Owner::of_waker);
        let mut owners: Vec<_> = lines.iter().map(Owner::of).chain(wakers).collect();
        owners.sort_unstable();
        owners.dedup();
        let lane_of = |owner| owners.partition_point(|other| *other < owner);

        let (mut rows, mut wakes, mut clock) = (Vec::new(), Vec::new(), None);
        for (at, line) in lines.iter().enumerate() {
            if let Line::Clock(_) = line {
                clock = Some(at);
            }
            if let Some(waker) = waker(line) {
                let from = match waker {
                    Waker::Job { line, .. } => Some(line),
                    Waker::Clock => clock,
                    Waker::Test | Waker::Thread => None,
                };
                let from = from.ok_or_else(|| lane_of(Owner::of_waker(waker)));
                wakes.push(Wake { from, to: at });
            }
            rows.push(Row::new(lane_of(Owner::of(line)), line, labels));
        }
        wakes.sort_by_key(|wake| wake.from.unwrap_or(wake.to));

        let mut letters: Vec<_> =
            owners.iter().map(|owner| width(owner.name(labels)).clamp(8, LETTERS)).collect();
        for row in &rows {
            let widest = row.text.iter().map(|text| width(text)).max();
            letters[row.lane] = letters[row.lane].max(widest.unwrap_or(0));
        }
        let mut left = MARGIN + NUMBERS;
        let mut lanes = Vec::new();
        for (owner, letters) in owners.iter().zip(letters) {
            let name = wrap(owner.name(labels), letters, 1).remove(0);
            let width = letters * LETTER + 2 * INSIDE;
            let ahead = match owner {
                Owner::Job(_) => Ahead::Nothing,
                _ => Ahead::Line,
            };
            lanes.push(Lane { name, ahead, left, width });
            left += width + GAP;
        }
        let width = left.max(NARROWEST);
        let first = failure.message().lines().next().unwrap_or_default();
        let title = wrap(first, (width - 2 * MARGIN) / TITLE_LETTER, LINES);
        let mut top = MARGIN + title.len() * TITLE;
        for (at, row) in rows.iter_mut().enumerate() {
            if at % REPEATED == 0 {
                top += NAMES;
            }
            row.top = top;
            top = row.bottom() + BETWEEN;
        }
        Self { failure, lanes, rows, wakes, title, width, bottom: top }
    }
}

fn waker(line: &Line) -> Option<Waker> {
    match line {
        Line::Step(StepLine { why: Why::WokenBy(waker), .. }) => Some(*waker),
        _ => None,
    }
}

/// How many letters wide a text is.
fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// The letters of East Asia are as wide as two others, and so are small pictures.
fn width_of(letter: char) -> usize {
    if letter < '\u{1100}' { 1 } else { 2 }
}

/// The lines of a text, each of so many letters, and at most so many. What is left out has an ellipsis.
fn wrap(text: &str, letters: usize, most: usize) -> Vec<String> {
    // The last line, and its width.
    let (mut lines, mut line, mut at) = (Vec::new(), String::new(), 0);
    for word in text.split_whitespace() {
        if at > 0 && at + 1 + width(word) <= letters {
            line.push(' ');
            at += 1;
        } else if at > 0 {
            at = letters;
        }
        for letter in word.chars() {
            if at + width_of(letter) > letters {
                if lines.len() + 1 == most {
                    while width(&line) >= letters {
                        line.pop();
                    }
                    line.push('…');
                    lines.push(line);
                    return lines;
                }
                lines.push(mem::take(&mut line));
                at = 0;
            }
            line.push(letter);
            at += width_of(letter);
        }
    }
    lines.push(line);
    lines
}

//! Draws a [`Picture`] in SVG.

use crate::explore::lanes::{
    Ahead, BETWEEN, FIRST_PLACE, GAP, INSIDE, LETTER, LINES, Lane, Look, MARGIN, NAMES, NUMBERS,
    PLACE, PLACES, Picture, REPEATED, Row, TEXT, TITLE, Wake, wrap,
};
use std::fmt::{self, Write};

impl Picture<'_> {
    pub(super) fn to_svg(&self) -> String {
        let mut svg = String::new();
        // Writing to a `String` does not fail.
        let _ = self.draw(&mut svg);
        svg
    }

    fn draw(&self, svg: &mut String) -> fmt::Result {
        let replay =
            format!("to run it again: wasm_jobs::explore::replay({:?})", self.failure.schedule());
        let below = wrap(&replay, (self.width - 2 * MARGIN) / LETTER, LINES);
        let (width, height) = (self.width, self.bottom + below.len() * TEXT + 2 * MARGIN);
        writeln!(
            svg,
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="12" fill="#1c2329">
<title>{}</title>
<rect width="{width}" height="{height}" fill="#ffffff"/>"##,
            Escaped(self.failure.message()),
        )?;
        for (line, text) in (1..).zip(&self.title) {
            let y = MARGIN + line * TITLE - 8;
            writeln!(
                svg,
                r##"<text x="{MARGIN}" y="{y}" font-size="15" font-weight="bold" fill="#b01818">{}</text>"##,
                Escaped(text),
            )?;
        }
        self.draw_lanes(svg)?;
        self.draw_wakes(svg)?;
        for (at, row) in self.rows.iter().enumerate() {
            self.draw_step(at, row, svg)?;
        }
        writeln!(svg, r#"<g class="replay"><title>{}</title>"#, Escaped(&replay))?;
        for (line, text) in (1..).zip(&below) {
            let y = self.bottom + MARGIN + line * TEXT - 4;
            writeln!(svg, r#"<text x="{MARGIN}" y="{y}">{}</text>"#, Escaped(text))?;
        }
        svg.push_str("</g>\n</svg>\n");
        Ok(())
    }

    /// The lines from box to box, and the names.
    fn draw_lanes(&self, svg: &mut String) -> fmt::Result {
        writeln!(svg, r##"<g class="guides" stroke="#e3e7eb">"##)?;
        for row in &self.rows {
            let (from, y, to) = (MARGIN + NUMBERS - 10, row.middle(), self.lanes[row.lane].left);
            writeln!(svg, r#"<path d="M{from} {y}H{to}"/>"#)?;
        }
        writeln!(svg, "</g>\n<g class=\"lanes\" stroke=\"#9aa5b1\" stroke-width=\"1.5\">")?;
        let first = self.rows.first().map_or(self.bottom, |row| row.top - BETWEEN);
        let mut open: Vec<_> = self.lanes.iter().map(|lane| (first, lane.ahead)).collect();
        let mut draw = |lane: usize, (from, ahead): (usize, Ahead), to: usize| {
            let dashes = match ahead {
                Ahead::Nothing => return Ok(()),
                Ahead::Line => "",
                Ahead::Dashes => r#" stroke-dasharray="3 5""#,
            };
            let x = self.lanes[lane].middle();
            writeln!(svg, r#"<path d="M{x} {from}V{to}"{dashes}/>"#)
        };
        for row in &self.rows {
            draw(row.lane, open[row.lane], row.top)?;
            open[row.lane] = (row.bottom(), row.look.ahead);
        }
        for (lane, open) in open.into_iter().enumerate() {
            draw(lane, open, self.bottom)?;
        }
        svg.push_str("</g>\n");
        for row in self.rows.iter().step_by(REPEATED) {
            let (top, y) = (row.top + BETWEEN / 2 - NAMES, row.top - NAMES + 23);
            for Lane { name, left, width, .. } in &self.lanes {
                let middle = left + width / 2;
                writeln!(
                    svg,
                    r##"<g class="name"><rect x="{left}" y="{top}" width="{width}" height="26" rx="13" fill="#2b3440"/><text x="{middle}" y="{y}" text-anchor="middle" font-weight="bold" fill="#ffffff">{}</text></g>"##,
                    Escaped(name),
                )?;
            }
        }
        Ok(())
    }

    /// The arrows. Each leads beside the lane of the woken job, so that no box is in its way: a row has only one.
    fn draw_wakes(&self, svg: &mut String) -> fmt::Result {
        // For each gap between lanes: the row from which on each of its places is free.
        let mut taken = vec![[0; PLACES]; self.lanes.len() + 1];
        for Wake { from, to } in &self.wakes {
            let row = &self.rows[*to];
            let (lane, y) = (&self.lanes[row.lane], row.middle());
            let source = from.map_or_else(|lane| lane, |at| self.rows[at].lane);
            let is_from_left = source < row.lane;
            let (tip, tail, gap) = if is_from_left {
                (lane.left, lane.left - 8, lane.left - GAP)
            } else {
                (lane.right(), lane.right() + 8, lane.right())
            };
            let source = &self.lanes[source];
            let (path, name) = match *from {
                Err(_) => (format!("M{} {y}H{tail}", source.middle()), source.name.clone()),
                Ok(at) => {
                    let places = &mut taken[row.lane + usize::from(!is_from_left)];
                    let place = places.iter().position(|free| *free <= at).unwrap_or(0);
                    places[place] = to + 1;
                    let (x, up) = (gap + FIRST_PLACE + place * PLACE, self.rows[at].middle());
                    let (begin, before) = if x < source.left {
                        (source.left, x + 5)
                    } else {
                        (source.right(), x - 5)
                    };
                    let (first, last, after) = (up + 5, y - 5, if tip < x { x - 5 } else { x + 5 });
                    let corners = format!("Q{x} {up} {x} {first}V{last}Q{x} {y} {after} {y}");
                    (format!("M{begin} {up}H{before}{corners}H{tail}"), (at + 1).to_string())
                }
            };
            let (high, low) = (y - 5, y + 5);
            writeln!(
                svg,
                r##"<path class="wake" data-from="{}" data-to="{}" d="{path}" fill="none" stroke="#2f5fd0" stroke-width="1.6"/><path d="M{tip} {y}L{tail} {high}V{low}Z" fill="#2f5fd0"/>"##,
                Escaped(&name),
                to + 1,
            )?;
        }
        Ok(())
    }

    fn draw_step(&self, at: usize, row: &Row, svg: &mut String) -> fmt::Result {
        let Look { name, inside, border, end, .. } = row.look;
        let Lane { left, width, .. } = self.lanes[row.lane];
        let (top, height, number) = (row.top, row.height(), at + 1);
        let (x, y, numbers) = (left + INSIDE, row.middle() + 4, MARGIN + NUMBERS - 16);
        let thickness = if name == "never" { "3" } else { "1.2" };
        writeln!(
            svg,
            r##"<g class="step" data-line="{number}" data-lane="{}" data-look="{name}"><title>{number}  {}</title>
<text x="{numbers}" y="{y}" text-anchor="end" fill="#6a737d">{number}</text>
<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="5" fill="{inside}" stroke="{border}" stroke-width="{thickness}"/>"##,
            Escaped(&self.lanes[row.lane].name),
            Escaped(&self.failure.steps()[at]),
        )?;
        for (line, text) in row.text.iter().enumerate() {
            let y = top + 17 + line * TEXT;
            let end = if line + row.ends < row.text.len() { "" } else { end };
            writeln!(svg, r#"<text x="{x}" y="{y}"{end}>{}</text>"#, Escaped(text))?;
        }
        svg.push_str("</g>\n");
        Ok(())
    }
}

/// A text within XML, which has no control characters.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\n' => f.write_char('\n')?,
                '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                letter if letter.is_control() => f.write_char('\u{fffd}')?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

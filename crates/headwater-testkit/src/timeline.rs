//! Timelines as SVG: what a test saw, for the pages that explain it.
//!
//! Event time runs from left to right; sections, such as epochs, follow each other downwards. A
//! section has lines of dots, which are rows, and lines of bars, which are windows. The watermark
//! is one line through all sections: in a section it stands where the epoch's rows are judged, and
//! at its end it moves to where the epoch took it.
//!
//! ```text
//!            12:00:00       12:00:10       12:00:20
//!  epoch 0   |   (a)        | (b)          |
//!            |         ┌────┘ W(0)
//!  epoch 1   |   (c)   │    |  (d)         |
//!            | [ 2 rows )   |              |
//! ```
//!
//! Output: text that is the same for the same timeline, so that a figure can be compared with the
//! committed one. Colours follow the reader's light or dark mode; what they say is also said by
//! shapes and words.

use std::fmt::Write as _;

use headwater_core::event_time::EventTime;

/// Width of the names at the left.
const GUTTER: i64 = 190;
/// Width of the part in which time runs.
const PLOT: i64 = 600;
/// Around everything.
const MARGIN: i64 = 12;
/// Right of the last moment, for the half of its label.
const REST: i64 = 24;
/// From the top to the first section: the heading and the times.
const HEAD: i64 = 58;
/// A line of dots.
const DOTS: i64 = 30;
/// A line of bars.
const BARS: i64 = 24;
/// Where the watermark's label stands.
const MARK: i64 = 20;
/// Between sections.
const PAD: i64 = 8;
/// The line that explains the shapes.
const LEGEND: i64 = 34;
/// What a letter takes at most.
const LETTER: i64 = 7;

const STYLE: &str = "\
text{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}
.page{fill:#ffffff}.band{fill:#f6f8fa}.past{fill:#0969da;fill-opacity:.09}
.grid{stroke:#d1d9e0}.muted{fill:#59636e}.head{font-weight:600;font-size:14px}.name{font-weight:600}
.mark{stroke:#0969da;stroke-width:2;fill:none}.marked{fill:#0969da}
.row{fill:#1a7f37}.letter{fill:#ffffff;font-size:10px;font-weight:600}
.late{fill:#ffffff;stroke:#cf222e;stroke-width:1.5;stroke-dasharray:3 2}.lateletter{fill:#cf222e;font-size:10px;font-weight:600}
.bar{fill:#fff1d6;stroke:#9a6700}.inbar{font-size:11px}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.page{fill:#0d1117}.band{fill:#151b23}.past{fill:#4493f8;fill-opacity:.14}
.grid{stroke:#3d444d}.muted{fill:#9198a1}.mark{stroke:#4493f8}.marked{fill:#4493f8}
.row{fill:#3fb950}.letter{fill:#0d1117}.late{fill:#0d1117;stroke:#f85149}.lateletter{fill:#f85149}
.bar{fill:#3a2c0c;stroke:#d29922}}
";

/// A figure.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// Its heading.
    pub title: String,
    /// What it shows, for those who do not see it.
    pub description: String,
    /// The first and the last moment that are shown.
    pub span: (EventTime, EventTime),
    /// Seconds between two of the lines that are labelled.
    pub tick_s: i64,
    /// From top to bottom.
    pub sections: Vec<Section>,
}

/// An epoch, or a kind of windows.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// A line below the name.
    pub note: String,
    /// From top to bottom.
    pub lines: Vec<Line>,
    /// The watermark that its rows are judged by.
    pub judged_by: Option<EventTime>,
    /// The watermark after it, and its name.
    pub watermark: Option<(EventTime, String)>,
}

/// A line of a section.
#[derive(Debug, Clone)]
pub enum Line {
    /// Rows.
    Dots(String, Vec<Dot>),
    /// Windows; those that overlap are put below each other.
    Bars(String, Vec<Bar>),
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dot {
    /// Its event time.
    pub at: EventTime,
    /// One or two letters.
    pub letter: String,
    /// Whether it was late.
    pub is_late: bool,
}

/// A window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// Its start.
    pub start: EventTime,
    /// Its end, which does not belong to it.
    pub end: EventTime,
    /// What is written into it.
    pub text: String,
}

impl Timeline {
    /// The figure as a file of SVG.
    pub fn to_svg(&self) -> String {
        let heights: Vec<i64> = self.sections.iter().map(Section::height).collect();
        let height = HEAD + heights.iter().sum::<i64>() + LEGEND;
        let width = GUTTER + PLOT + REST + 2 * MARGIN;
        let mut svg = Svg::default();
        svg.put(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\">"
        ));
        svg.put(&format!(
            "<title id=\"title\">{}</title>",
            escaped(&self.title)
        ));
        let description = escaped(&self.description);
        svg.put(&format!("<desc id=\"desc\">{description}</desc>"));
        svg.put(&format!("<style>\n{STYLE}</style>"));
        svg.put(&format!(
            "<rect class=\"page\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>"
        ));
        svg.text(MARGIN, 24, "head", &self.title);
        self.bands(&mut svg, &heights);
        self.axis(&mut svg, HEAD + heights.iter().sum::<i64>());
        self.watermarks(&mut svg, &heights);
        let mut top = HEAD;
        for (section, height) in self.sections.iter().zip(&heights) {
            self.section(&mut svg, section, top);
            top += height;
        }
        self.legend(&mut svg, top + LEGEND - 12);
        svg.put("</svg>");
        svg.text
    }

    /// Every other section on another ground, and what the watermark has passed.
    fn bands(&self, svg: &mut Svg, heights: &[i64]) {
        let mut top = HEAD;
        for (index, (section, height)) in self.sections.iter().zip(heights).enumerate() {
            if index % 2 == 0 {
                let width = GUTTER + PLOT + REST + MARGIN;
                svg.rect("band", (MARGIN / 2, top), (width, *height));
            }
            if let Some(time) = section.judged_by {
                let left = MARGIN + GUTTER;
                svg.rect("past", (left, top), (self.x(time) - left, *height));
            }
            top += height;
        }
    }

    fn axis(&self, svg: &mut Svg, bottom: i64) {
        let mut time = self.span.0;
        while time <= self.span.1 {
            let x = self.x(time);
            svg.line("grid", (x, HEAD - 4), (x, bottom));
            svg.centred(x, HEAD - 10, "muted", &clock(time));
            time = EventTime(time.0 + self.tick_s * 1_000_000);
        }
    }

    fn section(&self, svg: &mut Svg, section: &Section, top: i64) {
        svg.text(MARGIN, top + PAD + 14, "name", &section.name);
        if !section.note.is_empty() {
            svg.text(MARGIN, top + PAD + 30, "muted", &section.note);
        }
        let mut y = top + PAD;
        for line in &section.lines {
            let name_end = MARGIN + GUTTER - 8;
            match line {
                Line::Dots(name, dots) => {
                    svg.ending(name_end, y + DOTS / 2 + 4, "muted", name);
                    for dot in dots {
                        self.dot(svg, dot, y + DOTS / 2);
                    }
                }
                Line::Bars(name, bars) => {
                    svg.ending(name_end, y + BARS / 2 + 4, "muted", name);
                    if bars.is_empty() {
                        svg.text(name_end + 16, y + BARS / 2 + 4, "muted", "nothing");
                    }
                    for (bar, place) in bars.iter().zip(places(bars)) {
                        self.bar(svg, bar, y + place * BARS);
                    }
                }
            }
            y += line.height();
        }
    }

    fn dot(&self, svg: &mut Svg, dot: &Dot, y: i64) {
        let (x, circle, letter) = match dot.is_late {
            false => (self.x(dot.at), "row", "letter"),
            true => (self.x(dot.at), "late", "lateletter"),
        };
        svg.put(&format!(
            "<circle class=\"{circle}\" cx=\"{x}\" cy=\"{y}\" r=\"7\"><title>{}</title></circle>",
            clock(dot.at)
        ));
        svg.centred(x, y + 4, letter, &dot.letter);
        if dot.is_late {
            svg.centred(x, y + 21, "lateletter", "late");
        }
    }

    fn bar(&self, svg: &mut Svg, bar: &Bar, y: i64) {
        let (left, right) = (self.x(bar.start) + 1, self.x(bar.end) - 1);
        svg.put(&format!(
            "<rect class=\"bar\" x=\"{left}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\">\
             <title>[{}, {})</title></rect>",
            y + 3,
            right - left,
            BARS - 6,
            clock(bar.start),
            clock(bar.end)
        ));
        let text_y = y + BARS / 2 + 4;
        if letters(&bar.text) * LETTER <= right - left {
            svg.centred(i64::midpoint(left, right), text_y, "inbar", &bar.text);
        } else {
            svg.text(right + 5, text_y, "inbar", &bar.text);
        }
    }

    /// The line of the watermark, and its name at the end of every section.
    fn watermarks(&self, svg: &mut Svg, heights: &[i64]) {
        let mut top = HEAD;
        for (section, height) in self.sections.iter().zip(heights) {
            let bottom = top + height;
            let before = section.judged_by.map(|time| self.x(time));
            if let Some(x) = before {
                svg.line("mark", (x, top), (x, bottom));
            }
            if let Some((time, name)) = &section.watermark {
                let x = self.x(*time);
                if let Some(before) = before.filter(|before| *before != x) {
                    svg.line("mark", (before, bottom), (x, bottom));
                }
                let text = format!("{name} = {}", clock(*time));
                let room = MARGIN + GUTTER + PLOT + REST - x;
                if letters(&text) * LETTER <= room {
                    svg.text(x + 6, bottom - 5, "marked", &text);
                } else {
                    svg.ending(x - 6, bottom - 5, "marked", &text);
                }
                svg.put(&format!(
                    "<circle class=\"marked\" cx=\"{x}\" cy=\"{bottom}\" r=\"3\"/>"
                ));
            }
            top = bottom;
        }
    }

    fn legend(&self, svg: &mut Svg, y: i64) {
        let lines = || self.sections.iter().flat_map(|section| &section.lines);
        let is_dots = |late: bool| {
            lines().any(|line| match line {
                Line::Dots(_, dots) => dots.iter().any(|dot| dot.is_late == late),
                Line::Bars(..) => false,
            })
        };
        let mut x = MARGIN + GUTTER;
        let mut label = |svg: &mut Svg, text: &str| {
            svg.text(x + 14, y, "muted", text);
            let here = x;
            x += 14 + letters(text) * LETTER + 28;
            here
        };
        if is_dots(false) {
            let x = label(svg, "row");
            svg.put(&format!(
                "<circle class=\"row\" cx=\"{x}\" cy=\"{}\" r=\"7\"/>",
                y - 4
            ));
        }
        if is_dots(true) {
            let x = label(svg, "late row");
            svg.put(&format!(
                "<circle class=\"late\" cx=\"{x}\" cy=\"{}\" r=\"7\"/>",
                y - 4
            ));
        }
        if lines().any(|line| matches!(line, Line::Bars(..))) {
            let x = label(svg, "emitted window");
            svg.rect("bar", (x - 8, y - 10), (18, 12));
        }
        if self
            .sections
            .iter()
            .any(|section| section.watermark.is_some())
        {
            let x = label(svg, "watermark; rows to its left are older than it");
            svg.line("mark", (x, y - 12), (x, y + 2));
        }
    }

    fn x(&self, time: EventTime) -> i64 {
        let (from, to) = (self.span.0.0, self.span.1.0);
        let time = time.0.clamp(from, to);
        MARGIN + GUTTER + (time - from) * PLOT / (to - from).max(1)
    }
}

impl Section {
    fn height(&self) -> i64 {
        let lines: i64 = self.lines.iter().map(Line::height).sum();
        let mark = if self.watermark.is_some() { MARK } else { 0 };
        2 * PAD + lines.max(if self.note.is_empty() { 20 } else { 34 }) + mark
    }
}

impl Line {
    fn height(&self) -> i64 {
        match self {
            Line::Dots(_, dots) => match dots.iter().any(|dot| dot.is_late) {
                true => DOTS + 8,
                false => DOTS,
            },
            Line::Bars(_, bars) => BARS * (places(bars).into_iter().max().unwrap_or(0) + 1),
        }
    }
}

/// The line below the first that every bar is put into, so that none lies over another.
fn places(bars: &[Bar]) -> Vec<i64> {
    let mut ends: Vec<EventTime> = Vec::new();
    let mut places = Vec::with_capacity(bars.len());
    for bar in bars {
        let free = ends.iter().position(|end| *end <= bar.start);
        let place = free.unwrap_or(ends.len());
        match ends.get_mut(place) {
            Some(end) => *end = bar.end,
            None => ends.push(bar.end),
        }
        places.push(place as i64);
    }
    places
}

/// The time of a day, without the day.
fn clock(time: EventTime) -> String {
    let text = time.to_string();
    let time = text.split_once('T').map_or(text.as_str(), |(_, time)| time);
    time.trim_end_matches('Z').to_string()
}

fn letters(text: &str) -> i64 {
    text.chars().count() as i64
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// A file that grows line by line.
#[derive(Debug, Default)]
struct Svg {
    text: String,
}

impl Svg {
    fn put(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn text(&mut self, x: i64, y: i64, class: &str, text: &str) {
        self.anchored((x, y), class, "", text);
    }

    fn centred(&mut self, x: i64, y: i64, class: &str, text: &str) {
        self.anchored((x, y), class, " text-anchor=\"middle\"", text);
    }

    fn ending(&mut self, x: i64, y: i64, class: &str, text: &str) {
        self.anchored((x, y), class, " text-anchor=\"end\"", text);
    }

    fn anchored(&mut self, (x, y): (i64, i64), class: &str, anchor: &str, text: &str) {
        let text = escaped(text);
        let _ = writeln!(
            self.text,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{anchor}>{text}</text>"
        );
    }

    fn rect(&mut self, class: &str, (x, y): (i64, i64), (width, height): (i64, i64)) {
        self.put(&format!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        ));
    }

    fn line(&mut self, class: &str, (x1, y1): (i64, i64), (x2, y2): (i64, i64)) {
        self.put(&format!(
            "<path class=\"{class}\" d=\"M{x1} {y1}L{x2} {y2}\"/>"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(start: i64, end: i64) -> Bar {
        Bar {
            start: EventTime(start),
            end: EventTime(end),
            text: String::new(),
        }
    }

    #[test]
    fn bars_that_overlap_are_put_below_each_other() {
        let bars = [
            bar(0, 10),
            bar(5, 15),
            bar(10, 20),
            bar(12, 13),
            bar(15, 16),
        ];
        assert_eq!(places(&bars), [0, 1, 0, 2, 1]);
    }

    #[test]
    fn texts_are_escaped_and_times_are_without_their_day() {
        assert_eq!(escaped("a < b & \"c\""), "a &lt; b &amp; &quot;c&quot;");
        assert_eq!(clock(EventTime(1_767_312_005_000_000)), "00:00:05");
    }

    #[test]
    fn time_runs_from_the_left_and_stays_in_the_figure() {
        let timeline = Timeline {
            title: String::new(),
            description: String::new(),
            span: (EventTime(0), EventTime(PLOT)),
            tick_s: 1,
            sections: vec![],
        };
        let left = MARGIN + GUTTER;
        let places = [-5, 0, 300, PLOT, 9_999].map(|time| timeline.x(EventTime(time)) - left);
        assert_eq!(places, [0, 0, 300, PLOT, PLOT]);
    }
}

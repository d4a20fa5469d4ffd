//! Rows per CPU-second as bars, in an SVG.
//!
//! ```text
//!  Q1                headwater ████████████████├─┤ 1.39 M
//!  filter and project    clink █████████├┤         812 k
//!  reading alone         floor ███████████████████████├──┤ 2.9 M
//!                              |        |        |        |
//!                              0      1 M      2 M      3 M
//!                                rows per CPU-second
//! ```
//!
//! Output: text that is the same for the same figures. Colours follow the reader's light or dark
//! mode; what they say is also said by words, beside every bar and in the description.

use std::fmt::Write as _;

use super::clink;
use super::figures::{Figures, QueryFigures};
use super::machine::Machine;
use super::queries::Data;
use super::spread::Spread;

/// Width of the names at the left.
const GUTTER: f64 = 320.0;
/// Width of the longest bar's scale.
const PLOT: f64 = 430.0;
/// Right of the scale, for the value of the longest bar.
const REST: f64 = 80.0;
/// Around everything.
const MARGIN: f64 = 16.0;
/// From the top to the first group: the title and the line below it.
const HEAD: f64 = 62.0;
/// A bar with the room around it.
const BAR: f64 = 24.0;
/// Between groups.
const PAD: f64 = 14.0;
/// Below the groups: the scale and its label.
const FOOT: f64 = 52.0;
const TICKS_MAX: f64 = 6.0;

const TITLE: &str = "Rows per CPU-second, from a Kafka topic to a sink";
const AXIS: &str =
    "rows per CPU-second: bars are medians, lines from the slowest to the fastest run";

const STYLE: &str = "\
text{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}
.page{fill:#ffffff}.grid{stroke:#d1d9e0}.muted{fill:#59636e}
.head{font-weight:600;font-size:15px}.name{font-weight:600}
.headwater{fill:#0969da}.clink{fill:#bf8700}.floor{fill:#8c959f}.range{stroke:#1f2328;fill:none}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.page{fill:#0d1117}.grid{stroke:#3d444d}.muted{fill:#9198a1}
.headwater{fill:#4493f8}.clink{fill:#d29922}.floor{fill:#656c76}.range{stroke:#f0f6fc}}
";

/// Bars that stand together.
struct Group {
    name: String,
    what: &'static str,
    bars: Vec<Bar>,
}

/// A bar; the engine is also the class of its colour.
struct Bar {
    engine: &'static str,
    rate: Spread,
}

impl Bar {
    fn new(engine: &'static str, figures: &Figures) -> Self {
        Bar {
            engine,
            rate: figures.rows_per_cpu_s,
        }
    }
}

/// Draws the figures of queries; `version` is headwater's.
pub(super) fn svg(queries: &[QueryFigures], version: &str, machine: &Machine) -> String {
    let groups = groups(queries);
    let bars = groups.iter().map(|group| group.bars.len() as f64);
    let bottom = HEAD + bars.map(|bars| bars * BAR + PAD).sum::<f64>();
    let (width, height) = (MARGIN + GUTTER + PLOT + REST + MARGIN, bottom + FOOT);
    let mut svg = Svg(String::new());
    svg.put(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title description\">"
    ));
    svg.put(format_args!("<title id=\"title\">{TITLE}</title>"));
    let description = escaped(&description(&groups));
    svg.put(format_args!(
        "<desc id=\"description\">{description}</desc>"
    ));
    svg.put(format_args!("<style>\n{STYLE}</style>"));
    svg.put(format_args!(
        "<rect class=\"page\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>"
    ));
    svg.text((MARGIN, 28.0), "head", "start", TITLE);
    let below = below_title(queries, version, machine);
    svg.text((MARGIN, 46.0), "muted", "start", &below);
    let scale = Scale::of(&groups);
    svg.axis(&scale, bottom);
    let mut top = HEAD;
    for group in &groups {
        svg.group(group, &scale, top);
        top += group.bars.len() as f64 * BAR + PAD;
    }
    svg.0.push_str("</svg>\n");
    svg.0
}

/// A group for each query, and below them the floor of what they read.
fn groups(queries: &[QueryFigures]) -> Vec<Group> {
    let mut groups: Vec<Group> = queries
        .iter()
        .map(|query| {
            let clink = query.clink.iter();
            let clink = clink.map(|figures| Bar::new(clink::NAME, figures));
            let headwater = std::iter::once(Bar::new("headwater", &query.headwater));
            Group {
                name: query.query.name().to_uppercase(),
                what: query.query.what(),
                bars: headwater.chain(clink).collect(),
            }
        })
        .collect();
    let floors = (0_usize..).zip(queries);
    let floors = floors.filter(|(place, query)| query.is_first_of_its_data(&queries[..*place]));
    groups.extend(floors.map(|(_, query)| Group {
        name: "Floor".to_string(),
        what: match query.query.data() {
            Data::Orders => "reading alone, nothing decoded",
            Data::Nexmark => "reading bids alone, nothing decoded",
        },
        bars: vec![Bar::new("floor", &query.floor)],
    }));
    groups
}

fn description(groups: &[Group]) -> String {
    let mut text = String::from("Medians, with the slowest and the fastest run.");
    for group in groups {
        let bars = group.bars.iter().map(|bar| {
            let rate = &bar.rate;
            let [median, min, max] = [rate.median, rate.min, rate.max].map(amount);
            format!("{} {median} ({min} to {max})", bar.engine)
        });
        let bars = bars.collect::<Vec<_>>().join(", ");
        // Writing into a string cannot fail.
        let _ = write!(text, " {}, {}: {bars}.", group.name, group.what);
    }
    text
}

/// The engines, what they ran over and on.
fn below_title(queries: &[QueryFigures], version: &str, machine: &Machine) -> String {
    let mut text = format!("headwater {version}");
    if queries.iter().any(|query| query.clink.is_some()) {
        let _ = write!(text, ", {} {}", clink::NAME, clink::VERSION);
    }
    if let Some(query) = queries.first() {
        let _ = write!(text, "; {} rows, runs: {}", query.rows, query.runs);
    }
    let _ = write!(text, "; {machine}");
    text
}

/// From rates to places.
struct Scale {
    step: f64,
    end: f64,
}

impl Scale {
    /// One on which the greatest rate is, with steps of 1, 2 or 5 and zeros.
    fn of(groups: &[Group]) -> Self {
        let bars = groups.iter().flat_map(|group| &group.bars);
        let greatest = bars.map(|bar| bar.rate.max).fold(1.0, f64::max);
        let zeros = 10_f64.powf((greatest / TICKS_MAX).log10().floor());
        let steps = [1.0, 2.0, 5.0].map(|digit| digit * zeros);
        let fits = |step: &&f64| **step * TICKS_MAX >= greatest;
        let step = steps.iter().find(fits).copied().unwrap_or(10.0 * zeros);
        Scale {
            step,
            end: (greatest / step).ceil() * step,
        }
    }

    fn x(&self, rate: f64) -> f64 {
        (MARGIN + GUTTER + rate / self.end * PLOT).round()
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = (self.end / self.step).round() as u32;
        let step = self.step;
        (0..=count).map(move |tick| f64::from(tick) * step)
    }
}

/// The text so far.
struct Svg(String);

impl Svg {
    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.0, "{element}");
    }

    fn text(&mut self, (x, y): (f64, f64), class: &str, anchor: &str, text: &str) {
        let text = escaped(text);
        self.put(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.put(format_args!(
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        ));
    }

    fn axis(&mut self, scale: &Scale, bottom: f64) {
        for rate in scale.ticks() {
            let x = scale.x(rate);
            self.line("grid", (x, HEAD - 4.0), (x, bottom));
            self.text((x, bottom + 16.0), "muted", "middle", &short_amount(rate));
        }
        self.text((scale.x(0.0), bottom + 38.0), "muted", "start", AXIS);
    }

    fn group(&mut self, group: &Group, scale: &Scale, top: f64) {
        let names_end = MARGIN + GUTTER - 10.0;
        self.text((MARGIN, top + 16.0), "name", "start", &group.name);
        self.text((MARGIN + 44.0, top + 16.0), "muted", "start", group.what);
        for (bar, place) in group.bars.iter().zip(0_u32..) {
            let y = top + f64::from(place) * BAR;
            self.text((names_end, y + 16.0), "muted", "end", bar.engine);
            self.bar(bar, scale, y);
        }
    }

    fn bar(&mut self, bar: &Bar, scale: &Scale, y: f64) {
        let Bar { engine, rate } = bar;
        let left = scale.x(0.0);
        let (middle, min, max) = (y + 12.0, scale.x(rate.min), scale.x(rate.max));
        let width = (scale.x(rate.median) - left).max(1.0);
        self.put(format_args!(
            "<rect class=\"{engine}\" x=\"{left}\" y=\"{}\" width=\"{width}\" height=\"{}\"/>",
            y + 3.0,
            BAR - 6.0
        ));
        self.line("range", (min, middle), (max, middle));
        for x in [min, max] {
            self.line("range", (x, middle - 4.0), (x, middle + 4.0));
        }
        let value = amount(rate.median);
        self.text((max + 8.0, y + 16.0), "value", "start", &value);
    }
}

/// `1.39 M`, `812 k` or `7`.
fn amount(number: f64) -> String {
    match number {
        // What would be rounded to a million is one.
        _ if number >= 999_500.0 => format!("{:.2} M", number / 1e6),
        _ if number >= 1_000.0 => format!("{:.0} k", number / 1e3),
        _ => format!("{number:.0}"),
    }
}

/// The same without zeros after the point: `1.5 M`.
fn short_amount(number: f64) -> String {
    let amount = amount(number);
    match amount.split_once(" M") {
        Some((digits, _)) => {
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            format!("{digits} M")
        }
        None => amount,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests;

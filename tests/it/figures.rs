//! The figures of `docs/concepts`: streaming queries are run, and what they emitted is drawn.
//!
//! Nothing in a figure is written by hand but its words: rows are those that were fed, late ones
//! those that the engine handed to `LATE ROWS INTO`, windows those that were emitted, and the
//! watermark is that of the progress.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use headwater::EventTime;
use headwater_testkit::session::{Answer, CLOCK_START};
use headwater_testkit::timeline::{Bar, Dot, Line, Section};
use headwater_testkit::{RunMode, TestSession, Timeline};

use crate::committed::check_committed;

/// 2026-01-01T00:00:00Z, the day of the rows that are fed.
const DAY: EventTime = EventTime(CLOCK_START.0 - 86_400_000_000);

/// A row: its letter, and its time of the day.
type Row = (&'static str, &'static str);

/// A session and what was seen in it.
struct Story {
    session: TestSession,
    sections: Vec<Section>,
    watermark: Option<EventTime>,
}

fn at(time: &str) -> EventTime {
    let parts = time.split(':').map(|part| part.parse::<i64>().unwrap());
    let seconds = parts.fold(0, |sum, part| sum * 60 + part);
    EventTime(DAY.0 + seconds * 1_000_000)
}

fn times_of(batch: &RecordBatch, column: &str) -> Vec<EventTime> {
    let column = batch.column_by_name(column).unwrap();
    let times = column.as_primitive::<TimestampMicrosecondType>();
    times.values().iter().copied().map(EventTime).collect()
}

/// Windows of rows with `window_start`, `window_end` and `n`, in the order of their starts.
fn bars(batches: &[RecordBatch]) -> Vec<Bar> {
    let mut bars = Vec::new();
    for batch in batches {
        let (starts, ends) = (
            times_of(batch, "window_start"),
            times_of(batch, "window_end"),
        );
        let counts = batch.column_by_name("n").unwrap();
        let counts = counts.as_primitive::<arrow::datatypes::Int64Type>();
        let rows = starts.into_iter().zip(ends).zip(counts.values());
        bars.extend(rows.map(|((start, end), n)| Bar {
            start,
            end,
            text: format!("n = {n}"),
        }));
    }
    bars.sort_by_key(|bar| (bar.start, bar.end));
    bars
}

/// Rows with `page` and `ts`.
fn dots(batches: &[RecordBatch]) -> Vec<Dot> {
    let mut dots = Vec::new();
    for batch in batches {
        let pages = batch.column_by_name("page").unwrap().as_string_view();
        let rows = times_of(batch, "ts").into_iter().zip(pages);
        dots.extend(rows.map(|(at, page)| Dot {
            at,
            letter: page.unwrap().to_string(),
            is_late: false,
        }));
    }
    dots.sort_by_key(|dot| dot.at);
    dots
}

impl Story {
    /// A session with a source `clicks` of pages and times, and what else it takes to begin.
    async fn begin(delay: &str, options: &str, queries: &[(&str, &str)]) -> Story {
        let mut session = TestSession::try_new(RunMode::Straight, 2).unwrap();
        let source = format!(
            "CREATE SOURCE clicks (page VARCHAR, ts TIMESTAMP,
               WATERMARK FOR ts AS ts - INTERVAL '{delay}')
             WITH (connector = 'memory'{options})"
        );
        session.run(&source).await.unwrap();
        for (name, select) in queries {
            let sinks = [format!("{name}_out"), format!("{name}_late")];
            for sink in &sinks {
                let sink = format!("CREATE SINK {sink} WITH (connector = 'memory')");
                session.run(&sink).await.unwrap();
            }
            let query = format!("CREATE STREAMING QUERY {name} AS INSERT INTO {name}_out {select}");
            session.run(&query).await.unwrap();
        }
        Story {
            session,
            sections: vec![],
            watermark: None,
        }
    }

    async fn feed(&mut self, partition: usize, rows: &[Row]) -> Vec<Dot> {
        let values: Vec<_> = rows
            .iter()
            .map(|(k, t)| format!("('{k}', '{t}')"))
            .collect();
        if !values.is_empty() {
            let values = values.join(", ");
            let feed = format!("FEED clicks VALUES {values} PARTITION {partition}");
            self.session.run(&feed).await.unwrap();
        }
        let dots = rows.iter().map(|(letter, time)| Dot {
            at: at(time),
            letter: (*letter).to_string(),
            is_late: false,
        });
        dots.collect()
    }

    async fn emitted(&mut self, query: &str) -> Vec<Bar> {
        bars(&self.run(&format!("EPOCH {query}")).await)
    }

    /// Runs a statement that gives rows.
    async fn run(&mut self, statement: &str) -> Vec<RecordBatch> {
        match self.session.run(statement).await.unwrap() {
            Answer::Rows(_, batches) => batches,
            other => panic!("{statement} gives {other:?}"),
        }
    }

    /// Runs an epoch of a query over rows by partition, and draws it.
    async fn epoch(&mut self, query: &str, note: &str, rows: &[(&str, &[Row])]) {
        let epoch = self.sections.len();
        let mut lines = Vec::new();
        for (partition, (name, rows)) in rows.iter().enumerate() {
            let dots = self.feed(partition, rows).await;
            lines.push(((*name).to_string(), dots));
        }
        let emitted = self.run(&format!("EPOCH {query}")).await;
        let late = self.run(&format!("LATE {query}")).await;
        let late = late.iter().flat_map(|batch| times_of(batch, "event_time"));
        let late: Vec<EventTime> = late.collect();
        for dot in lines.iter_mut().flat_map(|(_, dots)| dots) {
            dot.is_late = late.contains(&dot.at);
        }
        let mut lines: Vec<_> = lines.into_iter().map(|(n, d)| Line::Dots(n, d)).collect();
        let name = "emitted".to_string();
        let is_row = |batch: &RecordBatch| batch.column_by_name("window_start").is_none();
        lines.push(match emitted.first().is_some_and(is_row) {
            true => Line::Dots(name, dots(&emitted)),
            false => Line::Bars(name, bars(&emitted)),
        });
        self.draw(format!("epoch {epoch}"), note, lines, query);
    }

    /// Adds an epoch to the figure: its watermark is that of the query's progress.
    fn draw(&mut self, name: String, note: &str, lines: Vec<Line>, query: &str) {
        let progress = self.session.query(query).unwrap().last_progress().unwrap();
        let epoch = progress.epoch;
        let watermark = progress.watermark.time();
        self.sections.push(Section {
            name,
            note: note.to_string(),
            lines,
            judged_by: self.watermark,
            watermark: watermark.map(|time| (time, format!("W({epoch})"))),
        });
        self.watermark = watermark;
    }

    fn figure(self, title: &str, description: &str, end: &str) -> Timeline {
        Timeline {
            title: title.to_string(),
            description: description.to_string(),
            span: (at("12:00:00"), at(end)),
            tick_s: 10,
            sections: self.sections,
        }
    }
}

const TUMBLE: &str = "SELECT window_start, window_end, count(*) AS n
    FROM tumble(clicks, ts, '10 seconds') GROUP BY window_start, window_end";

#[tokio::test]
async fn watermark_of_two_partitions() {
    let select = format!("{TUMBLE} EMIT ON WINDOW CLOSE LATE ROWS INTO q_late");
    let options = ", partitions = 2, 'idle-timeout' = '30 seconds'";
    let mut story = Story::begin("2 seconds", options, &[("q", &select)]).await;
    let (first, second) = ("partition 0", "partition 1");
    let rows: [(_, &[Row]); 2] = [
        (first, &[("a", "12:00:03"), ("b", "12:00:14")]),
        (second, &[("c", "12:00:06")]),
    ];
    story.epoch("q", "", &rows).await;
    let rows: [(_, &[Row]); 2] = [
        (first, &[("d", "12:00:24")]),
        (second, &[("e", "12:00:15")]),
    ];
    story.epoch("q", "", &rows).await;
    story.session.run("CLOCK +20s").await.unwrap();
    let rows: [(_, &[Row]); 2] = [(first, &[("f", "12:00:36")]), ("partition 1, silent", &[])];
    story.epoch("q", "20 s later", &rows).await;
    story.session.run("CLOCK +10s").await.unwrap();
    let rows: [(_, &[Row]); 2] = [(first, &[]), ("partition 1, idle", &[])];
    story.epoch("q", "10 s later", &rows).await;
    let rows: [(_, &[Row]); 2] = [
        (first, &[]),
        (second, &[("g", "12:00:28"), ("h", "12:00:32")]),
    ];
    story.epoch("q", "", &rows).await;
    let figure = story.figure(
        "The slower partition holds the watermark until it is idle",
        "Five epochs of a query with windows of ten seconds over a source of two partitions, with \
         a delay of two seconds and an idle time-out of thirty. The watermark follows the slower \
         partition. When partition 1 has brought nothing for thirty seconds, an epoch without rows \
         moves the watermark to that of partition 0 and emits two windows. When partition 1 speaks \
         again, the watermark stays: a row of a finished window is late, and a row of an open one \
         counts.",
        "12:00:40",
    );
    check_committed("docs/concepts/figures/watermark.svg", &figure.to_svg());
}

#[tokio::test]
async fn late_row_of_a_tumbling_window() {
    let select = format!("{TUMBLE} EMIT ON WINDOW CLOSE LATE ROWS INTO q_late");
    let mut story = Story::begin("2 seconds", "", &[("q", &select)]).await;
    let epochs: [[Row; 2]; 4] = [
        [("a", "12:00:03"), ("b", "12:00:11")],
        [("c", "12:00:05"), ("d", "12:00:12")],
        [("e", "12:00:09"), ("f", "12:00:10")],
        [("g", "12:00:30"), ("h", "12:00:15")],
    ];
    for rows in epochs {
        story.epoch("q", "", &[("rows", &rows)]).await;
    }
    let figure = story.figure(
        "A row is late when its window was finished by an earlier epoch",
        "Four epochs of a query with windows of ten seconds and a delay of two seconds. Row c is \
         older than the watermark and counts, because its window is open. Row e is late, because \
         its window ended at the watermark that judges it. Row h comes after row g and counts, \
         because both are of one epoch.",
        "12:00:35",
    );
    check_committed("docs/concepts/figures/late-row.svg", &figure.to_svg());
}

#[tokio::test]
async fn first_rows_of_keys() {
    let select = "SELECT page, ts FROM clicks
        QUALIFY row_number() OVER (PARTITION BY page ORDER BY ts) = 1
        EMIT ON WINDOW CLOSE LATE ROWS INTO q_late";
    let mut story = Story::begin("2 seconds", "", &[("q", select)]).await;
    let epochs: [[Row; 3]; 3] = [
        [("a", "12:00:06"), ("b", "12:00:12"), ("a", "12:00:03")],
        [("b", "12:00:11"), ("c", "12:00:16"), ("a", "12:00:14")],
        [("d", "12:00:26"), ("c", "12:00:19"), ("b", "12:00:08")],
    ];
    for rows in epochs {
        story.epoch("q", "", &[("rows by key", &rows)]).await;
    }
    let figure = story.figure(
        "The first row of every key, once no earlier one can come",
        "Three epochs of a query for the first row of every key by event time, with a delay of two \
         seconds; a letter is a key. Row a at 3 seconds is emitted by the first epoch. Row b at 12 \
         seconds waits, and an earlier one takes its place. Later rows of a are not emitted. Row b \
         at 8 seconds is behind the watermark and late. Row d waits.",
        "12:00:30",
    );
    check_committed("docs/concepts/figures/first-rows.svg", &figure.to_svg());
}

#[tokio::test]
async fn windows_of_every_kind() {
    let kinds = [
        ("tumble", "size 10 s", "tumble(clicks, ts, '10 seconds')"),
        (
            "hop",
            "slide 5 s, size 10 s",
            "hop(clicks, ts, '5 seconds', '10 seconds')",
        ),
        (
            "cumulate",
            "step 5 s, max 20 s",
            "cumulate(clicks, ts, '5 seconds', '20 seconds')",
        ),
        ("session", "gap 5 s", "session(clicks, ts, '5 seconds')"),
    ];
    let selects = kinds.map(|(_, _, window)| {
        format!(
            "SELECT window_start, window_end, count(*) AS n FROM {window}
             GROUP BY window_start, window_end EMIT ON WINDOW CLOSE"
        )
    });
    let queries = kinds.iter().zip(&selects);
    let queries: Vec<_> = queries.map(|((name, ..), s)| (*name, s.as_str())).collect();
    let mut story = Story::begin("0 seconds", "", &queries).await;
    let rows = [
        ("a", "12:00:06"),
        ("b", "12:00:09"),
        ("c", "12:00:14"),
        ("d", "12:00:16"),
        ("e", "12:00:27"),
        ("f", "12:00:31"),
    ];
    let dots = story.feed(0, &rows).await;
    story.sections.push(Section {
        name: "rows".to_string(),
        lines: vec![Line::Dots(String::new(), dots)],
        ..Section::default()
    });
    // A row that is not in the figure closes every window of those that are.
    story.feed(0, &[("z", "13:00:00")]).await;
    for (name, note, _) in kinds {
        let emitted = story.emitted(name).await;
        story.sections.push(Section {
            name: name.to_string(),
            note: note.to_string(),
            lines: vec![Line::Bars(String::new(), emitted)],
            ..Section::default()
        });
    }
    let figure = story.figure(
        "The same rows in windows of every kind",
        "Six rows, and the windows that tumble, hop, cumulate and session put them into, with the \
         number of rows in each. Rows b and c are exactly the gap of the session apart, and are in \
         one session. Windows without rows are not emitted.",
        "12:00:40",
    );
    check_committed("docs/concepts/figures/windows.svg", &figure.to_svg());
}

#[tokio::test]
async fn output_modes_of_the_same_epochs() {
    let modes = [
        ("append", "EMIT ON WINDOW CLOSE"),
        ("update", "EMIT ON UPDATE"),
        ("complete", "EMIT COMPLETE"),
    ];
    let selects = modes.map(|(_, emit)| format!("{TUMBLE} {emit}"));
    let queries = modes.iter().zip(&selects);
    let queries: Vec<_> = queries.map(|((name, _), s)| (*name, s.as_str())).collect();
    let mut story = Story::begin("5 seconds", "", &queries).await;
    let epochs: [&[Row]; 3] = [
        &[("a", "12:00:03"), ("b", "12:00:12")],
        &[("c", "12:00:06"), ("d", "12:00:17")],
        &[("e", "12:00:26")],
    ];
    for (epoch, rows) in epochs.into_iter().enumerate() {
        let dots = story.feed(0, rows).await;
        let mut lines = vec![Line::Dots("rows".to_string(), dots)];
        for (mode, _) in modes {
            lines.push(Line::Bars(mode.to_string(), story.emitted(mode).await));
        }
        story.draw(format!("epoch {epoch}"), "", lines, "append");
    }
    let figure = story.figure(
        "What the same epochs emit in append, update and complete mode",
        "Three epochs of a query with windows of ten seconds and a delay of five seconds. Append \
         mode emits a window once, when the watermark has reached its end. Update mode emits the \
         windows that got rows in the epoch. Complete mode emits all windows in every epoch.",
        "12:00:35",
    );
    check_committed("docs/concepts/figures/output-modes.svg", &figure.to_svg());
}

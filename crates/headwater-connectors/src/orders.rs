//! Orders of a stock exchange: the records of the demonstrations and the benchmarks.
//!
//! ```text
//! JSON {"time":"2026-01-01T00:00:09.123Z","order_id":0,"client_id":80,"symbol":"AAB","amount":710,"price":51.00,"buy":"B"}
//! CSV  2026-01-01 00:00:09,0,80,AAB,710,51.00,B
//! ```
//!
//! Order `i` is a function of the seed and `i`. Symbols are three letters, the first ones traded
//! most. At the end stand sentinels, one for each partition, an hour after the last order: they
//! move every partition's watermark past the last window.

use std::io::Write as _;
use std::time::Duration;

use chrono::{DateTime, Datelike, Timelike};

use headwater_core::event_time::EventTime;

use crate::event_shape::EventShape;
use crate::seeded::Draws;

const ORDER_STREAM: u64 = 0x6F72_6465;
const FLAW_STREAM: u64 = 0x666C_6177;
/// Letters of symbols: no Z, so that `ZZZ` is free for the sentinels.
const LETTERS: &[u8; 25] = b"ABCDEFGHIJKLMNOPQRSTUVWXY";
const SENTINEL_AFTER: Duration = Duration::from_secs(3600);

/// How many orders there are, and of what kind.
#[derive(Debug, Clone, PartialEq)]
pub struct OrdersShape {
    /// Orders, without sentinels.
    pub rows: u64,
    /// Seed of all randomness.
    pub seed: u64,
    /// Different symbols, at most 15,625.
    pub symbols: u32,
    /// Different clients, numbered from 1.
    pub clients: u32,
    /// Partitions that lines are dealt to in turn.
    pub partitions: u32,
    /// Event times.
    pub times: EventShape,
    /// Share of lines, 0 to 1, that are broken.
    pub bad_fraction: f64,
    /// Whether sentinels follow.
    pub has_sentinels: bool,
}

impl Default for OrdersShape {
    /// The benchmark's orders: 5,000,000 at 10,000 a second of event time, up to 2 s out of order.
    fn default() -> Self {
        OrdersShape {
            rows: 5_000_000,
            seed: 42,
            symbols: 500,
            clients: 1_000_000,
            partitions: 4,
            times: EventShape {
                start: EventTime::from_millis(1_767_225_610_000),
                step: Duration::from_micros(100),
                disorder: Duration::from_secs(2),
                late_fraction: 0.0,
                late_by: Duration::ZERO,
            },
            bad_fraction: 0.0,
            has_sentinels: true,
        }
    }
}

/// One order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// When it was given, in whole milliseconds.
    pub time: EventTime,
    /// Number of the order; negative for sentinels.
    pub order_id: i64,
    /// Who gave it; -1 for sentinels.
    pub client_id: i64,
    /// What is traded.
    pub symbol: [u8; 3],
    /// How many.
    pub amount: i32,
    /// Price of one, in hundredths.
    pub price_cents: i64,
    /// `B` for a buy, `S` for a sale.
    pub side: u8,
}

/// What is wrong with a broken line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// A side that is neither B nor S.
    WrongSide,
    /// The line ends before its last field.
    MissingField,
    /// Not a record at all.
    Garbage,
}

/// Makes orders and their lines.
#[derive(Debug, Clone)]
pub struct OrdersGenerator {
    shape: OrdersShape,
}

impl OrdersGenerator {
    /// A generator of a shape.
    pub fn new(shape: OrdersShape) -> Self {
        OrdersGenerator { shape }
    }

    /// What is generated.
    pub fn shape(&self) -> &OrdersShape {
        &self.shape
    }

    /// Lines there are: orders, then sentinels.
    pub fn lines(&self) -> u64 {
        let sentinels = if self.shape.has_sentinels {
            u64::from(self.shape.partitions.max(1))
        } else {
            0
        };
        self.shape.rows + sentinels
    }

    /// The partition that line `i` belongs to.
    pub fn partition(&self, i: u64) -> u32 {
        (i % u64::from(self.shape.partitions.max(1))) as u32
    }

    /// Order `i`; a sentinel from `rows` on.
    pub fn order(&self, i: u64) -> Order {
        let shape = &self.shape;
        if i >= shape.rows {
            let time = shape.times.arrival(shape.rows).plus(SENTINEL_AFTER);
            return Order {
                time: EventTime::from_millis(time.as_millis()),
                order_id: -1 - (i - shape.rows) as i64,
                client_id: -1,
                symbol: *b"ZZZ",
                amount: 0,
                price_cents: 0,
                side: b'B',
            };
        }
        let mut draws = Draws::new(shape.seed, ORDER_STREAM, i);
        let time = shape.times.event_time(i, &mut draws);
        let symbols = u64::from(shape.symbols);
        let popular = draws.below(symbols).min(draws.below(symbols));
        Order {
            time: EventTime::from_millis(time.as_millis()),
            order_id: i as i64,
            client_id: 1 + draws.below(u64::from(shape.clients)) as i64,
            symbol: symbol(popular),
            amount: 1 + draws.below(1000) as i32,
            price_cents: 100 + draws.below(49_901) as i64,
            side: if draws.below(2) == 0 { b'B' } else { b'S' },
        }
    }

    /// Whether line `i` is broken.
    pub fn is_bad(&self, i: u64) -> bool {
        self.flaw(i).is_some()
    }

    /// Appends line `i` as JSON, without a line feed.
    pub fn json_line(&self, i: u64, out: &mut Vec<u8>) {
        let order = self.order(i);
        let flaw = self.flaw(i);
        if flaw == Some(Flaw::Garbage) {
            return garbage(i, out);
        }
        out.extend_from_slice(b"{\"time\":\"");
        push_time(order.time, b'T', out);
        let _ = write!(
            out,
            ".{:03}Z\",\"order_id\":{},\"client_id\":{},\"symbol\":\"",
            order.time.as_millis().rem_euclid(1000),
            order.order_id,
            order.client_id
        );
        out.extend_from_slice(&order.symbol);
        let (whole, cents) = (order.price_cents / 100, order.price_cents % 100);
        let _ = write!(
            out,
            "\",\"amount\":{},\"price\":{whole}.{cents:02}",
            order.amount
        );
        if flaw == Some(Flaw::MissingField) {
            return;
        }
        out.extend_from_slice(b",\"buy\":\"");
        out.push(side(order, flaw));
        out.extend_from_slice(b"\"}");
    }

    /// Appends line `i` as CSV, without a line feed.
    pub fn csv_line(&self, i: u64, out: &mut Vec<u8>) {
        let order = self.order(i);
        let flaw = self.flaw(i);
        if flaw == Some(Flaw::Garbage) {
            return garbage(i, out);
        }
        push_time(order.time, b' ', out);
        let _ = write!(out, ",{},{},", order.order_id, order.client_id);
        out.extend_from_slice(&order.symbol);
        let (whole, cents) = (order.price_cents / 100, order.price_cents % 100);
        let _ = write!(out, ",{},{whole}.{cents:02}", order.amount);
        if flaw == Some(Flaw::MissingField) {
            return;
        }
        out.push(b',');
        out.push(side(order, flaw));
    }

    fn flaw(&self, i: u64) -> Option<Flaw> {
        if i >= self.shape.rows || self.shape.bad_fraction <= 0.0 {
            return None;
        }
        let mut draws = Draws::new(self.shape.seed, FLAW_STREAM, i);
        if !draws.chance(self.shape.bad_fraction) {
            return None;
        }
        Some(match draws.below(3) {
            0 => Flaw::WrongSide,
            1 => Flaw::MissingField,
            _ => Flaw::Garbage,
        })
    }
}

fn side(order: Order, flaw: Option<Flaw>) -> u8 {
    if flaw == Some(Flaw::WrongSide) {
        b'X'
    } else {
        order.side
    }
}

fn garbage(i: u64, out: &mut Vec<u8>) {
    let _ = write!(out, "#garbage {i}");
}

/// The name of symbol `i`: the last letter changes first.
fn symbol(i: u64) -> [u8; 3] {
    let letter = |i: u64| LETTERS.get((i % 25) as usize).copied().unwrap_or(b'A');
    [letter(i / 625), letter(i / 25), letter(i)]
}

/// `2026-01-01T00:00:09`, by digits: the formatter of chrono would cost more than all the rest.
fn push_time(time: EventTime, separator: u8, out: &mut Vec<u8>) {
    let time = DateTime::from_timestamp_millis(time.as_millis()).unwrap_or_default();
    let two = |number: u32| [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8];
    let year = time.year().unsigned_abs();
    out.extend_from_slice(&two(year / 100));
    out.extend_from_slice(&two(year % 100));
    out.push(b'-');
    out.extend_from_slice(&two(time.month()));
    out.push(b'-');
    out.extend_from_slice(&two(time.day()));
    out.push(separator);
    out.extend_from_slice(&two(time.hour()));
    out.push(b':');
    out.extend_from_slice(&two(time.minute()));
    out.push(b':');
    out.extend_from_slice(&two(time.second()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_have_the_benchmarks_form() {
        let orders = OrdersGenerator::new(OrdersShape::default());
        let json = text(|out| orders.json_line(4_999_999, out));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let keys: Vec<_> = value.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            [
                "amount",
                "buy",
                "client_id",
                "order_id",
                "price",
                "symbol",
                "time"
            ]
        );
        assert_eq!(value["order_id"], 4_999_999);
        assert_eq!(orders.lines(), 5_000_004);
        let sentinel = text(|out| orders.json_line(5_000_002, out));
        assert_eq!(
            sentinel,
            "{\"time\":\"2026-01-01T01:08:30.000Z\",\"order_id\":-3,\"client_id\":-1,\
             \"symbol\":\"ZZZ\",\"amount\":0,\"price\":0.00,\"buy\":\"B\"}"
        );
        let csv = text(|out| orders.csv_line(5_000_003, out));
        assert_eq!(csv, "2026-01-01 01:08:30,-4,-1,ZZZ,0,0.00,B");
        let sentinels: Vec<_> = (5_000_000..5_000_004)
            .map(|i| orders.partition(i))
            .collect();
        assert_eq!(sentinels, [0, 1, 2, 3]);
    }

    #[test]
    fn orders_keep_to_their_shape() {
        let orders = OrdersGenerator::new(OrdersShape::default());
        let start = orders.shape().times.start;
        for i in (0..5_000_000).step_by(9_973) {
            let order = orders.order(i);
            let in_order = start.as_millis() + i as i64 / 10;
            let behind = in_order - order.time.as_millis();
            assert!((0..=2001).contains(&behind), "{i}: {behind}");
            assert!((1..=1_000_000).contains(&order.client_id));
            assert!((1..=1000).contains(&order.amount));
            assert!((100..=50_000).contains(&order.price_cents));
            assert!(order.symbol <= symbol(499));
            assert_eq!(order, OrdersGenerator::new(OrdersShape::default()).order(i));
        }
        assert_eq!(&symbol(0), b"AAA");
        assert_eq!(&symbol(499), b"ATY");
    }

    #[test]
    fn a_share_of_lines_is_broken() {
        let orders = OrdersGenerator::new(OrdersShape {
            bad_fraction: 0.1,
            ..OrdersShape::default()
        });
        let mut flaws = [0; 3];
        for i in 0..10_000 {
            let line = text(|out| orders.csv_line(i, out));
            match orders.flaw(i) {
                None => assert_eq!(line.split(',').count(), 7, "{line}"),
                Some(Flaw::WrongSide) => {
                    flaws[0] += 1;
                    assert!(line.ends_with(",X"), "{line}");
                }
                Some(Flaw::MissingField) => {
                    flaws[1] += 1;
                    assert_eq!(line.split(',').count(), 6, "{line}");
                }
                Some(Flaw::Garbage) => {
                    flaws[2] += 1;
                    assert!(line.starts_with("#garbage"), "{line}");
                }
            }
        }
        assert!(flaws.iter().all(|n| (250..420).contains(n)), "{flaws:?}");
    }
}

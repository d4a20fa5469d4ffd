//! The orders of the benchmark, the same on every machine.
//!
//! Event time advances by 0.1 ms an order; each order is up to 2 s earlier than that, which a
//! watermark of 5 s never finds late. Symbols are three letters, the first ones traded most. After
//! the orders comes one sentinel for each partition, an hour later, whose only effect is that the
//! watermark passes the last window.

use std::io::Write as _;

use super::iso_time;
use super::random::SplitMix;

/// Partitions, to which orders are dealt in turn.
pub(super) const PARTITIONS: u64 = 4;
pub(super) const SYMBOLS: u32 = 500;
pub(super) const CLIENTS: u32 = 1_000_000;
/// Raise it when the orders of a number of rows change: it names the folder in the cache.
pub(super) const GENERATOR_VERSION: u32 = 1;

const START_MS: i64 = 1_767_225_610_000; // 2026-01-01T00:00:10Z
const ORDERS_PER_MS: i64 = 10;
const DISORDER_MS: u32 = 2_000;
const SENTINEL_AFTER_MS: i64 = 3_600_000;
const SENTINEL_SYMBOL: [u8; 3] = *b"ZZZ";
const SEED: u64 = 42;
/// No Z, so that the sentinels' symbol is free.
const LETTERS: &[u8; 25] = b"ABCDEFGHIJKLMNOPQRSTUVWXY";

/// Event times of orders lie from here, inclusive, …
pub(super) const TIME_MIN_MS: i64 = START_MS - DISORDER_MS as i64;

/// … to here, inclusive.
pub(super) fn time_max_ms(rows: u64) -> i64 {
    START_MS + rows.cast_signed() / ORDERS_PER_MS
}

/// How the lines write event times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeFormat {
    /// `"2026-01-01T00:00:10.123Z"`
    Text,
    /// Since 1970, for engines that take event times as numbers.
    Milliseconds,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Buy,
    Sell,
}

/// One order, or a sentinel, whose number, client and symbol are not of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) time_ms: i64,
    pub(super) order_id: i64,
    /// From 1.
    pub(super) client_id: i64,
    pub(super) symbol: [u8; 3],
    pub(super) amount: u32,
    pub(super) price_cents: u32,
    pub(super) side: Side,
}

impl Order {
    /// Amount times price.
    pub(super) fn value_cents(&self) -> i64 {
        i64::from(self.amount) * i64::from(self.price_cents)
    }

    /// The partition it is sent to.
    pub(super) fn partition(&self) -> usize {
        // Sentinels are numbered -1, -2, … and so meet each partition once.
        usize::try_from(self.order_id.rem_euclid(PARTITIONS.cast_signed())).unwrap_or(0)
    }

    /// Appends the line of JSON.
    pub(super) fn append_line(&self, times: TimeFormat, line: &mut Vec<u8>) {
        line.extend_from_slice(br#"{"time":"#);
        match times {
            TimeFormat::Text => {
                line.push(b'"');
                iso_time::append(self.time_ms, line);
                line.push(b'"');
            }
            TimeFormat::Milliseconds => {
                // Writing into a vector cannot fail.
                let _ = write!(line, "{}", self.time_ms);
            }
        }
        let (order_id, client_id) = (self.order_id, self.client_id);
        let symbol = String::from_utf8_lossy(&self.symbol);
        let (amount, units) = (self.amount, self.price_cents / 100);
        let cents = self.price_cents % 100;
        let side = match self.side {
            Side::Buy => 'B',
            Side::Sell => 'S',
        };
        // As above.
        let _ = writeln!(
            line,
            r#","order_id":{order_id},"client_id":{client_id},"symbol":"{symbol}","amount":{amount},"price":{units}.{cents:02},"buy":"{side}"}}"#
        );
    }
}

/// The orders without sentinels, in the order of their numbers.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    next: i64,
    end: i64,
    random: SplitMix,
}

impl Orders {
    pub(super) fn new(rows: u64) -> Self {
        Orders {
            next: 0,
            end: rows.cast_signed(),
            random: SplitMix::seeded(SEED),
        }
    }
}

impl Iterator for Orders {
    type Item = Order;

    fn next(&mut self) -> Option<Order> {
        if self.next >= self.end {
            return None;
        }
        let order_id = self.next;
        self.next += 1;
        let random = &mut self.random;
        let late_ms = i64::from(random.below(DISORDER_MS + 1));
        let symbol = random.below(SYMBOLS).min(random.below(SYMBOLS));
        Some(Order {
            time_ms: START_MS + order_id / ORDERS_PER_MS - late_ms,
            order_id,
            client_id: i64::from(1 + random.below(CLIENTS)),
            symbol: symbol_of(symbol),
            amount: 1 + random.below(1_000),
            price_cents: 100 + random.below(49_901),
            side: match random.below(2) {
                0 => Side::Buy,
                _ => Side::Sell,
            },
        })
    }
}

/// The sentinels, one for each partition.
pub(super) fn sentinels(rows: u64) -> impl Iterator<Item = Order> {
    (1..=PARTITIONS.cast_signed()).map(move |number| Order {
        time_ms: time_max_ms(rows) + SENTINEL_AFTER_MS,
        order_id: -number,
        client_id: -1,
        symbol: SENTINEL_SYMBOL,
        amount: 0,
        price_cents: 0,
        side: Side::Buy,
    })
}

fn symbol_of(index: u32) -> [u8; 3] {
    [index / 625, index / 25, index].map(|digit| LETTERS[(digit % 25) as usize])
}

/// The number of a symbol; none for that of the sentinels.
pub(super) fn symbol_index(symbol: &[u8]) -> Option<u32> {
    let digit = |letter: u8| (b'A'..=b'Y').contains(&letter).then(|| letter - b'A');
    let [high, middle, low] = symbol else {
        return None;
    };
    let [high, middle, low] = [digit(*high)?, digit(*middle)?, digit(*low)?].map(u32::from);
    Some(high * 625 + middle * 25 + low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_stay_what_they_are() {
        let mut lines = Vec::new();
        let orders = Orders::new(1).chain(sentinels(1).take(1));
        orders.for_each(|order| order.append_line(TimeFormat::Text, &mut lines));
        assert_eq!(
            String::from_utf8(lines).unwrap(),
            r#"{"time":"2026-01-01T00:00:08.517Z","order_id":0,"client_id":344191,"symbol":"ADE","amount":39,"price":434.25,"buy":"B"}
{"time":"2026-01-01T01:00:10.000Z","order_id":-1,"client_id":-1,"symbol":"ZZZ","amount":0,"price":0.00,"buy":"B"}
"#
        );
    }

    #[test]
    fn times_are_numbers_where_they_have_to_be() {
        let mut line = Vec::new();
        let mut orders = Orders::new(1);
        let order = orders.next().unwrap();
        order.append_line(TimeFormat::Milliseconds, &mut line);
        let line = String::from_utf8(line).unwrap();
        assert!(
            line.starts_with(r#"{"time":1767225608517,"order_id":0,"client_id":344191,"#),
            "{line}"
        );
    }

    #[test]
    fn orders_are_of_the_shape_they_should_be() {
        let rows = 100_000;
        let mut per_partition = [0; 4];
        for order in Orders::new(rows) {
            assert!((TIME_MIN_MS..=time_max_ms(rows)).contains(&order.time_ms));
            assert!((1..=i64::from(CLIENTS)).contains(&order.client_id));
            assert!((1..=1_000).contains(&order.amount));
            assert!((100..=50_000).contains(&order.price_cents));
            assert!(symbol_index(&order.symbol).is_some_and(|index| index < SYMBOLS));
            per_partition[order.partition()] += 1;
        }
        assert_eq!(per_partition, [25_000; 4]);
    }

    #[test]
    fn symbols_and_their_numbers_agree() {
        assert_eq!(symbol_of(26), *b"ABB");
        assert!((0..SYMBOLS).all(|index| symbol_index(&symbol_of(index)) == Some(index)));
        assert_eq!(symbol_index(b"ZZZ"), None);
    }

    #[test]
    fn each_partition_gets_a_sentinel() {
        let partitions: Vec<_> = sentinels(10).map(|order| order.partition()).collect();
        assert_eq!(partitions, [3, 2, 1, 0]);
    }
}

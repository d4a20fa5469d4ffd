//! The generator of events, which gives the same on every machine.
//!
//! Of 50 events the first is a person, three are auctions and 46 are bids. Event time advances by
//! 0.1 ms an event, so that no two have the same time and nothing is late. Whatever an event
//! refers to has happened before:
//!
//! ```text
//! seller of an auction   3 of 4  the newest person whose number is a hundred
//!                        1 of 4  one of the newest 1,000
//! bidder of a bid        as the seller
//! auction of a bid       1 of 2  the newest auction whose number is a hundred
//!                        1 of 2  one of the newest 100
//! channel of a bid       1 of 2  one of four; else one of 10,000, whose number is in the address
//! price of a bid         every power of ten as often as the others, up to 100 million
//! ```
//!
//! Those are the proportions of the benchmark, whose generator draws some people and auctions that
//! have not come yet; here none. After the events comes a sentinel for each partition of every
//! topic, an hour later, whose only effect is that the watermark passes what can be passed.

use super::super::orders::PARTITIONS;
use super::super::random::SplitMix;
use super::event::{Auction, Bid, Event, Kind, Person, What};

/// Raise it when the events of a number of rows change: it names the folder in the cache.
pub(in crate::bench) const GENERATOR_VERSION: u32 = 1;

const START_US: i64 = 1_767_225_610_000_000; // 2026-01-01T00:00:10Z
const STEP_US: i64 = 100;
const SENTINEL_AFTER_US: i64 = 3_600_000_000;
const SEED: u64 = 42;
/// Events of which one is a person …
const ROUND: i64 = 50;
/// … and so many are auctions, which follow it.
const AUCTIONS_PER_ROUND: i64 = 3;
const ID_FIRST: i64 = 1_000;
const CATEGORY_FIRST: u32 = 10;
const CATEGORIES: u32 = 5;
const PERSONS_ACTIVE: i64 = 1_000;
const AUCTIONS_OPEN: i64 = 100;
/// Of so many people or auctions one is hot.
const HOT_EVERY: i64 = 100;
const CHANNELS: u32 = 10_000;
const CHANNELS_HOT: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const FIRST_NAMES: [&str; 8] = [
    "Ada", "Blaise", "Emmy", "Kurt", "Maryam", "Niels", "Sofia", "Terence",
];
const LAST_NAMES: [&str; 8] = [
    "Abel",
    "Banach",
    "Cantor",
    "Dirichlet",
    "Euler",
    "Fermat",
    "Gauss",
    "Hilbert",
];
const PLACES: [(&str, &str); 8] = [
    ("Boise", "ID"),
    ("Bend", "OR"),
    ("Portland", "OR"),
    ("Phoenix", "AZ"),
    ("Los Angeles", "CA"),
    ("San Francisco", "CA"),
    ("Seattle", "WA"),
    ("Cheyenne", "WY"),
];

impl Kind {
    /// How many of the first events are of this kind.
    pub(in crate::bench) fn count_of(self, events: u64) -> u64 {
        let (round, auctions) = (ROUND.cast_unsigned(), AUCTIONS_PER_ROUND.cast_unsigned());
        let (rounds, rest) = (events / round, events % round);
        let (of_round, of_rest) = match self {
            Kind::Person => (1, rest.min(1)),
            Kind::Auction => (auctions, rest.saturating_sub(1).min(auctions)),
            Kind::Bid => (round - 1 - auctions, rest.saturating_sub(1 + auctions)),
        };
        rounds * of_round + of_rest
    }
}

/// The events without sentinels.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Events {
    next: i64,
    end: i64,
    random: SplitMix,
}

impl Events {
    pub(in crate::bench) fn new(rows: u64) -> Self {
        Events {
            next: 0,
            end: rows.cast_signed(),
            random: SplitMix::seeded(SEED),
        }
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.next >= self.end {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let time_us = START_US + number * STEP_US;
        let (round, place) = (number / ROUND, number % ROUND);
        let mut draw = Draw {
            persons: round + 1,
            auctions: round * AUCTIONS_PER_ROUND + place.min(1 + AUCTIONS_PER_ROUND) - 1,
            random: &mut self.random,
        };
        let bids_per_round = ROUND - 1 - AUCTIONS_PER_ROUND;
        let (place, what) = match place {
            0 => (round, What::Person(draw.person(ID_FIRST + round))),
            1..=AUCTIONS_PER_ROUND => {
                let number = draw.auctions;
                (
                    number,
                    What::Auction(draw.auction(ID_FIRST + number, time_us)),
                )
            }
            _ => {
                let first = round * bids_per_round;
                (
                    first + place - 1 - AUCTIONS_PER_ROUND,
                    What::Bid(draw.bid()),
                )
            }
        };
        Some(Event {
            time_us,
            place,
            what,
        })
    }
}

/// The sentinels of a kind, one for each partition, all at one time.
pub(in crate::bench) fn sentinels(kind: Kind, rows: u64) -> impl Iterator<Item = Event> {
    let time_us = START_US + rows.cast_signed() * STEP_US + SENTINEL_AFTER_US;
    (1..=PARTITIONS.cast_signed()).map(move |number| Event {
        time_us,
        place: -number,
        what: match kind {
            Kind::Person => What::Person(Person {
                id: -number,
                name: String::new(),
                city: "",
                state: "",
                credit_card: 0,
                extra: String::new(),
            }),
            Kind::Auction => What::Auction(Auction {
                id: -number,
                item: String::new(),
                description: String::new(),
                initial_bid: 0,
                reserve: 0,
                expires_us: time_us,
                seller: -number,
                category: 0,
                extra: String::new(),
            }),
            Kind::Bid => What::Bid(Bid {
                auction: -number,
                bidder: -number,
                price: 0,
                channel: String::new(),
                url: String::new(),
                extra: String::new(),
            }),
        },
    })
}

/// What an event is drawn from: what there is already, and chance.
struct Draw<'a> {
    persons: i64,
    auctions: i64,
    random: &'a mut SplitMix,
}

impl Draw<'_> {
    fn person(&mut self, id: i64) -> Person {
        let (city, state) = self.one_of(&PLACES);
        let (first, last) = (self.one_of(&FIRST_NAMES), self.one_of(&LAST_NAMES));
        Person {
            id,
            name: format!("{first} {last}"),
            city,
            state,
            credit_card: self.random.word() % 10_000_000_000_000_000,
            extra: self.letters(80, 120),
        }
    }

    fn auction(&mut self, id: i64, time_us: i64) -> Auction {
        let initial_bid = self.price();
        Auction {
            id,
            item: self.letters(10, 20),
            description: self.letters(60, 100),
            initial_bid,
            reserve: initial_bid + self.price(),
            expires_us: time_us + i64::from(1 + self.random.below(20_000)) * 1_000,
            seller: self.someone(),
            category: CATEGORY_FIRST + self.random.below(CATEGORIES),
            extra: self.letters(200, 300),
        }
    }

    fn bid(&mut self) -> Bid {
        let auction = match self.random.below(2) {
            0 => self.newest_of(self.auctions, AUCTIONS_OPEN),
            _ => hot(self.auctions),
        };
        let bidder = self.someone();
        let price = self.price();
        let [a, b, c] = [(); 3].map(|()| self.letters(5, 5));
        let address = format!("https://auction.example.com/{a}/{b}/{c}/item.htm?query=1");
        let (channel, url) = match self.random.below(2) {
            0 => (self.one_of(&CHANNELS_HOT).to_string(), address),
            _ => {
                let number = self.random.below(CHANNELS);
                let url = format!("{address}&channel_id={number}");
                (format!("channel-{number}"), url)
            }
        };
        Bid {
            auction: ID_FIRST + auction,
            bidder,
            price,
            channel,
            url,
            extra: self.letters(40, 60),
        }
    }

    /// One who sells or bids.
    fn someone(&mut self) -> i64 {
        let number = match self.random.below(4) {
            0 => self.newest_of(self.persons, PERSONS_ACTIVE),
            _ => hot(self.persons),
        };
        ID_FIRST + number
    }

    /// One of the newest, by its number.
    fn newest_of(&mut self, there: i64, newest: i64) -> i64 {
        let newest = newest.min(there);
        let back = self.random.below(u32::try_from(newest).unwrap_or(1));
        there - 1 - i64::from(back)
    }

    /// In cents: from 1 to a million.
    fn price(&mut self) -> u32 {
        let power = 10_u32.pow(self.random.below(6));
        (100 + self.random.below(900)) * power + self.random.below(power)
    }

    fn one_of<T: Copy, const N: usize>(&mut self, all: &[T; N]) -> T {
        all[self.random.below(N as u32) as usize]
    }

    /// A word of small letters, with a length from `min` to `max`, inclusive.
    fn letters(&mut self, min: u32, max: u32) -> String {
        let length = min + self.random.below(max - min + 1);
        let mut word = 0;
        let letters = (0..length).map(|place| {
            // A number has enough for ten letters.
            if place % 10 == 0 {
                word = self.random.word();
            }
            let letter = u8::try_from(word % 26).unwrap_or(0);
            word /= 26;
            char::from(b'a' + letter)
        });
        letters.collect()
    }
}

/// The newest that is hot, by its number.
fn hot(there: i64) -> i64 {
    (there - 1) / HOT_EVERY * HOT_EVERY
}

#[cfg(test)]
mod tests;

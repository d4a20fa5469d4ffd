//! What happens at the auction house, as lines of JSON.
//!
//! Every kind of event has a topic of its own, with plain columns. In one topic for all of them
//! each event would be a STRUCT in one of three columns: a query would read and take apart the
//! other kinds too, and a STRUCT is converted whole where a query names a single field of it.

use std::io::Write as _;

use super::super::iso_time;
use super::super::orders::PARTITIONS;

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) enum Kind {
    Person,
    Auction,
    Bid,
}

impl Kind {
    pub(in crate::bench) const ALL: [Kind; 3] = [Kind::Person, Kind::Auction, Kind::Bid];

    /// The end of the name of its topic.
    pub(in crate::bench) fn plural(self) -> &'static str {
        match self {
            Kind::Person => "persons",
            Kind::Auction => "auctions",
            Kind::Bid => "bids",
        }
    }

    /// The place in scripts that the name of its topic is filled in at.
    pub(in crate::bench) fn place(self) -> &'static str {
        match self {
            Kind::Person => "PERSONS",
            Kind::Auction => "AUCTIONS",
            Kind::Bid => "BIDS",
        }
    }

    /// What the names of its files begin with.
    pub(in crate::bench) fn prefix(self) -> &'static str {
        match self {
            Kind::Person => "persons-",
            Kind::Auction => "auctions-",
            Kind::Bid => "bids-",
        }
    }
}

/// One who sells and bids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bench) struct Person {
    pub(in crate::bench) id: i64,
    pub(in crate::bench) name: String,
    pub(in crate::bench) city: &'static str,
    pub(in crate::bench) state: &'static str,
    pub(in crate::bench) credit_card: u64,
    pub(in crate::bench) extra: String,
}

/// Something that is sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bench) struct Auction {
    pub(in crate::bench) id: i64,
    pub(in crate::bench) item: String,
    pub(in crate::bench) description: String,
    pub(in crate::bench) initial_bid: u32,
    pub(in crate::bench) reserve: u32,
    pub(in crate::bench) expires_us: i64,
    pub(in crate::bench) seller: i64,
    pub(in crate::bench) category: u32,
    pub(in crate::bench) extra: String,
}

/// What somebody would give for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bench) struct Bid {
    pub(in crate::bench) auction: i64,
    pub(in crate::bench) bidder: i64,
    pub(in crate::bench) price: u32,
    pub(in crate::bench) channel: String,
    pub(in crate::bench) url: String,
    pub(in crate::bench) extra: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bench) enum What {
    Person(Person),
    Auction(Auction),
    Bid(Bid),
}

/// What happened, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bench) struct Event {
    /// Microseconds since 1970; no two events have the same.
    pub(in crate::bench) time_us: i64,
    /// Among those of its kind, from 0; those of sentinels are negative.
    pub(in crate::bench) place: i64,
    pub(in crate::bench) what: What,
}

impl Event {
    pub(in crate::bench) fn kind(&self) -> Kind {
        match self.what {
            What::Person(_) => Kind::Person,
            What::Auction(_) => Kind::Auction,
            What::Bid(_) => Kind::Bid,
        }
    }

    /// The partition it is sent to; sentinels meet each once.
    pub(in crate::bench) fn partition(&self) -> usize {
        usize::try_from(self.place.rem_euclid(PARTITIONS.cast_signed())).unwrap_or(0)
    }

    /// Appends the line. No text holds what JSON would have to escape.
    pub(in crate::bench) fn append_line(&self, line: &mut Vec<u8>) {
        // Writing into a vector cannot fail, here and below.
        let _ = match &self.what {
            What::Person(person) => person.append(line),
            What::Auction(auction) => auction.append(line),
            What::Bid(bid) => bid.append(line),
        };
        append_time("date_time", self.time_us, line);
        let _ = writeln!(line, r#","extra":"{}"}}"#, self.extra());
    }

    fn extra(&self) -> &str {
        match &self.what {
            What::Person(person) => &person.extra,
            What::Auction(auction) => &auction.extra,
            What::Bid(bid) => &bid.extra,
        }
    }
}

impl Person {
    fn append(&self, line: &mut Vec<u8>) -> std::io::Result<()> {
        let Person {
            id,
            name,
            city,
            state,
            credit_card,
            ..
        } = self;
        let mail = name.to_lowercase().replace(' ', ".");
        write!(
            line,
            r#"{{"id":{id},"name":"{name}","email_address":"{mail}@example.com","credit_card":"{credit_card:016}","city":"{city}","state":"{state}""#
        )
    }
}

impl Auction {
    fn append(&self, line: &mut Vec<u8>) -> std::io::Result<()> {
        let Auction {
            id,
            item,
            description,
            initial_bid,
            reserve,
            seller,
            category,
            ..
        } = self;
        write!(
            line,
            r#"{{"id":{id},"item_name":"{item}","description":"{description}","initial_bid":{initial_bid},"reserve":{reserve},"seller":{seller},"category":{category}"#
        )?;
        append_time("expires", self.expires_us, line);
        Ok(())
    }
}

impl Bid {
    fn append(&self, line: &mut Vec<u8>) -> std::io::Result<()> {
        let Bid {
            auction,
            bidder,
            price,
            channel,
            url,
            ..
        } = self;
        write!(
            line,
            r#"{{"auction":{auction},"bidder":{bidder},"price":{price},"channel":"{channel}","url":"{url}""#
        )
    }
}

fn append_time(name: &str, time_us: i64, line: &mut Vec<u8>) {
    let _ = write!(line, r#","{name}":""#);
    iso_time::append_us(time_us, line);
    line.push(b'"');
}

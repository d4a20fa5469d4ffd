//! The events are the same every time, in the proportions that they should have, and refer to
//! what was there before them.

use std::collections::HashSet;

use super::*;

const ROWS: u64 = 20_000;

/// The first person, the first auction, the first bid, bid 91 and a sentinel.
const LINES: &str = r#"{"id":1000,"name":"Blaise Cantor","email_address":"blaise.cantor@example.com","credit_card":"9198060258255764","city":"San Francisco","state":"CA","date_time":"2026-01-01T00:00:10.000000Z","extra":"ufwlijghtbxbfrjcgjwrmmmgkfigpbrabqidtzawgymxjdqclzvlrvenyneecmpbopshglylysuaravbv"}
{"id":1000,"item_name":"hotldugiommixxl","description":"hnclycmogelllcrwanmwdtmmptngurkpkbbbodlvremxxnhplpdltbyulxktdqvxrtiuerbdguuiyhapxskqbjxszifsjztwmzc","initial_bid":283103,"reserve":68561318,"seller":1000,"category":10,"expires":"2026-01-01T00:00:22.751100Z","date_time":"2026-01-01T00:00:10.000100Z","extra":"uydmvvcsdbianhddgkwpmrhaqpenyyhjsuoqvnffawecxmoorencsniijwkilqapjlphsdccfmayetffggivsktyxmlweoltryiecwqujyjehcxaerepoattxxrqvfctrmgzkyfmyphoqsqgtxkifvdofpqrzuggbmztaagizqzhbjhisqkytlcjqnyrljulswnizfqrwjsplrgxtfmluiispuiomddezz"}
{"auction":1000,"bidder":1000,"price":64604,"channel":"Google","url":"https://auction.example.com/mzzjd/vyhtc/pkcxf/item.htm?query=1","date_time":"2026-01-01T00:00:10.000400Z","extra":"hnbkdkfmxnazwzevzbhssqmxowycqfzuxnbuybmiyuweuao"}
{"auction":1000,"bidder":1000,"price":906690,"channel":"channel-9976","url":"https://auction.example.com/ounqx/fanrm/olqbj/item.htm?query=1&channel_id=9976","date_time":"2026-01-01T00:00:10.009900Z","extra":"gdftwbhmsjvxvrvzdilpoempiojtnpgblnqyptkknuxhmbeko"}
{"auction":-1,"bidder":-1,"price":0,"channel":"","url":"","date_time":"2026-01-01T01:00:10.010000Z","extra":""}
"#;

fn lines(events: impl Iterator<Item = Event>) -> String {
    let mut lines = Vec::new();
    events.for_each(|event| event.append_line(&mut lines));
    String::from_utf8(lines).unwrap()
}

#[test]
fn the_lines_stay_what_they_are() {
    let events = Events::new(100).filter(|event| [0, 1, 4, 99].contains(&number(event)));
    let bids = sentinels(Kind::Bid, 100).take(1);
    assert_eq!(lines(events.chain(bids)), LINES);
}

/// Its place among all events.
fn number(event: &Event) -> i64 {
    (event.time_us - START_US) / STEP_US
}

#[test]
fn every_line_is_json_with_the_columns_of_its_kind() {
    for kind in Kind::ALL {
        let of_kind = Events::new(1_000).filter(|event| event.kind() == kind);
        let lines = lines(of_kind.chain(sentinels(kind, 1_000)));
        let columns = match kind {
            Kind::Person => 8,
            Kind::Auction => 10,
            Kind::Bid => 7,
        };
        for line in lines.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value.as_object().unwrap().len(), columns, "{line}");
        }
    }
}

#[test]
fn fewer_events_are_the_first_of_more() {
    let more: Vec<_> = Events::new(2_000).take(1_000).collect();
    assert!(Events::new(1_000).eq(more));
}

#[test]
fn of_fifty_events_one_is_a_person_and_three_are_auctions() {
    let mut places = [0; 3];
    let mut time_us = START_US;
    for event in Events::new(ROWS) {
        assert_eq!(event.time_us, time_us);
        time_us += STEP_US;
        let place = &mut places[event.kind() as usize];
        assert_eq!(event.place, *place, "{event:?}");
        *place += 1;
    }
    assert_eq!(places, [400, 1_200, 18_400]);
}

#[test]
fn how_many_are_of_a_kind_is_known_beforehand() {
    for rows in [0, 1, 2, 4, 5, 49, 50, 51, 1_003] {
        for kind in Kind::ALL {
            let counted = Events::new(rows).filter(|event| event.kind() == kind);
            assert_eq!(
                kind.count_of(rows),
                counted.count() as u64,
                "{rows} {kind:?}"
            );
        }
    }
}

#[test]
fn what_an_event_refers_to_has_happened_before() {
    let (mut persons, mut auctions) = (HashSet::new(), HashSet::new());
    for event in Events::new(ROWS) {
        match &event.what {
            What::Person(person) => assert!(persons.insert(person.id)),
            What::Auction(auction) => {
                assert!(persons.contains(&auction.seller), "{auction:?}");
                assert!(auction.expires_us > event.time_us, "{auction:?}");
                assert!((10..15).contains(&auction.category), "{auction:?}");
                assert!(auctions.insert(auction.id));
            }
            What::Bid(bid) => {
                assert!(persons.contains(&bid.bidder), "{bid:?}");
                assert!(auctions.contains(&bid.auction), "{bid:?}");
                assert!((100..100_000_000).contains(&bid.price), "{bid:?}");
            }
        }
    }
}

#[test]
fn some_are_hot() {
    let (mut bids, mut hot_auctions, mut hot_bidders, mut hot_channels) = (0, 0, 0, 0);
    for event in Events::new(ROWS) {
        let What::Bid(bid) = event.what else { continue };
        bids += 1;
        hot_auctions += i64::from(bid.auction % HOT_EVERY == 0);
        hot_bidders += i64::from(bid.bidder % HOT_EVERY == 0);
        let is_hot = CHANNELS_HOT.contains(&bid.channel.as_str());
        assert_eq!(is_hot, !bid.url.contains("&channel_id="), "{bid:?}");
        hot_channels += i64::from(is_hot);
    }
    let percent = |count| count * 100 / bids;
    assert!((49..=52).contains(&percent(hot_auctions)), "{hot_auctions}");
    assert!((74..=77).contains(&percent(hot_bidders)), "{hot_bidders}");
    assert!((49..=51).contains(&percent(hot_channels)), "{hot_channels}");
}

#[test]
fn sentinels_are_later_than_everything_and_in_every_partition() {
    for kind in Kind::ALL {
        let last = Events::new(ROWS).last().unwrap();
        let sentinels: Vec<_> = sentinels(kind, ROWS).collect();
        let places: Vec<_> = sentinels.iter().map(|event| event.place).collect();
        assert_eq!(places, [-1, -2, -3, -4]);
        for event in sentinels {
            assert_eq!(event.kind(), kind);
            assert!(event.time_us > last.time_us + SENTINEL_AFTER_US);
        }
    }
}

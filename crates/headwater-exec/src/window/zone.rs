//! Time zones: from instants to what a clock on the wall shows, and back.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use headwater_core::{Error, Result};

/// A time zone of the IANA database, such as `Europe/Berlin`.
#[derive(Clone, Copy)]
pub struct Zone(Tz);

/// Instants further from 1970 than this count as that far: some 250,000 years.
pub(super) const FAR_US: i64 = 8_000_000_000_000_000_000;

/// No zone is further from UTC than this.
const MOST_US: i64 = 48 * 3_600 * 1_000_000;

const DAY_US: i64 = 86_400_000_000;

impl Zone {
    /// The zone of a name.
    ///
    /// # Errors
    /// If there is none.
    pub fn named(name: &str) -> Result<Self> {
        let known = || chrono_tz::TZ_VARIANTS.iter();
        let found = known().find(|zone| zone.name().eq_ignore_ascii_case(name.trim()));
        if let Some(zone) = found {
            return Ok(Zone(*zone));
        }
        let names = known().map(|zone| zone.name());
        let error = Error::plan(format!("there is no time zone \"{name}\""));
        Err(match headwater_core::options::nearest(name, names) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None => error.with_hint(
                "Write the name of a zone in the IANA database, such as 'Europe/Berlin' or 'UTC'.",
            ),
        })
    }

    /// Its name in the database.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Whether it is UTC, under whatever name.
    pub(super) fn is_utc(self) -> bool {
        matches!(
            self.name(),
            "UTC"
                | "Etc/UTC"
                | "Etc/UCT"
                | "UCT"
                | "Zulu"
                | "Etc/Zulu"
                | "Universal"
                | "Etc/Universal"
        )
    }

    /// What the clock shows at an instant, in microseconds since 1970-01-01T00:00 of the clock.
    pub(super) fn local(self, time_us: i64) -> i64 {
        let time_us = time_us.clamp(-FAR_US, FAR_US);
        let offset = self.0.offset_from_utc_datetime(&naive(time_us)).fix();
        time_us + i64::from(offset.local_minus_utc()) * 1_000_000
    }

    /// The first instant at which the clock shows a time or a later one. Where the clock is put
    /// back, that is the first of two; where it is put forward over the time, the moment of that.
    pub(super) fn first_instant(self, local_us: i64) -> i64 {
        let local_us = local_us.clamp(-FAR_US, FAR_US);
        if let Some(found) = self.0.from_local_datetime(&naive(local_us)).earliest() {
            return found.timestamp_micros();
        }
        let (mut before, mut reached) = (local_us - MOST_US, local_us + MOST_US);
        while before + 1 < reached {
            let middle = before + (reached - before) / 2;
            if self.local(middle) >= local_us {
                reached = middle;
            } else {
                before = middle;
            }
        }
        reached
    }

    /// Whether its calendar leaves a day out, as Samoa's did at the date line in 2011.
    pub(super) fn leaves_out_days(self) -> bool {
        // From 1900 to 2040; no rule for later years moves a clock by a day.
        let mut days = -25_567..25_567i64;
        let shift = |day: i64| self.local(day * DAY_US) - day * DAY_US;
        days.any(|day| shift(day + 1) - shift(day) >= DAY_US - 2 * 3_600 * 1_000_000)
    }
}

/// The calendar's view of a time that is at most [`FAR_US`] from 1970.
pub(super) fn naive(us: i64) -> NaiveDateTime {
    DateTime::from_timestamp_micros(us)
        .unwrap_or_default()
        .naive_utc()
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Zone {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({self})")
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Zone::named(&name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    fn us(text: &str) -> i64 {
        format!("{text}Z")
            .parse::<DateTime<Utc>>()
            .unwrap()
            .timestamp_micros()
    }

    #[test]
    fn the_clock_says_when_it_first_shows_a_time() {
        let cases = [
            (
                "Europe/Berlin",
                "2026-03-29T00:00:00",
                "2026-03-28T23:00:00",
            ),
            // Put forward from 02:00 to 03:00, at 01:00 of UTC.
            (
                "Europe/Berlin",
                "2026-03-29T02:30:00",
                "2026-03-29T01:00:00",
            ),
            // Put back from 03:00 to 02:00: 02:30 is shown twice.
            (
                "Europe/Berlin",
                "2026-10-25T02:30:00",
                "2026-10-25T00:30:00",
            ),
            (
                "Europe/Berlin",
                "2026-10-26T00:00:00",
                "2026-10-25T23:00:00",
            ),
            // There was no midnight: the clock went from 23:59:59 to 01:00.
            (
                "America/Sao_Paulo",
                "2018-11-04T00:00:00",
                "2018-11-04T03:00:00",
            ),
            // Put back at 00:01 to 23:01 of the day before: midnight came twice.
            (
                "America/St_Johns",
                "2006-10-29T00:00:00",
                "2006-10-29T02:30:00",
            ),
            (
                "Asia/Kathmandu",
                "2026-01-01T00:00:00",
                "2025-12-31T18:15:00",
            ),
        ];
        for (zone, local, instant) in cases {
            let found = Zone::named(zone).unwrap().first_instant(us(local));
            assert_eq!(naive(found), naive(us(instant)), "{local} in {zone}");
        }
    }

    #[test]
    fn zones_are_found_by_name_and_suggested() {
        assert_eq!(
            Zone::named("europe/berlin").unwrap().name(),
            "Europe/Berlin"
        );
        let error = Zone::named("Europe/Belrin").unwrap_err();
        assert_eq!(error.hint(), Some("Did you mean \"Europe/Berlin\"?"));
        assert!(Zone::named("UTC").unwrap().is_utc());
        let zone = Zone::named("Asia/Tokyo").unwrap();
        let text = serde_json::to_string(&zone).unwrap();
        assert_eq!(serde_json::from_str::<Zone>(&text).unwrap(), zone);
    }

    #[test]
    fn a_few_zones_leave_out_days() {
        for (name, leaves_out) in [
            ("Pacific/Apia", true),
            ("Pacific/Kwajalein", true),
            ("Pacific/Kiritimati", true),
            ("Europe/Berlin", false),
            ("America/New_York", false),
            ("Pacific/Auckland", false),
        ] {
            assert_eq!(
                Zone::named(name).unwrap().leaves_out_days(),
                leaves_out,
                "{name}"
            );
        }
    }
}

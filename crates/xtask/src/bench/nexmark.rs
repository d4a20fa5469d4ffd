//! The Nexmark queries: an auction house, whose bids are most of what happens there.
//!
//! | file | what |
//! | --- | --- |
//! | `event` | a person, an auction, a bid; their lines of JSON |
//! | `events` | the generator |

mod event;
mod events;

pub(super) use event::{Event, Kind};
pub(super) use events::{Events, GENERATOR_VERSION, sentinels};

//! The words of headwater: ids, offsets, slices, times, modes, options, clocks, errors, and the
//! contracts (`Source`, `Sink`, `Decoder`, `Encoder`, `OperatorState`) that every other crate
//! is built on.
//!
//! Nothing here knows Kafka, SQL text, files or a terminal. A crate of a higher layer depends on
//! this one and never the other way round (`docs/architecture.md` holds the table of layers).
#![warn(missing_docs)]

pub mod around;
pub mod byte_size;
pub mod changes;
pub mod clock;
pub mod connector;
pub mod crash_point;
pub mod duration;
pub mod error;
pub mod event_time;
pub mod excerpt;
pub mod fingerprint;
pub mod format;
pub mod id;
pub mod mode;
pub mod offset;
pub mod option_doc;
pub mod options;
pub mod other_names;
mod other_options;
pub mod read_bounds;
pub mod records;
mod reword;
pub mod sample;
pub mod secret;
pub mod sink;
pub mod source;
pub mod state;
pub mod trigger;
pub mod type_name;
pub mod unique_map;
pub mod watermark;

pub use error::{Error, ErrorKind, Result};

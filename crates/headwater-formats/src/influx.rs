//! INFLUX: a line of `InfluxDB`'s line protocol per record, as Telegraf writes it to Kafka.
//!
//! ```text
//!   cpu,host=a,cpu=cpu-total usage_idle=93.4,procs=12i,note="a \"b\"" 1626600024000000000
//!   └┬┘ └───────┬──────────┘ └──────────────────┬───────────────────┘ └────────┬────────┘
//!   measurement  tags                            fields                         time
//! ```
//!
//! Tags and fields fill the columns of their names. Two columns have a meaning by themselves:
//! `measurement` and `time`, or whatever the options call them.
//!
//! The syntax is `InfluxDB`'s, read strictly: a line that it would refuse is a bad record here, and
//! not a value that somebody meets later. Three points differ on purpose. A line is a row, so a
//! record holds one line. `InfluxDB` gives a line without a time the time of its own clock; here it
//! has none, because the same record must give the same row whenever it is read. And it refuses a
//! tag that comes twice; here the last value counts, as in JSON.

mod cell;
mod decoder;
mod keys;
mod options;
mod scanner;
mod walk;

pub(crate) use decoder::InfluxDecoder;
pub(crate) use options::InfluxOptions;
pub(crate) use walk::{LinePart, walk_line};

//! What the tests of this crate share: a table of aggregates, a scripted source, an epoch to run
//! a plan in.

pub(crate) mod aggregates;
pub(crate) mod epoch;
pub(crate) mod plans;
pub(crate) mod scripted_source;

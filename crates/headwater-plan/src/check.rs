//! What a plan may not hold, and how that is said.

pub(crate) mod chained_windows;
pub(crate) mod depth;
pub(crate) mod expressions;
pub(crate) mod map_keys;
pub(crate) mod refuse;
pub(crate) mod unsteady;

//! The rewrites of planning, in the order they run.
//!
//! 1. `window_calls`: first, because a call of `window()` in GROUP BY cannot be typed or run.
//! 2. `number_sources`: gives every scan its position; before anything copies scans.
//! 3. `epoch_time`: before DataFusion can fix `now()` when the query is planned.
//! 4. `session_rows`: in a bounded read only.
//! 5. `incremental`: after DataFusion's analyzer, so that expressions are typed, and before its
//!    optimizer, so that no batch rule sees a stateful part.
//! 5. `late_inputs`: after it, because it looks for stateful parts; only if late rows are wanted.

pub(crate) mod epoch_time;
pub(crate) mod incremental;
pub(crate) mod late_inputs;
pub(crate) mod number_sources;
pub(crate) mod panes;
pub(crate) mod provenance;
pub(crate) mod row_key;
pub(crate) mod session_rows;
pub(crate) mod window_calls;

//! The rewrites of planning, in the order they run.
//!
//! 1. `window_calls`: first, because a call of `window()` in GROUP BY cannot be typed or run.
//! 2. `distinct_counts`: before anything looks at aggregates.
//! 3. `time_buckets`: of a streaming query only, after the windows that are called windows.
//! 4. `lateral_unnest`: before the scans are numbered, because it moves them.
//! 5. `number_sources`: gives every scan its position; before anything copies scans.
//! 6. `epoch_time`: before DataFusion can fix `now()` when the query is planned.
//! 7. `session_rows`: in a bounded read only.
//! 8. `subqueries`: after DataFusion's analyzer, so that expressions are typed; it makes joins,
//!    which the next one knows.
//! 9. `incremental`: before DataFusion's optimizer, so that no batch rule sees a stateful part.
//! 10. `late_inputs`: after it, because it looks for stateful parts; only if late rows are wanted.
//! 11. `held_filters`: last before DataFusion's optimizer, which would move them.
//! 12. `kept_tables`: on the physical plan, before DataFusion deals rows to partitions for its
//!     joins.
//! 13. `early_end`: last, on the physical plan of a bounded read, where limits are where they stay.

pub(crate) mod distinct_counts;
pub(crate) mod early_end;
pub(crate) mod epoch_time;
pub(crate) mod grouping_sets;
pub(crate) mod having;
pub(crate) mod held_back;
pub(crate) mod held_filters;
pub(crate) mod incremental;
pub(crate) mod kept_tables;
pub(crate) mod late_inputs;
pub(crate) mod lateral_unnest;
pub(crate) mod number_sources;
pub(crate) mod panes;
pub(crate) mod provenance;
pub(crate) mod row_key;
pub(crate) mod session_rows;
pub(crate) mod subqueries;
pub(crate) mod time_buckets;
pub(crate) mod window_calls;

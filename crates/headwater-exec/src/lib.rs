//! The physical operators of an epoch and the state they keep.
//!
//! Every operator is an ordinary DataFusion `ExecutionPlan` over a bounded input. What makes it a
//! streaming operator is that it finds the running epoch, and its state of the epoch before, in
//! the [`epoch_context::EpochContext`] of its `TaskContext`.

pub mod aggregate;
pub mod aggregate_spec;
pub mod aggregate_state;
pub mod changelog;
mod chunks;
pub mod epoch_context;
pub mod epoch_scan;
pub mod first_epoch;
mod group_table;
pub mod having;
pub mod idle_keys;
pub mod kept;
mod key_table;
pub mod keyed;
pub mod keyed_runs;
pub mod late_filter;
pub mod late_rows;
pub mod metrics;
pub mod over;
mod packed_rows;
mod plan_properties;
pub mod rank;
mod row_order;
pub mod session;
pub mod session_memory;
pub mod session_rows;
pub mod state_registry;
pub mod static_rows;
pub mod table_join;
#[cfg(test)]
mod testing;
mod view_buffers;
pub mod watermark;
pub mod window;
pub mod window_assign;

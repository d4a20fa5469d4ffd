//! Planning: a bound logical plan becomes a checked plan, an incremental plan and a physical plan.
//!
//! The order is fixed: windows are written as nodes (`rule::window_calls`), scans are numbered
//! (`rule::number_sources`), DataFusion's analyzer settles types, stateful parts become nodes of
//! our own (`rule::incremental`, which refuses what cannot be right), and only then does
//! DataFusion's optimizer run: no batch rule can rewrite state, because it does not know the nodes.

mod check;
pub mod event_time_field;
mod fallible;
mod large_stack;
pub mod node;
mod physical;
mod plan_steps;
pub mod retention;
mod rule;
mod scan_bounds;
pub mod session;
pub mod stream_plan;
pub mod stream_table;
mod window_struct;
pub mod window_udf;

pub use check::depth::refuse_deep_plan;
pub use check::expressions::check_repeatable;
pub use fallible::Fallible;
pub use large_stack::on_large_stack;
pub use rule::epoch_time::EpochTime;
pub use rule::late_inputs::LateInput;
pub use rule::number_sources::reads_sources;
pub use rule::window_calls::session_gap;
pub use stream_plan::{
    BatchPlan, ModeRequest, OperatorInfo, StreamPlan, compile_batch, compile_stream,
};
pub use stream_table::{StreamDefinition, StreamTable, TableColumn};

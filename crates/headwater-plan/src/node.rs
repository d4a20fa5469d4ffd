//! Our own logical nodes: what DataFusion's optimizer must not take apart.

pub mod aggregate_node;
pub mod keyed_node;
pub mod session_node;
pub mod static_node;
pub mod whole_rows_node;
pub mod window_node;

pub use aggregate_node::StreamAggregateNode;
pub use keyed_node::{Closing, ClosingKind, KeyedLogic, KeyedNode};
pub use session_node::SessionNode;
pub use static_node::StaticNode;
pub use whole_rows_node::WholeRowsNode;
pub use window_node::WindowNode;

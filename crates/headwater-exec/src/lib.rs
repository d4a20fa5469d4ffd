//! headwater-exec

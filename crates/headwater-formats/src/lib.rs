//! headwater-formats

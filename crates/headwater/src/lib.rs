//! headwater

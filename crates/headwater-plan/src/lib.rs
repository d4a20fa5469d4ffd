//! headwater-plan

//! headwater-kafka

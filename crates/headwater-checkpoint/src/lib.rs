//! headwater-checkpoint

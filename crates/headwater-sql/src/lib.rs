//! headwater-sql

//! The load test: 50,000 rows a second, exactly once, for three minutes; 100,000 for half an hour
//! with `HEADWATER_TEST_LONG`.
//!
//! One process of the command runs three queries with checkpoints, which commit every epoch:
//!
//! ```text
//! windows   generator, 50,000 rows/s ─▶ windows of 2 s, 1,000 keys ─▶ files
//! feed      generator,  2,000 rows/s ────────────────────────────────▶ topic, in transactions
//! sums      that topic ──────────────▶ windows of 2 s, 1,000 keys ───▶ topic, in transactions
//! ```
//!
//! About once a second the test looks at the process from outside: memory, threads, open files,
//! what is in the folders of the checkpoints and of rows that are staged, and how far the queries
//! are behind. After a warm-up of two minutes all of that must stay where it is (`verdict.rs`). Then
//! every sum is compared with what the rows of its window and key make: none is missing, none was
//! counted twice.
//!
//! Without a real broker the two queries with topics are left out.
//!
//! `cargo xtask test load` runs it alone, and prints its tables.

#[cfg(test)]
mod held_rate;
#[cfg(test)]
mod job;
#[cfg(test)]
mod process;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod topics;
#[cfg(test)]
mod verdict;

//! Black-box tests, in one binary: linking DataFusion is the dearest step of a test run.

#[cfg(test)]
mod aggregates;
#[cfg(test)]
mod backpressure;
#[cfg(test)]
mod bounded_state;
#[cfg(test)]
mod catching_up;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod cli_checkpoint;
#[cfg(test)]
mod cli_reads;
#[cfg(test)]
mod command;
#[cfg(test)]
mod committed;
#[cfg(test)]
mod compaction;
#[cfg(test)]
mod contained;
#[cfg(test)]
mod cpu_metrics;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod depth;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod draining;
#[cfg(test)]
mod drawn_values;
#[cfg(test)]
mod equivalence;
#[cfg(test)]
mod figures;
#[cfg(test)]
mod files;
#[cfg(test)]
mod first_epoch;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod insert_rows;
#[cfg(test)]
mod interop;
#[cfg(test)]
mod kafka;
#[cfg(test)]
mod kafka_ends;
#[cfg(test)]
mod kafka_faults;
#[cfg(test)]
mod kafka_keys;
#[cfg(test)]
mod kafka_payloads;
#[cfg(test)]
mod kafka_security;
#[cfg(test)]
mod kafka_times;
#[cfg(test)]
mod kafka_tokens;
#[cfg(test)]
mod large_statements;
#[cfg(test)]
mod late_rows;
#[cfg(test)]
mod letter_sinks;
#[cfg(test)]
mod memory_limit;
#[cfg(test)]
mod narrowed_reads;
#[cfg(test)]
mod old_checkpoints;
#[cfg(test)]
mod option_tables;
#[cfg(test)]
mod overlapping;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod prompt;
#[cfg(test)]
mod query_changes;
#[cfg(test)]
mod query_modes;
#[cfg(test)]
mod running;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod shared_topic;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod stalls;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod takeover;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod warnings;

//! Sources and sinks against librdkafka's mock broker, in this process, and transactions against a
//! real one.
//!
//! `read` shows that a slice gives the same rows whenever and however it is read, `faults` that
//! trouble at the broker is either survived or told, `errors` and `transaction_errors` that each error
//! of the protocol is met as the documentation says, `resume` what stops a query before it goes on,
//! `bounded` that a bounded read fetches about what it needs,
//! `avro` what becomes of rows and schemas, `topic_choice` which topics and partitions are read and which are found later,
//! `shared_fetch` that sources which read the same get the same rows and fetch them once,
//! `bad_input` that odd and large messages are rows like others, on the batches of `raw_batch`,
//! `write` that rows arrive once with their keys, `exactly_once` that they are seen once, whatever
//! becomes of an epoch.

mod avro;
mod bad_input;
mod bounded;
mod errors;
mod exactly_once;
mod faults;
pub(crate) mod fixture;
mod raw_batch;
mod read;
mod resume;
mod sample;
mod shared_fetch;
mod topic_choice;
mod transaction_errors;
mod write;

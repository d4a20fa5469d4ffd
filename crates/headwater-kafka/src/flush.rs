//! Sending what a producer holds back.
//!
//! rdkafka's own `flush` asks librdkafka to flush for no time at all, again and again, and
//! librdkafka forgets what it was asked when the call returns: the threads that send wake up, find
//! nobody who flushes, and wait for `linger.ms` all the same. So librdkafka is called for as long as
//! it takes.
#![expect(
    unsafe_code,
    reason = "rdkafka has no call of `rd_kafka_flush` that waits"
)]

use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::producer::Producer;

use crate::delivery::RawProducer;

/// Sends what waits for other messages to be sent with it. Holds the thread until everything is
/// delivered or has failed, or until the time is over. The producer's own thread serves deliveries
/// meanwhile.
pub(crate) fn flush_for(producer: &RawProducer, limit: Duration) {
    let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the native client is alive while `producer` is, and may be used from any thread.
    // That time is over is no error here: who waits for deliveries goes on waiting.
    let _ = unsafe { ffi::rd_kafka_flush(producer.client().native_ptr(), limit_ms) };
}

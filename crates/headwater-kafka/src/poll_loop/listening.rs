//! Partitions that are given up because another reader fetches them, and taken back.
//!
//! ```text
//!             a tap gives what comes next
//!  fetches ───────────────────────────────▶ listens
//!          ◀───────────────────────────────
//!             let go, or the query goes elsewhere
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headwater_core::offset::Partition;

use super::PollLoop;
use crate::batch_queue::Waker;
use crate::cluster::named;
use crate::failure::Failure;
use crate::tap::{Listener, OwnTap, ReaderIdentity, Taps};

/// How often a reader is looked for that fetches the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a partition that was taken back is fetched at least: who is slow would be let go again.
const KEEP_FOR: Duration = Duration::from_secs(10);

/// How long nothing may come from the other reader: its connection may hang, or its thread wait for a
/// broker. In a partition to which nobody writes, one is given up and taken back now and then.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What a reader has to do with others.
pub(crate) struct Sharing {
    taps: Arc<Taps>,
    reader: ReaderIdentity,
    /// Wakes its thread.
    waker: Waker,
    /// Silence is not looked for before.
    looks_after: Duration,
}

impl Sharing {
    pub(crate) fn new(taps: Arc<Taps>, reader: ReaderIdentity, waker: Waker) -> Self {
        Sharing {
            taps,
            reader,
            waker,
            looks_after: Duration::ZERO,
        }
    }

    /// A tap for a partition of the reader.
    pub(super) fn open(&self, partition: &Partition) -> OwnTap {
        self.taps.open(&self.reader, partition)
    }
}

impl PollLoop {
    /// Gives a partition up if an older reader is about to fetch what comes next in it.
    pub(super) fn listen_if_due(&mut self, index: usize) {
        let now = self.clock.elapsed();
        let partitions = self.lanes.len();
        let lane = &mut self.lanes[index];
        if lane.listening.is_some() || !lane.is_assigned || now < lane.listens_after {
            return;
        }
        lane.listens_after = now + LOOK_EVERY;
        let listener = Listener::new(
            Arc::clone(&self.shared),
            self.sharing.waker.clone(),
            Arc::clone(&lane.buffer),
            partitions,
        );
        let Some(listening) = self.sharing.taps.listen(&self.sharing.reader, &listener) else {
            return;
        };
        let partition = lane.buffer.partition().clone();
        match self.unassign(index, &partition) {
            Ok(()) => {
                tracing::debug!(%partition, "another reader fetches the partition too, listening to it");
                self.lanes[index].listening = Some(listening);
            }
            Err(error) => tracing::debug!(%partition, %error, "the partition is fetched twice"),
        }
    }

    /// Asks for the partitions back of which nothing has been heard for too long.
    pub(super) fn look_for_silence_if_due(&mut self) {
        let now = self.clock.elapsed();
        if now < self.sharing.looks_after {
            return;
        }
        self.sharing.looks_after = now + LOOK_EVERY;
        let listening = self.lanes.iter_mut().filter_map(|l| l.listening.as_mut());
        let longest = listening.map(|listening| listening.silence(now)).max();
        if longest.is_some_and(|silence| silence > SILENCE_MAX) {
            self.shared.has_requests.store(true, Ordering::Release);
        }
    }

    /// Takes partitions back that were let go or hear nothing, and those whose queries want to go
    /// elsewhere.
    pub(super) fn end_listening_where_needed(&mut self) {
        let now = self.clock.elapsed();
        for index in 0..self.lanes.len() {
            let lane = &mut self.lanes[index];
            let is_elsewhere = lane.buffer.lock().wanted().is_some();
            let ended = lane
                .listening
                .take_if(|l| is_elsewhere || !l.hears() || l.silence(now) > SILENCE_MAX);
            if ended.is_none() {
                continue;
            }
            drop(ended);
            lane.listens_after = now + KEEP_FOR;
            let partition = lane.buffer.partition().clone();
            // Nobody fills the buffer now. Where it wants to go, it goes like any other.
            let Some(position) = lane.buffer.lock().settled_position() else {
                continue;
            };
            tracing::debug!(%partition, position, "fetching the partition again");
            if let Err(error) = self.assign(index, &partition, position) {
                let message = format!("could not read {}", named(&partition));
                self.fail(index, Failure::source(message, Some(format!("{error}."))));
            }
        }
    }

    /// Lets everybody go who listens to this reader.
    pub(super) fn let_all_go(&self) {
        for lane in &self.lanes {
            lane.tap.close();
        }
    }
}

//! One connection of a client to a broker: what passes, and what does not.
//!
//! ```text
//! requests   client ─▶ read ─▶ silent? ─▶ lost? ─▶ pace ─▶ broker
//! answers    broker ─▶ read ─▶ addresses ─▶ queue ─▶ late? ─▶ silent? ─▶ fault? ─▶ pace ─▶ client
//! ```
//! Answers are late on their own: while one waits, the next is read, so that a slow link has the
//! throughput of a long wire and not of a single question after the other.
//! The queue is bounded; a broker that is not read from stops sending.
//!
//! Errors: none. A stream that ends, or that does not speak the protocol, ends the connection.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use headwater_core::clock::Clock;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::frame::{self, RequestHead};
use super::rules::Fault;
use super::{Door, Shared, addresses};

/// Answers on the way to a slow client.
const QUEUE_FRAMES_MAX: usize = 64;
/// What passes a narrow way at once.
const PIECE_BYTES: usize = 4096;

/// Requests that have passed and are not answered, oldest first.
type Asked = Mutex<VecDeque<RequestHead>>;

/// An answer and when it may arrive, in the time of the proxy's clock.
struct Late {
    request: Option<RequestHead>,
    answer: Vec<u8>,
    due: Duration,
}

/// Passes frames on until one side ends, or a fault ends the connection.
pub(super) async fn run(
    shared: &Arc<Shared>,
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    broker: &mut (impl AsyncRead + AsyncWrite + Unpin),
) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_broker, mut to_broker) = tokio::io::split(broker);
    let asked = Asked::default();
    let (late, mut due) = mpsc::channel(QUEUE_FRAMES_MAX);
    // Why a side ended makes no difference to the other. What the broker said before it ended is
    // passed on: its queue is closed then, and not dropped.
    let read = async {
        let _ = read_answers(shared, &mut from_broker, late, &asked).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = pass_requests(shared, &mut from_client, &mut to_broker, &asked) => {}
        () = read => {}
        _ = pass_answers(shared, &mut due, &mut to_client) => {}
    }
    // What was sent, such as the first half of an answer, is to arrive.
    let _ = to_client.flush().await;
}

async fn pass_requests(
    shared: &Shared,
    client: &mut (impl AsyncRead + Unpin),
    broker: &mut (impl AsyncWrite + Unpin),
    asked: &Asked,
) -> io::Result<()> {
    loop {
        let request = frame::read_frame(client).await?;
        let head = frame::request_head(&request).ok_or(ErrorKind::InvalidData)?;
        wait_while_silent(shared).await;
        if shared.rules.lock().loses_request(head.api_key) {
            return Ok(());
        }
        asked.lock().push_back(head);
        write(shared, broker, &frame::with_length(&request)?).await?;
    }
}

async fn read_answers(
    shared: &Arc<Shared>,
    broker: &mut (impl AsyncRead + Unpin),
    late: mpsc::Sender<Late>,
    asked: &Asked,
) -> io::Result<()> {
    loop {
        let mut answer = frame::read_frame(broker).await?;
        let request = request_of(&answer, asked);
        if let Some(head) = request.filter(|head| addresses::concerns(*head)) {
            let mut port_of = |place| shared.port_of(place).ok();
            let rewritten = addresses::rewrite(head, &answer, &mut port_of);
            answer = rewritten.ok_or(ErrorKind::InvalidData)?;
        }
        let due = shared.clock.elapsed() + shared.rules.lock().next_delay();
        let queued = late.send(Late {
            request,
            answer,
            due,
        });
        queued.await.map_err(|_| ErrorKind::BrokenPipe)?;
    }
}

/// The request that an answer belongs to. A request that wants no answer is left behind by the
/// next one that does.
fn request_of(answer: &[u8], asked: &Asked) -> Option<RequestHead> {
    let correlation = frame::answer_correlation(answer)?;
    let mut asked = asked.lock();
    while let Some(head) = asked.pop_front() {
        if head.correlation == correlation {
            return Some(head);
        }
    }
    None
}

async fn pass_answers(
    shared: &Shared,
    due: &mut mpsc::Receiver<Late>,
    client: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    while let Some(mut late) = due.recv().await {
        let early = late.due.saturating_sub(shared.clock.elapsed());
        if !early.is_zero() {
            shared.clock.sleep(early).await;
        }
        wait_while_silent(shared).await;
        let fault = late.request.and_then(|head| {
            let mut rules = shared.rules.lock();
            rules.take_for_answer(head.api_key, late.answer.len())
        });
        match fault {
            // A lost request has no answer.
            None | Some(Fault::LoseRequest) => {}
            Some(Fault::LoseAnswer) => return Ok(()),
            Some(Fault::WithholdAnswer) => {
                // The client waits as long as it likes; later answers are not read any more.
                while due.recv().await.is_some() {}
                return Ok(());
            }
            Some(Fault::TearAnswer { at }) => {
                let whole = frame::with_length(&late.answer)?;
                return write(shared, client, &whole[..at.min(whole.len())]).await;
            }
            Some(Fault::FlipBit { from_end, .. }) => {
                let at = late.answer.len().saturating_sub(from_end + 1);
                if let Some(byte) = late.answer.get_mut(at) {
                    *byte ^= 1;
                }
            }
        }
        write(shared, client, &frame::with_length(&late.answer)?).await?;
    }
    Ok(())
}

/// Returns at once unless the proxy hangs.
async fn wait_while_silent(shared: &Shared) {
    let mut door = shared.door.subscribe();
    if *door.borrow() != Door::Silent {
        return;
    }
    shared.rules.lock().counts.held += 1;
    // The sender lives as long as the proxy.
    let _ = door.wait_for(|door| *door != Door::Silent).await;
}

/// Writes everything, no faster than the link is wide.
async fn write(
    shared: &Shared,
    to: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
) -> io::Result<()> {
    let width = shared.rules.lock().link.bytes_per_second;
    let Some(width) = width else {
        to.write_all(bytes).await?;
        return to.flush().await;
    };
    for piece in bytes.chunks(PIECE_BYTES) {
        to.write_all(piece).await?;
        to.flush().await?;
        shared.rules.lock().counts.paced += 1;
        let seconds = piece.len() as f64 / f64::from(width.max(1));
        shared.clock.sleep(Duration::from_secs_f64(seconds)).await;
    }
    Ok(())
}

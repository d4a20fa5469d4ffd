//! A stack that is large enough for what DataFusion does with a query.
//!
//! It walks over expressions and plans on the stack, and not all of that grows the stack by itself: in
//! a debug build, writing a sum of 250 numbers as a text takes 2 MiB, and copying a UNION of 100
//! branches as well. A thread of a program that headwater is embedded in may have no more, and a
//! stack that overflows ends the process. The parser refuses statements that are deeper than 300;
//! what it lets through is bound and planned on this stack.

use std::future::poll_fn;

/// Four times what a statement at the limit of the parser takes in a debug build.
const NEEDED: usize = 24 << 20;
/// Pages that are not touched cost nothing.
const GIVEN: usize = 32 << 20;

/// Polls on a stack of its own if the thread's has not enough left.
pub async fn on_large_stack<F: Future>(work: F) -> F::Output {
    let mut work = Box::pin(work);
    poll_fn(|context| stacker::maybe_grow(NEEDED, GIVEN, || work.as_mut().poll(context))).await
}

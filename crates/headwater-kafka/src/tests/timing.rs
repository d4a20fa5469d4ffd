//! Temporary.
use super::fixture::*;
use headwater_core::clock::{Clock, SystemClock};
#[tokio::test]
async fn timing() {
    let broker = broker(&[("t", 4)]);
    let servers = broker.bootstrap_servers();
    for p in 0..4 { put(&servers, "t", &(0..40_000).map(|i| text(p, format!("{{\"n\":{i},\"pad\":\"{}\"}}", "x".repeat(90)))).collect::<Vec<_>>()); }
    for round in 0..2 {
    let clock = SystemClock::new();
    let t = || clock.elapsed().as_millis();
    let source = open_own(json(&servers, "t")).await;
    eprintln!("{round} open {}", t());
    let start = source.initial().await.unwrap();
    eprintln!("{round} initial {}", t());
    use headwater_core::source::Source;
    let end = source.latest().await.unwrap();
    eprintln!("{round} latest {} {:?}", t(), end.iter().map(|(_, o)| o).sum::<i64>());
    source.available(&start, &NO_LIMITS).await.unwrap();
    eprintln!("{round} started {}", t());
    source.wait_ready(&start).await.unwrap();
    eprintln!("{round} first {}", t());
    reach(&source, &start, &end).await;
    eprintln!("{round} all here {} bytes {}", t(), source.held_bytes());
    let n = read(&source, &start, &end).await.rows();
    eprintln!("{round} read {} rows {n}", t());
    drop(source);
    eprintln!("{round} dropped {}", t());
    }
}

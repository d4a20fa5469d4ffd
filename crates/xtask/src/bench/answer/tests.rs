//! The dense arrays agree with a pass that keeps one map, and a wrong row is noticed.

use std::collections::BTreeMap;

use super::*;

const ROWS: u64 = 60_000;

fn window_starts(query: OrdersQuery, time_ms: i64) -> Vec<i64> {
    let (size_ms, slide_ms) = match query {
        OrdersQuery::Q1 => return vec![0],
        OrdersQuery::Q2 => (10_000, 10_000),
        OrdersQuery::Q3 => (60_000, 10_000),
        OrdersQuery::Q4 => (100_000, 100_000),
    };
    let starts = (0..=time_ms / slide_ms).rev().map(|n| n * slide_ms);
    starts
        .take_while(|start| start + size_ms > time_ms)
        .collect()
}

/// The rows of a query, by another way.
fn rows_of(query: OrdersQuery) -> Vec<Row> {
    let mut groups: BTreeMap<(i64, i64, String), (i64, i64)> = BTreeMap::new();
    for order in Orders::new(ROWS) {
        let symbol = String::from_utf8(order.symbol.to_vec()).unwrap();
        let (id, symbol) = match query {
            OrdersQuery::Q1 if order.side == Side::Sell || order.amount <= 500 => continue,
            OrdersQuery::Q1 => (order.order_id, symbol),
            OrdersQuery::Q2 | OrdersQuery::Q3 => (0, symbol),
            OrdersQuery::Q4 => (order.client_id, String::new()),
        };
        for start in window_starts(query, order.time_ms) {
            let group = groups.entry((start, id, symbol.clone())).or_default();
            group.0 += 1;
            group.1 += order.value_cents();
        }
    }
    let rows = groups
        .into_iter()
        .map(|((start, id, symbol), (orders, cents))| {
            let mut window_start = Vec::new();
            iso_time::append(start, &mut window_start);
            Row {
                window_start: String::from_utf8(window_start).unwrap(),
                symbol,
                client_id: id,
                orders,
                volume: cents as f64 / 100.0,
                ..Row::default()
            }
        });
    rows.collect()
}

fn check(query: OrdersQuery, rows: &[Row]) -> Result<u64> {
    let mut answer = Answer::compute(query, Orders::new(ROWS));
    rows.iter().try_for_each(|row| answer.take(row))?;
    answer.finish()
}

#[test]
fn two_ways_give_one_answer() {
    for query in OrdersQuery::ALL {
        let rows = rows_of(query);
        assert_eq!(check(query, &rows).unwrap(), rows.len() as u64, "{query}");
    }
}

#[test]
fn a_row_that_is_missing_or_wrong_is_noticed() {
    let rows = rows_of(OrdersQuery::Q3);
    let message = check(OrdersQuery::Q3, &rows[1..]).unwrap_err().to_string();
    assert!(message.contains("1 groups differ"), "{message}");

    let mut rows = rows;
    rows[7].volume += 0.01;
    let message = check(OrdersQuery::Q3, &rows).unwrap_err().to_string();
    assert!(message.contains("cents: -1"), "{message}");

    rows[7].window_start = "2026-01-01T00:00:03".to_string();
    let message = check(OrdersQuery::Q3, &rows).unwrap_err().to_string();
    assert!(message.starts_with("no group is that of Row"), "{message}");
}

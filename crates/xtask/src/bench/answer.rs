//! The right answer of a query, by one plain pass over the orders.
//!
//! It shares no code with headwater. Groups are numbered, window by window and key by key, and
//! each has a count and a sum in whole cents. The rows of a query are subtracted from it; what is
//! left must be nothing.

use super::iso_time;
use super::orders::{CLIENTS, Order, Orders, SYMBOLS, Side, TIME_MIN_MS, symbol_index};
use super::output::Row;
use super::queries::OrdersQuery;
use crate::failure::{Failure, Result};

/// Windows of a query: their size and the distance of their beginnings.
#[derive(Debug, Clone, Copy)]
struct Windows {
    size_ms: i64,
    slide_ms: i64,
    /// Start of the first one that an order can be in.
    first_start_ms: i64,
}

impl Windows {
    fn new(size_ms: i64, slide_ms: i64) -> Self {
        let last_with_first_order = TIME_MIN_MS.div_euclid(slide_ms) * slide_ms;
        Windows {
            size_ms,
            slide_ms,
            first_start_ms: last_with_first_order - size_ms + slide_ms,
        }
    }

    fn index(&self, start_ms: i64) -> Option<usize> {
        let distance = start_ms - self.first_start_ms;
        let is_start = distance.rem_euclid(self.slide_ms) == 0;
        let index = usize::try_from(distance / self.slide_ms).ok();
        index.filter(|_| is_start && distance >= 0)
    }

    /// The windows that a time is in.
    fn of(&self, time_ms: i64) -> impl Iterator<Item = usize> + '_ {
        let last_start = time_ms.div_euclid(self.slide_ms) * self.slide_ms;
        let starts = (0..self.size_ms / self.slide_ms).map(move |k| last_start - k * self.slide_ms);
        starts.filter_map(|start_ms| self.index(start_ms))
    }
}

/// What a group holds, or lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Group {
    orders: i64,
    cents: i64,
}

/// The answer of a query, or what is left of it.
#[derive(Debug)]
pub(super) struct Answer {
    query: OrdersQuery,
    windows: Windows,
    keys: usize,
    groups: Vec<Group>,
    rows_expected: u64,
    rows_taken: u64,
}

impl Answer {
    /// Computes the answer.
    pub(super) fn compute(query: OrdersQuery, orders: Orders) -> Self {
        let (windows, keys) = match query {
            // One window and one group for all rows; it lasts for centuries.
            OrdersQuery::Q1 => (Windows::new(i64::MAX / 4, i64::MAX / 4), 1),
            OrdersQuery::Q2 => (Windows::new(10_000, 10_000), SYMBOLS as usize),
            OrdersQuery::Q3 => (Windows::new(60_000, 10_000), SYMBOLS as usize),
            OrdersQuery::Q4 => (Windows::new(100_000, 100_000), CLIENTS as usize + 1),
        };
        let mut answer = Answer {
            query,
            windows,
            keys,
            groups: Vec::new(),
            rows_expected: 0,
            rows_taken: 0,
        };
        orders.for_each(|order| answer.add(&order));
        let groups = answer.groups.iter();
        answer.rows_expected = match query {
            OrdersQuery::Q1 => groups.map(|group| group.orders.unsigned_abs()).sum(),
            OrdersQuery::Q2 | OrdersQuery::Q3 | OrdersQuery::Q4 => {
                groups.filter(|group| group.orders > 0).count() as u64
            }
        };
        answer
    }

    /// The number of rows it has.
    pub(super) fn rows(&self) -> u64 {
        self.rows_expected
    }

    fn add(&mut self, order: &Order) {
        let key = match self.query {
            OrdersQuery::Q1 => (order.side == Side::Buy && order.amount > 500).then_some(0),
            OrdersQuery::Q2 | OrdersQuery::Q3 => {
                symbol_index(&order.symbol).map(|index| index as usize)
            }
            OrdersQuery::Q4 => usize::try_from(order.client_id).ok(),
        };
        let Some(key) = key else { return };
        let windows = self.windows;
        for window in windows.of(order.time_ms) {
            let index = window * self.keys + key;
            if self.groups.len() <= index {
                self.groups
                    .resize((window + 1) * self.keys, Group::default());
            }
            self.groups[index].orders += 1;
            self.groups[index].cents += order.value_cents();
        }
    }

    /// Subtracts a row.
    ///
    /// # Errors
    /// If the row is of a group that does not exist.
    pub(super) fn take(&mut self, row: &Row) -> Result<()> {
        let index = self.group_of(row);
        let group = index.and_then(|index| self.groups.get_mut(index));
        let group = group.ok_or_else(|| Failure::new(format!("no group is that of {row:?}")))?;
        // Sums are far below 2^53 cents, so nothing is lost.
        let cents = (row.volume * 100.0).round() as i64;
        group.orders -= row.orders;
        group.cents -= cents;
        self.rows_taken += 1;
        Ok(())
    }

    fn group_of(&self, row: &Row) -> Option<usize> {
        let (window, key) = match self.query {
            OrdersQuery::Q1 => (0, 0),
            OrdersQuery::Q2 | OrdersQuery::Q3 => {
                let symbol = symbol_index(row.symbol.as_bytes())?;
                (self.window_of(row)?, symbol as usize)
            }
            OrdersQuery::Q4 => (self.window_of(row)?, usize::try_from(row.client_id).ok()?),
        };
        (key < self.keys).then_some(window * self.keys + key)
    }

    fn window_of(&self, row: &Row) -> Option<usize> {
        self.windows.index(iso_time::parse(&row.window_start)?)
    }

    /// The number of rows, if nothing is left.
    ///
    /// # Errors
    /// If rows are missing, there twice, or wrong.
    pub(super) fn finish(self) -> Result<u64> {
        let left = |group: &&Group| **group != Group::default();
        let wrong = self.groups.iter().filter(left).count();
        if wrong == 0 && self.rows_taken == self.rows_expected {
            return Ok(self.rows_taken);
        }
        let Answer {
            rows_expected,
            rows_taken,
            ..
        } = self;
        let orders: i64 = self.groups.iter().map(|group| group.orders).sum();
        let example = self.groups.iter().find(left).copied().unwrap_or_default();
        Err(Failure::new(format!(
            "expected {rows_expected} rows, got {rows_taken}; {wrong} groups differ, which lack \
             {orders} orders in all; the first lacks {example:?}"
        )))
    }
}

#[cfg(test)]
mod tests;

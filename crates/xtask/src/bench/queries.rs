//! The queries that are measured: four over orders, and those of Nexmark.

use std::fmt;

/// What queries read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    Orders,
    Nexmark,
}

/// One of the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Query {
    Orders(OrdersQuery),
    Nexmark(&'static NexmarkQuery),
}

impl Query {
    /// All of them, those over orders first.
    pub(super) fn all() -> impl Iterator<Item = Query> {
        let orders = OrdersQuery::ALL.into_iter().map(Query::Orders);
        orders.chain(NEXMARK.iter().map(Query::Nexmark))
    }

    /// What it reads.
    pub(super) fn data(self) -> Data {
        match self {
            Query::Orders(_) => Data::Orders,
            Query::Nexmark(_) => Data::Nexmark,
        }
    }

    /// Its name on the command line and in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Query::Orders(query) => query.name(),
            Query::Nexmark(query) => query.name,
        }
    }

    /// What it does, in a few words.
    pub(super) fn what(self) -> &'static str {
        match self {
            Query::Orders(query) => query.what(),
            Query::Nexmark(query) => query.what,
        }
    }

    /// How its rows come out.
    pub(super) fn result(self) -> QueryResult {
        match self {
            Query::Orders(_) => QueryResult::Appended,
            Query::Nexmark(query) => query.result,
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the rows of a query come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryResult {
    /// Once each.
    Appended,
    /// Again whenever they have changed; these columns say which row it is.
    Updated(&'static [&'static str]),
    /// All of them in every epoch.
    Whole,
}

/// A query over orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrdersQuery {
    Q1,
    Q2,
    Q3,
    Q4,
}

impl OrdersQuery {
    pub(super) const ALL: [OrdersQuery; 4] = [
        OrdersQuery::Q1,
        OrdersQuery::Q2,
        OrdersQuery::Q3,
        OrdersQuery::Q4,
    ];

    /// Its name in file names too.
    pub(super) fn name(self) -> &'static str {
        match self {
            OrdersQuery::Q1 => "q1",
            OrdersQuery::Q2 => "q2",
            OrdersQuery::Q3 => "q3",
            OrdersQuery::Q4 => "q4",
        }
    }

    fn what(self) -> &'static str {
        match self {
            OrdersQuery::Q1 => "filter and project",
            OrdersQuery::Q2 => "tumbling windows, 500 keys",
            OrdersQuery::Q3 => "hopping windows, 500 keys",
            OrdersQuery::Q4 => "tumbling windows, 1 M keys",
        }
    }
}

impl fmt::Display for OrdersQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A query of Nexmark.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NexmarkQuery {
    /// `n5` of query 5.
    pub(super) name: &'static str,
    what: &'static str,
    pub(super) result: QueryResult,
}

impl NexmarkQuery {
    /// The name of its files: `q5`.
    pub(super) fn file(&self) -> String {
        self.name.replacen('n', "q", 1)
    }

    const fn appends(name: &'static str, what: &'static str) -> Self {
        NexmarkQuery {
            name,
            what,
            result: QueryResult::Appended,
        }
    }

    const fn completes(name: &'static str, what: &'static str) -> Self {
        NexmarkQuery {
            name,
            what,
            result: QueryResult::Whole,
        }
    }

    const fn updates(name: &'static str, what: &'static str, key: &'static [&'static str]) -> Self {
        NexmarkQuery {
            name,
            what,
            result: QueryResult::Updated(key),
        }
    }
}

/// The queries of Nexmark. Where they differ from the original is in `docs/performance.md`.
pub(super) static NEXMARK: [NexmarkQuery; 23] = [
    NexmarkQuery::appends("n0", "pass through"),
    NexmarkQuery::appends("n1", "project"),
    NexmarkQuery::appends("n2", "filter"),
    NexmarkQuery::appends("n3", "look back at sellers"),
    NexmarkQuery::completes("n4", "averages of highest bids"),
    NexmarkQuery::appends("n5", "most bids, hopping windows"),
    NexmarkQuery::completes("n6", "moving averages of highest bids"),
    NexmarkQuery::appends("n7", "highest bid of windows"),
    NexmarkQuery::appends("n8", "windows over two topics"),
    NexmarkQuery::updates("n9", "look back, highest bid of keys", &["auction"]),
    NexmarkQuery::appends("n10", "folders by value"),
    NexmarkQuery::appends("n11", "sessions"),
    NexmarkQuery::appends("n12", "tumbling windows by bidder"),
    NexmarkQuery::appends("n13", "join with a table"),
    NexmarkQuery::appends("n14", "filter and compute"),
    NexmarkQuery::updates("n15", "distinct counts by day", &["day"]),
    NexmarkQuery::updates("n16", "distinct counts by channel", &["channel", "day"]),
    NexmarkQuery::updates("n17", "aggregates by auction", &["auction", "day"]),
    NexmarkQuery::updates("n18", "last row of keys", &["bidder", "auction"]),
    NexmarkQuery::updates("n19", "first ten rows of keys", &["auction", "place"]),
    NexmarkQuery::appends("n20", "look back at auctions"),
    NexmarkQuery::appends("n21", "regular expression"),
    NexmarkQuery::appends("n22", "parts of texts"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nexmark_has_23_queries() {
        let names = NEXMARK.iter().map(|query| query.name.to_string());
        assert!(names.eq((0..23).map(|number| format!("n{number}"))));
    }

    #[test]
    fn no_two_have_one_name() {
        let mut names: Vec<_> = Query::all().map(Query::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 4 + NEXMARK.len());
    }
}

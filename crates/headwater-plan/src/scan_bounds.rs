//! From the filters above a scan to what it needs of its source.
//!
//! Only what holds for every row that passes is said: of `a AND b` what either says, of `a OR b`
//! what both say of the same column.

use std::collections::BTreeMap;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use headwater_core::read_bounds::{Bound, Interval, ReadBounds};

use crate::stream_table::TableColumn;

/// What filters say of columns, by name.
type Said = BTreeMap<String, Bound>;

/// What filters, all of which must pass, say of the columns of a source. `columns` are those of the
/// table, by name.
pub(crate) fn bounds_of(filters: &[Expr], columns: &BTreeMap<&str, &TableColumn>) -> ReadBounds {
    let mut bounds = ReadBounds::default();
    for (name, bound) in filters.iter().map(said_by).fold(Said::new(), both) {
        if let Some(TableColumn::Source(index)) = columns.get(name.as_str()) {
            bounds.add(*index, bound);
        }
    }
    bounds
}

fn said_by(filter: &Expr) -> Said {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => both(said_by(left), said_by(right)),
            Operator::Or => either(said_by(left), &said_by(right)),
            op => compared(left, *op, right),
        },
        Expr::Between(between) if !between.negated => {
            let low = compared(&between.expr, Operator::GtEq, &between.low);
            both(low, compared(&between.expr, Operator::LtEq, &between.high))
        }
        Expr::InList(list) if !list.negated => {
            let mut values = list.list.iter();
            let equals = |value: &Expr| compared(&list.expr, Operator::Eq, value);
            let first = values.next().map(equals).unwrap_or_default();
            values.map(equals).fold(first, |all, one| either(all, &one))
        }
        _ => Said::new(),
    }
}

/// A column and a value, in either order.
fn compared(left: &Expr, op: Operator, right: &Expr) -> Said {
    let (column, op, value) = match (left, right) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, Some(op), value),
        (Expr::Literal(value, _), Expr::Column(column)) => (column, op.swap(), value),
        _ => return Said::new(),
    };
    if let (Some(text), Some(Operator::Eq)) = (text(value), op) {
        return Said::from([(column.name.clone(), Bound::text(text))]);
    }
    let Some((value, interval)) = integer(value).zip(op) else {
        return Said::new();
    };
    // A comparison with less than the least value is true of nothing; nothing need be said of that.
    let interval = match interval {
        Operator::Eq => value.exact().map(Interval::exactly),
        Operator::GtEq => Some(Interval::at_least(value.up)),
        Operator::Gt => value.down.checked_add(1).map(Interval::at_least),
        Operator::LtEq => Some(Interval::at_most(value.down)),
        Operator::Lt => value.up.checked_sub(1).map(Interval::at_most),
        _ => None,
    };
    let said = interval.map(|interval| (column.name.clone(), Bound::Within(interval)));
    said.into_iter().collect()
}

/// A value as a whole number, rounded down and up.
#[derive(Clone, Copy)]
struct Whole {
    down: i64,
    up: i64,
}

impl Whole {
    fn exact(self) -> Option<i64> {
        (self.down == self.up).then_some(self.down)
    }
}

/// A literal as the whole number that a column holds: a time in microseconds.
fn integer(value: &ScalarValue) -> Option<Whole> {
    let exactly = |value: i64| Whole {
        down: value,
        up: value,
    };
    Some(match value {
        ScalarValue::Int8(Some(v)) => exactly((*v).into()),
        ScalarValue::Int16(Some(v)) => exactly((*v).into()),
        ScalarValue::Int32(Some(v)) => exactly((*v).into()),
        ScalarValue::Int64(Some(v)) | ScalarValue::TimestampMicrosecond(Some(v), _) => exactly(*v),
        ScalarValue::TimestampSecond(Some(v), _) => exactly(v.checked_mul(1_000_000)?),
        ScalarValue::TimestampMillisecond(Some(v), _) => exactly(v.checked_mul(1_000)?),
        ScalarValue::TimestampNanosecond(Some(v), _) => {
            let down = v.div_euclid(1_000);
            Whole {
                down,
                up: down + i64::from(v.rem_euclid(1_000) != 0),
            }
        }
        _ => return None,
    })
}

/// A literal as the text that a column holds.
fn text(value: &ScalarValue) -> Option<&str> {
    match value {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => Some(text),
        _ => None,
    }
}

fn both(mut all: Said, more: Said) -> Said {
    for (column, bound) in more {
        let bound = match all.remove(&column) {
            Some(known) => known.and(bound),
            None => bound,
        };
        all.insert(column, bound);
    }
    all
}

fn either(one: Said, other: &Said) -> Said {
    let each = one.into_iter();
    each.filter_map(|(column, bound)| {
        let around = bound.or(other.get(&column)?)?;
        Some((column, around))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    /// Columns `p` and `o` of a source, and a computed one.
    fn shown(filter: Expr) -> String {
        let (p, o) = (TableColumn::Source(2), TableColumn::Source(5));
        let computed = TableColumn::Generated(lit(1));
        let columns = BTreeMap::from([("p", &p), ("o", &o), ("c", &computed)]);
        let bounds = bounds_of(&[filter], &columns);
        let end = |end: Option<i64>| end.map_or_else(|| "_".to_string(), |end| end.to_string());
        let each = bounds.iter();
        let each = each.map(|(c, bound)| match bound {
            Bound::Within(i) => format!("{c}:{}..{}", end(i.min), end(i.max)),
            Bound::OneOf(texts) => format!("{c}:{texts:?}"),
        });
        each.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn filters_say_what_holds_for_every_row_that_passes() {
        let (p, o) = (|| col("p"), || col("o"));
        for (filter, expected) in [
            (p().eq(lit(3)), "2:3..3"),
            (lit(3_i64).lt(o()), "5:4.._"),
            (o().lt(lit(3_i64)), "5:_..2"),
            (o().between(lit(3_i64), lit(9_i64)), "5:3..9"),
            (p().eq(lit(3)).and(o().gt_eq(lit(7_i64))), "2:3..3 5:7.._"),
            (p().eq(lit(3)).or(p().eq(lit(1))), "2:1..3"),
            (p().eq(lit(3)).or(o().eq(lit(1_i64))), ""),
            (p().in_list(vec![lit(4), lit(2), lit(3)], false), "2:2..4"),
            (p().in_list(vec![lit(4)], true), ""),
            (p().not_eq(lit(3)), ""),
            (col("c").eq(lit(3)), ""),
            (p().eq(o()), ""),
            (p().eq(lit("a")), "2:{\"a\"}"),
            (lit("a").eq(p()).or(p().eq(lit("b"))), "2:{\"a\", \"b\"}"),
            (
                p().in_list(vec![lit("b"), lit("a")], false),
                "2:{\"a\", \"b\"}",
            ),
            (p().eq(lit("a")).and(p().eq(lit("b"))), "2:{}"),
            (p().gt(lit("a")), ""),
            (p().eq(lit("a")).or(o().eq(lit(1_i64))), ""),
            (o().lt(lit(i64::MIN)), ""),
            (
                o().gt(lit(ScalarValue::TimestampNanosecond(Some(1_500), None))),
                "5:2.._",
            ),
            (
                o().lt(lit(ScalarValue::TimestampNanosecond(Some(1_500), None))),
                "5:_..1",
            ),
            (
                o().gt_eq(lit(ScalarValue::TimestampNanosecond(Some(1_500), None))),
                "5:2.._",
            ),
            (
                o().lt_eq(lit(ScalarValue::TimestampMillisecond(Some(2), None))),
                "5:_..2000",
            ),
        ] {
            let text = filter.to_string();
            assert_eq!(shown(filter), expected, "{text}");
        }
    }
}

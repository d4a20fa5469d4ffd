//! Which columns identify a row of a result whose rows replace each other.
//!
//! A key has parts, and a part may be told by any of several columns: the start, the end and the
//! time of a window say the same, and so does the struct that Spark's `window()` makes of them; a
//! column selected twice stands there twice. The start of a cumulating window says less than its
//! end: such a column may stand in the key, and does not tell it alone. Of which grouping set a row
//! is, `grouping()` tells. A sink that keeps the newest row of a key must use exactly this key: with
//! fewer columns rows of different groups replace each other, with more an update leaves the old row
//! behind.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, ExprSchema, Result};
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, Projection};

use headwater_exec::window::Bound;

use crate::event_time_field::{WindowField, WindowRole, Windows, window_of};
use crate::node::aggregate_node::GroupColumn;
use crate::rule::grouping_sets::GroupedBy;
use crate::rule::provenance::{is_handed_on, is_plain};
use crate::window_struct::{is_bounds, is_part};

mod grouping;

use grouping::{GroupingBits, grouping_parts, is_told_by_bits};

/// The key of an updating result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowKey {
    /// Per part, the columns that tell it; the first one is named to users.
    parts: Vec<Vec<Teller>>,
}

/// A column that speaks of a part of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Teller {
    column: Column,
    tells: Tells,
}

/// What an expression says of a part of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tells {
    /// All: equal values mean equal parts.
    AsValue,
    /// All, and so does every field of the struct that it is, as of `window`.
    AsStruct,
    /// Something: equal parts have equal values.
    InPart,
    /// All, by some of its bits: it is the grouping id.
    AsGroupingId(GroupingBits),
    /// All, if it is there: an expression that no column has yet.
    AsExpr(Expr),
}

impl Teller {
    fn plain(column: Column) -> Self {
        Teller {
            column,
            tells: Tells::AsValue,
        }
    }

    fn expr(expr: &Expr) -> Self {
        Teller {
            column: Column::from_name(expr.schema_name().to_string()),
            tells: Tells::AsExpr(expr.clone()),
        }
    }

    /// Whether it is a column of the rows.
    fn is_column(&self) -> bool {
        !matches!(self.tells, Tells::AsExpr(_))
    }

    fn tells_all(&self) -> bool {
        !matches!(self.tells, Tells::InPart | Tells::AsExpr(_))
    }
}

impl RowKey {
    /// The key of an aggregation's rows: its group columns, and what tells its windows apart.
    ///
    /// # Errors
    /// If it groups by too many sets.
    pub(crate) fn of_groups(
        aggregate: &Aggregate,
        grouped: &GroupedBy,
        groups: &[GroupColumn],
        by: Bound,
    ) -> Result<Self> {
        let columns = aggregate.schema.columns().into_iter().zip(groups);
        let mut window: Vec<(Tells, WindowRole, Column)> = Vec::new();
        let mut parts: Vec<Vec<Teller>> = Vec::new();
        for (column, group) in columns {
            match group {
                GroupColumn::Key(_) => parts.push(vec![Teller::plain(column)]),
                GroupColumn::Window(role) => {
                    window.push((tells_by(*role, by), *role, column));
                }
                GroupColumn::GroupingId => {
                    parts.extend(grouping_parts(aggregate, grouped, &column)?);
                }
            }
        }
        if !window.is_empty() {
            window.sort_by_key(|(tells, role, _)| (*tells != Tells::AsValue, *role));
            let window = window.into_iter();
            parts.insert(
                0,
                window
                    .map(|(tells, _, column)| Teller { column, tells })
                    .collect(),
            );
        }
        Ok(RowKey { parts })
    }

    /// The key of rows that are numbered by partition: the partition's columns and expressions, and
    /// the number unless it is always one.
    pub(crate) fn of_ranking(
        partition: &[Expr],
        number: Option<Column>,
        input: &LogicalPlan,
    ) -> Option<Self> {
        let mut parts: Vec<(Option<WindowField>, Vec<Teller>)> = Vec::new();
        for expr in partition {
            let Expr::Column(column) = expr else {
                parts.push((None, vec![Teller::expr(expr)]));
                continue;
            };
            let field = input.schema().field_from_column(column).ok()?;
            let tells_it = |w: &WindowField| {
                tells_by(w.role, w.window.told_by()) == Tells::AsValue && is_plain(expr, input)
            };
            let window = window_of(field).filter(tells_it);
            let same = |known: &Option<WindowField>| match (known, &window) {
                (Some(known), Some(window)) => known.is_of_same_window(window),
                _ => false,
            };
            let mut tellers = vec![Teller::plain(column.clone())];
            if let Some(window) = &window {
                tellers.extend(columns_of(window, input));
            }
            match parts.iter_mut().find(|(known, _)| same(known)) {
                Some((_, part)) => part.append(&mut tellers),
                None => parts.push((window, tellers)),
            }
        }
        parts.extend(number.map(|number| (None, vec![Teller::plain(number)])));
        Some(RowKey {
            parts: parts.into_iter().map(|(_, part)| part).collect(),
        })
    }

    /// Whether an expression is a function of the key.
    pub(crate) fn determines(&self, expr: &Expr) -> bool {
        let columns = expr.column_refs();
        columns.into_iter().all(|column| self.holds(column))
    }

    /// Whether a column is a function of the key.
    pub(crate) fn holds(&self, column: &Column) -> bool {
        let mut tellers = self.parts.iter().flatten();
        tellers.any(|teller| teller.is_column() && teller.column == *column)
    }

    /// The key if columns tell all of it.
    pub(crate) fn shown(&self) -> Option<Self> {
        let is_told = |part: &Vec<Teller>| part.iter().any(Teller::tells_all);
        self.parts.iter().all(is_told).then(|| self.clone())
    }

    /// The key under the names a projection gives; none if it leaves a part out or changes it.
    pub(crate) fn projected(&self, projection: &Projection) -> Option<Self> {
        let of_part = |part: &[Teller]| -> Vec<Teller> {
            let exprs = projection.expr.iter().enumerate();
            exprs
                .filter_map(|(position, expr)| {
                    Some(Teller {
                        column: Column::from(projection.schema.qualified_field(position)),
                        tells: tells(expr, part, &projection.input)?,
                    })
                })
                .collect()
        };
        self.renamed(of_part)
    }

    /// The key under an alias of the relation.
    pub(crate) fn aliased(&self, input: &LogicalPlan, output: &LogicalPlan) -> Option<Self> {
        let alias = |teller: &Teller| {
            let teller = Some(teller).filter(|teller| teller.is_column())?;
            let position = input.schema().maybe_index_of_column(&teller.column)?;
            Some(Teller {
                column: Column::from(output.schema().qualified_field(position)),
                tells: teller.tells.clone(),
            })
        };
        self.renamed(|part| part.iter().filter_map(alias).collect())
    }

    fn renamed(&self, rename: impl Fn(&[Teller]) -> Vec<Teller>) -> Option<Self> {
        let parts = self.parts.iter().map(|part| {
            let tellers = rename(part);
            tellers.iter().any(Teller::tells_all).then_some(tellers)
        });
        Some(RowKey {
            parts: parts.collect::<Option<_>>()?,
        })
    }

    /// Names that tell all parts.
    pub(crate) fn names(&self) -> Vec<String> {
        let first = self
            .parts
            .iter()
            .filter_map(|part| part.iter().find(|t| t.tells_all()));
        // One call of grouping() may tell several parts.
        first.fold(vec![], |mut names, teller| {
            if !names.contains(&teller.column.name) {
                names.push(teller.column.name.clone());
            }
            names
        })
    }

    /// Whether these columns identify the same rows as the key does.
    pub(crate) fn is_told_by(&self, columns: &[String]) -> bool {
        let is_in_key = |teller: &&Teller| columns.contains(&teller.column.name);
        let all_told = self
            .parts
            .iter()
            .all(|part| part.iter().filter(is_in_key).any(Teller::tells_all));
        let speaks = |name: &String| {
            let mut tellers = self.parts.iter().flatten();
            tellers.any(|t| t.column.name == *name)
        };
        let nothing_else = columns.iter().all(speaks);
        all_told && nothing_else
    }
}

/// What the columns of a plan tell of a window of a fixed kind.
fn columns_of<'a>(
    window: &'a WindowField,
    plan: &'a LogicalPlan,
) -> impl Iterator<Item = Teller> + 'a {
    let is_fixed = matches!(window.window, Windows::Fixed(_));
    let fields = plan.schema().iter().enumerate();
    fields.filter_map(move |(position, (qualifier, field))| {
        let found = window_of(field).filter(|found| found.is_of_same_window(window))?;
        (is_fixed && is_handed_on(plan, position)).then(|| Teller {
            column: Column::from((qualifier, field)),
            tells: tells_by(found.role, window.window.told_by()),
        })
    })
}

/// What a column of a window tells of it.
fn tells_by(role: WindowRole, told_by: Bound) -> Tells {
    match (role, told_by) {
        (WindowRole::Start, Bound::End) => Tells::InPart,
        _ => Tells::AsValue,
    }
}

/// What an expression says of a part of the key; `None` if equal parts may differ in it.
fn tells(expr: &Expr, part: &[Teller], input: &LogicalPlan) -> Option<Tells> {
    if is_told_by_bits(expr, part, input) {
        return Some(Tells::AsValue);
    }
    if part.iter().any(|t| t.tells == Tells::AsExpr(expr.clone())) {
        return Some(Tells::AsValue);
    }
    match expr {
        Expr::Column(column) => {
            let teller = part.iter().find(|t| t.is_column() && t.column == *column)?;
            Some(teller.tells.clone())
        }
        Expr::Alias(alias) => tells(&alias.expr, part, input),
        Expr::Cast(cast) => {
            let from = cast.expr.get_type(input.schema()).ok()?;
            match tells(&cast.expr, part, input)? {
                Tells::AsValue if keeps_apart(&from, cast.field.data_type()) => {
                    Some(Tells::AsValue)
                }
                Tells::AsValue | Tells::InPart => Some(Tells::InPart),
                Tells::AsStruct | Tells::AsGroupingId(_) | Tells::AsExpr(_) => None,
            }
        }
        Expr::ScalarFunction(call) if is_bounds(expr) => told_by_all(call.args.iter(), part, input),
        Expr::ScalarFunction(call) if is_part(expr) => {
            let of = call.args.first()?;
            (tells(of, part, input)? == Tells::AsStruct).then_some(Tells::AsValue)
        }
        Expr::ScalarFunction(call) => match (call.func.name(), call.args.as_slice()) {
            ("named_struct", args) => told_by_all(args.iter().skip(1).step_by(2), part, input),
            ("get_field", [of, _]) => {
                (tells(of, part, input)? == Tells::AsStruct).then_some(Tells::AsValue)
            }
            _ => None,
        },
        _ => None,
    }
}

/// What a struct of some values says of a part of the key.
fn told_by_all<'a>(
    values: impl Iterator<Item = &'a Expr>,
    part: &[Teller],
    input: &LogicalPlan,
) -> Option<Tells> {
    let told: Option<Vec<Tells>> = values.map(|v| tells(v, part, input)).collect();
    let told = told.filter(|told| !told.is_empty())?;
    let all = |wanted| told.iter().all(|t| *t == wanted);
    Some(match () {
        () if all(Tells::AsValue) => Tells::AsStruct,
        () if all(Tells::InPart) => Tells::InPart,
        () => Tells::AsValue,
    })
}

/// Whether a cast gives different values for different values.
fn keeps_apart(from: &DataType, to: &DataType) -> bool {
    use DataType::{Date32, Date64, Dictionary, Timestamp};
    match (from, to) {
        (from, to) if from == to => true,
        (Dictionary(_, from), to) => keeps_apart(from, to),
        (from, to) if is_text(to) => is_text(from) || from.is_integer() || has_one_text(from),
        // A value that does not fit is an error and never another value.
        (from, to) if from.is_integer() && to.is_integer() => true,
        (Timestamp(from, _), Timestamp(to, _)) => from <= to,
        (Date32 | Date64, Timestamp(_, _)) => true,
        _ => false,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// Whether every value has a text of its own.
fn has_one_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 | DataType::Boolean
    )
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::TimeUnit;

    use super::*;

    fn key(parts: &[&[&str]]) -> RowKey {
        // A name with a question mark tells its part in part.
        let teller = |n: &&str| Teller {
            column: Column::from_name(n.trim_end_matches('?')),
            tells: match n.ends_with('?') {
                true => Tells::InPart,
                false => Tells::AsValue,
            },
        };
        let part = |names: &&[&str]| names.iter().map(teller).collect();
        RowKey {
            parts: parts.iter().map(part).collect(),
        }
    }

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_key_is_told_by_exactly_its_parts() {
        let key = key(&[&["window_start", "window_end"], &["symbol"]]);
        assert!(key.is_told_by(&columns(&["symbol", "window_start"])));
        assert!(key.is_told_by(&columns(&["window_end", "symbol"])));
        assert!(key.is_told_by(&columns(&["window_start", "window_end", "symbol"])));
        assert!(!key.is_told_by(&columns(&["symbol"])));
        assert!(!key.is_told_by(&columns(&["symbol", "window_start", "n"])));
        assert_eq!(key.names(), ["window_start", "symbol"]);
    }

    #[test]
    fn the_start_of_a_cumulating_window_tells_nothing_alone() {
        let key = key(&[&["window_end", "window_start?"], &["symbol"]]);
        assert!(key.is_told_by(&columns(&["symbol", "window_end"])));
        assert!(key.is_told_by(&columns(&["window_start", "window_end", "symbol"])));
        assert!(!key.is_told_by(&columns(&["window_start", "symbol"])));
        assert_eq!(key.names(), ["window_end", "symbol"]);
    }

    #[test]
    fn casts_that_can_merge_values_lose_the_key() {
        let (ms, us) = (TimeUnit::Millisecond, TimeUnit::Microsecond);
        assert!(keeps_apart(&DataType::Int32, &DataType::Int64));
        assert!(keeps_apart(&DataType::UInt32, &DataType::Int64));
        assert!(keeps_apart(&DataType::Int64, &DataType::Int32));
        assert!(!keeps_apart(&DataType::Int64, &DataType::Float64));
        assert!(keeps_apart(&DataType::Utf8View, &DataType::Utf8));
        assert!(keeps_apart(&DataType::Int64, &DataType::Utf8));
        assert!(keeps_apart(
            &DataType::Timestamp(ms, None),
            &DataType::Timestamp(us, None)
        ));
        assert!(!keeps_apart(
            &DataType::Timestamp(us, None),
            &DataType::Timestamp(ms, None)
        ));
    }
}

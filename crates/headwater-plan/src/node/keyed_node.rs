//! `KeyedNode`: an operator that keeps rows by key between epochs.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr, UserDefinedLogicalNodeCore};

use headwater_core::duration::format_duration;
use headwater_exec::changelog::Stage;
use headwater_exec::keyed::Growth;
use headwater_exec::over::Reach;
use headwater_exec::rank::Numbering;
use headwater_exec::watermark::InputTime;

use super::aggregate_node::GroupColumn;

/// An operator that keeps rows by key. See the module's page.
#[derive(Debug, Clone)]
pub struct KeyedNode {
    /// Rows.
    pub input: Arc<LogicalPlan>,
    /// Identity in the checkpoint.
    pub operator: String,
    /// Keys.
    pub keys: Vec<Expr>,
    /// What becomes of the rows of a key.
    pub logic: KeyedLogic,
    /// The watermark that counts.
    pub input_time: InputTime,
    /// Where it stands in its query.
    pub stage: Stage,
    /// Which rows of a ranking are in the output, in update mode; over [`KeyedNode::schema`].
    pub having: Option<Expr>,
    /// Columns of the output. With `having`, the last is that of the operations, once planning
    /// has come to the sink.
    pub schema: DFSchemaRef,
}

/// What becomes of the rows of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub enum KeyedLogic {
    /// Sessions, aggregated. Output: [`GroupColumn`]s, then aggregates.
    SessionAggregate {
        /// Event time.
        time: Expr,
        /// The gap after a row.
        gap: Expr,
        /// Aggregates.
        aggregates: Vec<Expr>,
        /// Group columns of the output.
        groups: Vec<GroupColumn>,
    },
    /// Rows with the session that each is in. Output: the input's columns, then those of a window.
    SessionRows {
        /// Event time.
        time: Expr,
        /// The gap after a row.
        gap: Expr,
    },
    /// The first rows of every key. Output: the input's columns, then the number of a row if it is
    /// asked for.
    Rank {
        /// The order.
        order: Vec<SortExpr>,
        /// The greatest number that is kept.
        limit: u64,
        /// How rows are numbered.
        numbering: Numbering,
        /// The event time, if rows are emitted in its order.
        by_time: Option<Expr>,
        /// The time at which the watermark closes a key, if it does, and how to tell late rows.
        closes: Option<Closing>,
    },
    /// Values over the rows before each row. Output: the input's columns, then the values.
    Over {
        /// The event time.
        time: Expr,
        /// The order.
        order: Vec<SortExpr>,
        /// The window expressions.
        windows: Vec<Expr>,
        /// How far back each of them reaches; `None` for values that are carried along.
        reach: Vec<Option<Reach>>,
        /// When the watermark closes a key, if it does: over the keys, under the names of
        /// [`key_name`], and not over the input.
        closes: Option<Closing>,
    },
}

/// The name of a key where there is nothing but keys.
pub(crate) fn key_name(position: usize) -> String {
    format!("key_{position}")
}

/// When the watermark closes a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub struct Closing {
    /// The time.
    pub at: Expr,
    /// What it is.
    pub kind: ClosingKind,
}

/// What closes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash)]
pub enum ClosingKind {
    /// The end of a window: rows at or behind the watermark are late.
    WindowEnd,
    /// An event time: rows behind the watermark are late.
    EventTime,
    /// The event time of the first row, which need not be in the key: rows behind the watermark are
    /// late, and the key is remembered until the watermark is more than so many microseconds past
    /// it.
    Remembered(i64),
}

impl KeyedLogic {
    /// Its expressions over the input.
    fn expressions(&self) -> Vec<Expr> {
        match self {
            KeyedLogic::SessionAggregate {
                time,
                gap,
                aggregates,
                ..
            } => [time, gap].into_iter().chain(aggregates).cloned().collect(),
            KeyedLogic::SessionRows { time, gap } => vec![time.clone(), gap.clone()],
            KeyedLogic::Rank {
                order,
                by_time,
                closes,
                ..
            } => {
                let order = order.iter().map(|sort| &sort.expr);
                let closes = closes.iter().map(|closing| &closing.at);
                order.chain(by_time).chain(closes).cloned().collect()
            }
            KeyedLogic::Over {
                time,
                order,
                windows,
                ..
            } => {
                let order = order.iter().map(|sort| &sort.expr);
                let time = std::iter::once(time);
                time.chain(order).chain(windows).cloned().collect()
            }
        }
    }

    /// The same with other expressions, as many and in the same order.
    fn with_expressions(&self, exprs: Vec<Expr>) -> Result<Self> {
        if exprs.len() != self.expressions().len() {
            return internal_err!("an operator was given other expressions");
        }
        let mut exprs = exprs.into_iter();
        let mut next = || match exprs.next() {
            Some(expr) => Ok(expr),
            None => internal_err!("an operator was given too few expressions"),
        };
        Ok(match self {
            KeyedLogic::SessionAggregate { groups, .. } => KeyedLogic::SessionAggregate {
                time: next()?,
                gap: next()?,
                aggregates: exprs.collect(),
                groups: groups.clone(),
            },
            KeyedLogic::SessionRows { .. } => KeyedLogic::SessionRows {
                time: next()?,
                gap: next()?,
            },
            KeyedLogic::Rank {
                order,
                limit,
                numbering,
                by_time,
                closes,
            } => KeyedLogic::Rank {
                order: with_exprs(order, &mut next)?,
                limit: *limit,
                numbering: *numbering,
                by_time: by_time.as_ref().map(|_| next()).transpose()?,
                closes: match closes {
                    Some(old) => Some(Closing {
                        at: next()?,
                        kind: old.kind,
                    }),
                    None => None,
                },
            },
            KeyedLogic::Over {
                order,
                reach,
                closes,
                ..
            } => KeyedLogic::Over {
                time: next()?,
                order: with_exprs(order, &mut next)?,
                windows: exprs.collect(),
                reach: reach.clone(),
                closes: closes.clone(),
            },
        })
    }

    /// Whether results are held back, in append mode, until the watermark passes them.
    pub(crate) fn holds_back(&self) -> bool {
        match self {
            KeyedLogic::SessionAggregate { .. }
            | KeyedLogic::SessionRows { .. }
            | KeyedLogic::Over { .. } => true,
            KeyedLogic::Rank { order, .. } => !order.is_empty(),
        }
    }

    /// How the state grows while the watermark moves on.
    pub(crate) fn growth(&self) -> Growth {
        match self {
            KeyedLogic::SessionAggregate { .. } | KeyedLogic::SessionRows { .. } => {
                Growth::ByWindows
            }
            KeyedLogic::Rank { closes, .. } if closes.is_some() => Growth::ByWindows,
            KeyedLogic::Rank { .. } => Growth::ByKeys,
            KeyedLogic::Over { closes, .. } if closes.is_some() => Growth::None,
            KeyedLogic::Over { reach, .. } => {
                let is_of_time = |reach: &Option<Reach>| reach.is_some_and(|r| r.is_of_time());
                if reach.contains(&Some(Reach::Everything)) {
                    Growth::ByRows
                } else if reach.iter().all(is_of_time) {
                    Growth::None
                } else {
                    Growth::ByKeys
                }
            }
        }
    }

    /// Whether every column of the input is handed on.
    fn keeps_all_columns(&self) -> bool {
        match self {
            KeyedLogic::SessionAggregate { .. } => false,
            KeyedLogic::SessionRows { .. } | KeyedLogic::Rank { .. } | KeyedLogic::Over { .. } => {
                true
            }
        }
    }
}

/// An order with other expressions.
fn with_exprs(
    order: &[SortExpr],
    next: &mut impl FnMut() -> Result<Expr>,
) -> Result<Vec<SortExpr>> {
    let order = order.iter().map(|old| {
        Ok(SortExpr {
            expr: next()?,
            ..old.clone()
        })
    });
    order.collect()
}

impl fmt::Display for KeyedLogic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyedLogic::SessionAggregate {
                time,
                gap,
                aggregates,
                ..
            } => {
                let aggregates: Vec<_> = aggregates.iter().map(ToString::to_string).collect();
                let aggregates = aggregates.join(", ");
                write!(f, "session gap {gap} on {time}, aggregates=[{aggregates}]")
            }
            KeyedLogic::SessionRows { time, gap } => {
                write!(f, "rows of sessions, gap {gap} on {time}")
            }
            KeyedLogic::Rank {
                order,
                limit,
                numbering,
                by_time,
                closes,
            } => {
                let order: Vec<_> = order.iter().map(ToString::to_string).collect();
                write!(f, "{numbering:?} <= {limit} by [{}]", order.join(", "))?;
                if by_time.is_some() {
                    write!(f, ", in the order of time")?;
                }
                match closes {
                    Some(Closing {
                        at,
                        kind: ClosingKind::Remembered(us),
                    }) => {
                        let time = Duration::from_micros(us.unsigned_abs());
                        let time = format_duration(time);
                        write!(f, ", remembered for {time} after {at}")
                    }
                    Some(closing) => write!(f, ", closed at {}", closing.at),
                    None => Ok(()),
                }
            }
            KeyedLogic::Over {
                windows, closes, ..
            } => {
                let windows: Vec<_> = windows.iter().map(ToString::to_string).collect();
                f.write_str(&windows.join(", "))?;
                match closes {
                    Some(closing) => write!(f, ", closed at {}", closing.at),
                    None => Ok(()),
                }
            }
        }
    }
}

type Identity<'a> = (
    &'a LogicalPlan,
    &'a str,
    &'a [Expr],
    &'a KeyedLogic,
    &'a InputTime,
    &'a Option<Expr>,
    Stage,
);

impl KeyedNode {
    fn identity(&self) -> Identity<'_> {
        (
            &self.input,
            &self.operator,
            &self.keys,
            &self.logic,
            &self.input_time,
            &self.having,
            self.stage,
        )
    }
}

impl PartialEq for KeyedNode {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for KeyedNode {}

impl Hash for KeyedNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialOrd for KeyedNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.identity().partial_cmp(&other.identity())
    }
}

impl UserDefinedLogicalNodeCore for KeyedNode {
    fn name(&self) -> &'static str {
        "Keyed"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        let logic = self.logic.expressions();
        self.keys.iter().cloned().chain(logic).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys.iter().map(ToString::to_string).collect();
        let (operator, keys) = (&self.operator, keys.join(", "));
        write!(
            f,
            "Keyed: operator={operator}, keys=[{keys}], {}",
            self.logic
        )?;
        match &self.having {
            Some(having) => write!(f, ", having={having}"),
            None => Ok(()),
        }
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> Result<Self> {
        let Some(input) = inputs.pop() else {
            return internal_err!("a keyed operator needs an input");
        };
        let mut exprs = exprs.into_iter();
        let keys = exprs.by_ref().take(self.keys.len()).collect();
        Ok(KeyedNode {
            input: Arc::new(input),
            keys,
            logic: self.logic.with_expressions(exprs.collect())?,
            ..self.clone()
        })
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let input = self.input.schema();
        if self.logic.keeps_all_columns() {
            return Some(vec![(0..input.fields().len()).collect()]);
        }
        let columns = self.expressions();
        let columns = columns.iter().flat_map(Expr::column_refs);
        let needed = columns.filter_map(|column| input.maybe_index_of_column(column));
        let needed: std::collections::BTreeSet<usize> = needed.collect();
        Some(vec![needed.into_iter().collect()])
    }
}

//! LIMIT: the first rows of a stream, whatever epoch they come in, or of a whole result.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::{
    Expr, FetchType, Filter, Limit, LogicalPlan, Projection, SkipType, Sort, lit,
};

use headwater_core::mode::OutputMode;
use headwater_exec::rank::Numbering;

use super::ranking::Spec;
use super::{Change, Converter, Incremental};
use crate::check::refuse;

/// The number of a row below LIMIT.
const LIMIT_NUMBER: &str = "__limit_number";

impl Converter {
    /// The first rows of a stream, whatever epoch they come in; or of the whole result.
    pub(super) fn limit(&mut self, plan: &LogicalPlan, limit: &Limit) -> Result<Incremental> {
        if self.is_whole(&limit.input) {
            return self.limit_of_whole(plan, limit);
        }
        if let LogicalPlan::Sort(sort) = limit.input.as_ref() {
            return self.sort(&limit.input, &sort.input);
        }
        match self.mode {
            OutputMode::Append => {}
            OutputMode::Update => {
                let mut complete = Converter::new(OutputMode::Complete, self.refresh);
                let whole = complete.convert(&limit.input).is_ok_and(|c| c.has_state);
                return Err(refuse::limit_update(whole).into());
            }
            OutputMode::Complete => return Err(refuse::limit_complete().into()),
        }
        let skip = match limit.get_skip_type()? {
            SkipType::Literal(rows) => rows as u64,
            SkipType::UnsupportedExpr => return Err(refuse::shape(plan).into()),
        };
        let fetch = match limit.get_fetch_type()? {
            FetchType::Literal(rows) => rows.map_or(u64::MAX, |rows| rows as u64),
            FetchType::UnsupportedExpr => return Err(refuse::shape(plan).into()),
        };
        if fetch == u64::MAX {
            return Err(refuse::offset_without_limit().into());
        }
        let number = Field::new(LIMIT_NUMBER, DataType::UInt64, false);
        let input_schema = limit.input.schema();
        let fields = input_schema
            .iter()
            .map(|(q, f)| (q.cloned(), Arc::clone(f)));
        let fields = fields.chain([(None, Arc::new(number))]).collect();
        let schema = DFSchema::new_with_metadata(fields, input_schema.metadata().clone())?;
        let spec = Spec {
            name: "LIMIT",
            input: &limit.input,
            partition: &[],
            order: vec![],
            limit: skip.saturating_add(fetch),
            numbering: Numbering::RowNumber,
        };
        let ranked = self.ranked(&spec, None, Arc::new(schema))?;
        let after = Expr::Column(Column::from_name(LIMIT_NUMBER)).gt(lit(skip));
        let kept = Filter::try_new(after, Arc::new(ranked.plan.clone()))?;
        let columns = input_schema
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        let projection = Projection::try_new(columns, Arc::new(LogicalPlan::Filter(kept)))?;
        Ok(Incremental {
            plan: LogicalPlan::Projection(projection),
            change: Change::AppendOnly,
            ..ranked
        })
    }

    /// The first rows of a whole result. A bare LIMIT would end the operators below it before their
    /// epoch is finished; ORDER BY reads all of its input.
    fn limit_of_whole(&mut self, plan: &LogicalPlan, limit: &Limit) -> Result<Incremental> {
        let whole = match is_sorted(&limit.input) {
            true => self.of_whole_result(plan, &limit.input)?,
            false => {
                let columns = limit.input.schema().columns().into_iter();
                let order = columns.map(|column| Expr::Column(column).sort(true, false));
                let sort = LogicalPlan::Sort(Sort {
                    expr: order.collect(),
                    input: Arc::clone(&limit.input),
                    fetch: None,
                });
                let plan = plan.with_new_exprs(plan.expressions(), vec![sort.clone()])?;
                self.of_whole_result(&plan, &sort)?
            }
        };
        whole.ok_or_else(|| refuse::shape(plan).into())
    }
}

/// Whether the rows of a plan come out of an ORDER BY.
fn is_sorted(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => is_sorted(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_sorted(&alias.input),
        _ => false,
    }
}

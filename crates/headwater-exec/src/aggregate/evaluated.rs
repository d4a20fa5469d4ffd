//! The values of a batch that an aggregation takes in.

use arrow::array::{ArrayRef, BooleanArray, UInt32Array};
use arrow::compute::{take, take_arrays};
use datafusion_common::Result;
use datafusion_common::cast::as_boolean_array;

use crate::group_table::Rows;

/// Keys and values of one batch, evaluated once and then cut by pane.
pub(super) enum Evaluated {
    Raw {
        arguments: Vec<Vec<ArrayRef>>,
        filters: Vec<Option<BooleanArray>>,
    },
    States(Vec<ArrayRef>),
}

impl Evaluated {
    pub(super) fn rows(&self) -> Rows<'_> {
        match self {
            Evaluated::Raw { arguments, filters } => Rows::Raw { arguments, filters },
            Evaluated::States(columns) => Rows::States(columns),
        }
    }

    pub(super) fn take(&self, rows: &UInt32Array) -> Result<Evaluated> {
        Ok(match self {
            Evaluated::States(columns) => Evaluated::States(take_arrays(columns, rows, None)?),
            Evaluated::Raw { arguments, filters } => Evaluated::Raw {
                arguments: arguments
                    .iter()
                    .map(|columns| Ok(take_arrays(columns, rows, None)?))
                    .collect::<Result<_>>()?,
                filters: filters
                    .iter()
                    .map(|filter| match filter {
                        Some(f) => Ok(Some(as_boolean_array(&take(f, rows, None)?)?.clone())),
                        None => Ok(None),
                    })
                    .collect::<Result<_>>()?,
            },
        })
    }
}

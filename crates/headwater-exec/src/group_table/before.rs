//! What a table was before its newest epoch, of the groups that the epoch touched: nothing is changed
//! in place, so the old rows are still in their chunks.

use std::collections::HashMap;

use arrow::array::ArrayRef;
use datafusion_common::Result;

use super::{GroupTable, Place, TableUndo, gather};
use crate::aggregate_spec::AggregateSpec;

/// Where the state rows of the groups were that the newest epoch touched.
pub(crate) struct PlacesBefore(HashMap<u32, Place>);

impl PlacesBefore {
    /// Where the row of a group was, if the epoch touched it.
    pub(super) fn of(&self, group: usize) -> Option<Place> {
        self.0.get(&(group as u32)).copied()
    }
}

impl TableUndo {
    pub(crate) fn places(&self) -> PlacesBefore {
        PlacesBefore(self.places_before.iter().copied().collect())
    }
}

impl GroupTable {
    /// The state rows that the touched groups had before the newest epoch, as columns, and which of
    /// the touched groups these are: a new one had none.
    pub(crate) fn rows_before(
        &self,
        spec: &AggregateSpec,
        undo: &TableUndo,
    ) -> Result<(Vec<ArrayRef>, Vec<u32>)> {
        let places = undo.places_before.iter().enumerate();
        let old = places.filter(|(_, (_, place))| !place.is_none());
        let (places, which): (Vec<_>, Vec<_>) = old
            .map(|(row, (_, place))| (place.indices(), row as u32))
            .unzip();
        Ok((gather(&self.chunks, 0, spec, &places)?, which))
    }
}

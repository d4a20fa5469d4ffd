//! Which rows of a batch lie in which pane.

use arrow::array::UInt32Array;
use hashbrown::HashMap;

/// The panes of a batch with their rows; `None` stands for all rows, the common case, in which
/// nothing is copied.
pub(super) fn runs_by_pane(panes: &[i64]) -> Vec<(i64, Option<UInt32Array>)> {
    let Some(first) = panes.first() else {
        return vec![];
    };
    if panes.iter().all(|pane| pane == first) {
        return vec![(*first, None)];
    }
    let mut by_pane: Vec<(i64, Vec<u32>)> = Vec::new();
    let mut positions: HashMap<i64, usize> = HashMap::new();
    let mut newest = 0;
    for (row, pane) in panes.iter().enumerate() {
        let known = by_pane.get(newest).is_some_and(|(p, _)| p == pane);
        if !known {
            newest = *positions.entry(*pane).or_insert_with(|| {
                by_pane.push((*pane, Vec::new()));
                by_pane.len() - 1
            });
        }
        by_pane[newest].1.push(row as u32);
    }
    by_pane
        .into_iter()
        .map(|(pane, rows)| (pane, Some(UInt32Array::from(rows))))
        .collect()
}

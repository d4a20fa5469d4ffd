//! What a user should know of a plan before it runs for long.

use std::sync::Arc;

use headwater_exec::keyed::Growth;

use super::OperatorInfo;
use crate::stream_table::StreamDefinition;

/// State that grows for ever, and windows that are never finished.
pub(super) fn warnings(
    operators: &[OperatorInfo],
    sources: &[Arc<StreamDefinition>],
) -> Vec<String> {
    let grows = operators.iter().filter_map(|o| {
        let (what, with) = match o.growth {
            Growth::None => return None,
            Growth::ByKeys if o.ttl.is_some() => return None,
            Growth::ByKeys if o.id.as_str().ends_with("running-aggregate") => {
                ("every group it has ever seen", "distinct keys")
            }
            Growth::ByKeys => ("rows of every key it has ever seen", "distinct keys"),
            Growth::ByRows => ("every row it has ever seen", "rows"),
        };
        let way_out = match o.ttl {
            Some(_) => "",
            None => {
                "; 'state.ttl' = '1 day' in WITH forgets keys that no row has touched for a day"
            }
        };
        Some(format!(
            "operator {} keeps {what}: its state grows with the number of {with}{way_out}",
            o.id
        ))
    });
    let mut warnings: Vec<String> = grows.collect();
    let windowed = operators
        .iter()
        .any(|o| o.id.as_str().ends_with("window-aggregate"));
    if windowed && sources.iter().all(|s| s.watermark.is_none()) {
        warnings.push(
            "no source has a watermark: windows are never finished and their state is kept"
                .to_string(),
        );
    }
    warnings
}

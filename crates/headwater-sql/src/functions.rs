//! SQL functions that take payloads apart and put them together, for columns of text or bytes whose
//! format no source declares.
//!
//! | functions | in |
//! | --- | --- |
//! | `from_json`, `from_csv`, `from_avro`, `parse_influx` | `functions/from_payload.rs`, on the decoders of `headwater-formats` |
//! | `to_json` | `functions/to_json.rs`, on its encoder |
//! | `decode`, `encode` | `functions/encoding.rs`, UTF-8 beside DataFusion's hex and base64 |
//! | `get_json_object` | `functions/json_path.rs`, on `json_as_text` |
//! | `json_get` and its like, `->`, `->>`, `?` | the crate `datafusion-functions-json` |
//!
//! What a schema, an option or a path says is constant: it is read when a query is planned, and
//! refused there. `functions/arguments.rs` says how.

mod arguments;
mod call_place;
mod encoding;
mod from_payload;
mod json_path;
mod schema_text;
mod to_json;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;
use headwater_core::Result;

pub(crate) use call_place::placed_at_call;

use encoding::EncodingUdf;
use from_payload::FromPayloadUdf;
use json_path::JsonPathUdf;
use to_json::ToJsonUdf;

/// Teaches a session the functions. Types in schemas are those that the session has now.
///
/// # Errors
/// If the session refuses one.
pub(crate) fn register_functions(session: &SessionContext) -> Result<()> {
    // A clone is the same session.
    datafusion_functions_json::register_all(&mut session.clone())?;
    let types = Arc::new(session.state());
    for function in FromPayloadUdf::all(&types) {
        session.register_udf(ScalarUDF::from(function));
    }
    for function in EncodingUdf::all() {
        session.register_udf(ScalarUDF::from(function));
    }
    session.register_udf(ScalarUDF::from(ToJsonUdf::new()));
    session.register_udf(ScalarUDF::from(JsonPathUdf::new()));
    Ok(())
}

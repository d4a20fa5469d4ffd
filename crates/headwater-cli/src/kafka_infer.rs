//! `headwater kafka infer`: the statement that declares a topic, from a look at its messages.

use headwater::{Headwater, InferRequest, InferredSource, Result};

use crate::args::{From, InferArgs};
use crate::context::Context;
use crate::progress::counted;
use crate::screen::print_line;

/// Runs the command.
///
/// # Errors
/// If the topic cannot be read, or nothing in it says what its columns are.
pub(crate) async fn infer(args: &InferArgs, context: &Context) -> Result<()> {
    let session = Headwater::builder().build()?;
    let found = session.infer_source(&request(args)).await?;
    tell(&found, context);
    print_line(&context.screen, &format!("{};", found.statement))
}

fn request(args: &InferArgs) -> InferRequest {
    let option = |key: &str, value: &str| (key.to_string(), value.to_string());
    let mut options = vec![
        option("connector", "kafka"),
        option("bootstrap.servers", &args.connection.bootstrap),
        option("topic", args.topic.name()),
    ];
    let properties = args.connection.property.iter();
    options.extend(properties.map(|(name, value)| option(&format!("properties.{name}"), value)));
    let start = match args.from {
        From::Earliest => "earliest",
        From::Latest => "latest",
    };
    let format = args.format.as_ref();
    InferRequest {
        name: args
            .name
            .clone()
            .unwrap_or_else(|| args.topic.name().to_string()),
        options,
        sample_options: vec![option("start", start)],
        format: format.map(|name| (name.clone(), args.format_option.clone())),
        sample: Some(args.sample),
    }
}

/// Says what was seen.
fn tell(found: &InferredSource, context: &Context) {
    let inferred = &found.inferred;
    let records = u64::try_from(inferred.records).unwrap_or(u64::MAX);
    let columns = u64::try_from(inferred.columns.len()).unwrap_or(u64::MAX);
    let guessed = if found.is_guessed { " (guessed)" } else { "" };
    context.note(&format!(
        "{} of {} in format {}{guessed}: {}",
        counted(records, "message"),
        found.place,
        found.format,
        counted(columns, "column"),
    ));
    for (reason, bad) in &inferred.bad {
        let bad = u64::try_from(*bad).unwrap_or(u64::MAX);
        context.note(&format!(
            "{} cannot be read: {reason}",
            counted(bad, "message")
        ));
    }
    let bad = inferred.bad_records();
    if bad > 0 {
        context.note(&format!(
            "a query over it stops at the first of these {bad}: 'bad_data' = 'drop' leaves them out \
             and counts them, 'dead_letter' writes them to a sink of their own"
        ));
    }
    if let Some(keys) = &found.keys {
        let count = u64::try_from(keys.keys).unwrap_or(u64::MAX);
        let have = if count == 1 { "has" } else { "have" };
        context.note(&format!("{} {have} a key", counted(count, "message")));
    }
    for (name, why) in &inferred.left_out {
        context.note(&format!("\"{}\" is left out: {why}", name.escape_debug()));
    }
    for note in &inferred.notes {
        context.note(note);
    }
}

//! `headwater doctor`: what a script needs, looked at before it is run.

use std::sync::Arc;

use headwater::Result;
use headwater::arrow::array::{ArrayRef, RecordBatch, StringArray};
use headwater::{Finding, Verdict};

use crate::args::DoctorArgs;
use crate::context::Context;
use crate::exit_code::Exit;
use crate::print::print_batch;
use crate::run::read_named;
use crate::script::open_session;
use crate::signals::Signals;

/// Runs the command.
///
/// # Errors
/// If the file cannot be read or an argument is wrong.
pub(crate) async fn doctor(args: DoctorArgs, context: &Context) -> Result<Exit> {
    let name = args.file.display().to_string();
    let text = match read_named(&args.file, &args.define)? {
        Ok(text) => text,
        Err(error) => return Ok(context.fail(&name, None, &error)),
    };
    let signals = Signals::listen()?;
    let session = open_session(&args.settings, context).await?;
    let findings = tokio::select! {
        findings = session.examine(&text) => findings,
        exit = signals.first() => return Ok(exit),
    };
    let findings = match findings {
        Ok(findings) => findings,
        Err(error) => return Ok(context.fail(&name, Some(&text), &error)),
    };
    print_batch(as_rows(&findings)?, args.settings.format, context)?;
    let failed = findings.iter().any(|f| f.verdict == Verdict::Fail);
    Ok(if failed {
        Exit::QueryFailed
    } else {
        Exit::Done
    })
}

fn as_rows(findings: &[Finding]) -> Result<RecordBatch> {
    let column = |text: fn(&Finding) -> Option<String>| -> ArrayRef {
        Arc::new(findings.iter().map(text).collect::<StringArray>())
    };
    Ok(RecordBatch::try_from_iter([
        ("verdict", column(|f| Some(f.verdict.to_string()))),
        ("object", column(|f| Some(f.object.clone()))),
        ("check", column(|f| Some(f.check.to_string()))),
        ("found", column(|f| Some(f.found.clone()))),
        (
            "what_to_do",
            column(|f| Some(f.advice.clone().unwrap_or_default())),
        ),
    ])?)
}

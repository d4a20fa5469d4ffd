//! `headwater sql`: statements given with `-e`, on standard input, or at a prompt.

use std::io::{IsTerminal, Read};

use headwater::{Error, Result};

use crate::args::SqlArgs;
use crate::context::Context;
use crate::exit_code::Exit;
use crate::line_reader::LineReader;
use crate::repl::Repl;
use crate::script::{Script, open_running, run_to_end};
use crate::signals::Signals;

/// Runs the command.
///
/// # Errors
/// If standard input cannot be read or a setting is wrong.
pub(crate) async fn sql(args: SqlArgs, context: &Context) -> Result<Exit> {
    let session = open_running(&args.session, context).await?;
    let stdin = std::io::stdin();
    if args.execute.is_empty() && stdin.is_terminal() {
        // In this order: the reader of lines takes Ctrl-C for itself when it starts.
        let reader = LineReader::start()?;
        let signals = Signals::listen()?;
        let repl = Repl::new(session, &args.session, context, &signals);
        return repl.run(reader).await;
    }
    let scripts = if args.execute.is_empty() {
        let mut text = String::new();
        stdin.lock().read_to_string(&mut text).map_err(|error| {
            Error::configuration("could not read statements from standard input").with_source(error)
        })?;
        vec![script("standard input", text)]
    } else {
        let texts = args.execute.into_iter();
        texts.map(|text| script("-e", text)).collect()
    };
    let signals = Signals::listen()?;
    Ok(run_to_end(&session, &scripts, &args.session, context, &signals).await)
}

fn script(name: &str, text: String) -> Script {
    let name = name.to_string();
    Script { name, text }
}

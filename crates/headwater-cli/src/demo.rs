//! `headwater demo`: whole pipelines that bring their own broker and their own data.

mod brokerage;

use headwater::{Error, Result};

use crate::args::DemoArgs;
use crate::context::Context;
use crate::exit_code::Exit;
use crate::screen::print_line;

/// The demos, by name, with what they show.
const DEMOS: [(&str, &str); 1] = [(
    "brokerage",
    "half a million orders of stocks through Kafka: buys and sales per batch, the top clients, \
     the top stocks of the last hour",
)];

/// Runs the command.
///
/// # Errors
/// If there is no such demo, or it fails.
pub(crate) async fn demo(args: DemoArgs, context: &Context) -> Result<Exit> {
    match args.name.as_deref() {
        None => {
            for (name, shows) in DEMOS {
                print_line(&context.screen, &format!("{name}: {shows}"))?;
            }
            context.note("Run one with `headwater demo NAME`.");
            Ok(Exit::Done)
        }
        Some("brokerage") => brokerage::run(&args, context).await,
        Some(other) => {
            let names: Vec<_> = DEMOS.iter().map(|(name, _)| *name).collect();
            let error = Error::configuration(format!("there is no demo \"{other}\""));
            Err(error.with_hint(format!("There is: {}.", names.join(", "))))
        }
    }
}

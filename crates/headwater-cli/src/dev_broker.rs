//! `headwater dev-broker`: a Kafka broker inside this process.

use headwater::kafka::{DEV_BROKER_LIMITS, DevBroker};
use headwater::{Error, Result};

use crate::args::DevBrokerArgs;
use crate::context::Context;
use crate::exit_code::Exit;
use crate::screen::print_line;
use crate::signals::Signals;

/// Runs the command.
///
/// # Errors
/// If the broker cannot be started.
pub(crate) async fn dev_broker(args: DevBrokerArgs, context: &Context) -> Result<Exit> {
    if args.port.is_some() {
        return Err(
            Error::unsupported("the development broker cannot choose its port")
                .with_hint("Leave --port out, and read the port from standard output."),
        );
    }
    let signals = Signals::listen()?;
    let broker = DevBroker::start(&args.topics)?;
    let servers = broker.bootstrap_servers();
    print_line(&context.screen, &format!("bootstrap.servers={servers}"))?;
    context.note(DEV_BROKER_LIMITS);
    if args.topics.is_empty() {
        context.note("It has no topics: name some with --topic NAME:PARTITIONS.");
    }
    context.note("Ctrl-C ends it.");
    signals.first().await;
    Ok(Exit::Done)
}

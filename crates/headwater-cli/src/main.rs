//! The `headwater` command: streaming SQL from a terminal.
//!
//! The binary is thin. Arguments are read as typed ([`args`]); one file per command makes library
//! calls of them; [`print`] and [`screen`] write the answers: data to standard output, everything
//! else to standard error. [`exit_code`] says how the process ends, [`signals`] what Ctrl-C does.

mod args;
mod c_allocator;
mod checkpoint;
mod context;
mod demo;
mod dev_broker;
mod doctor;
mod exit_code;
mod kafka;
mod kafka_infer;
mod line_reader;
mod logging;
mod print;
mod progress;
mod reading;
mod repl;
mod run;
mod screen;
mod script;
mod signals;
mod sql;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use args::{Args, Command};
use context::Context;
use exit_code::Exit;

/// Batches are large, and live for an epoch: what glibc does with them costs a fifth to a third of an
/// epoch. An embedder chooses for itself.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// An expression is evaluated on the stack, operand by operand. What the parser lets through takes
/// 1.2 MiB in a debug build, and much less in a release build.
const STACK_BYTES: usize = 8 << 20;

fn main() -> ExitCode {
    c_allocator::keep_freed_memory();
    let args = Args::parse();
    let context = Context::new(&args.messages);
    if let Err(error) = logging::start(&args.messages, &context.screen) {
        return context.fail("", None, &error).into();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(cause) => {
            let error = headwater::Error::resource("could not start the threads of the process");
            return context.fail("", None, &error.with_source(cause)).into();
        }
    };
    let exit = runtime.block_on(dispatch(args.command, &context));
    // A thread that waits for a line of standard input cannot be asked to end.
    runtime.shutdown_background();
    exit.into()
}

async fn dispatch(command: Command, context: &Context) -> Exit {
    let done = match command {
        Command::Run(args) => Box::pin(run::run(args, context)).await,
        Command::Sql(args) => Box::pin(sql::sql(args, context)).await,
        Command::Doctor(args) => Box::pin(doctor::doctor(args, context)).await,
        Command::DevBroker(args) => dev_broker::dev_broker(args, context).await,
        Command::Kafka(args) => kafka::kafka(args, context).await,
        Command::Checkpoint(args) => checkpoint::checkpoint(args, context),
        Command::Demo(args) => Box::pin(demo::demo(args, context)).await,
    };
    done.unwrap_or_else(|error| context.fail("", None, &error))
}

//! `headwater checkpoint`: looking at a checkpoint, checking its files, taking its query back.

use std::path::Path;
use std::sync::Arc;

use headwater::arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray};
use headwater::arrow::array::{UInt32Array, UInt64Array};
use headwater::checkpoint::{
    CheckpointReport, CommitRecord, Duplicates, FileCheck, FileWorth, ShardState, inspect,
    open_store, rewind, verify,
};
use headwater::{EpochId, Error, FileStore, Result};

use crate::args::{CheckpointArgs, CheckpointCommand, InspectArgs, RewindArgs, RowFormat};
use crate::context::Context;
use crate::exit_code::Exit;
use crate::print::print_batch;
use crate::progress::counted;
use crate::screen::print_line;

/// Runs the command.
///
/// # Errors
/// If there is no checkpoint, if it is damaged, or if its query cannot be taken back.
pub(crate) fn checkpoint(args: CheckpointArgs, context: &Context) -> Result<Exit> {
    match args.command {
        CheckpointCommand::Inspect(args) => show(&args, context)?,
        CheckpointCommand::Verify(args) => check(&args, context)?,
        CheckpointCommand::Rewind(args) => take_back(&args, context)?,
    }
    Ok(Exit::Done)
}

/// The checkpoint in a folder that must be there: opening a store would make it.
fn store_in(folder: &Path) -> Result<Arc<dyn FileStore>> {
    if !folder.is_dir() {
        return Err(Error::configuration(format!(
            "there is no folder \"{}\"",
            folder.display()
        )));
    }
    open_store(&folder.display().to_string())
}

fn show(args: &InspectArgs, context: &Context) -> Result<()> {
    let report = inspect(&store_in(&args.folder)?)?;
    match args.format {
        RowFormat::Json => print_line(&context.screen, &report.to_json()?),
        RowFormat::Table => {
            for line in summary(&report) {
                print_line(&context.screen, &line)?;
            }
            print_batch(commits(&report.commits)?, args.format, context)?;
            if report.state.is_empty() {
                return Ok(());
            }
            print_batch(state(&report.state)?, args.format, context)
        }
        RowFormat::Csv => print_batch(commits(&report.commits)?, args.format, context),
    }
}

fn summary(report: &CheckpointReport) -> Vec<String> {
    let query = &report.query;
    let held = match &report.held_by {
        Some(owner) => format!(
            "run by process {} on host \"{}\" since {}",
            owner.pid, owner.host, owner.started_at
        ),
        None => "not running".to_string(),
    };
    let last = report.commits.last();
    let mut stands = match last {
        Some(commit) => format!("after epoch {}", commit.epoch),
        None => "before its first epoch".to_string(),
    };
    if let Some(to) = last.and_then(|commit| commit.rewound_to) {
        stands.push_str(&format!(", taken back to epoch {to}"));
    }
    if !report.pending.is_empty() {
        let pending = counted(report.pending.len() as u64, "epoch");
        stands.push_str(&format!("; {pending} decided and not committed"));
    }
    if let Some(epoch) = report.prepared {
        stands.push_str(&format!(
            "; the sink knows whether epoch {epoch} has happened"
        ));
    }
    vec![
        format!("checkpoint  {}", report.location),
        format!(
            "query       \"{}\" {}, {} mode, {}, begun by headwater {}",
            query.name,
            query.query_id,
            query.output_mode,
            counted(u64::from(query.shard_count), "shard"),
            query.version
        ),
        format!("process     {held}"),
        format!("stands      {stands}"),
    ]
}

/// A row for every commit and partition.
fn commits(commits: &[CommitRecord]) -> Result<RecordBatch> {
    let mut rows = Vec::new();
    for commit in commits {
        for (source, offsets) in commit.offsets.iter().enumerate() {
            let known = commit.watermarks.get(source);
            let watermark = known.map(|known| known.source_watermark.to_string());
            for (partition, offset) in offsets.iter() {
                rows.push((
                    commit.epoch.0,
                    partition.to_string(),
                    offset,
                    watermark.clone(),
                ));
            }
        }
    }
    let columns: [(&str, ArrayRef); 4] = [
        (
            "epoch",
            Arc::new(rows.iter().map(|r| Some(r.0)).collect::<UInt64Array>()),
        ),
        (
            "partition",
            Arc::new(rows.iter().map(|r| Some(&r.1)).collect::<StringArray>()),
        ),
        (
            "offset",
            Arc::new(rows.iter().map(|r| Some(r.2)).collect::<Int64Array>()),
        ),
        (
            "watermark",
            Arc::new(rows.iter().map(|r| r.3.as_ref()).collect::<StringArray>()),
        ),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn state(shards: &[ShardState]) -> Result<RecordBatch> {
    let number = |of: fn(&ShardState) -> usize| -> ArrayRef {
        let numbers = shards.iter().map(|shard| Some(of(shard) as u64));
        Arc::new(numbers.collect::<UInt64Array>())
    };
    let operators = shards.iter().map(|shard| Some(shard.operator.as_str()));
    let numbers = shards.iter().map(|shard| Some(shard.shard.0));
    let columns: [(&str, ArrayRef); 5] = [
        ("operator", Arc::new(operators.collect::<StringArray>())),
        ("shard", Arc::new(numbers.collect::<UInt32Array>())),
        ("files", number(|shard| shard.files)),
        ("rows", number(|shard| shard.rows)),
        ("bytes", number(|shard| shard.bytes)),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn check(args: &InspectArgs, context: &Context) -> Result<()> {
    let files = verify(&store_in(&args.folder)?)?;
    print_batch(checks(&files)?, args.format, context)?;
    let damaged = |file: &&FileCheck| file.damage.is_some();
    let needed: Vec<&FileCheck> = files
        .iter()
        .filter(damaged)
        .filter(|file| file.worth == FileWorth::Needed)
        .collect();
    if let Some(first) = needed.first() {
        let count = counted(needed.len() as u64, "needed file");
        return Err(
            Error::checkpoint(format!("{count} damaged, the first is \"{}\"", first.path))
                .with_hint(
                    "Restore the folder from a copy, take the query back to an older commit with \
                     `headwater checkpoint rewind`, or start it with a new checkpoint.",
                ),
        );
    }
    let rest = files.iter().filter(damaged).count();
    let whole = counted((files.len() - rest) as u64, "file");
    context.note(&match rest {
        0 => format!("{whole} read, all whole"),
        _ => format!("{whole} whole; the damaged ones are not needed to go on"),
    });
    Ok(())
}

fn checks(files: &[FileCheck]) -> Result<RecordBatch> {
    let paths = files.iter().map(|file| Some(file.path.as_str()));
    let worth = files.iter().map(|file| Some(file.worth.as_str()));
    let whole = files.iter().map(|file| Some(file.damage.is_none()));
    let damage = files.iter().map(|file| file.damage.as_deref());
    let columns: [(&str, ArrayRef); 4] = [
        ("file", Arc::new(paths.collect::<StringArray>())),
        ("worth", Arc::new(worth.collect::<StringArray>())),
        ("whole", Arc::new(whole.collect::<BooleanArray>())),
        ("damage", Arc::new(damage.collect::<StringArray>())),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn take_back(args: &RewindArgs, context: &Context) -> Result<()> {
    let duplicates = if args.allow_duplicates {
        Duplicates::Allowed
    } else {
        Duplicates::Refused
    };
    let store = store_in(&args.folder)?;
    let rewound = rewind(&store, EpochId(args.to), duplicates, &*context.clock)?;
    context.note(&format!(
        "the query goes on as after epoch {}, with epoch {}; what was read up to epoch {} is read \
         again",
        rewound.to,
        rewound.appended.next(),
        rewound.from
    ));
    if rewound.removed_files > 0 {
        let files = counted(rewound.removed_files as u64, "file");
        context.note(&format!(
            "{files} of the sink will be removed when it starts"
        ));
    }
    if args.allow_duplicates {
        context.note("rows that the sink cannot take back will be there twice");
    }
    Ok(())
}

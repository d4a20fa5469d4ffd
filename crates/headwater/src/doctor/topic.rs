//! What the doctor finds out about topics: whether they are there and may be read, and by which
//! clock their records were made.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater_core::Result;
use headwater_core::clock::Clock;
use headwater_core::event_time::{EventTime, micros};
use headwater_core::secret::resolve;
use headwater_kafka::{
    KafkaConnection, TailEnd, TailRecord, TailStart, TopicInfo, list_topics, tail,
};

use super::{Doctor, Verdict, warn_if};

/// Records may be ahead of the local clock by this much.
const SMALL_SKEW: Duration = Duration::from_secs(30);

/// As many offsets at the end of a partition are looked at for a record, a power of two.
const LOOKED_AT: u64 = 64;

/// What a script does with an outside object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    Write,
}

impl Doctor<'_> {
    /// Looks at where an object of the script is, as far as its options say.
    pub(super) async fn place(&mut self, object: &str, name: &str, use_of: Use) {
        let Some(written) = self.declarations.get(name).cloned() else {
            return;
        };
        let written = &written;
        let resolved = written.iter().map(|(key, value)| {
            let whose = format!("option \"{key}\" of {object}");
            Ok((key.clone(), resolve(&whose, value)?))
        });
        let options = match resolved.collect::<Result<Vec<_>>>() {
            Ok(options) => options,
            Err(error) => {
                self.fail(object, "options", &error);
                return;
            }
        };
        let option = |names: &[&str]| {
            let found = options
                .iter()
                .find(|(key, _)| names.contains(&key.as_str()));
            found.map(|(_, value)| value.clone())
        };
        match (option(&["path"]), option(&["topic", "subscribe"])) {
            (Some(path), _) if use_of == Use::Write => self.disk(object, Path::new(&path)),
            (_, Some(topics)) => match connection(object, &options, written) {
                None => {}
                Some(Ok(connection)) => {
                    self.topics(object, &connection, &topics, use_of).await;
                }
                Some(Err(error)) => self.fail(object, "broker", &error),
            },
            _ => {}
        }
    }

    async fn topics(
        &mut self,
        object: &str,
        connection: &KafkaConnection,
        topics: &str,
        use_of: Use,
    ) {
        let known = match self.in_time(list_topics(connection)).await {
            Ok(known) => known,
            Err(error) => {
                self.fail(object, "broker", &error);
                return;
            }
        };
        for topic in topics.split(',').map(str::trim) {
            let Some(info) = known.iter().find(|info| info.name == topic) else {
                self.missing(object, topic, &known, use_of);
                continue;
            };
            let found = format!("\"{topic}\" has {} partitions", info.partitions.len());
            self.tell(object, "topic", Verdict::Ok, found);
            self.newest(object, connection, info).await;
        }
    }

    fn missing(&mut self, object: &str, topic: &str, known: &[TopicInfo], use_of: Use) {
        let found = format!("\"{topic}\" is not there");
        self.tell(object, "topic", Verdict::Fail, found);
        let names = known.iter().map(|info| info.name.as_str());
        let nearest = headwater_core::options::nearest(topic, names);
        let created = match use_of {
            Use::Read => "or this user may not see it",
            Use::Write => "create it before the start: writing does not",
        };
        match nearest {
            Some(name) => self.advise(format!("Did you mean \"{name}\"? If not, {created}.")),
            None => self.advise(format!("Look at `headwater kafka topics`; {created}.")),
        }
    }

    /// Reads the newest record of every partition: whether it may be read, and by which clock it
    /// was made.
    async fn newest(&mut self, object: &str, connection: &KafkaConnection, topic: &TopicInfo) {
        let filled = topic.partitions.iter().filter(|p| p.start < p.end).count();
        if filled == 0 {
            self.tell(object, "records", Verdict::Ok, "none yet".to_string());
            return;
        }
        let clock = Arc::clone(&self.session.environment.clock);
        let read = newest_of(connection, &topic.name, filled, Arc::clone(&clock));
        let (partitions, newest) = match self.in_time(read).await {
            Ok(found) => found,
            Err(error) => return self.fail(object, "records", &error),
        };
        let mut found = format!("the newest of {partitions} partitions can be read");
        if partitions < filled {
            found.push_str(&format!(
                "; the last {LOOKED_AT} offsets of {} more hold none that is committed",
                filled - partitions
            ));
        }
        self.tell(object, "records", Verdict::Ok, found);
        let Some(newest) = newest else {
            return;
        };
        let ahead = newest.0 - clock.now().0;
        let is_ahead = ahead > micros(SMALL_SKEW);
        let found = match is_ahead {
            true => format!(
                "the newest record is {} s ahead of the local clock",
                ahead / 1_000_000
            ),
            false => format!("the newest record is of {newest}, not ahead of the local clock"),
        };
        self.tell(object, "clock", warn_if(is_ahead), found);
        if is_ahead {
            self.advise(
                "Compare the clocks of this machine, the broker and the producers: rows too far \
                 ahead do not move the watermark.",
            );
        }
    }
}

/// In how many of so many partitions with offsets there are records at the end, and the time of the
/// newest. The last offset of a transaction is its end and no record, so it looks further back until
/// it has seen all of them.
async fn newest_of(
    connection: &KafkaConnection,
    topic: &str,
    filled: usize,
    clock: Arc<dyn Clock>,
) -> Result<(usize, Option<EventTime>)> {
    let mut newest: Option<EventTime> = None;
    let mut partitions = BTreeSet::new();
    let mut offsets = 1;
    while partitions.len() < filled && offsets <= LOOKED_AT {
        let see = |record: &TailRecord<'_>| {
            partitions.insert(record.partition);
            newest = newest.max(record.timestamp);
            ControlFlow::Continue(())
        };
        let (start, clock) = (TailStart::Last(offsets), Arc::clone(&clock));
        tail(connection, topic, start, TailEnd::Now, clock, see).await?;
        offsets *= 2;
    }
    Ok((partitions.len(), newest))
}

/// How the cluster of a source or a sink is reached, if its options say; `written` are the options
/// as they were written, whose properties the connection looks up itself.
fn connection(
    object: &str,
    options: &[(String, String)],
    written: &[(String, String)],
) -> Option<Result<KafkaConnection>> {
    let own = |key: &str| {
        let own = key.strip_prefix("properties.");
        own.or_else(|| key.strip_prefix("kafka."))
            .map(ToString::to_string)
    };
    let is_servers = |name: &str| ["bootstrap.servers", "bootstrap.server"].contains(&name);
    let mut named = options.iter();
    let servers = named.find(|(key, _)| is_servers(&own(key).unwrap_or_else(|| key.clone())));
    let properties = written
        .iter()
        .filter_map(|(key, value)| Some((own(key)?, value)));
    let properties: Vec<_> = properties.filter(|(name, _)| !is_servers(name)).collect();
    let properties = properties
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    Some(KafkaConnection::new(&servers?.1).with_properties(object, properties))
}

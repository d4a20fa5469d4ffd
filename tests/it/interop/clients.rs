//! The other clients, as commands: `tests/interop/peer.py` and kcat.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use headwater_tests::workspace_root;
use serde_json::{Value as Json, json};

/// How `peer.py` writes and reads values, see there.
#[derive(Debug, Clone, Default)]
pub(super) struct Encoding {
    pub(super) format: &'static str,
    pub(super) schema: Option<String>,
    pub(super) registry: Option<String>,
}

impl Encoding {
    pub(super) fn new(format: &'static str) -> Self {
        Encoding {
            format,
            ..Encoding::default()
        }
    }
}

/// `confluent-kafka` in Python.
pub(super) struct Peer {
    packages: String,
    servers: String,
}

impl Peer {
    pub(super) fn new(packages: String, servers: &str) -> Self {
        Peer {
            packages,
            servers: servers.to_string(),
        }
    }

    /// Writes records: objects with `key`, `value`, `headers` and `timestamp`, or some of them.
    pub(super) fn produce(&self, topic: &str, encoding: &Encoding, codec: &str, records: &[Json]) {
        let mut command = self.command("produce", topic, encoding);
        command.args(["--codec", codec]);
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        run(&mut command, lines.as_bytes());
    }

    /// Writes values without a key.
    pub(super) fn produce_values(&self, topic: &str, encoding: &Encoding, values: &[Json]) {
        let records: Vec<Json> = values.iter().map(|v| json!({ "value": v })).collect();
        self.produce(topic, encoding, "none", &records);
    }

    /// All records of a topic, as they are ordered there.
    pub(super) fn consume(&self, topic: &str, encoding: &Encoding) -> Vec<Json> {
        json_lines(&run(&mut self.command("consume", topic, encoding), b""))
    }

    /// The values alone.
    pub(super) fn consume_values(&self, topic: &str, encoding: &Encoding) -> Vec<Json> {
        let records = self.consume(topic, encoding).into_iter();
        records.map(|mut record| record["value"].take()).collect()
    }

    fn command(&self, name: &str, topic: &str, encoding: &Encoding) -> Command {
        let mut command = Command::new("python3");
        command
            .env("PYTHONPATH", &self.packages)
            .arg(workspace_root().join("tests/interop/peer.py"))
            .args([name, "--bootstrap", &self.servers, "--topic", topic])
            .args(["--format", encoding.format]);
        if let Some(schema) = &encoding.schema {
            command.args(["--schema", schema]);
        }
        if let Some(registry) = &encoding.registry {
            command.args(["--registry", registry]);
        }
        command
    }
}

/// kcat.
pub(super) struct Kcat {
    command: String,
    servers: String,
}

impl Kcat {
    pub(super) fn new(command: String, servers: &str) -> Self {
        Kcat {
            command,
            servers: servers.to_string(),
        }
    }

    fn command(&self, topic: &str) -> Command {
        let mut command = Command::new(&self.command);
        command.args(["-b", &self.servers, "-t", topic, "-p", "0", "-q"]);
        command
    }

    /// Writes a record for every line.
    pub(super) fn produce_lines(&self, topic: &str, codec: &str, lines: &[String]) {
        let mut command = self.command(topic);
        command.args(["-P", "-z", codec]);
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        run(&mut command, lines.as_bytes());
    }

    /// Writes one record with a key and headers `name=text`; an empty value is none.
    pub(super) fn produce_record(&self, topic: &str, key: &str, value: &str, headers: &[&str]) {
        let mut command = self.command(topic);
        command.args(["-P", "-Z", "-K", "|"]);
        for header in headers {
            command.args(["-H", header]);
        }
        run(&mut command, format!("{key}|{value}\n").as_bytes());
    }

    /// All records of a topic: objects with `key`, `payload`, `headers` (names and values in
    /// turn) and `ts`.
    pub(super) fn consume(&self, topic: &str) -> Vec<Json> {
        let mut command = self.command(topic);
        json_lines(&run(command.args(["-C", "-e", "-J"]), b""))
    }

    /// Reads so many records and writes the bytes of each to another topic.
    pub(super) fn copy(&self, from: &str, to: &str, records: usize, folder: &Path) {
        for offset in 0..records {
            let offset = offset.to_string();
            let mut command = self.command(from);
            command.args(["-C", "-c", "1", "-D", "", "-o", &offset]);
            let bytes = run(&mut command, b"");
            if bytes.is_empty() {
                // A file without bytes is no record for kcat, a line with nothing but a key is.
                run(self.command(to).args(["-P", "-K", "|"]), b"|\n");
                continue;
            }
            let file = folder.join(&offset);
            let mut writer = std::fs::File::create(&file).unwrap();
            writer.write_all(&bytes).unwrap();
            run(self.command(to).arg("-P").arg(&file), b"");
        }
    }
}

/// Runs a command, which must succeed, and gives what it prints.
fn run(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // What is written is far smaller than what a client reads ahead.
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn json_lines(bytes: &[u8]) -> Vec<Json> {
    let text = std::str::from_utf8(bytes).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

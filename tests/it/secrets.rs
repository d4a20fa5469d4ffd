//! Nothing that is shown or kept holds a password.

use std::path::Path;

use crate::command::Dir;

const CANARY: &str = "c4nary-hunter2";

/// Declarations and a query with a password wherever one may stand.
fn script() -> String {
    let jaas = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"me\" \
         password=\"{CANARY}\";"
    );
    format!(
        "CREATE SOURCE a (id BIGINT) WITH (connector = 'kafka', topic = 'x',
           'bootstrap.servers' = '127.0.0.1:1', 'properties.security.protocol' = 'sasl_plaintext',
           'properties.sasl.mechanism' = 'PLAIN', 'properties.sasl.username' = 'me',
           'properties.sasl.password' = '{CANARY}') FORMAT JSON;
         CREATE SOURCE b (id BIGINT) WITH (connector = 'kafka', topic = 'x',
           'bootstrap.servers' = '127.0.0.1:1', 'properties.security.protocol' = 'sasl_plaintext',
           'properties.sasl.jaas.config' = '{jaas}') FORMAT JSON;
         CREATE SINK c WITH (connector = 'kafka', topic = 'x', 'bootstrap.servers' = '127.0.0.1:1',
           'properties.security.protocol' = 'sasl_plaintext',
           'properties.sasl.mechanism' = 'SCRAM-SHA-256', 'properties.sasl.username' = 'me',
           'properties.sasl.password' = '${{env:CANARY}}', 'avro.schema.registry' = 'http://127.0.0.1:1',
           'avro.schema.registry.user' = 'me', 'avro.schema.registry.password' = '{CANARY}')
           FORMAT AVRO;
         CREATE SOURCE d (id BIGINT) WITH (connector = 'datagen', rows = 3);
         CREATE SINK f WITH (connector = 'filesystem', path = 'out') FORMAT JSON;
         SET 'checkpointLocation' = 'checkpoint';
         SHOW CREATE SOURCE a; SHOW CREATE SOURCE b; SHOW CREATE SINK c; SHOW SOURCES; DESCRIBE a;
         EXPLAIN SELECT * FROM a; EXPLAIN ANALYZE SELECT * FROM d;
         CREATE STREAMING QUERY q WITH (trigger = 'available-now') AS INSERT INTO f SELECT id FROM d;
         SELECT id FROM a"
    )
}

/// Declarations that are refused, of one line each.
fn mistakes() -> Vec<String> {
    let options = [
        format!("'properties.sasl.password' = '{CANARY}' 'x'"),
        format!("'properties.sasl.password' '{CANARY}'"),
        format!("'properties.sasl.password' = \"{CANARY}\" x"),
        format!("'properties.sasl.password' = {CANARY}"),
        format!("'properties.sasl.password' = my {CANARY}"),
        format!("'properties.sasl.password' => '{CANARY}'"),
        format!("'properties.sasl.password' = E'{CANARY}'"),
        format!("'properties.sasl.password' = $${CANARY}$$"),
        format!("'properties.sasl.pasword' = '{CANARY}', topic = 'x'"),
        format!("'properties.ssl.keystore.key' = '{CANARY}', topic = 'x'"),
        format!("'properties.sasl.oauthbearer.client.secret' = '{CANARY}', topic = 'x'"),
        format!("'properties.sasl.oauthbearer.token' = '{CANARY}', topic = 'x'"),
        format!(
            "'properties.sasl.jaas.config' = 'x required password \"{CANARY}\" a=b;', topic = 'x'"
        ),
        format!(
            "'avro.schema.registry' = 'http://me:{CANARY}@there', topic = 'x', 'format' = 'avro'"
        ),
        format!(
            "'key.avro.schema.registry.token' = '{CANARY}', topic = 'x', 'key.format' = 'avro'"
        ),
    ];
    let wrong = options.iter().map(|options| {
        format!(
            "CREATE SOURCE s WITH (connector = 'kafka', 'bootstrap.servers' = 'b', {options}) FORMAT RAW"
        )
    });
    wrong.collect()
}

/// A password in every option that may hold one: written into statements, given by the
/// environment, on the command line. Nothing that is printed, logged or kept shows it.
#[test]
fn no_password_is_shown_anywhere() {
    let dir = Dir::new();
    let script = script();
    dir.create("job.sql", &script);
    let end = dir
        .command(&["--log-level", "trace", "run", "job.sql"])
        .env("CANARY", CANARY)
        .output();
    // The broker is not there.
    assert_ne!(end.code, Some(0));
    assert!(
        end.stdout.contains("'properties.sasl.password' = '***"),
        "{}",
        end.stdout
    );
    assert!(end.stdout.contains("${env:CANARY}"), "{}", end.stdout);
    let mut shown = vec![end.stdout, end.stderr];
    let end = dir
        .command(&["--log-level", "trace", "doctor", "job.sql"])
        .env("CANARY", CANARY)
        .output();
    shown.extend([end.stdout, end.stderr]);
    // A mistake on the line of the password shows that line.
    for wrong in mistakes() {
        dir.create("wrong.sql", &wrong);
        let end = dir.command(&["doctor", "wrong.sql"]).output();
        shown.extend([end.stdout, end.stderr]);
        let end = dir.command(&["sql", "-e", &wrong]).output();
        assert_ne!(end.code, Some(0), "{wrong}");
        shown.extend([end.stdout, end.stderr]);
    }
    let property = format!("sasl.password={CANARY}");
    let kafka = [
        "--log-level",
        "trace",
        "kafka",
        "topics",
        "--property",
        &property,
    ];
    let end = dir.command(&kafka).output();
    assert_ne!(end.code, Some(0));
    shown.extend([end.stdout, end.stderr]);
    for text in &shown {
        assert!(!text.contains(CANARY), "{text}");
    }
    let files = files_below(&dir.path().join("checkpoint"));
    assert!(!files.is_empty());
    for (path, bytes) in files {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(CANARY), "{}", path.display());
    }
}

fn files_below(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push((path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found
}

//! What is refused, with the whole report.

use super::*;

/// Checks several wrong scripts at once; reports are parted by an empty line.
fn check_each(scripts: &[&str], expected: &Expect) {
    let mut out = String::new();
    for sql in scripts {
        match parse_script(sql) {
            Ok(statements) => panic!("{sql} is read as {statements:?}"),
            Err(error) => {
                let report = error.report("job.sql", Some(sql));
                let _ = writeln!(out, "{:?} {report}\n", error.kind());
            }
        }
    }
    expected.assert_eq(&out);
}

#[test]
fn places_count_in_the_whole_script() {
    check_each(
        &[
            "SELECT 1;\n\nSELECT a\n  FROM t WHERE ORDER BY a;",
            "SELECT 1;\nSELECT (1 + ;",
            "SELECT 1;\nSELECT (1 +",
            "SELECT 'abc",
            "SELECT 1 SELECT 2",
            "CREATE VIEW v AS SELECT a FROM t\n  EMIT CHANGES",
        ],
        &expect![[r#"
            Syntax error: expected the end of the statement, found "BY"
              --> job.sql:4:22
              |
            4 |   FROM t WHERE ORDER BY a;
              |                      ^^

            Syntax error: expected an expression, found ";"
              --> job.sql:2:13
              |
            2 | SELECT (1 + ;
              |             ^

            Syntax error: expected an expression, found the end of the text
              --> job.sql:2:12
              |
            2 | SELECT (1 +
              |            ^

            Syntax error: unterminated string literal
              --> job.sql:1:8
              |
            1 | SELECT 'abc
              |        ^

            Syntax error: expected the end of the statement, found "SELECT"
              --> job.sql:1:10
              |
            1 | SELECT 1 SELECT 2
              |          ^^^^^^

            Syntax error: this statement has no EMIT clause
              --> job.sql:2:3
              |
            2 |   EMIT CHANGES
              |   ^^^^
            hint: EMIT stands at the end of INSERT INTO … SELECT and of SELECT.

        "#]],
    );
}

#[test]
fn misspelt_words() {
    check_each(
        &[
            "CREATE SORCE orders (a INT)",
            "CREATE OR REPLACE SNIK s WITH (connector = 'x')",
            "DROP SORCE x",
            "SELCT 1",
            "INSRT INTO s SELECT 1",
            "START STREMING QUERY q",
            "EXPLIAN SELECT 1",
            "gibberish of no meaning",
        ],
        &expect![[r#"
            Syntax error: expected an object type after CREATE, found "SORCE"
              --> job.sql:1:8
              |
            1 | CREATE SORCE orders (a INT)
              |        ^^^^^
            hint: Did you mean "SOURCE"?

            Syntax error: expected [EXTERNAL] TABLE or [MATERIALIZED] VIEW or FUNCTION after CREATE OR REPLACE, found "SNIK"
              --> job.sql:1:19
              |
            1 | CREATE OR REPLACE SNIK s WITH (connector = 'x')
              |                   ^^^^
            hint: Did you mean "SINK"?

            Syntax error: expected COLLATION, CONNECTOR, DATABASE, EXTENSION, FUNCTION, INDEX, OPERATOR, POLICY, PROCEDURE, ROLE, SCHEMA, SECRET, SEQUENCE, STAGE, TABLE, TRIGGER, TYPE, VIEW, MATERIALIZED VIEW or USER after DROP, found "SORCE"
              --> job.sql:1:6
              |
            1 | DROP SORCE x
              |      ^^^^^
            hint: Did you mean "SOURCE"?

            Syntax error: expected an SQL statement, found "SELCT"
              --> job.sql:1:1
              |
            1 | SELCT 1
              | ^^^^^
            hint: Did you mean "SELECT"?

            Syntax error: expected an SQL statement, found "INSRT"
              --> job.sql:1:1
              |
            1 | INSRT INTO s SELECT 1
              | ^^^^^
            hint: Did you mean "INSERT"?

            Syntax error: expected STREAMING QUERY, found "STREMING"
              --> job.sql:1:7
              |
            1 | START STREMING QUERY q
              |       ^^^^^^^^
            hint: Did you mean "STREAMING"?

            Syntax error: expected an SQL statement, found "EXPLIAN"
              --> job.sql:1:1
              |
            1 | EXPLIAN SELECT 1
              | ^^^^^^^
            hint: Did you mean "EXPLAIN"?

            Syntax error: expected an SQL statement, found "gibberish"
              --> job.sql:1:1
              |
            1 | gibberish of no meaning
              | ^^^^^^^^^

        "#]],
    );
}

#[test]
fn declarations() {
    check_each(
        &[
            "CREATE SOURCE s (;",
            "CREATE SOURCE s (a);",
            "CREATE SOURCE s (a INT b INT)",
            "CREATE SOURCE s (a INT,\n  WATERMARK FOR a AS a, WATERMARK FOR a AS a)",
            "CREATE SOURCE s (a INT UNIQUE)",
            "CREATE SOURCE s (a INT DEFAULT 5)",
            "CREATE SOURCE s (a INT NOT NULL METADATA)",
            "CREATE SOURCE s (a INT METADATA FROM key)",
        ],
        &expect![[r#""#]],
    );
}

#[test]
fn clauses_of_declarations() {
    check_each(
        &[
            "CREATE SOURCE WITH (connector = 'x')",
            "CREATE SOURCE s (a INT) WITH (connector 'x')",
            "CREATE SOURCE s WITH (connector = )",
            "CREATE SOURCE s WITH (topic = 'a', Topic = 'b')",
            "CREATE SOURCE s WITH (a = 1) WITH (b = 2)",
            "CREATE SOURCE s FORMAT JSON FORMAT CSV",
        ],
        &expect![[r#""#]],
    );
}

#[test]
fn declarations_of_other_engines() {
    check_each(
        &[
            "CREATE SOURCE s FORMAT JSON nonsense here",
            "CREATE OR REPLACE SOURCE IF NOT EXISTS s",
            "CREATE SINK s WITH (connector = 'x') AS SELECT 1",
            "CREATE TABLE t (a INT) PARTITIONED BY (a) WITH ('connector' = 'x')",
            "CREATE EXTERNAL TABLE t STORED AS KAFKA LOCATION 'host:9092/x'",
            "CREATE EXTERNAL TABLE t STORED AS KAFKA OPTIONS ('watermark' 'a - b')",
        ],
        &expect![[r#""#]],
    );
}

#[test]
fn queries() {
    check_each(
        &[
            "SELECT a FROM t EMIT SOMETIMES",
            "SELECT a FROM t WHERE a > 1 EMIT ON WINDOW",
            "SELECT a FROM t EMIT CHANGES LATE ROWS",
            "SELECT a FROM t EMIT CHANGES WHERE a > 1",
            "CREATE STREAMING QUERY q AS SELECT 1",
            "CREATE STREAMING QUERY q INSERT INTO s SELECT 1",
            "INSERT INTO s VALUES (1) ON CONFLICT DO NOTHING",
            "WITH x AS (SELECT 1) INSERT INTO s SELECT * FROM x",
        ],
        &expect![[r#""#]],
    );
}

#[test]
fn objects_and_settings() {
    check_each(
        &[
            "EXPLAIN SHOW SOURCES",
            "EXPLAIN EXPLAIN SELECT 1",
            "SET 'trigger'",
            "SET trigger = ",
            "SHOW CREATE SOURCE",
            "SHOW SOURCES FROM x",
            "STOP STREAMING QUERY",
        ],
        &expect![[r#""#]],
    );
}

#[test]
fn what_is_not_there_yet() {
    check_each(
        &[
            "CREATE MATERIALIZED VIEW v AS SELECT 1",
            "CREATE OR REFRESH STREAMING TABLE s AS SELECT 1",
            "PAUSE STREAMING QUERY q",
            "RESUME STREAMING QUERY q",
            "ALTER STREAMING QUERY q SET (trigger = once)",
            "BEGIN STATEMENT SET; INSERT INTO s SELECT 1; END",
            "SHOW TOPICS FROM 'localhost:9092'",
            "SELECT * FROM a JOIN b FOR SYSTEM_TIME AS OF a.ts ON a.k = b.k",
        ],
        &expect![[r#"
            Unsupported error: CREATE MATERIALIZED VIEW is not there yet
              --> job.sql:1:1
              |
            1 | CREATE MATERIALIZED VIEW v AS SELECT 1
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            hint: Write the result to a sink with CREATE STREAMING QUERY … AS INSERT INTO ….

            Unsupported error: CREATE STREAMING TABLE is not there yet
              --> job.sql:1:1
              |
            1 | CREATE OR REFRESH STREAMING TABLE s AS SELECT 1
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            hint: Create a sink, and fill it with CREATE STREAMING QUERY … AS INSERT INTO ….

            Unsupported error: PAUSE STREAMING QUERY is not there yet
              --> job.sql:1:1
              |
            1 | PAUSE STREAMING QUERY q
              | ^^^^^^^^^^^^^^^^^^^^^^^
            hint: Use STOP STREAMING QUERY and START STREAMING QUERY: a query goes on where it stopped.

            Unsupported error: RESUME STREAMING QUERY is not there yet
              --> job.sql:1:1
              |
            1 | RESUME STREAMING QUERY q
              | ^^^^^^^^^^^^^^^^^^^^^^^^
            hint: Use START STREAMING QUERY: a query goes on where it stopped.

            Unsupported error: ALTER STREAMING QUERY is not there yet
              --> job.sql:1:1
              |
            1 | ALTER STREAMING QUERY q SET (trigger = once)
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            hint: Use CREATE OR REPLACE STREAMING QUERY.

            Unsupported error: BEGIN STATEMENT SET is not there yet
              --> job.sql:1:1
              |
            1 | BEGIN STATEMENT SET; INSERT INTO s SELECT 1; END
              | ^^^^^^^^^^^^^^^^^^^
            hint: Write the INSERT statements one after the other: queries of a script run side by side.

            Unsupported error: SHOW TOPICS is not there yet
              --> job.sql:1:1
              |
            1 | SHOW TOPICS FROM 'localhost:9092'
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            hint: List the topics with Kafka's own tools.

            Unsupported error: a join with FOR SYSTEM_TIME AS OF is not there yet
              --> job.sql:1:24
              |
            1 | SELECT * FROM a JOIN b FOR SYSTEM_TIME AS OF a.ts ON a.k = b.k
              |                        ^^^^^^^^^^^^^^^^^^^^^
            hint: Join the table as it is, without a version.

        "#]],
    );
}

#[test]
fn deep_nesting_is_refused() {
    let sql = format!("SELECT {}1{}", "(".repeat(500), ")".repeat(500));
    let error = parse_script(&sql).unwrap_err();
    assert_eq!(error.message(), "statement is nested too deeply");
    let sql = format!("{} SELECT 1", "EXPLAIN ".repeat(10_000));
    assert!(parse_script(&sql).is_err());
}

#[test]
fn long_chains_are_not_deep() {
    let chain = vec!["a = 1"; 5_000].join(" OR ");
    let sql =
        format!("SELECT window FROM t WHERE {chain} GROUP BY window(ts, '5 m') HAVING {chain}");
    let Statement::Select(mut select) = parse_script(&sql).unwrap().remove(0).statement else {
        panic!("no query");
    };
    rewrite_windows(&mut select.query).unwrap();
}

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
        &expect![[r#"
            Syntax error: expected a column name, found ";"
              --> job.sql:1:18
              |
            1 | CREATE SOURCE s (;
              |                  ^

            Syntax error: expected the type of column "a", found ")"
              --> job.sql:1:19
              |
            1 | CREATE SOURCE s (a);
              |                   ^

            Syntax error: expected "," or ")" after a column, found "b"
              --> job.sql:1:24
              |
            1 | CREATE SOURCE s (a INT b INT)
              |                        ^

            Syntax error: the watermark is declared twice
              --> job.sql:2:25
              |
            2 |   WATERMARK FOR a AS a, WATERMARK FOR a AS a)
              |                         ^^^^^^^^^^^^^^^^^^^^

            Unsupported error: a stream cannot keep the constraint UNIQUE
              --> job.sql:1:24
              |
            1 | CREATE SOURCE s (a INT UNIQUE)
              |                        ^^^^^^
            hint: Leave it out; PRIMARY KEY and NOT NULL are understood.

            Unsupported error: a stream cannot keep the constraint DEFAULT
              --> job.sql:1:24
              |
            1 | CREATE SOURCE s (a INT DEFAULT 5)
              |                        ^^^^^^^
            hint: Leave it out; PRIMARY KEY and NOT NULL are understood.

            Unsupported error: column "a" cannot be NOT NULL
              --> job.sql:1:24
              |
            1 | CREATE SOURCE s (a INT NOT NULL METADATA)
              |                        ^^^^^^^^
            hint: NOT NULL belongs to columns of the record's value.

            Syntax error: expected the quoted name of the metadata, found "key"
              --> job.sql:1:38
              |
            1 | CREATE SOURCE s (a INT METADATA FROM key)
              |                                      ^^^

        "#]],
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
        &expect![[r#"
            Syntax error: expected the name of the source, found "WITH"
              --> job.sql:1:15
              |
            1 | CREATE SOURCE WITH (connector = 'x')
              |               ^^^^

            Syntax error: expected "=" after the name of an option, found "'x'"
              --> job.sql:1:41
              |
            1 | CREATE SOURCE s (a INT) WITH (connector 'x')
              |                                         ^^^

            Syntax error: expected a value: a quoted string, a number or a word, found ")"
              --> job.sql:1:35
              |
            1 | CREATE SOURCE s WITH (connector = )
              |                                   ^

            Configuration error: option "Topic" is given twice
              --> job.sql:1:36
              |
            1 | CREATE SOURCE s WITH (topic = 'a', Topic = 'b')
              |                                    ^^^^^
            hint: Keep one of the two.

            Syntax error: WITH is there twice
              --> job.sql:1:30
              |
            1 | CREATE SOURCE s WITH (a = 1) WITH (b = 2)
              |                              ^^^^^^^^^^^^
            hint: Keep one of the two.

            Syntax error: FORMAT is there twice
              --> job.sql:1:29
              |
            1 | CREATE SOURCE s FORMAT JSON FORMAT CSV
              |                             ^^^^^^^^^^
            hint: Keep one of the two.

        "#]],
    );
}

#[test]
fn declarations_of_other_engines() {
    check_each(
        &[
            "CREATE SOURCE s FORMAT JSON nonsense here",
            "CREATE OR REPLACE SOURCE IF NOT EXISTS s",
            "CREATE SINK s WITH (connector = 'x') AS SELECT 1",
            "CREATE TABLE t (a INT) PARTITIONED BY a WITH ('connector' = 'x')",
            "CREATE TABLE t (a INT) PARTITIONED BY (a) PARTITIONED BY (b) WITH ('connector' = 'x')",
            "CREATE EXTERNAL TABLE t STORED AS KAFKA LOCATION 'host:9092/x'",
            "CREATE EXTERNAL TABLE t STORED AS KAFKA OPTIONS ('watermark' 'a - b')",
        ],
        &expect![[r#"
            Syntax error: expected WITH, FORMAT, KEY FORMAT or the end of the statement, found "here"
              --> job.sql:1:38
              |
            1 | CREATE SOURCE s FORMAT JSON nonsense here
              |                                      ^^^^

            Syntax error: OR REPLACE and IF NOT EXISTS exclude each other
              --> job.sql:1:26
              |
            1 | CREATE OR REPLACE SOURCE IF NOT EXISTS s
              |                          ^^^^^^^^^^^^^
            hint: Keep one of the two.

            Unsupported error: creating a table and its query in one statement is not there yet
              --> job.sql:1:38
              |
            1 | CREATE SINK s WITH (connector = 'x') AS SELECT 1
              |                                      ^^
            hint: Name the columns, and fill the table with INSERT INTO … SELECT ….

            Syntax error: expected "(", found "a"
              --> job.sql:1:39
              |
            1 | CREATE TABLE t (a INT) PARTITIONED BY a WITH ('connector' = 'x')
              |                                       ^

            Syntax error: PARTITIONED BY is there twice
              --> job.sql:1:43
              |
            1 | CREATE TABLE t (a INT) PARTITIONED BY (a) PARTITIONED BY (b) WITH ('connector' = 'x')
              |                                           ^^^^^^^^^^^^^^^^^^
            hint: Keep one of the two.

            Configuration error: "host:9092/x" is not the location of a topic
              --> job.sql:1:50
              |
            1 | CREATE EXTERNAL TABLE t STORED AS KAFKA LOCATION 'host:9092/x'
              |                                                  ^^^^^^^^^^^^^
            hint: Write 'kafka://host:9092/topic'.

            Configuration error: "a - b" is not a watermark
              --> job.sql:1:1
              |
            1 | CREATE EXTERNAL TABLE t STORED AS KAFKA OPTIONS ('watermark' 'a - b')
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ It must name one column.
            hint: Write 'ts - INTERVAL ''10 seconds''', with the name of your column.

        "#]],
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
        &expect![[r#"
            Syntax error: expected ON WINDOW CLOSE, FINAL, ON UPDATE, CHANGES, COMPLETE or PER EPOCH, found "SOMETIMES"
              --> job.sql:1:22
              |
            1 | SELECT a FROM t EMIT SOMETIMES
              |                      ^^^^^^^^^

            Syntax error: expected ON WINDOW CLOSE, FINAL, ON UPDATE, CHANGES, COMPLETE or PER EPOCH, found "ON"
              --> job.sql:1:34
              |
            1 | SELECT a FROM t WHERE a > 1 EMIT ON WINDOW
              |                                  ^^

            Syntax error: expected ROWS INTO, found the end of the text
              --> job.sql:1:39
              |
            1 | SELECT a FROM t EMIT CHANGES LATE ROWS
              |                                       ^

            Syntax error: expected the end of the statement, found "WHERE"
              --> job.sql:1:30
              |
            1 | SELECT a FROM t EMIT CHANGES WHERE a > 1
              |                              ^^^^^

            Syntax error: expected INSERT INTO, found "SELECT"
              --> job.sql:1:29
              |
            1 | CREATE STREAMING QUERY q AS SELECT 1
              |                             ^^^^^^
            hint: A streaming query writes to a sink: … AS INSERT INTO sink SELECT …. SELECT STREAM … prints to the console.

            Syntax error: expected AS, found "INSERT"
              --> job.sql:1:26
              |
            1 | CREATE STREAMING QUERY q INSERT INTO s SELECT 1
              |                          ^^^^^^

            Unsupported error: this form of INSERT is not there yet
              --> job.sql:1:1
              |
            1 | INSERT INTO s VALUES (1) ON CONFLICT DO NOTHING
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            hint: Write INSERT INTO sink SELECT ….

            Unsupported error: WITH in front of INSERT is not there yet
              --> job.sql:1:1
              |
            1 | WITH x AS (SELECT 1) INSERT INTO s SELECT * FROM x
              | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            hint: Write INSERT INTO … WITH … SELECT ….

        "#]],
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
        &expect![[r#"
            Unsupported error: EXPLAIN takes a query
              --> job.sql:1:9
              |
            1 | EXPLAIN SHOW SOURCES
              |         ^^^^^^^^^^^^

            Syntax error: expected a query, found "EXPLAIN"
              --> job.sql:1:9
              |
            1 | EXPLAIN EXPLAIN SELECT 1
              |         ^^^^^^^

            Syntax error: expected "=", found the end of the text
              --> job.sql:1:14
              |
            1 | SET 'trigger'
              |              ^

            Syntax error: expected a value: a quoted string, a number or a word, found the end of the text
              --> job.sql:1:15
              |
            1 | SET trigger = 
              |               ^

            Syntax error: expected an identifier, found the end of the text
              --> job.sql:1:19
              |
            1 | SHOW CREATE SOURCE
              |                   ^

            Syntax error: expected the end of the statement, found "FROM"
              --> job.sql:1:14
              |
            1 | SHOW SOURCES FROM x
              |              ^^^^

            Syntax error: expected the name of the query, found the end of the text
              --> job.sql:1:21
              |
            1 | STOP STREAMING QUERY
              |                     ^

        "#]],
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
            hint: Run headwater kafka topics: the command lists the topics of a broker.

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

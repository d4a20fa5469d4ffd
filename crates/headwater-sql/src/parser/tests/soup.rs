//! No text makes the parser panic: shuffled words, cut statements, stray signs.

use super::*;

/// Words and signs of all the statements there are.
const WORDS: &[&str] = &[
    "CREATE",
    "OR",
    "REPLACE",
    "SOURCE",
    "SINK",
    "TABLE",
    "STREAMING",
    "QUERY",
    "IF",
    "NOT",
    "EXISTS",
    "WATERMARK",
    "FOR",
    "AS",
    "METADATA",
    "FROM",
    "WITH",
    "FORMAT",
    "KEY",
    "JSON",
    "(",
    ")",
    ",",
    ";",
    "=",
    ".",
    "-",
    "*",
    "=>",
    "'text'",
    "\"Name\"",
    "10",
    "a",
    "ts",
    "SELECT",
    "STREAM",
    "INSERT",
    "INTO",
    "VALUES",
    "WHERE",
    "GROUP",
    "BY",
    "ORDER",
    "EMIT",
    "ON",
    "WINDOW",
    "CLOSE",
    "CHANGES",
    "LATE",
    "ROWS",
    "EXPLAIN",
    "ANALYZE",
    "SHOW",
    "DESCRIBE",
    "SET",
    "START",
    "STOP",
    "DROP",
    "TUMBLE",
    "DESCRIPTOR",
    "INTERVAL",
    "SECOND",
    "PRIMARY",
    "EXTERNAL",
    "STORED",
    "KAFKA",
    "LOCATION",
    "OPTIONS",
    "INT",
    "TIMESTAMP",
    "PARTITION",
    "window",
    "-- c\n",
    "/* c */",
    "'",
    "\u{fc}",
    "\n",
];

/// Reads a text whatever it is, and rewrites what could be read.
fn feed(sql: &str) {
    let _ = is_complete(sql);
    let Ok(statements) = parse_script(sql) else {
        return;
    };
    for parsed in statements {
        match parsed.statement {
            Statement::Select(mut select) => {
                let _ = rewrite_windows(&mut select.query);
            }
            Statement::Insert(mut insert) => {
                let _ = rewrite_windows(&mut insert.query);
            }
            Statement::DataFusion(mut statement) => {
                let _ = rewrite_statement_windows(&mut statement);
            }
            _ => {}
        }
    }
}

#[test]
fn shuffled_words() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % bound as u64).unwrap()
    };
    for _ in 0..20_000 {
        let length = 1 + next(14);
        let words: Vec<_> = (0..length).map(|_| WORDS[next(WORDS.len())]).collect();
        feed(&words.join(" "));
    }
}

#[test]
fn statements_with_words_left_out_or_cut_off() {
    let statements = [
        "CREATE OR REPLACE SOURCE s (a INT NOT NULL, k VARCHAR METADATA FROM 'key', b INT AS a + 1, PRIMARY KEY (a), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH (connector = 'kafka', a.b = -1) FORMAT CSV (x = 'y') KEY FORMAT RAW ;",
        "CREATE STREAMING QUERY q WITH (trigger = once) AS INSERT INTO s (a) SELECT STREAM a FROM TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND) AS w GROUP BY window(ts, '5 minutes') EMIT ON WINDOW CLOSE LATE ROWS INTO l ;",
        "CREATE UNBOUNDED EXTERNAL TABLE t (a INT) STORED AS KAFKA LOCATION 'kafka://h:1/t' OPTIONS ('watermark' 'a - 1', k 'v') ;",
        "EXPLAIN ANALYZE VERBOSE SELECT window.start FROM hop(t, ts, slide => '1 m', size => '2 m') GROUP BY window(ts, '5 minutes') ORDER BY window.end EMIT CHANGES ;",
        "SET 'a.b-c' = 'd' ; SHOW CREATE STREAMING QUERY q ; DESCRIBE a.b ; DROP SOURCE IF EXISTS s ;",
    ];
    for sql in statements {
        assert!(parse_script(sql).is_ok(), "{sql}");
        let words: Vec<_> = sql.split(' ').collect();
        for n in 0..words.len() {
            feed(&words[..n].join(" "));
            feed(&words[n..].join(" "));
            let mut fewer = words.clone();
            fewer.remove(n);
            feed(&fewer.join(" "));
            for m in 0..words.len() {
                let mut swapped = words.clone();
                swapped.swap(n, m);
                feed(&swapped.join(" "));
            }
        }
    }
}

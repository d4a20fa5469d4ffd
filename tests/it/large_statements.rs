//! Statements and sources that are much larger than anybody writes by hand, as programs do.

use std::fmt::Write as _;

use headwater::Headwater;

use crate::command::Dir;
use crate::kafka::rows;

const COLUMNS: usize = 10_000;

/// A statement of a mebibyte is read, planned and run.
#[tokio::test]
async fn a_statement_of_a_mebibyte_is_run() {
    let hw = Headwater::builder().build().unwrap();
    hw.sql("CREATE SOURCE t (id BIGINT) WITH (connector = 'datagen', rows = 10, 'fields.id.kind' = 'sequence')")
        .await
        .unwrap();
    let text = "x".repeat(1 << 20);
    let length = rows(&hw, &format!("SELECT length('{text}')")).await;
    assert_eq!(length, [text.len().to_string()]);
    let mut list = "1000000".to_string();
    while list.len() < 1 << 20 {
        write!(list, ", {}", 1_000_000 + list.len()).unwrap();
    }
    let sql = format!("SELECT count(*) FROM t WHERE id NOT IN ({list})");
    assert_eq!(rows(&hw, &sql).await, ["10"]);
    // A long comment is no part of it.
    let sql = format!("SELECT count(*) /* {text} */ FROM t -- {text}");
    assert_eq!(rows(&hw, &sql).await, ["10"]);
}

/// Columns are found by their names, so their number alone decides how long that takes. (That of
/// `SELECT *` is another matter: DataFusion takes as many steps as the square of it.)
#[tokio::test]
async fn a_source_of_ten_thousand_columns_is_declared_and_read() {
    let dir = Dir::new();
    let (mut columns, mut line) = (String::new(), "{".to_string());
    for column in 0..COLUMNS {
        let comma = if column == 0 { "" } else { "," };
        write!(columns, "{comma}c{column} BIGINT").unwrap();
        write!(line, "{comma}\"c{column}\":{column}").unwrap();
    }
    line += "}\n";
    dir.create("wide.jsonl", &line.repeat(20));
    let csv: Vec<String> = (0..COLUMNS).map(|column| column.to_string()).collect();
    dir.create("wide.csv", &format!("{}\n", csv.join(",")).repeat(20));
    let hw = Headwater::builder().build().unwrap();
    for format in ["jsonl", "csv"] {
        let path = dir.path().join(format!("wide.{format}"));
        let name = if format == "csv" { "CSV" } else { "JSON" };
        hw.sql(&format!(
            "CREATE SOURCE {format} ({columns}) WITH (connector = 'filesystem', path = '{}')
             FORMAT {name}",
            path.display()
        ))
        .await
        .unwrap();
        let sums = format!("SELECT count(*), sum(c0), sum(c5000), sum(c9999) FROM {format}");
        assert_eq!(rows(&hw, &sums).await, ["20 0 100000 199980"]);
    }
}

//! The SQL of the documentation: every block is run, page by page, each page in a session of its
//! own.
//!
//! A block that begins with ```` ```sql kafka ```` needs a broker and is a script by itself. Its
//! declarations are made and its queries are bound to them, but nothing is read; `README.md` is
//! treated so as a whole. [`NAMES`] have values, as `--define` and the environment would give them.

use std::fs;
use std::path::{Path, PathBuf};

use headwater::{Headwater, Outcome, Result};
use headwater_sql::ast::Statement;
use headwater_sql::parser::parse_script;
use headwater_tests::workspace_root;

/// The names that the documentation uses, and their values.
const NAMES: [(&str, &str); 2] = [
    ("${SERVERS}", "localhost:9092"),
    ("${env:KAFKA_PASSWORD}", "secret"),
];

/// What is done with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Run,
    Plan,
}

/// A block of SQL.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// Line of its first statement.
    line: usize,
    treatment: Treatment,
    text: String,
}

fn find_pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_pages(&path, found);
        } else if path.extension().is_some_and(|e| e == "md") {
            found.push(path);
        }
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    for (index, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(info), None) => {
                let treatment = match info.trim() {
                    "sql" => Some(Treatment::Run),
                    "sql kafka" => Some(Treatment::Plan),
                    _ => None,
                };
                // Other code is gathered too, so that its end is not taken for a beginning.
                open = Some(Block {
                    line: if treatment.is_some() { index + 2 } else { 0 },
                    treatment: treatment.unwrap_or(Treatment::Plan),
                    text: String::new(),
                });
            }
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks.retain(|block| block.line > 0);
    blocks
}

/// Makes a declaration, or binds the query of a statement: nothing is read or written.
async fn plan_statement(session: &Headwater, text: &str, statement: &Statement) -> Result<()> {
    let query = match statement {
        Statement::CreateStreamingQuery(create) => create.query.query.to_string(),
        Statement::Insert(insert) => insert.query.to_string(),
        Statement::Select(select) => select.query.to_string(),
        _ => return finish(session.sql(text).await?).await,
    };
    session.stream(&query).await.map(|_| ())
}

async fn finish(outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Done(_) => Ok(()),
        Outcome::Rows(rows) => rows.collect().await.map(|_| ()),
        Outcome::Query(query) => query.await_termination().await,
    }
}

async fn plan_block(session: &Headwater, block: &Block) -> Result<()> {
    for parsed in parse_script(&block.text)? {
        plan_statement(session, &parsed.text, &parsed.statement).await?;
    }
    Ok(())
}

fn new_session() -> Headwater {
    Headwater::builder().target_partitions(2).build().unwrap()
}

#[tokio::test]
async fn every_block_of_sql_is_right() {
    let root = workspace_root();
    let mut pages = vec![root.join("README.md")];
    find_pages(&root.join("docs"), &mut pages);
    pages.sort();
    let mut failures = String::new();
    let mut checked = 0;
    for page in pages.iter().filter(|page| page.exists()) {
        let name = page.strip_prefix(&root).unwrap().display();
        let session = new_session();
        for mut block in blocks(&fs::read_to_string(page).unwrap()) {
            for (name, value) in NAMES {
                block.text = block.text.replace(name, value);
            }
            let result = match block.treatment {
                _ if page.ends_with("README.md") => plan_block(&session, &block).await,
                Treatment::Run => session.run_script(&block.text, finish).await,
                Treatment::Plan => plan_block(&new_session(), &block).await,
            };
            if let Err(error) = result {
                let report = error.report("block", Some(&block.text));
                failures.push_str(&format!("\n{name}:{}\n{report}\n", block.line));
            }
            checked += 1;
        }
    }
    assert!(
        failures.is_empty(),
        "SQL of the documentation fails:{failures}"
    );
    assert!(checked > 0, "no block of SQL was found");
}

#[test]
fn blocks_are_found() {
    let page = "a\n```sql\nSELECT 1;\n```\n```sh\n```\n```sql kafka\nSELECT 2;\n```\n";
    let expected = [
        (3, Treatment::Run, "SELECT 1;\n"),
        (8, Treatment::Plan, "SELECT 2;\n"),
    ];
    let expected = expected.map(|(line, treatment, text)| Block {
        line,
        treatment,
        text: text.to_string(),
    });
    assert_eq!(blocks(page), expected);
}

//! What the reference pages say of an option, beside the code that reads it.
//!
//! ```text
//! OptionDoc ── name, aliases ──▶ OptionReader::take …      OptionReader::asked ──▶ differences
//!     └────── option_table ──▶ docs/reference                 (what was really read)   ▲
//!     └───────────────────────────────────────────────────────────────────────────────┘
//! ```
//! A test lets the real code declare something, and [`differences`] says where the entries are not
//! what was read; another one compares the pages with [`option_table`].

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::options::{AskedOption, AskedValues, fold};

/// An option of a source, a sink or a format.
#[derive(Debug, Clone, Copy)]
pub struct OptionDoc {
    /// The name that the documentation uses.
    pub name: &'static str,
    /// What its value is, with the unit.
    pub values: OptionValues,
    /// What holds without it.
    pub default: OptionDefault,
    /// What it does, as Markdown in one line.
    pub effect: &'static str,
    /// Its names in Spark.
    pub spark: &'static [&'static str],
    /// Its names in Flink.
    pub flink: &'static [&'static str],
    /// Other names that are read.
    pub also: &'static [&'static str],
}

/// What the value of an option is.
#[derive(Debug, Clone, Copy)]
pub enum OptionValues {
    /// What these words say, as Markdown.
    Described(&'static str),
    /// A number of these things, and the least there may be.
    AtLeast(u64, &'static str),
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Words(&'static [&'static str]),
}

/// What holds without an option.
#[derive(Debug, Clone, Copy)]
pub enum OptionDefault {
    /// It must be given.
    Required,
    /// Nothing takes its place.
    Nothing,
    /// This value.
    Value(&'static str),
    /// This number.
    Number(u64),
    /// This ASCII character.
    Character(u8),
    /// What these words say, as Markdown.
    Described(&'static str),
}

impl OptionDoc {
    /// An option with one name.
    pub const fn new(
        name: &'static str,
        values: OptionValues,
        default: OptionDefault,
        effect: &'static str,
    ) -> Self {
        OptionDoc {
            name,
            values,
            default,
            effect,
            spark: &[],
            flink: &[],
            also: &[],
        }
    }

    /// The same with names of Spark.
    pub const fn with_spark(self, spark: &'static [&'static str]) -> Self {
        OptionDoc { spark, ..self }
    }

    /// The same with names of Flink.
    pub const fn with_flink(self, flink: &'static [&'static str]) -> Self {
        OptionDoc { flink, ..self }
    }

    /// The same with names that are nobody's.
    pub const fn with_also(self, also: &'static [&'static str]) -> Self {
        OptionDoc { also, ..self }
    }

    /// All names that it is read under, its own first.
    pub fn names(&self) -> Vec<&'static str> {
        let others = [self.spark, self.flink, self.also].concat();
        let others = others.into_iter().filter(|name| *name != self.name);
        std::iter::once(self.name).chain(others).collect()
    }

    /// The names it is read under beside its own.
    pub fn aliases(&self) -> Vec<&'static str> {
        self.names().split_off(1)
    }
}

impl OptionDefault {
    /// The value that means the same as none, if there is one.
    pub fn written(&self) -> Option<String> {
        match self {
            OptionDefault::Value(value) => Some((*value).to_string()),
            OptionDefault::Number(number) => Some(number.to_string()),
            OptionDefault::Character(byte) => Some(char::from(*byte).to_string()),
            OptionDefault::Required | OptionDefault::Nothing | OptionDefault::Described(_) => None,
        }
    }
}

/// The table of a reference page.
pub fn option_table(options: &[&OptionDoc]) -> String {
    let head = ["option", "type and unit", "default", "effect"];
    let mut table = markdown_row(&[&head[..], &["Spark", "Flink"]].concat());
    table.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for option in options {
        let mut name = code(&[option.name]);
        if !option.also.is_empty() {
            let _ = write!(name, ", also {}", code(option.also));
        }
        let values = match option.values {
            OptionValues::Described(text) => text.to_string(),
            OptionValues::AtLeast(min, of) => format!("a number of {of}, at least {min}"),
            OptionValues::Bool => code(&["true", "false"]),
            OptionValues::Words(words) => code(words),
        };
        let default = match option.default {
            OptionDefault::Required => "required".to_string(),
            OptionDefault::Nothing => String::new(),
            OptionDefault::Described(text) => text.to_string(),
            OptionDefault::Value(_) | OptionDefault::Number(_) | OptionDefault::Character(_) => {
                code(&[&option.default.written().unwrap_or_default()])
            }
        };
        let (spark, flink) = (code(option.spark), code(option.flink));
        let cells = [&name, &values, &default, option.effect, &spark, &flink];
        table.push_str(&markdown_row(&cells));
    }
    table
}

/// A row of a table in Markdown.
pub fn markdown_row(cells: &[&str]) -> String {
    let mut row = "|".to_string();
    for cell in cells {
        let space = if cell.is_empty() { "" } else { " " };
        let _ = write!(row, "{space}{cell} |");
    }
    row + "\n"
}

fn code(texts: &[&str]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("`{text}`")).collect();
    quoted.join(", ")
}

/// Where the entries are not what a reader was asked for, in words; nothing if they agree.
pub fn differences(options: &[&OptionDoc], asked: &[AskedOption]) -> Vec<String> {
    let mut found = Vec::new();
    let folded = |option: &&OptionDoc| option.names().into_iter().map(fold).collect();
    let names: Vec<BTreeSet<String>> = options.iter().map(folded).collect();
    let mut read = vec![BTreeSet::new(); options.len()];
    for asked in asked {
        let place = names
            .iter()
            .position(|all| all.contains(&fold(&asked.name)));
        let entry =
            place.and_then(|at| Some((options.get(at)?, names.get(at)?, read.get_mut(at)?)));
        let Some((option, names, read)) = entry else {
            found.push(format!("\"{}\" is read and has no entry", asked.name));
            continue;
        };
        let spellings = std::iter::once(&asked.name).chain(&asked.aliases);
        read.extend(spellings.map(|name| fold(name)));
        for name in read.difference(names) {
            found.push(format!("\"{name}\" is read for \"{}\"", option.name));
        }
        // Another system's name may have values of its own.
        if asked.name == option.name && !is_same(option.values, &asked.values) {
            let values = &asked.values;
            found.push(format!("\"{}\" is read as {values:?}", option.name));
        }
    }
    for ((option, names), read) in options.iter().zip(&names).zip(&read) {
        for name in names.difference(read) {
            found.push(format!("\"{name}\" of \"{}\" is not read", option.name));
        }
    }
    found
}

fn is_same(documented: OptionValues, asked: &AskedValues) -> bool {
    match (documented, asked) {
        (OptionValues::Words(words), AskedValues::Words(read)) => {
            let (mut words, mut read) = (words.to_vec(), read.clone());
            words.sort_unstable();
            read.sort_unstable();
            words == read
        }
        (OptionValues::Bool, AskedValues::Bool)
        | (OptionValues::Described(_) | OptionValues::AtLeast(..), AskedValues::Any) => true,
        (OptionValues::Words(_) | OptionValues::Bool, _)
        | (OptionValues::Described(_) | OptionValues::AtLeast(..), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{OptionReader, Options};

    const MODE: OptionDoc = OptionDoc::new(
        "on.loss",
        OptionValues::Words(&["stop", "skip"]),
        OptionDefault::Value("stop"),
        "what happens",
    )
    .with_spark(&["failOnLoss"])
    .with_flink(&["on-loss"])
    .with_also(&["loss"]);
    const BYTES: OptionDoc = OptionDoc::new(
        "prefetch.bytes",
        OptionValues::Described("bytes"),
        OptionDefault::Number(64),
        "how much",
    );

    #[test]
    fn a_table_has_every_name() {
        let expected = "\
| option | type and unit | default | effect | Spark | Flink |
| --- | --- | --- | --- | --- | --- |
| `on.loss`, also `loss` | `stop`, `skip` | `stop` | what happens | `failOnLoss` | `on-loss` |
| `prefetch.bytes` | bytes | `64` | how much | | |
";
        assert_eq!(option_table(&[&MODE, &BYTES]), expected);
    }

    /// What is said of code that reads, with the entries of both options.
    fn said(read: impl FnOnce(&mut OptionReader)) -> Vec<String> {
        let mut reader = OptionReader::new("source \"s\"", &Options::new());
        read(&mut reader);
        differences(&[&MODE, &BYTES], reader.asked())
    }

    #[test]
    fn entries_are_what_is_read() {
        let choices = [("skip", 1), ("stop", 2)];
        let none = said(|reader| {
            reader.take_choice("on.loss", &["loss"], &choices).unwrap();
            reader.take_bool("failOnLoss", &[]).unwrap();
            reader.take("prefetch.bytes", &[]).unwrap();
        });
        assert_eq!(none, Vec::<String>::new());
        let less = said(|reader| {
            let aliases = MODE.aliases();
            reader.take_choice("on.loss", &aliases, &choices).unwrap();
        });
        assert_eq!(
            less,
            ["\"prefetch.bytes\" of \"prefetch.bytes\" is not read"]
        );
        let more = said(|reader| {
            let choices = [("skip", 1)];
            let aliases = ["failOnLoss", "loss", "lost"];
            reader.take_choice("on.loss", &aliases, &choices).unwrap();
            reader.take("prefetch.bytes", &[]).unwrap();
            reader.take_prefixed("more.");
        });
        assert_eq!(
            more,
            [
                "\"lost\" is read for \"on.loss\"",
                "\"on.loss\" is read as Words([\"skip\"])",
                "\"more.<name>\" is read and has no entry",
            ]
        );
    }
}

//! What the benchmark is asked.

use std::str::FromStr;

use headwater::{Error, Result};

use crate::Subject;

/// The words of its command line.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) bootstrap: String,
    /// Messages per second.
    pub(crate) rate: u32,
    /// How long is measured.
    pub(crate) seconds: u32,
    pub(crate) rounds: u32,
    pub(crate) subjects: Vec<Subject>,
}

impl Arguments {
    /// Options with a value each; cargo adds `--bench`.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut arguments = Arguments {
            bootstrap: String::new(),
            rate: 10_000,
            seconds: 20,
            rounds: 3,
            subjects: Subject::ALL.to_vec(),
        };
        let mut words = words.filter(|word| word != "--bench");
        while let Some(option) = words.next() {
            let value = words.next().unwrap_or_default();
            match option.as_str() {
                "--bootstrap" => arguments.bootstrap = value,
                "--rate" => arguments.rate = number(&option, &value)?,
                "--seconds" => arguments.seconds = number(&option, &value)?,
                "--rounds" => arguments.rounds = number(&option, &value)?,
                "--subjects" => arguments.subjects = subjects(&value)?,
                _ => return Err(refused(&option, &value)),
            }
        }
        if arguments.bootstrap.is_empty() {
            return Err(Error::configuration("--bootstrap HOST:PORT is missing"));
        }
        Ok(arguments)
    }
}

fn number(option: &str, value: &str) -> Result<u32> {
    let number = u32::from_str(value).ok().filter(|number| *number > 0);
    number.ok_or_else(|| refused(option, value))
}

fn subjects(names: &str) -> Result<Vec<Subject>> {
    let of = |name| Subject::ALL.into_iter().find(|s| s.name() == name);
    let each = names.split(',');
    let each = each.map(|name| of(name).ok_or_else(|| refused("--subjects", name)));
    each.collect()
}

fn refused(option: &str, value: &str) -> Error {
    Error::configuration(format!("\"{option} {value}\" is not understood"))
}

//! Options as `'key' = 'value'` pairs: read once, typed, and nothing is parsed and ignored.
//!
//! A value may refer to one that is elsewhere, see [`crate::secret`]; it is looked up when the
//! option is taken, and messages show the reference.
//!
//! Keys are compared without case, and `.`, `_` and `-` are one character, so that
//! `max.records.per.epoch`, `max_records_per_epoch` and `max-records-per-epoch` are the same key.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::byte_size::parse_byte_size;
use crate::duration::parse_duration;
use crate::other_options::unknown_hint;
use crate::secret::{HIDDEN, has_reference, is_secret_key, resolve};
use crate::{Error, Result};

/// What stands for every name after a prefix.
const ANY_NAME: &str = "<name>";

/// Options of one object, as written; later keys replace earlier ones of the same spelling.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Options(BTreeMap<String, (String, Value)>);

/// What an option was given.
#[derive(Clone, PartialEq, Eq)]
struct Value {
    text: String,
    /// Of a value that holds no references any more: what messages show.
    looked_up: Option<String>,
}

/// Values may be passwords, so that keys alone are shown.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.0.values().map(|(key, _)| key))
            .finish()
    }
}

impl Options {
    /// No options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an option; returns the value it replaces.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) -> Option<String> {
        let key = key.into();
        let value = Value {
            text: value.into(),
            looked_up: None,
        };
        let old = self.0.insert(fold(&key), (key, value));
        old.map(|(_, old)| old.text)
    }

    /// Sets an option to a text in which a reference means nothing, such as what a file holds;
    /// returns the value it replaces.
    pub fn set_literal(
        &mut self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Option<String> {
        let (key, text) = (key.into(), value.into());
        let looked_up = Some(text.clone());
        let old = self.0.insert(fold(&key), (key, Value { text, looked_up }));
        old.map(|(_, old)| old.text)
    }

    /// The options with every reference replaced, once and for all. `whose` is the owner, for
    /// messages.
    ///
    /// # Errors
    /// If a reference cannot be read.
    pub fn looked_up(&self, whose: &str) -> Result<Options> {
        let looked_up = self.0.iter().map(|(folded, (key, value))| {
            let mut value = value.clone();
            if value.looked_up.is_none() && has_reference(&value.text) {
                let text = resolve(&format!("option \"{key}\" of {whose}"), &value.text)?;
                value.looked_up = Some(std::mem::replace(&mut value.text, text));
            }
            Ok((folded.clone(), (key.clone(), value)))
        });
        looked_up.collect::<Result<_>>().map(Options)
    }

    /// The value of an option, as written.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(&fold(key)).map(|(_, value)| value.text.as_str())
    }

    /// Keys as written, with their values, ordered by folded key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .values()
            .map(|(key, value)| (key.as_str(), value.text.as_str()))
    }

    /// Takes over the options of another set, with what is known of their values.
    pub fn extend(&mut self, others: Options) {
        self.0.extend(others.0);
    }

    /// The options but some.
    pub fn without(&self, is_left_out: impl Fn(&str) -> bool) -> Options {
        let kept = self.0.iter().filter(|(_, (key, _))| !is_left_out(key));
        Options(
            kept.map(|(folded, entry)| (folded.clone(), entry.clone()))
                .collect(),
        )
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Options {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut options = Options::new();
        for (key, value) in pairs {
            options.set(key, value);
        }
        options
    }
}

/// The form of a key in which its spellings are the same: `Batch_Size` and `batch-size` are
/// `batch.size`.
pub fn fold(key: &str) -> String {
    key.chars()
        .map(|c| {
            if matches!(c, '_' | '-') {
                '.'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// Reads options one by one and refuses what nobody asked for.
///
/// Every `take` names the option and its aliases; [`OptionReader::finish`] then knows all names
/// there are, and its error for an unknown key names the nearest of them.
#[derive(Debug)]
pub struct OptionReader {
    owner: String,
    left: Options,
    asked: Vec<AskedOption>,
    /// Options that were given under another name than theirs, and that name.
    renamed: Vec<(String, String)>,
    /// What messages show instead of a value.
    shown: Shown,
}

/// An option that a reader was asked for, whether it was given or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedOption {
    /// Its name; of all options with a prefix, `<prefix><name>`.
    pub name: String,
    /// The other names that it is read under.
    pub aliases: Vec<String>,
    /// What is read.
    pub values: AskedValues,
}

/// What is read of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedValues {
    /// A text; who takes it may read more in it.
    Any,
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Words(Vec<String>),
}

/// Values that are not shown, and what is shown instead.
#[derive(Default)]
struct Shown(Vec<(String, String)>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(_, shown)| shown);
        f.debug_list().entries(shown).finish()
    }
}

impl OptionReader {
    /// Starts to read; `owner` is the object's kind and quoted name, for messages.
    pub fn new(owner: impl Into<String>, options: &Options) -> Self {
        OptionReader {
            owner: owner.into(),
            left: options.clone(),
            asked: Vec::new(),
            renamed: Vec::new(),
            shown: Shown::default(),
        }
    }

    /// The object's kind and quoted name.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The options that nobody has taken yet: their keys, folded, and their values as written.
    pub fn left(&self) -> impl Iterator<Item = (&str, &str)> {
        let left = self.left.0.iter();
        left.map(|(folded, (_, value))| (folded.as_str(), value.text.as_str()))
    }

    /// The options that it was asked for so far, in that order.
    pub fn asked(&self) -> &[AskedOption] {
        &self.asked
    }

    /// Takes an option under its name or one of its aliases.
    ///
    /// # Errors
    /// If it is given twice, under two names, or its value refers to what cannot be read.
    pub fn take(&mut self, name: &str, aliases: &[&str]) -> Result<Option<String>> {
        self.take_as(name, aliases, AskedValues::Any)
    }

    /// Takes an option of which `values` is read.
    fn take_as(
        &mut self,
        name: &str,
        aliases: &[&str],
        values: AskedValues,
    ) -> Result<Option<String>> {
        self.asked.push(AskedOption {
            name: name.to_string(),
            aliases: aliases.iter().map(ToString::to_string).collect(),
            values,
        });
        let mut found: Option<(String, Value)> = None;
        for candidate in std::iter::once(&name).chain(aliases) {
            if let Some((key, value)) = self.left.0.remove(&fold(candidate)) {
                if let Some((earlier, _)) = &found {
                    return Err(Error::configuration(format!(
                        "{} gives the same option twice, as \"{earlier}\" and as \"{key}\"",
                        self.owner
                    ))
                    .with_hint(format!("Keep \"{name}\" alone.")));
                }
                found = Some((key, value));
            }
        }
        if let Some((key, _)) = found.as_ref().filter(|(key, _)| fold(key) != fold(name)) {
            self.renamed.push((name.to_string(), key.clone()));
        }
        let value = found.map(|(key, value)| self.resolved(&key, value));
        value.transpose()
    }

    /// The value of an option, with its references replaced.
    fn resolved(&mut self, key: &str, value: Value) -> Result<String> {
        let Value { text, looked_up } = value;
        if let Some(shown) = looked_up {
            let shown = if is_secret_key(key) {
                HIDDEN.to_string()
            } else {
                shown
            };
            self.shown.0.push((text.clone(), shown));
            return Ok(text);
        }
        let written = text;
        if has_reference(&written) {
            let whose = format!("option \"{key}\" of {}", self.owner);
            let value = resolve(&whose, &written)?;
            self.shown.0.push((value.clone(), written));
            return Ok(value);
        }
        if is_secret_key(key) {
            self.shown.0.push((written.clone(), HIDDEN.to_string()));
        }
        Ok(written)
    }

    /// Takes an option that must be there.
    ///
    /// # Errors
    /// If it is missing, with `example` as the hint.
    pub fn require(&mut self, name: &str, aliases: &[&str], example: &str) -> Result<String> {
        self.take(name, aliases)?.ok_or_else(|| {
            let error = Error::configuration(format!("{} needs the option \"{name}\"", self.owner));
            let written = self.left.0.values().map(|(key, _)| key.as_str());
            match nearest(name, written) {
                Some(typo) => error.with_hint(format!("Did you mean \"{name}\" by \"{typo}\"?")),
                None => error.with_hint(format!("Add '{name}' = '{example}'.")),
            }
        })
    }

    /// Takes an option whose text is read by `FromStr`.
    ///
    /// # Errors
    /// If the text cannot be read; `expected` says what was expected.
    pub fn take_parsed<T: FromStr>(
        &mut self,
        name: &str,
        aliases: &[&str],
        expected: &str,
    ) -> Result<Option<T>> {
        let Some(text) = self.take(name, aliases)? else {
            return Ok(None);
        };
        match text.trim().parse::<T>() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(self.bad_value(name, &text, expected)),
        }
    }

    /// Takes a duration such as `10 seconds`.
    ///
    /// # Errors
    /// If it is not one.
    pub fn take_duration(&mut self, name: &str, aliases: &[&str]) -> Result<Option<Duration>> {
        let Some(text) = self.take(name, aliases)? else {
            return Ok(None);
        };
        match parse_duration(&text) {
            Ok(duration) => Ok(Some(duration)),
            Err(error) => {
                let bad = self.bad_value(name, &text, "a duration such as '10 seconds'");
                Err(match error.detail() {
                    Some(why) => bad.with_detail(why),
                    None => bad,
                })
            }
        }
    }

    /// Takes a size such as `128 MiB`, in bytes.
    ///
    /// # Errors
    /// If it is not one.
    pub fn take_byte_size(&mut self, name: &str, aliases: &[&str]) -> Result<Option<u64>> {
        let Some(text) = self.take(name, aliases)? else {
            return Ok(None);
        };
        match parse_byte_size(&text) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(_) => Err(self.bad_value(name, &text, "a size such as '128 MiB'")),
        }
    }

    /// Takes `true` or `false`.
    ///
    /// # Errors
    /// If it is neither.
    pub fn take_bool(&mut self, name: &str, aliases: &[&str]) -> Result<Option<bool>> {
        let Some(text) = self.take_as(name, aliases, AskedValues::Bool)? else {
            return Ok(None);
        };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(self.bad_value(name, &text, "true or false")),
        }
    }

    /// Takes one of a fixed set of words.
    ///
    /// # Errors
    /// If it is none of them; the message lists them.
    pub fn take_choice<T: Copy>(
        &mut self,
        name: &str,
        aliases: &[&str],
        choices: &[(&str, T)],
    ) -> Result<Option<T>> {
        let words = choices.iter().map(|(word, _)| (*word).to_string());
        let values = AskedValues::Words(words.collect());
        let Some(text) = self.take_as(name, aliases, values)? else {
            return Ok(None);
        };
        let wanted = text.trim();
        let found = choices
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(wanted));
        match found {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let words: Vec<_> = choices
                    .iter()
                    .map(|(word, _)| format!("'{word}'"))
                    .collect();
                Err(self.bad_value(name, &text, &words.join(" or ")))
            }
        }
    }

    /// Takes every remaining option whose folded key starts with `prefix`, prefix removed. The
    /// values are as written: who takes them one by one looks their references up.
    pub fn take_prefixed(&mut self, prefix: &str) -> Options {
        self.asked.push(AskedOption {
            name: format!("{prefix}{ANY_NAME}"),
            aliases: Vec::new(),
            values: AskedValues::Any,
        });
        let prefix = fold(prefix);
        let keys: Vec<_> = self
            .left
            .0
            .keys()
            .filter(|k| k.starts_with(&prefix))
            .cloned()
            .collect();
        let mut taken = Options::new();
        for key in keys {
            if let Some((written, value)) = self.left.0.remove(&key) {
                let key = written.get(prefix.len()..).unwrap_or_default().to_string();
                taken.0.insert(fold(&key), (key, value));
            }
        }
        taken
    }

    /// An error for a value that is not what was expected, under the name that was written. A
    /// secret is not shown.
    pub fn bad_value(&self, name: &str, text: &str, expected: &str) -> Error {
        let shown = self.shown.0.iter().find(|(value, _)| value == text);
        let text = shown.map_or(text, |(_, shown)| shown);
        let renamed = self.renamed.iter().find(|(known, _)| known == name);
        let name = renamed.map_or(name, |(_, written)| written);
        Error::configuration(format!(
            "option \"{name}\" of {} is \"{text}\", not {expected}",
            self.owner
        ))
    }

    /// Refuses what is left and not `to_read`, before a missing option hides a misspelt one.
    ///
    /// # Errors
    /// As [`OptionReader::finish`].
    pub fn refuse_others(&self, to_read: &[&str]) -> Result<()> {
        let is_read = |key: &str| {
            to_read
                .iter()
                .any(|name| match name.strip_suffix(ANY_NAME) {
                    Some(prefix) => key.starts_with(&fold(prefix)),
                    None => fold(name) == key,
                })
        };
        let other = self.left.0.iter().find(|(key, _)| !is_read(key));
        other.map_or(Ok(()), |(_, (key, _))| Err(self.unknown(key, to_read)))
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// If an option is left that nobody asked for; names the nearest known one.
    pub fn finish(self) -> Result<()> {
        let other = self.left.0.values().next();
        other.map_or(Ok(()), |(key, _)| Err(self.unknown(key, &[])))
    }

    /// The error for an option that nobody reads, beside those that are still to be read.
    fn unknown(&self, written: &str, to_read: &[&str]) -> Error {
        let error = Error::configuration(format!("{} has no option \"{written}\"", self.owner));
        let to_read = to_read.iter().filter(|name| !name.ends_with(ANY_NAME));
        let known: Vec<&str> = to_read.copied().chain(self.known_names()).collect();
        error.with_hint(unknown_hint(written, self.left.get(written), known))
    }

    /// All names that something is read under.
    fn known_names(&self) -> impl Iterator<Item = &str> {
        let asked = self.asked.iter();
        let names = asked.flat_map(|asked| std::iter::once(&asked.name).chain(&asked.aliases));
        names
            .map(String::as_str)
            .filter(|name| !name.ends_with(ANY_NAME))
    }
}

/// The known name nearest to a word, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = fold(word);
    known
        .map(|name| (strsim::jaro_winkler(&word, &fold(name)), name))
        .filter(|(score, _)| *score > 0.8)
        // Of two that are as near the first, which is the name and not another spelling of it.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(pairs: &[(&str, &str)]) -> OptionReader {
        OptionReader::new("source \"s\"", &pairs.iter().copied().collect())
    }

    #[test]
    fn values_are_looked_up_once_and_what_a_file_holds_is_no_reference() {
        let mut options: Options = [("a", "${env:CARGO_PKG_NAME}"), ("b", "1")]
            .into_iter()
            .collect();
        options.set_literal("c", "${env:X}");
        let options = options.looked_up("it").unwrap();
        assert_eq!(options.get("a"), Some(env!("CARGO_PKG_NAME")));
        let mut r = OptionReader::new("it", &options);
        let error = r.take_parsed::<u64>("a", &[], "a number").unwrap_err();
        assert!(error.message().contains("${env:CARGO_PKG_NAME}"), "{error}");
        assert_eq!(r.take("c", &[]).unwrap().as_deref(), Some("${env:X}"));
    }

    #[test]
    fn values_are_looked_up_and_messages_show_where() {
        let mut r = reader(&[("a.count", "${env:CARGO_PKG_NAME}"), ("api.key", "k3y")]);
        let error = r
            .take_parsed::<u64>("a.count", &[], "a number")
            .unwrap_err();
        assert_eq!(
            error.message(),
            "option \"a.count\" of source \"s\" is \"${env:CARGO_PKG_NAME}\", not a number"
        );
        let error = r.take_bool("api.key", &[]).unwrap_err();
        assert_eq!(
            error.message(),
            "option \"api.key\" of source \"s\" is \"***\", not true or false"
        );
        assert!(!format!("{r:?}").contains("k3y"));
        let mut r = reader(&[("a", "${env:HEADWATER_NO_SUCH_VARIABLE}")]);
        assert!(
            r.take("a", &[])
                .unwrap_err()
                .message()
                .starts_with("option \"a\" of source")
        );
    }

    #[test]
    fn spellings_of_a_key_are_one() {
        let mut r = reader(&[("Max_Records-per.epoch", "5")]);
        let n: Option<u64> = r
            .take_parsed("max.records.per.epoch", &[], "a number")
            .unwrap();
        assert_eq!(n, Some(5));
        r.finish().unwrap();
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let mut r = reader(&[("topik", "x")]);
        r.take("topic", &["subscribe"]).unwrap();
        let error = r.finish().unwrap_err();
        assert_eq!(error.message(), "source \"s\" has no option \"topik\"");
        assert_eq!(error.hint(), Some("Did you mean \"topic\"?"));
    }

    #[test]
    fn a_misspelt_key_is_told_before_what_is_missing() {
        let to_read = [
            "topic",
            "topic.pattern",
            "topic-pattern",
            "properties.<name>",
        ];
        let r = reader(&[("topic.patern", "x"), ("properties.acks", "1")]);
        let error = r.refuse_others(&to_read).unwrap_err();
        assert_eq!(
            error.message(),
            "source \"s\" has no option \"topic.patern\""
        );
        assert_eq!(error.hint(), Some("Did you mean \"topic.pattern\"?"));
        reader(&[("Topic_Pattern", "x"), ("Properties.acks", "1")])
            .refuse_others(&to_read)
            .unwrap();
    }

    #[test]
    fn the_same_option_twice_is_refused() {
        let mut r = reader(&[("topic", "x"), ("subscribe", "y")]);
        assert!(r.take("topic", &["subscribe"]).is_err());
    }

    #[test]
    fn values_are_not_shown() {
        let reader = reader(&[("sasl.password", "hunter2")]);
        let shown = format!("{reader:?}");
        assert!(
            shown.contains("sasl.password") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn bad_values_are_told_under_the_name_that_was_written() {
        let mut r = reader(&[("maxOffsetsPerTrigger", "0"), ("Flag", "z")]);
        r.take("max.records", &["maxOffsetsPerTrigger"]).unwrap();
        assert_eq!(
            r.bad_value("max.records", "0", "at least 1").message(),
            "option \"maxOffsetsPerTrigger\" of source \"s\" is \"0\", not at least 1"
        );
        assert_eq!(
            r.take_bool("flag", &[]).unwrap_err().message(),
            "option \"flag\" of source \"s\" is \"z\", not true or false"
        );
    }

    #[test]
    fn bad_values_say_what_was_expected() {
        let mut r = reader(&[("flag", "maybe"), ("mode", "z")]);
        let error = r.take_bool("flag", &[]).unwrap_err();
        assert_eq!(
            error.message(),
            "option \"flag\" of source \"s\" is \"maybe\", not true or false"
        );
        let error = r
            .take_choice("mode", &[], &[("a", 1), ("b", 2)])
            .unwrap_err();
        assert_eq!(
            error.message(),
            "option \"mode\" of source \"s\" is \"z\", not 'a' or 'b'"
        );
    }
}

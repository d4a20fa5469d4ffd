//! Passwords and their like: values that come from outside the text, and what keeps them out of
//! everything that is shown.
//!
//! A value of an option may hold references, which are replaced when the option is read:
//!
//! | reference | value |
//! |---|---|
//! | `${env:NAME}` | the environment variable |
//! | `${file:/path}` | what the file holds, without line ends at its end |
//! | `$${` | the two characters `${` |
//!
//! (`${NAME}` in a script is replaced in its text, before it is read: `--define`.)
//!
//! A password that is written into a statement all the same is hidden by [`hide_in_sql`] wherever
//! the statement is shown.

use std::fmt;
use std::path::Path;

use crate::options::fold;
use crate::{Error, Result};

/// What is shown in place of a secret.
pub const HIDDEN: &str = "***";

const FORMS: &str = "Write ${env:NAME} or ${file:/path}; $${ is a plain ${.";

/// Stands for every character that is hidden, until it is shown; no text of SQL has it.
const HIDDEN_CHAR: char = '\u{ffff}';

/// The largest file that can be a secret; one that is larger is something else.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A value that is never shown: its `Debug` and `Display` are `***`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Secret(String);

impl Secret {
    /// Hides a value.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The value, for those who must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Secret(value)
    }
}

/// Whether the value of an option is one that must not be shown, by the option's name, also a
/// misspelt one.
pub fn is_secret_key(key: &str) -> bool {
    const SECRETS: [&str; 14] = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "credential",
        "jaas.config",
        "key.pem",
        "keystore.key",
        "oauthbearer.config",
        "oauthbearer.extensions",
        "private.key",
        "api.key",
        "user.info",
    ];
    // These say where a secret is, or how one is got.
    const PLACES: [&str; 8] = [
        ".url",
        ".uri",
        ".location",
        ".file",
        ".path",
        ".source",
        ".ms",
        ".method",
    ];
    let key = fold(key);
    let is_near = |part: &str, word: &str| strsim::jaro_winkler(part, word) > 0.9;
    let is_named = |word: &&str| key.contains(*word) || key.split('.').any(|p| is_near(p, word));
    SECRETS.iter().any(is_named) && !PLACES.iter().any(|end| key.ends_with(end))
}

/// Whether a value holds a reference, or the escape of one.
pub(crate) fn has_reference(value: &str) -> bool {
    value.contains("${")
}

/// The value with every reference replaced.
///
/// # Errors
/// If a reference cannot be read: no such variable or file, another form. The message begins with
/// `whose`, which names the option.
pub fn resolve(whose: &str, value: &str) -> Result<String> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let inside = from.get(2..).unwrap_or_default();
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = inside;
            continue;
        }
        out.push_str(before);
        let Some((reference, after)) = inside.split_once('}') else {
            return Err(
                Error::configuration(format!("{whose} has a \"${{\" without a \"}}\""))
                    .with_hint(FORMS),
            );
        };
        out.push_str(&referred(whose, reference)?);
        rest = after;
    }
    out.push_str(rest);
    if out.is_empty() && !value.is_empty() {
        return Err(Error::configuration(format!(
            "{whose} would be empty: \"{value}\" is there and holds nothing"
        ))
        .with_hint("Give it a value, or leave the option out."));
    }
    Ok(out)
}

fn referred(whose: &str, reference: &str) -> Result<String> {
    let (kind, name) = reference.split_once(':').unwrap_or(("", reference));
    match kind.trim() {
        "env" => variable(whose, name.trim()),
        "file" => file(whose, Path::new(name.trim())),
        "" => Err(Error::configuration(format!(
            "{whose} refers to \"{name}\", and does not say where that is"
        ))
        .with_hint(FORMS)),
        other => Err(Error::configuration(format!(
            "{whose} refers to \"{other}:\", which is nowhere to read from"
        ))
        .with_hint(FORMS)),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an option says that its value is in the environment"
)]
fn variable(whose: &str, name: &str) -> Result<String> {
    // A shell would read ${X:-value} and the like; the value is not shown, as it may be a secret.
    if let Some((name, _)) = name.split_once(':') {
        return Err(Error::configuration(format!(
            "{whose} says what to do without the environment variable \"{name}\", which is not \
             supported"
        ))
        .with_hint(format!(
            "Write ${{env:{name}}}, and set the variable before headwater starts."
        )));
    }
    std::env::var(name).map_err(|error| {
        let why = match error {
            std::env::VarError::NotPresent => "is not set",
            std::env::VarError::NotUnicode(_) => "is not UTF-8",
        };
        Error::configuration(format!(
            "{whose} needs the environment variable \"{name}\", which {why}"
        ))
        .with_hint("Set it before headwater starts; a file is read by ${file:/path}.")
    })
}

fn file(whose: &str, path: &Path) -> Result<String> {
    let failed = |why: String| {
        let shown = path.display();
        Error::configuration(format!("{whose} cannot read the file \"{shown}\": {why}"))
    };
    let metadata = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(failed(
            "it is no file, or larger than 1 MiB, and so no secret".to_string(),
        ));
    }
    let mut text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    Ok(text)
}

/// A statement as it may be shown: behind `'key' =`, the value of a key that names a secret is
/// [`HIDDEN`], however long it is, on each line that it has.
///
/// A value ends with the comma or the parenthesis behind it, whatever it is made of: a password that
/// is not quoted, or not rightly, is one all the same. References stay, as they are no secrets.
pub fn hide_in_sql(sql: &str) -> String {
    HiddenSql::new(sql).shown()
}

/// A statement without its secrets, in which every other character is still in its place.
#[derive(Debug, Clone)]
pub struct HiddenSql(String);

impl HiddenSql {
    /// Takes the secrets out of a statement.
    pub fn new(sql: &str) -> Self {
        HiddenSql(hide(sql))
    }

    /// The text to show.
    pub fn shown(&self) -> String {
        squeezed(&self.0, &mut [])
    }

    /// A line to show, by its number from 0. `places` are places of characters in the line that was
    /// written, and become those in the line that is shown.
    pub fn shown_line(&self, number: usize, places: &mut [usize]) -> Option<String> {
        let line = self.0.lines().nth(number)?;
        Some(squeezed(line, places))
    }
}

/// A text in which all hidden characters side by side are [`HIDDEN`].
fn squeezed(text: &str, places: &mut [usize]) -> String {
    let written = places.to_vec();
    let (mut out, mut length) = (String::with_capacity(text.len()), 0);
    let mut was_hidden = false;
    for (at, c) in text.chars().enumerate() {
        let is_hidden = c == HIDDEN_CHAR;
        for (place, _) in places.iter_mut().zip(&written).filter(|(_, w)| **w == at) {
            // The place of a secret is where its mask begins.
            *place = if is_hidden && was_hidden {
                length - HIDDEN.len()
            } else {
                length
            };
        }
        match (is_hidden, was_hidden) {
            (true, true) => {}
            (true, false) => {
                out.push_str(HIDDEN);
                length += HIDDEN.len();
            }
            (false, _) => {
                out.push(c);
                length += 1;
            }
        }
        was_hidden = is_hidden;
    }
    let end = text.chars().count();
    for (place, written) in places.iter_mut().zip(&written).filter(|(_, w)| **w >= end) {
        *place = length + (written - end);
    }
    out
}

fn hide(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut place = Place::Elsewhere;
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let token = token(rest, first);
        let (text, after) = rest.split_at(token.length);
        place = place.next(token.kind, text);
        match token.kind {
            TokenKind::Comment => hide_in_comment(text, &mut out),
            TokenKind::Blank => out.push_str(text),
            _ if place == Place::Value && !is_reference(unquoted(text)) => {
                let quote = |c: char| matches!(c, '\'' | '"' | '`');
                let is_quoted = matches!(token.kind, TokenKind::Text | TokenKind::Quoted);
                let last = text.char_indices().last().map_or(0, |(at, _)| at);
                out.extend(text.char_indices().map(|(at, c)| match c {
                    c if is_quoted && quote(c) && (at == 0 || at == last) => c,
                    c => hidden(c),
                }));
            }
            _ => push_without_user(text, &mut out),
        }
        rest = after;
    }
    out
}

/// What stands for a character of a secret: lines stay lines.
fn hidden(c: char) -> char {
    match c {
        '\n' | '\r' => c,
        _ => HIDDEN_CHAR,
    }
}

/// A text in which the user and the password of a URL are hidden.
fn push_without_user(text: &str, out: &mut String) {
    let Some((before, from)) = text.split_once("://") else {
        out.push_str(text);
        return;
    };
    let end = from.find(['/', '?', '#', '\'', '"']).unwrap_or(from.len());
    let user = from.get(..end).and_then(|authority| authority.rfind('@'));
    let (user, rest) = from
        .split_at_checked(user.unwrap_or(0))
        .unwrap_or(("", from));
    out.push_str(before);
    out.push_str("://");
    out.extend(user.chars().map(hidden));
    out.push_str(rest);
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['\'', '"', '`'])
}

/// In a comment quotes mean nothing, so that all that follows the name of a secret is hidden.
fn hide_in_comment(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (shown, after) = rest.split_at(word.max(first.len_utf8()));
        out.push_str(shown);
        if is_secret_key(shown) {
            out.extend(after.chars().map(hidden));
            return;
        }
        rest = after;
    }
}

/// Whether a value is nothing but one reference.
pub fn is_reference(value: &str) -> bool {
    let inside = value.strip_prefix("${").and_then(|v| v.strip_suffix('}'));
    inside.is_some_and(|name| !name.contains(['{', '}']))
}

/// Where in a list of options a token stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Elsewhere,
    /// The name of a secret.
    Key,
    /// The sign between a name and its value.
    Sign,
    Value,
}

impl Place {
    /// The place of a token that stands behind this one.
    fn next(self, kind: TokenKind, text: &str) -> Place {
        const ENDS: [&str; 14] = [
            "and", "or", "from", "where", "group", "order", "having", "limit", "then", "end", "as",
            "is", "format", "with",
        ];
        let is_key = || is_secret_key(unquoted(text));
        match (self, kind) {
            (_, TokenKind::Blank | TokenKind::Comment) => self,
            (_, TokenKind::Other) if [",", ")", "(", ";"].contains(&text) => Place::Elsewhere,
            (Place::Key | Place::Sign, TokenKind::Other) => Place::Sign,
            // Two names side by side are a column and its type.
            (Place::Key, TokenKind::Word) if !is_key() => Place::Elsewhere,
            (Place::Key, TokenKind::Text) | (Place::Sign, _) => Place::Value,
            (Place::Value, TokenKind::Word)
                if ENDS.iter().any(|end| text.eq_ignore_ascii_case(end)) =>
            {
                Place::Elsewhere
            }
            (Place::Value, _) => Place::Value,
            (_, TokenKind::Other) => Place::Elsewhere,
            (_, TokenKind::Text | TokenKind::Quoted | TokenKind::Word) if is_key() => Place::Key,
            _ => Place::Elsewhere,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenKind {
    /// White space.
    Blank,
    /// `-- …` to the end of the line, `/* … */`
    Comment,
    /// `'…'`
    Text,
    /// `"name"`
    Quoted,
    /// `name`, `a.b-c`, `12`
    Word,
    Other,
}

struct Token {
    kind: TokenKind,
    length: usize,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-')
}

/// The token that a text begins with.
fn token(text: &str, first: char) -> Token {
    let of = |kind, length| Token { kind, length };
    let until = |is_in: fn(char) -> bool| text.find(|c| !is_in(c)).unwrap_or(text.len());
    match first {
        '\'' => of(TokenKind::Text, quoted(text, '\'')),
        '"' | '`' => of(TokenKind::Quoted, quoted(text, first)),
        '-' if text.starts_with("--") => {
            let length = text.find('\n').unwrap_or(text.len());
            of(TokenKind::Comment, length)
        }
        '/' if text.starts_with("/*") => {
            let length = text.find("*/").map_or(text.len(), |at| at + 2);
            of(TokenKind::Comment, length)
        }
        c if c.is_whitespace() => of(TokenKind::Blank, until(char::is_whitespace)),
        c if is_word(c) => of(TokenKind::Word, until(is_word)),
        c => of(TokenKind::Other, c.len_utf8()),
    }
}

/// Length of a quoted text, in which a doubled quote is one of its characters.
fn quoted(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_print_as_asterisks() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn names_of_secrets_are_known_and_places_of_secrets_are_none() {
        for key in [
            "properties.sasl.password",
            "kafka.sasl.jaas.config",
            "schema_registry_password",
            "basic-auth.user-info",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.token",
            "ssl.key.pem",
            "properties.sasl.pasword",
            "sasl.passwrod",
        ] {
            assert!(is_secret_key(key), "{key}");
        }
        for key in [
            "topic",
            "keys",
            "tokenizer.words.path",
            "sasl.username",
            "sasl.oauthbearer.token.endpoint.url",
            "ssl.key.location",
            "sasl.oauthbearer.token.file",
            "key.format",
            "basic-auth.credentials-source",
        ] {
            assert!(!is_secret_key(key), "{key}");
        }
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "what is compared with is in the environment"
    )]
    fn references_are_read_and_escaped() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.ends_with('\n'));
        let value = format!("a ${{file:{path}}} b $${{c}} $d");
        let expected = format!("a {} b ${{c}} $d", text.trim_end());
        assert_eq!(resolve("x", &value).unwrap(), expected);
        // Cargo sets it for every test.
        let name = std::env::var("CARGO_PKG_NAME").unwrap();
        assert_eq!(resolve("x", "${env:CARGO_PKG_NAME}").unwrap(), name);
        assert_eq!(
            resolve("x", "<${env:CARGO_PKG_NAME}>").unwrap(),
            format!("<{name}>")
        );
    }

    #[test]
    fn references_that_cannot_be_read_are_refused() {
        let refused = |value: &str| resolve("option \"o\"", value).unwrap_err().to_string();
        assert_eq!(
            refused("${env:HEADWATER_NO_SUCH_VARIABLE}"),
            "option \"o\" needs the environment variable \"HEADWATER_NO_SUCH_VARIABLE\", which is not set"
        );
        assert_eq!(refused("a${b"), "option \"o\" has a \"${\" without a \"}\"");
        assert_eq!(
            refused("${NAME}"),
            "option \"o\" refers to \"NAME\", and does not say where that is"
        );
        assert_eq!(
            refused("${env:HOME:-/root}"),
            "option \"o\" says what to do without the environment variable \"HOME\", which is not \
             supported"
        );
        assert_eq!(
            refused("${vault:x}"),
            "option \"o\" refers to \"vault:\", which is nowhere to read from"
        );
        assert!(
            refused("${file:/no/such/file}")
                .starts_with("option \"o\" cannot read the file \"/no/such/file\": ")
        );
    }

    /// Not to be mixed up with one that is missing.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the file is made for this test")]
    fn a_value_that_is_there_and_empty_is_told() {
        let name = format!("headwater-empty-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, "\n").unwrap();
        let value = format!("${{file:{}}}", path.display());
        assert_eq!(
            resolve("option \"o\"", &value).unwrap_err().to_string(),
            format!("option \"o\" would be empty: \"{value}\" is there and holds nothing")
        );
        assert_eq!(resolve("o", &format!("a{value}")).unwrap(), "a");
        assert_eq!(resolve("o", "").unwrap(), "");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn passwords_in_statements_are_hidden_and_all_else_stays() {
        let sql = "CREATE SOURCE s (password VARCHAR) WITH (topic = 'password', \
                   'properties.sasl.password' = 'it''s', -- it's 'sasl.password' = 'no'\n\
                   sasl.jaas.config='a b\nb', \"api.key\" = /* = */ 'k', 'ssl.key.password' = '${env:P}')";
        assert_eq!(
            hide_in_sql(sql),
            "CREATE SOURCE s (password VARCHAR) WITH (topic = 'password', \
             'properties.sasl.password' = '***', -- it's 'sasl.password***\n\
             sasl.jaas.config='***\n***', \"api.key\" = /* = */ '***', 'ssl.key.password' = '${env:P}')"
        );
    }

    /// How long a password is, is a part of it.
    #[test]
    fn the_mask_has_one_length_and_places_behind_it_are_found() {
        for password in ["x", "hunter2", "a longer one, of many words"] {
            let sql = format!("a\n('sasl.password' = '{password}', b = 1)");
            let line = sql.lines().nth(1).unwrap();
            let place = line.find("b = 1").unwrap();
            let inside = 20 + password.len() - 1;
            let mut places = [0, 20, inside, place, line.len()];
            let shown = HiddenSql::new(&sql).shown_line(1, &mut places).unwrap();
            assert_eq!(shown, "('sasl.password' = '***', b = 1)");
            assert_eq!(places, [0, 20, 20, 26, 32], "{password}");
        }
        assert!(HiddenSql::new("a").shown_line(1, &mut []).is_none());
    }

    #[test]
    fn passwords_are_hidden_however_they_are_written() {
        for (sql, shown) in [
            (
                "(sasl.password = \"hunter2\", a = 1)",
                "(sasl.password = \"***\", a = 1)",
            ),
            (
                "(sasl.password = hunter2, a = 1)",
                "(sasl.password = ***, a = 1)",
            ),
            ("('api.key' = -12)", "('api.key' = ***)"),
            ("('api.key' => 'x')", "('api.key' => '***')"),
            ("('api.key': 'x')", "('api.key': '***')"),
            ("('api.key' = E'x')", "('api.key' = ***'***')"),
            ("('api.key' = $$x$$)", "('api.key' = $$***)"),
            ("(api.key = my secret)", "(api.key = *** ***)"),
            (
                "WHERE token = 'a' AND b = 'c'",
                "WHERE token = '***' AND b = 'c'",
            ),
            ("(token VARCHAR, b INT)", "(token VARCHAR, b INT)"),
            ("SELECT token, b FROM t", "SELECT token, b FROM t"),
            (
                "('url' = 'http://a:b@c/d@e')",
                "('url' = 'http://***@c/d@e')",
            ),
            ("('url' = 'http://c/d')", "('url' = 'http://c/d')"),
            ("'ssl.keystore.key' = 'pem'", "'ssl.keystore.key' = '***'"),
        ] {
            assert_eq!(hide_in_sql(sql), shown);
        }
    }

    #[test]
    fn half_a_password_is_hidden_too() {
        assert_eq!(
            hide_in_sql("'sasl.password' = 'hunter2"),
            "'sasl.password' = '***"
        );
        assert_eq!(
            hide_in_sql("'sasl.password' 'its'"),
            "'sasl.password' '***'"
        );
    }
}

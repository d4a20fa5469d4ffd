//! Java's login configuration, `org.example.LoginModule required name="value" … ;`.
//!
//! Source: the documentation of `javax.security.auth.login.Configuration`, in the one-entry form
//! that Kafka's property `sasl.jaas.config` has.

/// One entry.
pub(crate) struct JaasConfig {
    class: String,
    options: Vec<(String, String)>,
}

impl JaasConfig {
    /// Reads an entry; nothing if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_suffix(';').unwrap_or(text);
        let (class, rest) = text.split_once(char::is_whitespace)?;
        let rest = rest.trim_start();
        let flag_end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (flag, mut rest) = rest.split_at_checked(flag_end)?;
        let flags = ["required", "requisite", "sufficient", "optional"];
        if !flags.iter().any(|known| flag.eq_ignore_ascii_case(known)) {
            return None;
        }
        let mut options = Vec::new();
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                break;
            }
            let (name, after) = rest.split_once('=')?;
            let (value, after) = value(after.trim_start())?;
            options.push((name_of(name.trim())?, value));
            rest = after;
        }
        Some(JaasConfig {
            class: name_of(class)?,
            options,
        })
    }

    /// The name of the class without its package.
    pub(crate) fn module(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or(&self.class)
    }

    /// Names and values, as written.
    pub(crate) fn options(&self) -> impl Iterator<Item = (&str, &String)> {
        self.options
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }
}

/// A name of Java. Anything else may be a part of a value, which must not be taken for a name: names
/// are shown in messages.
fn name_of(text: &str) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$');
    let is_name = !text.is_empty() && text.chars().all(is_name);
    is_name.then(|| text.to_string())
}

/// A value, with or without quotes, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end)?;
        return Some((value.to_string(), rest));
    };
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => out.push(chars.next()?.1),
            c if c == quote => return Some((out, text.get(at + 1..)?)),
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, Vec<(String, String)>)> {
        let config = JaasConfig::parse(text)?;
        let options = config.options();
        let options = options.map(|(name, value)| (name.to_string(), value.clone()));
        Some((config.module().to_string(), options.collect()))
    }

    #[test]
    fn entries_are_read() {
        let text = "org.apache.kafka.common.security.plain.PlainLoginModule required\n \
                    username=\"me\" password='a b\\'\"' serviceName=kafka;";
        let (module, options) = read(text).unwrap();
        assert_eq!(module, "PlainLoginModule");
        let expected = [
            ("username", "me"),
            ("password", "a b'\""),
            ("serviceName", "kafka"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        assert_eq!(options, expected);
    }

    #[test]
    fn what_is_no_entry_is_not_read() {
        for text in [
            "",
            "x",
            "x y",
            "x required a",
            "x required a=\"b",
            "x required a=\"b\\",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
        assert_eq!(
            read("a.B required;").unwrap(),
            ("B".to_string(), Vec::new())
        );
    }
}

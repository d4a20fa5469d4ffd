//! `headwater run`: the statements of a file, and its queries until they end.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use headwater::{Error, Result};

use crate::args::RunArgs;
use crate::context::Context;
use crate::exit_code::Exit;
use crate::script::{Script, open_running, run_to_end};
use crate::signals::Signals;

/// Runs the command.
///
/// # Errors
/// If the file cannot be read or an argument is wrong.
pub(crate) async fn run(args: RunArgs, context: &Context) -> Result<Exit> {
    let name = args.file.display().to_string();
    let text = match read_named(&args.file, &args.define)? {
        Ok(text) => text,
        Err(error) => return Ok(context.fail(&name, None, &error)),
    };
    let signals = Signals::listen()?;
    let session = open_running(&args.session, context).await?;
    let scripts = [Script { name, text }];
    Ok(run_to_end(&session, &scripts, &args.session, context, &signals).await)
}

/// The text of a script with values for its names; within, what is wrong with the text.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn read_named(file: &Path, define: &[(String, String)]) -> Result<Result<String>> {
    Ok(replace_names(&read_script(file)?, define))
}

fn read_script(file: &Path) -> Result<String> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    text.map_err(|error| {
        Error::configuration(format!("could not read script \"{}\"", file.display()))
            .with_source(error)
    })
}

/// Puts values in place of `${NAME}`, everywhere in the text, comments included. What names a place
/// to read from, such as `${env:NAME}`, is left for who reads the option.
///
/// # Errors
/// If the text names something that has no value, or a value is for a name that is not in the
/// text: one of the two is a slip of the pen.
fn replace_names(template: &str, values: &[(String, String)]) -> Result<String> {
    let mut text = String::with_capacity(template.len());
    let mut unused: BTreeSet<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        text.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            text.push_str("${");
            rest = after;
            continue;
        };
        if name.contains(':') {
            text.extend(["${", name, "}"]);
            rest = after;
            continue;
        }
        let Some((_, value)) = values.iter().rev().find(|(known, _)| known == name) else {
            let line = 1 + text.matches('\n').count();
            let error =
                Error::configuration(format!("line {line} uses ${{{name}}}, which has no value"));
            return Err(error.with_hint(format!(
                "Give it one: --define {name}=…; an option takes the environment's by \
                 ${{env:{name}}}."
            )));
        };
        unused.remove(name);
        text.push_str(value);
        rest = after;
    }
    text.push_str(rest);
    match unused.first() {
        Some(name) => Err(Error::configuration(format!(
            "--define {name}: the script does not use ${{{name}}}"
        ))),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_string(), (*value).to_string());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn names_are_replaced() {
        let known = values(&[("X", "1"), ("Y", "${X}")]);
        let text = replace_names("a ${X}\n${Y}${X} ${env:X} ${", &known);
        assert_eq!(text.unwrap(), "a 1\n${X}1 ${env:X} ${");
    }

    #[test]
    fn names_without_value_and_values_without_name_are_errors() {
        let error = replace_names("a\n${XX}", &values(&[])).unwrap_err();
        assert_eq!(error.message(), "line 2 uses ${XX}, which has no value");
        let error = replace_names("a", &values(&[("X", "1")])).unwrap_err();
        assert_eq!(error.message(), "--define X: the script does not use ${X}");
    }
}

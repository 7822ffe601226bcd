//! Substitutes `${VAR}` and `${VAR:-default}` from the environment. Only values are substituted, after
//! parsing, so that the content of a variable never becomes YAML structure and is never shown in an error.

use super::{
    diagnostics::{Diagnostic, SourceText},
    tree::{Raw, YamlNode},
};

/// Words in the names of variables that hold credentials.
const CREDENTIALS: [&str; 3] = ["SECRET", "TOKEN", "PASSWORD"];

/// Substitutes the variables in every value below `node`.
///
/// # Errors
/// The first variable that is malformed, that is not set and has no default, or that holds a credential by its name: a
/// value of the file stands in plans, tags and the state, and each author of the file could read it there. Below
/// `secret` each name is allowed.
pub fn substitute(
    node: &mut YamlNode,
    source: &SourceText,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Diagnostic> {
    below(node, source, env, false)
}

fn below(
    node: &mut YamlNode,
    source: &SourceText,
    env: &dyn Fn(&str) -> Option<String>,
    secret: bool,
) -> Result<(), Diagnostic> {
    match &mut node.raw {
        Raw::List(list) => list.iter_mut().try_for_each(|node| below(node, source, env, secret)),
        Raw::Map(entries) => entries
            .iter_mut()
            .try_for_each(|(key, node)| below(node, source, env, secret || key.name == "secret")),
        Raw::Text(text) if text.contains("${") => {
            let value = expand(text, env, secret)
                .map_err(|(message, hint)| source.at(node.span, "", message, Some(hint)))?;
            let plain = !matches!(source.char_at(node.span), Some('"' | '\'' | '|' | '>'));
            let template = std::mem::take(text);
            node.raw = if plain { typed(value) } else { Raw::Text(value) };
            node.template = Some(template);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Returns the value that an unquoted scalar has in the YAML core schema; floats stay text.
pub fn typed(text: String) -> Raw {
    match text.as_str() {
        "true" => Raw::Bool(true),
        "false" => Raw::Bool(false),
        "" | "null" | "~" => Raw::Null,
        number => number.parse().map_or(Raw::Text(text), Raw::Int),
    }
}

/// Returns the text with its variables substituted, or an error message and its hint.
fn expand(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    secret: bool,
) -> Result<String, (String, String)> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, tail) = rest.split_at(start);
        // `$${` is an escaped `${`.
        if let Some(literal) = before.strip_suffix('$') {
            out.push_str(literal);
            out.push_str("${");
            rest = tail.get(2..).unwrap_or_default();
            continue;
        }
        out.push_str(before);
        let body = tail.get(2..).unwrap_or_default();
        let Some((inside, after)) = body.split_once('}') else {
            return Err((
                "`${` without a closing `}`".to_owned(),
                "add the `}`, or write `$${` for a literal `${`".to_owned(),
            ));
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(letters) || name.starts_with(|c: char| c.is_ascii_digit()) {
            let hint =
                "use letters, digits and `_`, not starting with a digit, or write `$${` for a literal `${`";
            return Err((format!("invalid environment variable name \"{name}\""), hint.to_owned()));
        }
        let upper = name.to_ascii_uppercase();
        if !secret && CREDENTIALS.iter().any(|word| upper.contains(word)) {
            let hint = "use `secret` of a parameter for credentials; for any other value, choose another name of the \
                variable";
            return Err((
                format!(
                    "environment variable `{name}` holds a credential, by its name; values of the file are shown"
                ),
                hint.to_owned(),
            ));
        }
        if let Some(value) =
            env(name).filter(|value| !value.is_empty()).or_else(|| default.map(str::to_owned))
        {
            out.push_str(&value);
        } else {
            let hint = format!("set it, or add a default: `${{{name}:-value}}`");
            return Err((format!("environment variable `{name}` is not set"), hint));
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_defaults_and_escapes() {
        let env = |name: &str| (name == "A").then(|| "x: [1]".to_owned());
        assert_eq!(expand("-${A}-${B:-b}-$${A}", &env, false).unwrap(), "-x: [1]-b-${A}");
        for bad in ["${B}", "${", "${}", "${1x}", "${a b}"] {
            assert!(expand(bad, &env, false).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_for_secrets_only() {
        let env = |_: &str| Some("hunter2".to_owned());
        for name in ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "github_token", "DB_PASSWORD_FILE"] {
            let (message, _) = expand(&format!("a-${{{name}}}"), &env, false).unwrap_err();
            assert!(message.contains(name) && !message.contains("hunter2"), "{message}");
            assert_eq!(expand(&format!("a-${{{name}}}"), &env, true).unwrap(), "a-hunter2");
        }
    }
}

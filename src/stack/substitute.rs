//! `${VAR}` and `${VAR:-default}` from the environment, in values alone: what a variable holds can never become
//! structure, nor be shown in an error.

use super::{
    diagnostics::{Diagnostic, Source},
    tree::{Node, Raw},
};

/// Replaces every variable in every value.
pub fn substitute(
    node: &mut Node,
    source: &Source,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Diagnostic> {
    match &mut node.raw {
        Raw::List(list) => list.iter_mut().try_for_each(|node| substitute(node, source, env)),
        Raw::Map(entries) => entries.iter_mut().try_for_each(|(_, node)| substitute(node, source, env)),
        Raw::Text(text) if text.contains("${") => {
            let value =
                expand(text, env).map_err(|(message, help)| source.at(node.spot, "", message, Some(help)))?;
            let plain = !matches!(source.char_at(node.spot), Some('"' | '\'' | '|' | '>'));
            node.raw = if plain { typed(value) } else { Raw::Text(value) };
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What a plain scalar of this text is in YAML's core schema.
pub fn typed(text: String) -> Raw {
    match text.as_str() {
        "true" => Raw::Bool(true),
        "false" => Raw::Bool(false),
        "" | "null" | "~" => Raw::Null,
        number => number.parse().map_or(Raw::Text(text), Raw::Int),
    }
}

fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, (String, String)> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, tail) = rest.split_at(start);
        // `$${` stands for `${` itself.
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
                "`${` without its `}`".to_owned(),
                "close it, or write `$${` for the characters themselves".to_owned(),
            ));
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(letters) || name.starts_with(|c: char| c.is_ascii_digit()) {
            let help = "names have letters, digits and `_`; `$${` stands for the characters themselves";
            return Err((format!("`{name}` is no name of a variable"), help.to_owned()));
        }
        if let Some(value) =
            env(name).filter(|value| !value.is_empty()).or_else(|| default.map(str::to_owned))
        {
            out.push_str(&value);
        } else {
            let help = format!("set it, or give a default: `${{{name}:-value}}`");
            return Err((format!("the environment variable `{name}` is not set"), help));
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
        assert_eq!(expand("-${A}-${B:-b}-$${A}", &env).unwrap(), "-x: [1]-b-${A}");
        for bad in ["${B}", "${", "${}", "${1x}", "${a b}"] {
            assert!(expand(bad, &env).is_err(), "{bad}");
        }
    }
}

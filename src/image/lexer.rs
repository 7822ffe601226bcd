//! Splits a Dockerfile into instructions, and their lines into words, as Docker does.
//! Source: <https://docs.docker.com/reference/dockerfile/>

use super::Refusal;
use std::{iter::Peekable, str::Chars};

/// An instruction of a Dockerfile, with its continuation lines joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// Number of its first line, starting at 1.
    pub line: usize,
    /// Name in capitals, such as `COPY`.
    pub name: String,
    /// Arguments: the text after the name, without white space around it.
    pub rest: String,
}

/// Returns the instructions of a Dockerfile, without comments and the bodies of heredocs.
///
/// # Errors
/// Fails if an `escape` directive names another character than `\`.
pub fn instructions(text: &str) -> Result<Vec<Instruction>, Refusal> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().map(|(index, line)| (index.saturating_add(1), line.trim()));
    let mut found: Vec<Instruction> = Vec::new();
    let mut head = true;
    while let Some((line, text)) = lines.next() {
        if let Some(comment) = text.strip_prefix('#') {
            let directive: String = comment.chars().filter(|char| !char.is_whitespace()).collect();
            let escape = directive.to_ascii_lowercase().strip_prefix("escape=").map(str::to_owned);
            if head && escape.is_some_and(|escape| escape != "\\") {
                return Err(Refusal::new(
                    line,
                    format!("unsupported directive `#{comment}`: only `\\` continues a line"),
                ));
            }
            continue;
        }
        head = false;
        if text.is_empty() {
            continue;
        }
        let mut whole = text.to_owned();
        while let Some(open) = whole.strip_suffix('\\') {
            whole = open.to_owned();
            // Empty lines and comments within a continued line are skipped.
            let next = lines.by_ref().find(|(_, text)| !text.is_empty() && !text.starts_with('#'));
            let Some((_, text)) = next else { break };
            whole.push_str(text);
        }
        let (name, rest) = whole.split_once(char::is_whitespace).unwrap_or((&whole, ""));
        let name = name.to_ascii_uppercase();
        if let (true, Some(end)) = (["RUN", "COPY", "ADD"].contains(&name.as_str()), heredoc(rest)) {
            let _ = lines.by_ref().find(|(_, text)| *text == end);
        }
        found.push(Instruction { line, name, rest: rest.trim().to_owned() });
    }
    Ok(found)
}

/// Returns the word that ends the heredoc which begins on this line, if one does.
fn heredoc(rest: &str) -> Option<String> {
    let (_, word) = rest.rsplit_once("<<")?;
    let word = word.strip_prefix('-').unwrap_or(word);
    let word: String = word.chars().take_while(|char| !char.is_whitespace()).collect();
    let word = word.trim_matches(['"', '\'']);
    let name = !word.is_empty() && word.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
    name.then(|| word.to_owned())
}

/// Looks up a variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Returns the words of a line, without their quotes and with the values of variables.
///
/// # Errors
/// Fails if a quote is not closed, or on a variable that `get` does not know and that has no default.
pub fn words(line: usize, text: &str, get: Lookup<'_>) -> Result<Vec<String>, Refusal> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match (char, quote) {
            (char, Some(open)) if char == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => {
                let next = chars.next().unwrap_or('\\');
                let kept = quote.is_some() && !['"', '\\', '$'].contains(&next);
                let word = word.get_or_insert_default();
                if kept {
                    word.push('\\');
                }
                word.push(next);
            }
            ('$', None | Some('"')) => {
                let value = variable(&mut chars, get).map_err(|what| Refusal::new(line, what).hint(UNSET))?;
                word.get_or_insert_default().push_str(&value);
            }
            (char, None) if char.is_whitespace() => words.extend(word.take()),
            (char, _) => word.get_or_insert_default().push(char),
        }
    }
    if quote.is_some() {
        return Err(Refusal::new(line, format!("quote is not closed (`{text}`)")));
    }
    words.extend(word);
    Ok(words)
}

/// What to do about a variable without a value.
pub const UNSET: &str =
    "add a default (`ARG NAME=VALUE`, or `${NAME:-VALUE}`), or write `\\$` for a literal `$`";

/// Returns the value of the variable whose name follows a `$`, or `$` if no name follows. Error: what is wrong.
pub fn variable(chars: &mut Peekable<Chars<'_>>, get: Lookup<'_>) -> Result<String, String> {
    let is_name = |char: &char| char.is_ascii_alphanumeric() || *char == '_';
    let braces = chars.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(char) = chars.next_if(is_name) {
        name.push(char);
    }
    if !braces {
        return match name.is_empty() {
            true => Ok("$".to_owned()),
            false => get(&name).ok_or_else(|| unset(&name)),
        };
    }
    let (mut rest, mut depth) = (String::new(), 1_usize);
    for char in chars.by_ref() {
        depth = match char {
            '{' => depth.saturating_add(1),
            '}' => depth.saturating_sub(1),
            _ => depth,
        };
        if depth == 0 {
            break;
        }
        rest.push(char);
    }
    if depth > 0 || name.is_empty() {
        return Err(format!("unsupported variable `${{{name}{rest}}}`"));
    }
    let value = get(&name);
    let (value, rest) = match rest.strip_prefix(':') {
        Some(rest) => (value.filter(|value| !value.is_empty()), rest),
        None => (value, rest.as_str()),
    };
    let mut kind = rest.chars();
    let (kind, word) = (kind.next(), kind.as_str());
    match (kind, value) {
        (None, value) => value.ok_or_else(|| unset(&name)),
        (Some('-'), Some(value)) => Ok(value),
        (Some('-'), None) | (Some('+'), Some(_)) => expanded(word, get),
        (Some('+'), None) => Ok(String::new()),
        _ => Err(format!("unsupported variable `${{{name}{rest}}}`")),
    }
}

fn expanded(text: &str, get: Lookup<'_>) -> Result<String, String> {
    let (mut chars, mut found) = (text.chars().peekable(), String::new());
    while let Some(char) = chars.next() {
        match char {
            '$' => found.push_str(&variable(&mut chars, get)?),
            char => found.push(char),
        }
    }
    Ok(found)
}

fn unset(name: &str) -> String {
    format!("variable `{name}` has no value in this Dockerfile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_numbered() {
        let text = "# syntax=docker/dockerfile:1\n\nFROM a\nRUN <<EOF\nFROM b\nEOF\nenv A=1 \\\n  # why\n\n  B=2\nCMD [\"x\"]\n";
        let found = instructions(text).unwrap();
        let found: Vec<_> =
            found.iter().map(|one| (one.line, one.name.as_str(), one.rest.as_str())).collect();
        assert_eq!(
            found,
            [(3, "FROM", "a"), (4, "RUN", "<<EOF"), (7, "ENV", "A=1 B=2"), (11, "CMD", "[\"x\"]")]
        );
        assert_eq!(instructions("# escape=`\nFROM a").unwrap_err().line, 1);
    }

    #[test]
    fn words_are_split_as_docker_splits_them() {
        let cases: &[(&str, &[&str])] = &[
            ("a  b", &["a", "b"]),
            ("a=\"b c\" d='e $f'", &["a=b c", "d=e $f"]),
            ("a=b\\ c", &["a=b c"]),
            ("\"\" x", &["", "x"]),
            ("\"a\\\"b\\n\"", &["a\"b\\n"]),
            ("a=\\$b", &["a=$b"]),
        ];
        for (text, wanted) in cases {
            assert_eq!(words(1, text, &|_| None).unwrap(), *wanted, "{text}");
        }
        assert_eq!(words(3, "a=\"b", &|_| None).unwrap_err().line, 3);
    }

    #[test]
    fn variables_have_values_and_defaults() {
        let get = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "E" => Some(String::new()),
            _ => None,
        };
        let cases = [
            ("$A-$A", "1-1"),
            ("${A}b", "1b"),
            ("\"$A b\"", "1 b"),
            ("'$A'", "$A"),
            ("\\$A", "$A"),
            ("${A:-x}", "1"),
            ("${E:-x}", "x"),
            ("${E-x}", ""),
            ("${N:-a${A}${N:-y}}", "a1y"),
            ("${A:+set}${N:+set}", "set"),
            ("$", "$"),
        ];
        for (text, wanted) in cases {
            assert_eq!(words(1, text, &get).unwrap(), [wanted], "{text}");
        }
        for text in ["$N", "${N}", "${A", "${}", "${A%x}", "${A:?x}"] {
            assert!(words(3, text, &get).unwrap_err().what.contains("variable"), "{text}");
        }
    }
}

//! Splits the shell command of a RUN instruction into its simple commands.
//! Source: <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html>

use super::lexer::{Lookup, variable};

/// Returns the commands of a list that `&&` or `;` joins, each as its words. Output to `/dev/null` is dropped, and so
/// is `|| true`.
///
/// # Errors
/// Fails on what only a shell can evaluate: pipes, substitutions, conditions. The error is what is wrong.
pub fn commands(text: &str, get: Lookup<'_>) -> Result<Vec<Vec<String>>, String> {
    let mut splitter = Splitter { found: Vec::new(), words: Vec::new(), word: None };
    let mut chars = text.chars().peekable();
    let mut quote = None::<char>;
    while let Some(char) = chars.next() {
        match (char, quote) {
            (char, Some(open)) if char == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(char);
                splitter.word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => {
                let next = chars.next().unwrap_or('\\');
                let kept = quote.is_some() && !['"', '\\', '$', '`'].contains(&next);
                let word = splitter.word.get_or_insert_default();
                if kept {
                    word.push('\\');
                }
                word.push(next);
            }
            ('`', None | Some('"')) => return Err("command substitution".to_owned()),
            ('$', None | Some('"')) if chars.peek() == Some(&'(') => {
                return Err("command substitution".to_owned());
            }
            ('$', None | Some('"')) => {
                let value = variable(&mut chars, get)?;
                splitter.word.get_or_insert_default().push_str(&value);
            }
            ('&', None) if chars.next_if_eq(&'&').is_some() => splitter.end_command(),
            (';', None) => splitter.end_command(),
            ('|', None) if chars.next_if_eq(&'|').is_some() => {
                let rest: String = chars.by_ref().take_while(|char| !"&;|".contains(*char)).collect();
                if !["true", ":"].contains(&rest.trim()) {
                    return Err("`||`".to_owned());
                }
                // Of `&&`, the second sign is left.
                let _ = chars.next_if_eq(&'&');
                splitter.end_command();
            }
            ('>', None) => {
                // A number directly before the sign is that of the stream.
                splitter.word = splitter.word.take().filter(|word| !["1", "2", "&"].contains(&word.as_str()));
                let _ = chars.next_if_eq(&'>');
                while chars.next_if(|char| *char == ' ').is_some() {}
                let mut target = String::new();
                while let Some(char) = chars.next_if(|char| !char.is_whitespace() && !";|".contains(*char)) {
                    target.push(char);
                }
                if !["/dev/null", "&1", "&2"].contains(&target.as_str()) {
                    return Err(format!("output to the file `{target}`"));
                }
            }
            ('|' | '&' | '<' | '(' | ')', None) => return Err(format!("`{char}`")),
            ('#', None) if splitter.word.is_none() => break,
            (char, None) if char.is_whitespace() => splitter.end_word(),
            (char, _) => splitter.word.get_or_insert_default().push(char),
        }
    }
    if quote.is_some() {
        return Err("quote is not closed".to_owned());
    }
    splitter.end_command();
    Ok(splitter.found)
}

struct Splitter {
    found: Vec<Vec<String>>,
    words: Vec<String>,
    word: Option<String>,
}

impl Splitter {
    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end_command(&mut self) {
        self.end_word();
        let words = std::mem::take(&mut self.words);
        if !words.is_empty() {
            self.found.push(words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Result<Vec<String>, String> {
        let found = commands(text, &|name| (name == "A").then(|| "one two".to_owned()))?;
        Ok(found.into_iter().map(|words| words.join("|")).collect())
    }

    #[test]
    fn lists_of_commands_are_split() {
        let cases: &[(&str, &[&str])] = &[
            ("pip install x", &["pip|install|x"]),
            ("a && b;c  'd  e' # why", &["a", "b", "c|d  e"]),
            ("a >/dev/null 2>&1 && b 2> /dev/null", &["a", "b"]),
            ("a || true && b", &["a", "b"]),
            ("a || :", &["a"]),
            ("x \"$A\" '$A' ${B:-c}", &["x|one two|$A|c"]),
            ("pip install 'a>=1,<2' \"b>2\"", &["pip|install|a>=1,<2|b>2"]),
            ("", &[]),
        ];
        for (text, wanted) in cases {
            assert_eq!(split(text).unwrap(), *wanted, "{text}");
        }
        for text in
            ["a | b", "a > f", "$(a)", "`a`", "a || b", "a & b", "(a)", "a < f", "\"a", "x $N", "\"$(a)\""]
        {
            assert!(split(text).is_err(), "{text}");
        }
    }
}

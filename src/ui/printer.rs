//! The only writer to the terminal: every text passes it, and nothing that came from outside steers the terminal.

use super::wrapping::wrapped;
use crate::model::{is_unseen, visible};
use std::{
    borrow::Cow,
    io::{self, Write as _},
    os::fd::AsFd,
};

/// Colours and weights that this program uses: no text is hidden by them, and none is painted over.
/// Source: <https://www.ecma-international.org/publications-and-standards/standards/ecma-48/> (SGR)
const SHOWN: &[&str] = &["0", "1", "2", "4", "22", "24", "31", "32", "33", "34", "35", "36", "39"];

/// Returns the length of the colour that a text begins with, if it begins with one.
fn colour(text: &str) -> Option<usize> {
    let (numbers, _) = text.strip_prefix("\x1b[")?.split_once('m')?;
    let known = numbers.len() <= 8 && numbers.split(';').all(|number| SHOWN.contains(&number));
    known.then_some(numbers.len().saturating_add(3))
}

/// Returns a text that only shows. Colours stay if `colours` is set.
pub fn safe(text: &str, colours: bool) -> Cow<'_, str> {
    if !colours || !text.contains('\x1b') {
        return visible(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('\x1b') {
        let (before, from) = rest.split_at(start);
        out.push_str(&visible(before));
        let (shown, after) = from.split_at(colour(from).unwrap_or(1));
        match shown.len() {
            1 => out.push_str(&visible(shown)),
            _ => out.push_str(shown),
        }
        rest = after;
    }
    out.push_str(&visible(rest));
    Cow::Owned(out)
}

/// Writes text for people to stderr, broken at words on a terminal. A stderr that is closed has no reader to tell.
pub fn say(text: &str, colours: bool) {
    let _ = writeln!(io::stderr(), "{}", wrapped(&safe(text, colours), columns(io::stderr())));
}

/// Returns the width of a terminal; 0 for what is no terminal, or has no size.
fn columns(stream: impl AsFd) -> usize {
    rustix::termios::tcgetwinsize(stream).map_or(0, |size| usize::from(size.ws_col))
}

/// Writes the beginning of a line to stderr, for an answer after it.
pub fn prompt(text: &str, colours: bool) {
    let _ = write!(io::stderr(), "{} ", safe(text, colours));
    let _ = io::stderr().flush();
}

/// Writes text for people to stdout, broken at words on a terminal, ending with a newline.
pub fn show(text: &str, colours: bool) -> io::Result<()> {
    document(&wrapped(&safe(text, colours), columns(io::stdout())))
}

/// Writes a document for programs to stdout, to the byte, ending with a newline.
pub fn document(text: &str) -> io::Result<()> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let mut out = io::stdout().lock();
    write!(out, "{text}{end}").and_then(|()| out.flush())
}

/// Returns JSON of the same value in which unseen characters are escaped. They occur only within its strings.
pub fn escaped_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if is_unseen(char) && char != '\n' {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(char);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn colours_of_ours_stay_and_nothing_else_of_the_kind() {
        assert_eq!(safe("\x1b[31;1merror:\x1b[0m a", true), "\x1b[31;1merror:\x1b[0m a");
        assert_eq!(safe("\x1b[31merror:\x1b[0m", false), "\\u{1b}[31merror:\\u{1b}[0m");
        // Concealed, black on black, a title, a cleared screen, an unfinished sequence.
        for text in ["\x1b[8mx", "\x1b[30;40mx", "\x1b]0;x\x07", "\x1b[2J", "\x1b[31", "\x1b", "\x1b[m"] {
            assert!(!safe(text, true).contains('\x1b'), "{text:?}");
        }
        assert_eq!(safe("\x1b[1m\u{202e}x\x1b[0m\u{9b}", true), "\x1b[1m\\u{202e}x\x1b[0m\\u{9b}");
    }

    #[test]
    fn escaped_json_is_the_same_value() {
        let value = serde_json::json!({"name": "a\u{202e}b\u{e0041}\n\x1b", "n": 1.5});
        let text = escaped_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.chars().any(|char| is_unseen(char) && char != '\n'), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}

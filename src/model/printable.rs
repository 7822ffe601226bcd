//! Text from outside as a person may see it: nothing in it steers the terminal, hides or reorders what stands around it.

use std::{borrow::Cow, fmt::Write as _};

/// Returns whether a character acts instead of being seen: control characters, those that set the direction of text
/// (<https://www.unicode.org/reports/tr9/#Explicit_Directional_Embeddings>), and those without width.
pub fn is_unseen(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|char| is_unseen(char) && !keep(char)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            char if !is_unseen(char) || keep(char) => out.push(char),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char => {
                let _ = write!(out, "{}", char.escape_unicode());
            }
        }
    }
    Cow::Owned(out)
}

/// Returns text of several lines, in which every unseen character but newline and tab is escaped.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |char| matches!(char, '\n' | '\t'))
}

/// Returns a number with what it counts: `1 resource`, `2 resources`.
pub fn counted(count: usize, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {one}{plural}")
}

/// Returns a number with what it counts and what that does: `1 pod is`, `2 pods are`.
pub fn counted_with(count: usize, one: &str, verb: [&str; 2]) -> String {
    let [singular, plural] = verb;
    format!("{} {}", counted(count, one), if count == 1 { singular } else { plural })
}

/// Returns text as one line, in which every unseen character is escaped, newlines included: a field of a table or a plan
/// must not look like a line of it.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// Returns text in which every unseen character is one visible character, so that a mark below the text stays in place.
pub fn blotted(text: &str) -> String {
    text.chars().map(|char| if is_unseen(char) { '\u{fffd}' } else { char }).collect()
}

/// Returns text whose later lines are indented, so that none looks like a message of its own.
pub fn hanging(text: &str) -> String {
    visible(text).replace('\n', "\n    ")
}

/// Returns the first `limit` characters of a text, with `...` if there are more.
pub fn shortened(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        Some((end, _)) => Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped_and_what_is_read_stays() {
        let cases = [
            ("plain, größer, 日本語, 😀", "plain, größer, 日本語, 😀"),
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("abc\u{202e}def\u{2069}", "abc\\u{202e}def\\u{2069}"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("\u{e0041}", "\\u{e0041}"),
            ("one\ntwo\tthree\r", "one\ntwo\tthree\\r"),
        ];
        for (text, expected) in cases {
            assert_eq!(visible(text), expected, "{text:?}");
        }
        assert_eq!(blotted("a\tb\u{202e}"), "a\u{fffd}b\u{fffd}");
        assert_eq!(one_line("one\ntwo\tthree"), "one\\ntwo\\tthree");
        assert_eq!(hanging("first\nerror: forged\x1b"), "first\n    error: forged\\u{1b}");
        assert_eq!([0, 1, 2].map(|it| counted(it, "change")), ["0 changes", "1 change", "2 changes"]);
        assert_eq!([1, 2].map(|it| counted_with(it, "pod", ["is", "are"])), ["1 pod is", "2 pods are"]);
        assert_eq!((shortened("größer", 3).as_ref(), shortened("größer", 6).as_ref()), ("grö...", "größer"));
    }
}

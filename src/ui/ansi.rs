//! Colours of the terminal.

/// Returns `text` in an ANSI colour, if colour is `on`.
pub fn painted(on: bool, colour: &str, text: &str) -> String {
    if on { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

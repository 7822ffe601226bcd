//! Colours a plan by the symbol at the start of each line.

use super::Ui;

/// Returns the text of a plan, in colour if that is on.
pub fn plan_in_colour(ui: &Ui, text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let colour = match line.get(..3) {
            Some("  +") => "32",
            Some("  ~" | "  <") => "33",
            Some("-/+") => "35",
            Some("  -") => "31",
            Some(head) if !head.starts_with(' ') => "1",
            _ => "2",
        };
        if line.is_empty() {
            out.push('\n');
        } else {
            out.push_str(&ui.paint(colour, line));
            out.push('\n');
        }
    }
    out
}

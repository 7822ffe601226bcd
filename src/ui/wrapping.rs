//! Breaks lines at words where a terminal would break them within words.

/// The narrowest terminal for which lines are broken.
const MIN_WIDTH: usize = 30;

/// Returns the text with its lines broken at spaces so that each fits `width` columns; what continues a line is indented.
/// Words that are longer than a line stay whole.
pub fn wrapped(text: &str, width: usize) -> String {
    if width < MIN_WIDTH {
        return text.to_owned();
    }
    text.split('\n').map(|line| wrapped_line(line, width)).collect::<Vec<_>>().join("\n")
}

fn wrapped_line(line: &str, width: usize) -> String {
    if columns(line) <= width {
        return line.to_owned();
    }
    let own = line.len().saturating_sub(line.trim_start_matches(' ').len());
    let indent = " ".repeat(own.saturating_add(2).min(width / 2));
    let mut lines: Vec<String> = Vec::new();
    let mut now = " ".repeat(own);
    let mut is_new = true;
    for word in line.trim_start_matches(' ').split(' ') {
        let needed = columns(&now).saturating_add(columns(word)).saturating_add(1);
        if !is_new && needed > width {
            lines.push(now.trim_end_matches(' ').to_owned());
            now.clone_from(&indent);
            is_new = true;
        }
        if !is_new {
            now.push(' ');
        }
        now.push_str(word);
        is_new = is_new && word.is_empty();
    }
    lines.push(now);
    lines.join("\n")
}

/// Returns how many columns a text takes, without its colours.
fn columns(text: &str) -> usize {
    let mut count = 0_usize;
    let mut in_colour = false;
    for char in text.chars() {
        match (in_colour, char) {
            (true, 'm') => in_colour = false,
            (true, _) => {}
            (false, '\x1b') => in_colour = true,
            (false, _) => count = count.saturating_add(1),
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_words_and_continued_with_an_indent() {
        let text = "demo in eu-central-1 (account 123456789012, SANDBOX): 48 created\nshort";
        let expected = "demo in eu-central-1 (account 123456789012, SANDBOX): 48\n  created\nshort";
        assert_eq!(wrapped(text, 60), expected);
        assert_eq!(wrapped(text, 64), text);
        let text = "  - cluster/eks   eks_cluster  (its deletion protection is turned off)";
        assert_eq!(
            wrapped(text, 50),
            "  - cluster/eks   eks_cluster  (its deletion\n    protection is turned off)"
        );
    }

    #[test]
    fn a_long_word_stays_whole_and_colours_take_no_room() {
        let word = "x".repeat(70);
        assert_eq!(wrapped(&format!("see {word} there"), 60), format!("see\n  {word}\n  there"));
        let painted = format!("\x1b[31;1merror:\x1b[0m {}", "y".repeat(50));
        assert_eq!(wrapped(&painted, 57), painted);
        assert_eq!(
            wrapped("a terminal without a size of its own", 0),
            "a terminal without a size of its own"
        );
    }
}

//! The record of a run as text, and as a drawing in the HTML page.

use crate::model::{Address, Timeline, TimelineStep, counted, one_line};
use std::{collections::BTreeSet, fmt::Write as _};

/// Width of an address in the table of steps, in characters: the table fits 60 columns.
const ADDRESS_WIDTH: usize = 27;

/// Width of a bar in the table of steps, in characters.
const BAR_WIDTH: u64 = 12;

/// Returns milliseconds as `0.4 s`, `45.0 s` or `12:05 min`.
fn clock(milliseconds: u64) -> String {
    let tenths = milliseconds.saturating_add(50) / 100;
    match tenths {
        0..600 => format!("{}.{} s", tenths / 10, tenths % 10),
        _ => format!("{}:{:02} min", tenths / 600, tenths % 600 / 10),
    }
}

/// Returns where the time of the run went, in one sentence.
pub fn summary(timeline: &Timeline) -> String {
    let shares = timeline.shares();
    format!(
        "the critical path took {}: {} in AWS after it accepted the calls, {} in calls, {} between steps",
        clock(timeline.end()),
        clock(shares.aws),
        clock(shares.calls),
        clock(shares.between)
    )
}

/// Returns the record as text: the critical path, then each step in the order of its start.
pub fn timeline_text(timeline: &Timeline) -> String {
    let path = timeline.critical_path();
    let critical: BTreeSet<_> = path.iter().map(|step| &step.id).collect();
    let mut text =
        format!("`{}`, {}, {}\n", timeline.command, timeline.began, counted(timeline.steps.len(), "step"));
    let _ = writeln!(text, "{}\n\ncritical path\n    start       took", summary(timeline));
    for step in &path {
        let aws = if step.aws() > 0 { format!("  ({} in AWS)", clock(step.aws())) } else { String::new() };
        let line = format!(
            "{:>9}  {:>9}  {}{aws}{}",
            clock(step.started),
            clock(step.took()),
            step.id.address,
            ending(step)
        );
        let _ = writeln!(text, "{}", one_line(&line));
    }
    text.push_str("\nall steps (*: critical path)\n");
    for step in &timeline.steps {
        let mark = if critical.contains(&step.id) { '*' } else { ' ' };
        let line = format!(
            "{mark} {:ADDRESS_WIDTH$} {:>9} {}{}",
            cut(&step.id.address),
            clock(step.took()),
            bar(step, timeline.end()),
            ending(step)
        );
        let _ = writeln!(text, "{}", one_line(line.trim_end()));
    }
    text
}

fn ending(step: &TimelineStep) -> &'static str {
    match (step.failed, step.ended) {
        (true, _) => "  FAILED",
        (false, None) => "  unfinished",
        (false, Some(_)) => "",
    }
}

/// Returns a bar over the time of the run: calls light, AWS dark.
fn bar(step: &TimelineStep, end: u64) -> String {
    let column = |time: u64| time.saturating_mul(BAR_WIDTH).checked_div(end).unwrap_or_default();
    let (from, to) = (column(step.started).min(BAR_WIDTH.saturating_sub(1)), column(step.last_seen()));
    let waiting = step.waiting.map_or(u64::MAX, column);
    let mut text = String::new();
    for at in 0..BAR_WIDTH {
        text.push(match at {
            _ if at < from || (at >= to && at > from) => '·',
            _ if at >= waiting => '█',
            _ => '░',
        });
    }
    text
}

/// Returns the end of an address, which tells more than its beginning.
fn cut(address: &Address) -> String {
    let text = one_line(address.as_str());
    let count = text.chars().count();
    match count > ADDRESS_WIDTH {
        true => format!(
            "…{}",
            text.chars().skip(count.saturating_sub(ADDRESS_WIDTH).saturating_add(1)).collect::<String>()
        ),
        false => text.into_owned(),
    }
}

/// The style of the drawing, in the page of the graph.
pub const TIMELINE_STYLE: &str = "\
.run td, .run th { padding: .1rem .5rem .1rem 0; text-align: left; font-weight: inherit; }
.run { width: 100%; border-collapse: collapse; } .run .time { text-align: right; white-space: nowrap; }
.run .track { width: 45%; min-width: 8rem; }
.run .track div { position: relative; height: .8rem; background: var(--soft); }
.run .track span { position: absolute; top: 0; bottom: 0; min-width: 2px; background: #2b7de9; }
.run .track .calls { background: #f5a623; } .run .failed .track span { background: #d33; }
.run .critical th { font-weight: bold; } .run .critical .track div { outline: 2px solid #d0661a; }
";

/// Adds the record to a page. `escaped` makes a text safe in it.
pub fn timeline_section(text: &mut String, timeline: &Timeline, escaped: &dyn Fn(&str) -> String) {
    let critical: BTreeSet<_> = timeline.critical_path().into_iter().map(|step| &step.id).collect();
    let _ = writeln!(
        text,
        "<details open id=\"run\"><summary><h2>last run</h2> <span class=\"kind\"><code>{}</code>, {}</span></summary>\n\
         <p>{}. Outlined: the critical path. Blue: AWS carries out what it accepted; orange: calls.</p>\n<table class=\"run\">",
        escaped(&timeline.command),
        escaped(&timeline.began),
        escaped(&summary(timeline))
    );
    let end = timeline.end().max(1);
    let tenths = |time: u64| time.saturating_mul(1000) / end;
    let percent = |time: u64| format!("{}.{}%", tenths(time) / 10, tenths(time) % 10);
    for step in &timeline.steps {
        let mut classes = Vec::new();
        classes.extend(critical.contains(&step.id).then_some("critical"));
        classes.extend(step.failed.then_some("failed"));
        let calls = step.took().saturating_sub(step.aws());
        let mut bars = format!(
            "<span class=\"calls\" style=\"left:{};width:{}\"></span>",
            percent(step.started),
            percent(calls)
        );
        if let Some(waiting) = step.waiting {
            let _ = write!(
                bars,
                "<span style=\"left:{};width:{}\"></span>",
                percent(waiting),
                percent(step.aws())
            );
        }
        let _ = writeln!(
            text,
            "<tr class=\"{}\"><th scope=\"row\"><code>{}</code>{}</th><td class=\"time\">{}</td><td class=\"track\"><div>{bars}\
             </div></td></tr>",
            classes.join(" "),
            escaped(step.id.address.as_str()),
            ending(step),
            clock(step.took())
        );
    }
    text.push_str("</table>\n</details>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{StepId, timeline_examples::small};

    #[test]
    fn the_text_fits_sixty_columns_and_marks_the_critical_path() {
        let text = timeline_text(&small());
        let table: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("all steps")).collect();
        assert!(table.iter().all(|line| line.chars().count() <= 60), "{text}");
        assert_eq!(table.iter().filter(|line| line.starts_with('*')).count(), 3, "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_run_that_ended_early_says_what_is_unfinished_and_what_failed() {
        let mut timeline = small();
        for step in &mut timeline.steps {
            if step.id == StepId::ensure(&Address::new("cluster/eks")) {
                step.failed = true;
            }
            if step.id == StepId::ensure(&Address::new("cluster/node-group/default")) {
                step.ended = None;
            }
        }
        let text = timeline_text(&timeline);
        assert_eq!(text.matches("FAILED").count(), 2, "{text}");
        assert_eq!(text.matches("unfinished").count(), 2, "{text}");
    }

    #[test]
    fn times_are_readable() {
        let texts = [0, 49, 50, 9_949, 59_949, 59_950, 725_000].map(clock);
        assert_eq!(texts, ["0.0 s", "0.0 s", "0.1 s", "9.9 s", "59.9 s", "1:00 min", "12:05 min"]);
    }
}

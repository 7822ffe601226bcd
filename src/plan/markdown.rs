//! A plan as Markdown for a comment on a pull request. What destroys, replaces or is refused comes first; all changes
//! follow, folded by stage.
//!
//! Nothing from outside is markup: texts of a resource stand in code spans and fenced blocks, whose delimiters are longer
//! than any run of backticks in them. Source: <https://github.github.com/gfm/#code-spans>,
//! <https://github.github.com/gfm/#fenced-code-blocks>.

use super::text::{counts, render, render_notes};
use crate::model::{
    Action, Address, Plan, PlannedChange, Stage, StepError, StepId, Totals, counted, one_line, shortened,
};
use std::fmt::Write as _;

/// Maximum length of the page, in bytes: GitHub refuses a comment of 65,536 characters, and the rest is for what the
/// caller writes around the page.
/// Source: <https://github.com/orgs/community/discussions/27190>
const MAX_COMMENT_BYTES: usize = 64_000;

/// Maximum length of the sections before the folded changes, in bytes.
const MAX_DANGER_BYTES: usize = 24_000;

/// Maximum length of the title, of a text in a code span and of a line of the folded changes, in characters.
const MAX_SPAN_CHARS: usize = 600;

/// Room that is kept for the end of a block and for what says that something is left out, in bytes.
const CLOSING_BYTES: usize = 2_000;

/// Returns the plans as one page. `place` is the stack, its region and its account; `infeasible` is what would fail in a run.
pub fn markdown(place: &str, plans: &[&Plan], infeasible: &[StepError]) -> String {
    let totals = plans.iter().map(|plan| plan.totals()).fold(Totals::default(), Totals::plus);
    let mut page = Page { text: String::new(), limit: MAX_DANGER_BYTES, hidden: 0 };
    page.push(&format!("### Plan for {}\n\n", span(place)));
    page.push(&format!("**{}**\n\n", counts(totals, false)));
    let changes: Vec<&PlannedChange> = plans.iter().flat_map(|plan| &plan.changes).collect();
    table(&mut page, &changes);
    refused(&mut page, plans, infeasible);
    dangers(&mut page, plans, &changes);
    page.end("more lines are not shown");
    page.limit = MAX_COMMENT_BYTES;
    for stage in Stage::ALL {
        let parts: Vec<Plan> = plans.iter().map(|plan| plan.stage(stage)).collect();
        let text: String = parts.iter().map(changes_of).collect();
        let count = parts.iter().map(|part| part.changes.len()).sum();
        fold(&mut page, &format!("{stage}: {}", counted(count, "change")), &text);
    }
    let notes: String = plans.iter().map(|plan| render_notes(plan)).collect();
    fold(&mut page, "Changes in the account that are kept", &notes);
    page.end("more lines are not shown; run `provisioner plan` to see all of them");
    page.text
}

/// A page that is filled up to a limit.
struct Page {
    text: String,
    /// Maximum length, in bytes.
    limit: usize,
    /// Number of lines that did not fit.
    hidden: usize,
}

impl Page {
    /// Adds a text if it fits, and returns whether it does.
    fn push(&mut self, text: &str) -> bool {
        let fits = self.text.len().saturating_add(text.len()).saturating_add(CLOSING_BYTES) <= self.limit;
        match fits && self.hidden == 0 {
            true => self.text.push_str(text),
            false => self.hidden = self.hidden.saturating_add(text.trim_end().lines().count()),
        }
        fits
    }

    /// Says how many lines were left out, if any, for which room is kept.
    fn end(&mut self, what: &str) {
        if self.hidden > 0 {
            let _ = writeln!(self.text, "\n**{} {what}**\n", self.hidden);
        }
        self.hidden = 0;
    }
}

/// Adds the table of the numbers of changes by stage. It holds no text from outside.
fn table(page: &mut Page, changes: &[&PlannedChange]) {
    if changes.is_empty() {
        return;
    }
    let actions = [Action::Create, Action::Update, Action::Replace, Action::Delete, Action::Adopt];
    let used: Vec<Action> =
        actions.into_iter().filter(|action| changes.iter().any(|change| change.action == *action)).collect();
    let mut text = String::from("| stage |");
    used.iter().for_each(|action| text.push_str(&format!(" {} |", action.name())));
    text.push_str("\n|---|");
    used.iter().for_each(|_| text.push_str("---:|"));
    for stage in Stage::ALL {
        let of_stage: Vec<&&PlannedChange> = changes.iter().filter(|change| change.stage == stage).collect();
        if of_stage.is_empty() {
            continue;
        }
        text.push_str(&format!("\n| {stage} |"));
        for action in &used {
            match of_stage.iter().filter(|change| change.action == *action).count() {
                0 => text.push_str(" |"),
                count => text.push_str(&format!(" {count} |")),
            }
        }
    }
    page.push(&format!("{text}\n\n"));
}

/// Adds what `up` refuses, which is why it would change nothing at all.
fn refused(page: &mut Page, plans: &[&Plan], infeasible: &[StepError]) {
    let refusals = plans.iter().flat_map(|plan| &plan.refusals);
    let mut lines: Vec<String> = refusals
        .map(|refusal| {
            let (address, reason) = (span(refusal.address.as_str()), span(&refusal.reason));
            format!("- {address}: {reason}; hint: {}\n", span(&refusal.hint))
        })
        .collect();
    lines.extend(infeasible.iter().map(|problem| {
        let address = problem.address.as_ref().map(|address| format!("{}: ", span(address.as_str())));
        let hint = problem.error.hint.as_ref().map(|hint| format!("; hint: {}", span(hint)));
        format!(
            "- {}{}{}\n",
            address.unwrap_or_default(),
            span(&problem.error.message),
            hint.unwrap_or_default()
        )
    }));
    section(page, "Refused: `up` changes nothing until this is solved", lines);
}

/// Adds what loses data, what is replaced and what is deleted.
fn dangers(page: &mut Page, plans: &[&Plan], changes: &[&PlannedChange]) {
    let losses = changes.iter().filter_map(|change| {
        let (loses, consent) = (change.loses.as_ref()?, change.consent()?);
        let verb = if change.action == Action::Delete { "deletes" } else { "replaces" };
        let (address, loses) = (span(change.address.as_str()), span(loses));
        Some(format!("- {verb} {address} and loses {loses}; only with {}\n", span(&consent)))
    });
    section(page, "Destroys data", losses.collect());
    let of = |action: Action| changes.iter().filter(move |change| change.action == action);
    let replaced = of(Action::Replace).map(|change| {
        let forced = change.fields.0.iter().filter(|field| field.forces_replace);
        let fields: Vec<String> = forced.map(|field| span(&field.path)).collect();
        let reason = match fields.is_empty() {
            true => String::new(),
            false => format!(", because {} cannot change in place", fields.join(", ")),
        };
        let order = match plans.iter().any(|plan| deletes_first(plan, &change.address)) {
            true => "; the old one is deleted first, which interrupts what uses it",
            false => "",
        };
        format!("- {}{}{reason}{order}\n", span(change.address.as_str()), note(change))
    });
    section(page, "Replaces", replaced.collect());
    let deleted =
        of(Action::Delete).map(|change| format!("- {}{}\n", span(change.address.as_str()), note(change)));
    section(page, "Deletes", deleted.collect());
}

/// Returns whether a resource is deleted before the one that replaces it exists.
fn deletes_first(plan: &Plan, address: &Address) -> bool {
    let (ensure, remove) = (StepId::ensure(address), StepId::remove(address));
    plan.steps.iter().any(|step| step.id == ensure && step.after.contains(&remove))
}

fn note(change: &PlannedChange) -> String {
    change.note.as_ref().map(|note| format!(" ({})", span(note))).unwrap_or_default()
}

/// Adds a heading with the lines of a list.
fn section(page: &mut Page, title: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    page.push(&format!("#### {title}\n\n"));
    lines.iter().for_each(|line| _ = page.push(line));
    page.push("\n");
}

/// Returns the changes of a stage as the plan's text has them, without what is said before.
fn changes_of(part: &Plan) -> String {
    let mut quiet = part.clone();
    quiet.changes.iter_mut().for_each(|change| change.loses = None);
    let text = render(&quiet, false);
    // The first line is the stage, which the heading names.
    text.trim_end().split_once('\n').map(|(_, rest)| format!("{rest}\n")).unwrap_or_default()
}

/// Adds a text as a folded block.
fn fold(page: &mut Page, title: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    let text: String = text.lines().map(|line| format!("{}\n", shortened(line, MAX_SPAN_CHARS))).collect();
    let fence = "`".repeat(longest_run(&text).saturating_add(1).max(3));
    if !page.push(&format!("<details><summary>{title}</summary>\n\n{fence}text\n")) || page.hidden > 0 {
        page.hidden = page.hidden.saturating_add(text.lines().count());
        return;
    }
    for line in text.lines() {
        page.push(&format!("{line}\n"));
    }
    // Room for this is kept.
    let _ = writeln!(page.text, "{fence}\n\n</details>\n");
}

/// Returns a text as a code span on one line, whatever it contains.
fn span(text: &str) -> String {
    let text = one_line(shortened(text, MAX_SPAN_CHARS).trim()).into_owned();
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let ticks = "`".repeat(longest_run(&text).saturating_add(1));
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{ticks}{space}{text}{space}{ticks}")
}

/// Returns the length of the longest run of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|char| char != '`').map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Changes, Origin, PlanRefusal, Step};
    use proptest::prelude::*;
    use serde_json::json;

    fn change(address: &str, action: Action, text: &str) -> PlannedChange {
        PlannedChange {
            address: Address::new(address),
            kind: "thing".to_owned(),
            stage: Stage::Network,
            action,
            origin: Origin::File,
            fields: Changes::default().fixed("cidr", &json!(text), &json!("10.0.0.0/16")),
            note: Some(text.to_owned()),
            loses: (action != Action::Create).then(|| text.to_owned()),
        }
    }

    fn plan(text: &str) -> Plan {
        let refusal = PlanRefusal {
            address: Address::new("network/other"),
            kind: "thing".to_owned(),
            stage: Stage::Network,
            reason: text.to_owned(),
            hint: text.to_owned(),
            blocks: Vec::new(),
        };
        Plan {
            changes: vec![
                change("network/new", Action::Create, text),
                change("network/old", Action::Delete, text),
                change("network/vpc", Action::Replace, text),
            ],
            refusals: vec![refusal],
            ..Plan::default()
        }
    }

    /// Returns what a renderer of GitHub's Markdown reads as markup: the page without code spans and fenced blocks.
    fn markup(page: &str) -> String {
        let mut prose = String::new();
        let mut fence: Option<usize> = None;
        for line in page.lines() {
            let ticks = line.chars().take_while(|char| *char == '`').count();
            match fence {
                Some(open) if ticks >= open && line.trim_start_matches('`').trim().is_empty() => fence = None,
                Some(_) => {}
                None if ticks >= 3 && !line[ticks..].contains('`') => fence = Some(ticks),
                None => prose.push_str(&format!("{line}\n")),
            }
        }
        assert_eq!(fence, None, "{page}");
        let mut rest = prose.as_str();
        let mut out = String::new();
        while let Some(at) = rest.find('`') {
            out.push_str(&rest[..at]);
            let ticks = rest[at..].chars().take_while(|char| *char == '`').count();
            let inside = &rest[at + ticks..];
            let mut from = 0;
            let end = loop {
                let Some(next) = inside[from..].find('`').map(|next| from + next) else { break None };
                let run = inside[next..].chars().take_while(|char| *char == '`').count();
                if run == ticks {
                    break Some(next + run);
                }
                from = next + run;
            };
            rest = &inside[end.unwrap_or_else(|| panic!("a code span is not closed:\n{page}"))..];
        }
        out + rest
    }

    #[test]
    fn danger_comes_first_and_the_rest_is_folded() {
        let text = "a|b `c` </details> @team\n# heading";
        insta::assert_snapshot!(markdown("shop in eu-central-1", &[&Plan::default(), &plan(text)], &[]));
    }

    #[test]
    fn an_interruption_is_named() {
        let address = Address::new("network/vpc");
        let step = |id: StepId, after: &[StepId]| Step {
            id,
            kind: "thing".to_owned(),
            stage: Stage::Network,
            action: Action::Replace,
            spec: json!({}),
            live: json!({}),
            dependencies: Vec::new(),
            after: after.to_vec(),
            retires: None,
        };
        let mut plan = plan("note");
        plan.steps.push(step(StepId::remove(&address), &[]));
        plan.steps.push(step(StepId::ensure(&address), &[]));
        assert!(!markdown("shop", &[&plan], &[]).contains("interrupts"));
        plan.steps[1].after = vec![StepId::remove(&address)];
        assert!(markdown("shop", &[&plan], &[]).contains("`network/vpc` (`note`), because `cidr` cannot change in place; the old one is deleted first, which interrupts"));
    }

    #[test]
    fn a_plan_without_changes_is_two_lines() {
        let page = markdown("shop in eu-central-1", &[&Plan::default()], &[]);
        assert_eq!(page, "### Plan for `shop in eu-central-1`\n\n**no changes**\n\n");
    }

    #[test]
    fn a_page_of_any_plan_fits_into_a_comment_and_says_what_is_left_out() {
        for (count, width) in [(10, 10), (200, 40), (5_000, 500), (5_000, 4), (3, 100_000)] {
            let text = "`x".repeat(width / 2);
            let mut long = plan(&text);
            let more = (0..count).map(|n| change(&format!("network/{n}"), Action::Replace, &text));
            long.changes.extend(more);
            let page = markdown("shop", &[&long], &[]);
            assert!(page.len() < 65_536, "{count}: {}", page.len());
            assert_eq!(page.contains("lines are not shown"), count >= 200, "{count}");
            assert_eq!(page.matches("<details>").count(), page.matches("</details>").count());
            assert!(page.contains("Destroys data"), "{count}");
            markup(&page);
        }
    }

    proptest! {
        #[test]
        fn no_text_from_outside_is_markup(text in "[EVIL`|<>\\n\\r~*# \\\\\\[\\]@-]{0,40}") {
            let prose = markup(&markdown(&text, &[&plan(&format!("EVIL{text}EVIL"))], &[]));
            prop_assert!(!prose.contains("EVIL") && !prose.contains('@'), "{prose}");
        }
    }
}

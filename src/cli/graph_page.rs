//! A graph as one HTML page that needs nothing else: no script, no font, no address on the network.

use super::{
    graph_shape::{Item, tree},
    timeline_text::{TIMELINE_STYLE, timeline_section},
};
use crate::model::{Address, Stage, Timeline, counted, one_line};
use std::{collections::BTreeMap, fmt::Write as _};

/// The style of the page: it follows the reader's colour scheme and the width of the screen.
const STYLE: &str = "\
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --mark: #f5a62355; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 0; display: inline; }
nav a { margin-right: 1rem; }
.drawing { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; margin: 1rem 0; }
svg { display: block; font: 12px system-ui, sans-serif; }
svg rect { fill: Canvas; stroke: var(--line); } svg text { fill: CanvasText; } svg .kind { opacity: .65; }
svg path { fill: none; stroke: #8889; } svg a:hover rect, svg a:focus rect { stroke: CanvasText; }
.backend rect { stroke: #888; } .network rect { stroke: #2b7de9; } .cluster rect { stroke: #8a4fe0; }
.application rect { stroke: #1f9d55; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .8rem 0; padding: .6rem; }
summary { cursor: pointer; }
ol { list-style: none; margin: .6rem 0 0; padding: 0; }
li { border-left: 2px solid var(--line); margin-left: calc(var(--depth) * 1.1rem); padding: .2rem .6rem; }
li:target { background: var(--mark); }
code { overflow-wrap: anywhere; } .kind, .links { opacity: .75; font-size: .9em; } .links { display: block; }
";

/// Width of a box, and of the space to the next column, in pixels.
const BOX: [usize; 2] = [230, 60];

/// Height of a box, and of the space to the next one, in pixels.
const ROW: [usize; 2] = [40, 12];

/// Maximum length of a name in a box, in characters.
const MAX_LABEL_CHARS: usize = 32;

/// Returns the page, with the record of a run if there is one. `title` is the stack and its region.
pub fn page(title: &str, items: &BTreeMap<Address, Item>, run: Option<&Timeline>) -> String {
    let ids: BTreeMap<&Address, usize> =
        items.keys().enumerate().map(|(id, address)| (address, id)).collect();
    let title = escaped(title);
    let stages: Vec<Stage> =
        Stage::ALL.into_iter().filter(|stage| items.values().any(|item| item.stage == *stage)).collect();
    let style = if run.is_some() { TIMELINE_STYLE } else { "" };
    let links: String = stages.iter().map(|stage| format!("<a href=\"#{stage}\">{stage}</a>")).collect();
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{style}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p>{}: each column can be \
         created when the columns before it exist.</p>\n<nav>{links}</nav>\n",
        counted(items.len(), "resource")
    );
    if let Some(run) = run {
        timeline_section(&mut text, run, &escaped);
    }
    drawing(&mut text, items, &ids);
    for stage in stages {
        let placed = tree(stage, items);
        let _ = writeln!(
            text,
            "<details open id=\"{stage}\"><summary><h2>{stage}</h2> <span class=\"kind\">{}</span></summary>\n<ol>",
            counted(placed.len(), "resource")
        );
        placed.into_iter().for_each(|(depth, item)| entry(&mut text, depth, item, &ids));
        text.push_str("</ol>\n</details>\n");
    }
    text.push_str("</body>\n</html>\n");
    text
}

/// Adds the boxes, one column for each level, and the lines between them.
fn drawing(text: &mut String, items: &BTreeMap<Address, Item>, ids: &BTreeMap<&Address, usize>) {
    let [width, gap] = BOX;
    let [height, space] = ROW;
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    let mut places: BTreeMap<&Address, [usize; 2]> = BTreeMap::new();
    for stage in Stage::ALL {
        for (address, item) in items.iter().filter(|(_, item)| item.stage == stage) {
            let row = rows.entry(item.level).or_default();
            let x = item.level.saturating_mul(width.saturating_add(gap)).saturating_add(space);
            places
                .insert(address, [x, row.saturating_mul(height.saturating_add(space)).saturating_add(space)]);
            *row = row.saturating_add(1);
        }
    }
    let columns = rows.keys().max().map_or(0, |level| level.saturating_add(1));
    let most = rows.values().max().copied().unwrap_or_default();
    let whole = [
        columns.saturating_mul(width.saturating_add(gap)).saturating_add(space),
        most.saturating_mul(height.saturating_add(space)).saturating_add(space),
    ];
    let _ = writeln!(
        text,
        "<div class=\"drawing\"><svg role=\"img\" aria-label=\"the graph of the resources\" width=\"{}\" height=\"{}\">",
        whole[0], whole[1]
    );
    let middle = |y: usize| y.saturating_add(height / 2);
    for (address, item) in items {
        let Some([x, y]) = places.get(address).copied() else { continue };
        for [from, row] in item.needs.iter().filter_map(|it| places.get(it)) {
            let (start, bend) = (from.saturating_add(width), x.saturating_sub(gap / 2));
            let (up, down) = (middle(*row), middle(y));
            let _ = writeln!(text, "<path d=\"M{start} {up} C{bend} {up} {bend} {down} {x} {down}\"/>");
        }
    }
    for (address, item) in items {
        let Some([x, y]) = places.get(address).copied() else { continue };
        let (left, id) = (x.saturating_add(8), ids.get(address).copied().unwrap_or_default());
        let [name, kind] = [y.saturating_add(17), y.saturating_add(32)];
        let full = escaped(address.as_str());
        let _ = writeln!(
            text,
            "<a href=\"#r{id}\" class=\"{}\"><title>{full}</title><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" \
             height=\"{height}\" rx=\"6\"/><text x=\"{left}\" y=\"{name}\">{}</text><text class=\"kind\" x=\"{left}\" \
             y=\"{kind}\">{}</text></a>",
            item.stage,
            escaped(&label(address)),
            escaped(&item.kind)
        );
    }
    text.push_str("</svg></div>\n");
}

/// Returns the end of an address, which tells more than its beginning.
fn label(address: &Address) -> String {
    let text = address.as_str();
    let text = text.split_once('/').map_or(text, |(_, rest)| rest);
    let count = text.chars().count();
    match count > MAX_LABEL_CHARS {
        true => format!("…{}", text.chars().skip(count.saturating_sub(MAX_LABEL_CHARS)).collect::<String>()),
        false => text.to_owned(),
    }
}

fn entry(text: &mut String, depth: usize, item: &Item, ids: &BTreeMap<&Address, usize>) {
    let id = |address: &Address| ids.get(address).copied().unwrap_or_default();
    let _ = write!(
        text,
        "<li id=\"r{}\" style=\"--depth:{depth}\"><code>{}</code> <span class=\"kind\">{}</span>",
        id(&item.address),
        escaped(item.address.as_str()),
        escaped(&item.kind)
    );
    for (word, others) in [("needs", &item.needs), ("needed by", &item.needed_by)] {
        if others.is_empty() {
            continue;
        }
        let links: Vec<String> = others
            .iter()
            .map(|other| format!("<a href=\"#r{}\"><code>{}</code></a>", id(other), escaped(other.as_str())))
            .collect();
        let _ = write!(text, "<span class=\"links\">{word} {}</span>", links.join(", "));
    }
    text.push_str("</li>\n");
}

/// Returns a text that is no markup, neither in an element nor in an attribute.
fn escaped(text: &str) -> String {
    let text = one_line(text);
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::{
        super::graph_shape::{examples, items},
        *,
    };
    use crate::model::timeline_examples::small;

    #[test]
    fn the_page_holds_every_resource_and_nothing_from_elsewhere() {
        let items = items(&examples::small());
        let page = page("shop <in> eu-central-1", &items, None);
        assert_eq!(page.matches("<li id=").count(), items.len());
        assert_eq!(page.matches("<rect ").count(), items.len());
        let edges: usize = items.values().map(|item| item.needs.len()).sum();
        assert_eq!(page.matches("<path ").count(), edges);
        for address in ["http:", "https:", "url(", "<script", "src=", "@import"] {
            assert!(!page.replace("style-src", "").replace("default-src", "").contains(address), "{address}");
        }
        assert!(page.contains("prefers-color-scheme") || page.contains("color-scheme: light dark"));
        insta::assert_snapshot!(page);
    }

    #[test]
    fn no_name_is_markup() {
        let page = page("<b>", &items(&examples::small()), Some(&small()));
        assert!(!page.contains("<b>") && page.contains("&lt;b&gt; &quot;&amp;\\n"), "{page}");
    }

    #[test]
    fn the_page_shows_the_last_run_with_its_critical_path() {
        let page = page("shop", &items(&examples::small()), Some(&small()));
        assert_eq!(page.matches("<tr class=\"critical\">").count(), 3);
        assert_eq!(page.matches("<tr class=\"\">").count(), 1);
        // The cluster starts 20 s after the begin of a run of 690 s, and AWS works on it from 25 s to 560 s.
        assert!(
            page.contains("style=\"left:2.8%;width:0.7%\"></span><span style=\"left:3.6%;width:77.5%\">"),
            "{page}"
        );
    }

    #[test]
    fn every_link_leads_to_an_entry() {
        let page = page("shop", &items(&examples::small()), None);
        let targets: Vec<&str> =
            page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(targets.len() > 10);
        for target in targets {
            assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
        }
    }
}

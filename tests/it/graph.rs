//! `graph` as text, for Graphviz, as a page and as JSON lines: the same resources as in a plan, without an account.

use crate::common::{Provider, example};
use std::{collections::BTreeSet, process::Command};

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\ncluster: {}\napp: {}\n";

#[test]
fn the_graph_of_a_file_has_the_resources_of_its_plan() {
    let world = Provider::new(STACK);
    world.sandbox(600);
    let set = |lines: Vec<serde_json::Value>| -> BTreeSet<String> {
        let addresses = lines.iter().map(|line| line["address"].as_str().unwrap().to_owned());
        addresses.filter(|address| !address.starts_with("backend/")).collect()
    };
    let planned = set(world.run(&["plan", "--sandbox", "--json"]).with(0).lines("change"));
    let mut command = world.command(&["graph", "--json"]);
    let ended = command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").output().unwrap();
    let drawn = set(crate::common::Ended::of(&ended).with(0).lines("node"));
    assert_eq!(drawn, planned);
    assert!(drawn.len() > 50);
}

#[test]
fn each_format_shows_every_resource() {
    let world = Provider::new(STACK);
    let lines = world.run(&["graph", "--json"]).with(0).lines("node");
    let text = world.run(&["graph"]).with(0);
    assert!(text.err.starts_with("shop in eu-central-1: "), "{}", text.err);
    let dot = world.run(&["graph", "--format", "dot"]).with(0).out;
    let page = world.run(&["graph", "--format", "html"]).with(0).out;
    for line in &lines {
        let address = line["address"].as_str().unwrap();
        for (format, shown) in [("text", &text.out), ("dot", &dot), ("html", &page)] {
            assert!(shown.contains(address), "{format}: {address}");
        }
    }
    let edges: usize = lines.iter().map(|line| line["needs"].as_array().unwrap().len()).sum();
    assert_eq!(dot.matches(" -> ").count(), edges);
    assert_eq!(text.out.lines().filter(|line| line.starts_with(' ')).count(), lines.len());
    // Another program reads the page.
    let check = "import sys, html.parser\n\
        class P(html.parser.HTMLParser):\n    open_tags, ids, links = [], set(), set()\n    \
        def handle_starttag(self, tag, attrs):\n        \
        attrs = dict(attrs)\n        \
        if tag not in ('meta', 'rect', 'path'): self.open_tags.append(tag)\n        \
        if 'id' in attrs: self.ids.add('#' + attrs['id'])\n        \
        if 'href' in attrs: self.links.add(attrs['href'])\n    \
        def handle_startendtag(self, tag, attrs): pass\n    \
        def handle_endtag(self, tag):\n        assert self.open_tags.pop() == tag, tag\n\
        p = P()\np.feed(sys.stdin.read())\np.close()\n\
        assert not p.open_tags, p.open_tags\nassert p.links and p.links <= p.ids, p.links - p.ids\nprint(len(p.ids))";
    let file = world.path().join("page.html");
    std::fs::write(&file, &page).unwrap();
    let output = Command::new("python3")
        .args(["-c", check])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_part_of_the_graph_and_what_cannot_be() {
    let world = Provider::new(&example("no-internet.yaml"));
    let all = world.run(&["graph", "--json"]).with(0).lines("node").len();
    let part = world.run(&["graph", "--json", "--target", "network"]).with(0).lines("node").len();
    assert!(part > 0 && part < all, "{part} of {all}");
    let ended = world.run(&["graph", "--target", "network/vcp"]).with(3);
    assert!(ended.err.contains("--target network/vcp: not found"), "{}", ended.err);
    let ended = world.run(&["graph", "--format", "dot", "--json"]).with(3);
    assert!(ended.out.contains("contradict each other"), "{}", ended.out);
    world.stack("name: shop\nregion: eu-central-1\n");
    let empty = world.run(&["graph"]).with(0);
    assert_eq!((empty.out.trim(), empty.err.trim()), ("", "shop in eu-central-1: 0 resources"));
}

#[test]
fn the_timeline_of_the_last_run_tells_what_its_time_went_to() {
    let world = Provider::new("name: shop\nregion: eu-central-1\nnetwork: {zones: 2}\n");
    world.sandbox(600);
    let none = world.run(&["graph", "--timeline", "--sandbox"]).with(3);
    assert!(none.err.contains("no run of shop in eu-central-1 is recorded here"), "{}", none.err);
    let ran = world.run(&["up", "--yes", "--sandbox"]).with(0);
    let steps = world.run(&["graph", "--timeline", "--sandbox", "--json"]).with(0).lines("timelineStep");
    let done = ran.err.lines().filter(|line| line.contains(": created in ") && !line.starts_with("backend/"));
    assert_eq!(steps.len(), done.count(), "{}", ran.err);
    let at = |step: &serde_json::Value, field: &str| step[field].as_u64().unwrap();
    for step in &steps {
        assert!(at(step, "started") <= at(step, "ended") && step["failed"] == false, "{step}");
        for first in step["after"].as_array().unwrap() {
            let first = steps.iter().find(|other| other["address"] == *first).unwrap();
            assert!(at(first, "ended") <= at(step, "started"), "{first} {step}");
        }
    }
    let critical: Vec<_> = steps.iter().filter(|step| step["critical"] == true).collect();
    let last = steps.iter().map(|step| at(step, "ended")).max().unwrap();
    assert!(critical.iter().any(|step| at(step, "ended") == last), "{critical:?}");
    let text = world.run(&["graph", "--timeline", "--sandbox"]).with(0).out;
    assert!(text.contains("critical path") && text.lines().all(|line| !line.starts_with("FAILED")), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("* ")).count(), critical.len(), "{text}");
    let page = world.run(&["graph", "--timeline", "--sandbox", "--format", "html"]).with(0).out;
    assert_eq!(page.matches("<tr class=\"critical\">").count(), critical.len());
    world.run(&["graph", "--timeline", "--sandbox", "--format", "dot"]).with(3);
    // Records of the sandbox are not mixed with those of AWS.
    let elsewhere = world.run(&["graph", "--timeline"]).with(3);
    assert!(elsewhere.err.contains("add `--sandbox`"), "{}", elsewhere.err);
    // Deletion is a run, too, and the record holds the last one.
    world.run(&["down", "--yes", "--sandbox"]).with(0);
    let steps = world.run(&["graph", "--timeline", "--sandbox", "--json"]).with(0).lines("timelineStep");
    assert!(!steps.is_empty() && steps.iter().all(|step| step["action"] == "delete"), "{steps:?}");
}

//! A plan as text, as Markdown for a pull request, and as JSON lines.

use crate::common::Provider;

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: none, endpoints: []}\n\
    parameters: [{name: /shop/greeting, value: hello}]\n";

#[test]
fn markdown_is_all_that_stdout_holds_and_danger_comes_first() {
    let world = Provider::new(STACK);
    world.sandbox(600);
    let new = world.run(&["plan", "--sandbox", "--format", "markdown", "--detailed-exitcode"]).with(2);
    assert!(
        new.out.starts_with("### Plan for `shop in eu-central-1 (account 123456789012, SANDBOX)`"),
        "{}",
        new.out
    );
    assert!(
        new.out.contains("| network |") && new.out.contains("<details><summary>network: "),
        "{}",
        new.out
    );
    assert!(!new.out.contains("Destroys data"), "{}", new.out);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let same = world.run(&["plan", "--sandbox", "--format", "markdown", "--detailed-exitcode"]).with(0);
    assert!(same.out.ends_with("**no changes**\n"), "{}", same.out);

    let hostile = "```` | </details> <b> @team";
    let changed = STACK.replace("value: hello", &format!("value: '{hostile}'"));
    world.stack(&changed.replace("nat: none", "nat: none, cidr: 10.9.0.0/16, flowLogs: false"));
    let changed = world.run(&["plan", "--sandbox", "--format", "markdown"]).with(3);
    let at = |text: &str| changed.out.find(text).unwrap_or_else(|| panic!("{text}: {}", changed.out));
    assert!(at("#### Destroys data") < at("#### Replaces") && at("#### Replaces") < at("<details>"));
    assert!(
        changed.out.contains("- deletes `network/flow-log-group` and loses `its log events`"),
        "{}",
        changed.out
    );
    assert!(changed.out.contains("- `network/vpc`"), "{}", changed.out);
    // The text of another is inside a block whose fence is longer than any of its own.
    assert!(changed.out.contains(&format!("value: hello -> {hostile}\n")), "{}", changed.out);
    assert_eq!(changed.out.matches("\n`````").count() % 2, 0, "{}", changed.out);
    assert!(changed.out.contains("`````text\n"), "{}", changed.out);
    assert!(changed.out.contains("the old one is deleted first"), "{}", changed.out);
}

#[test]
fn json_by_either_option_is_the_same_and_markdown_contradicts_it() {
    let world = Provider::new(STACK);
    world.sandbox(600);
    let lines = |args: &[&str]| world.run(args).with(0).lines("change");
    let plain: Vec<_> =
        lines(&["plan", "--sandbox", "--json"]).iter().map(|it| it["address"].clone()).collect();
    let other = lines(&["plan", "--sandbox", "--format", "json"]);
    assert_eq!(other.iter().map(|it| it["address"].clone()).collect::<Vec<_>>(), plain);
    assert!(plain.len() > 5);
    world.run(&["plan", "--sandbox", "--format", "text", "--json"]).with(0).lines("summary");
    let ended = world.run(&["plan", "--sandbox", "--format", "markdown", "--json"]).with(3);
    assert!(ended.out.contains("--format markdown and --json contradict each other"), "{}", ended.out);
}

use super::*;

fn variables() -> Variables {
    let vpc = json!({"ref": "network/vpc", "field": "id"});
    let pairs = [
        ("stack.name", json!("shop")),
        ("app.replicas", json!(3)),
        ("app.env", json!({"A": "b"})),
        ("app.archs", json!(["amd64"])),
        ("app.parameter", json!("")),
        ("app.ingress", json!("alb")),
        ("app.command", Value::Null),
        ("network.vpcId", vpc),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn rendered(text: &str) -> Result<Vec<Value>, String> {
    let file = ManifestFile {
        path: "app/x.yaml".to_owned(),
        name: "manifests/app/x.yaml".to_owned(),
        bytes: text.as_bytes().to_vec(),
    };
    let objects = render(&file, &variables()).map_err(|error| error.to_string())?;
    Ok(objects.objects.into_iter().map(|object| object.value).collect())
}

const HEAD: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n";

#[test]
fn values_take_the_type_of_their_variable_and_texts_take_its_text() {
    let text = format!(
        "{HEAD}a: ${{app.replicas}}\nb: x-${{app.replicas}}\nc: ${{app.env}}\nd: ${{app.archs}}\ne: $${{not}}\n\
         f: ${{stack.name}}-${{stack.name}}\ng: --vpc=${{network.vpcId}}\nh: ${{network.vpcId}}\n---\n---\n{HEAD}"
    );
    let objects = rendered(&text).unwrap();
    assert_eq!(objects.len(), 2, "empty documents are none");
    let vpc = &variables()["network.vpcId"];
    let wanted = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"},
        "a": 3, "b": "x-3", "c": {"A": "b"}, "d": ["amd64"], "e": "${not}", "f": "shop-shop",
        "g": {"text": ["--vpc=", vpc]}, "h": vpc,
    });
    assert_eq!(objects[0], wanted);
}

#[test]
fn what_has_no_value_or_whose_condition_does_not_hold_is_left_out() {
    let text = format!(
        "{HEAD}a: ${{app.command}}\nb: [x, \"${{app.command}}\"]\nc: null\nd:\n  provisioner/when: app.ingress == alb\n  \
         e: 1\nf:\n  provisioner/when: app.parameter\n  e: ${{network.vpcId}}\ng:\n  - provisioner/when: app.command\n    \
         h: 1\n  - provisioner/when: \"!app.command\"\n    h: 2\n"
    );
    let wanted = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"},
        "b": ["x"], "c": null, "d": {"e": 1}, "g": [{"h": 2}],
    });
    assert_eq!(rendered(&text).unwrap(), [wanted]);
    let file = ManifestFile { path: "a.yaml".to_owned(), name: String::new(), bytes: text.into_bytes() };
    let used: Vec<String> = render(&file, &variables()).unwrap().used.into_iter().collect();
    assert_eq!(used, ["app.command", "app.ingress", "app.parameter"], "what is left out uses nothing");
}

#[test]
fn a_document_is_rendered_when_its_condition_holds() {
    let holds = |condition: &str| {
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  annotations: {{provisioner/when: \"{condition}\"}}\n"
        );
        rendered(&text).map(|objects| objects.len())
    };
    for (condition, count) in [
        ("app.replicas", 1),
        ("!app.replicas", 0),
        ("app.parameter", 0),
        ("network.vpcId", 1),
        ("app.ingress == alb", 1),
        ("app.ingress != alb", 0),
        ("app.ingress != none and !app.parameter", 1),
        ("app.ingress == alb and app.parameter", 0),
        ("app.replicas == 3", 1),
    ] {
        assert_eq!(holds(condition).unwrap(), count, "{condition}");
    }
    assert!(holds("app.ingres").unwrap_err().contains("did you mean `app.ingress`?"));
    assert!(holds("network.vpcId == x").unwrap_err().contains("cannot be compared"));
    let left = rendered(
        "apiVersion: v1\nkind: A\nmetadata: {name: x, annotations: {provisioner/when: app.replicas, b: c}}\n",
    );
    assert_eq!(left.unwrap()[0]["metadata"]["annotations"], json!({"b": "c"}));
}

#[test]
fn what_is_wrong_is_shown_with_its_file_and_line() {
    for (text, line, words) in [
        (format!("{HEAD}data:\n  a: ${{app.replica}}\n"), 5, "did you mean `app.replicas`?"),
        (format!("{HEAD}data: {{a: '${{stack.name'}}\n"), 4, "without a closing `}`"),
        (format!("{HEAD}data: {{a: 'x ${{app.env}}'}}\n"), 4, "a list or a map"),
        (format!("{HEAD}data: {{a: 'x ${{app.command}}'}}\n"), 4, "has no value"),
        (format!("{HEAD}data: {{provisioner/when: 1}}\n"), 4, "expected a string"),
        ("kind: ConfigMap\nmetadata: {name: x}\n".to_owned(), 1, "invalid Kubernetes object"),
        (
            format!("{HEAD}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ndata: {{a: é}}\n"),
            5,
            "`data.a` is not base64",
        ),
        ("apiVersion: v1\nkind: PodList\nmetadata: {name: s}\n".to_owned(), 1, "`items` of the list"),
        (format!("{HEAD}a: {{ref: x, field: y}}\n"), 4, "`ref` and `field`"),
        (format!("{HEAD}a: 1\na: 2\n"), 5, "duplicate key"),
    ] {
        let error = rendered(&text).unwrap_err();
        assert!(error.contains(words), "{error}");
        assert!(error.contains(&format!("manifests/app/x.yaml:{line}:")), "{line}: {error}");
    }
}

#[test]
fn manifests_of_other_tools_are_taken_as_they_are() {
    let config = |name: &str, text: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": text}});
    let list = "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: \"\"}\nitems:\n\
        - {apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {a: b}}\n\
        - {apiVersion: v1, kind: ConfigMap, metadata: {name: y}, data: {a: c}}\n";
    assert_eq!(rendered(list).unwrap(), [config("x", "b"), config("y", "c")]);
    let anchors = format!("{HEAD}common: &c {{k: v}}\nmerged:\n  <<: *c\n  more: 1\nsame: *c\n");
    let found = rendered(&anchors).unwrap();
    assert_eq!((&found[0]["merged"], &found[0]["same"]), (&json!({"k": "v", "more": 1}), &json!({"k": "v"})));
    // The mode of a file as kubectl and Kubernetes' own examples read it.
    assert_eq!(
        rendered(&format!("{HEAD}mode: 0400\nother: 0o400\ntext: \"0400\"\n")).unwrap()[0]["mode"],
        256
    );
    // Text with `${` stays as it is where the file says so.
    let nginx = "# from a chart\n# provisioner: literal\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: \"${host} $${x}\"}\n";
    assert_eq!(rendered(nginx).unwrap()[0]["data"]["a"], "${host} $${x}");
    let job = |image: &str| {
        let text = format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{generateName: migrate-}}\nspec: {{image: {image}}}\n"
        );
        rendered(&text).unwrap()[0]["metadata"].clone()
    };
    assert_eq!(job("a"), job("a"));
    assert!(job("a") != job("b") && job("a")["name"].as_str().unwrap().starts_with("migrate-"));
    assert!(job("a").get("generateName").is_none());
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut bomb = format!("{HEAD}a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let last = level - 1;
        let list = vec![format!("*a{last}"); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    let started = std::time::Instant::now();
    assert!(rendered(&bomb).is_err());
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn the_values_of_a_secret_are_shown_by_no_rendered_object() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: correct-horse}\n";
    let file = ManifestFile {
        path: "app/x.yaml".to_owned(),
        name: "manifests/app/x.yaml".to_owned(),
        bytes: text.into(),
    };
    let object = render(&file, &variables()).unwrap().objects.remove(0);
    assert_eq!(object.value["data"], json!({"a": "(hidden)"}));
    let other = ManifestFile { bytes: text.replace("horse", "staple").into(), ..file.clone() };
    let other = render(&other, &variables()).unwrap().objects.remove(0);
    assert!(object.is_same(&object.clone()) && !object.is_same(&other), "another value is another object");
    let shown = format!("{object:?}");
    assert!(!shown.contains("horse") && !shown.contains("Y29ycmVjdC1ob3JzZQ"), "{shown}");
}

//! Secrets in manifests, as `helm template` and `kustomize build` write them: in the cluster, and nowhere else.

use crate::common::{Provider, cluster_objects::kubernetes};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use std::{fs, path::Path};

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single, flowLogs: false}\n\
    cluster: {addons: [{name: metrics-server, enabled: false}]}\n\
    app: {ingress: none, manifests: own, image: 'public.ecr.aws/nginx/nginx@sha256:\
    0000000000000000000000000000000000000000000000000000000000000000'}\n";

const SECRET: &str = "/api/v1/namespaces/shop/secrets/database";

/// No value of the tests, in plain text or in base64, may be seen anywhere.
fn assert_hidden(what: &str, text: &str) {
    for value in ["correct-horse", "battery-staple", "by-hand-value", "from-base64"] {
        let encoded = STANDARD.encode(value);
        let start = encoded.trim_end_matches('=').get(..12).unwrap_or(&encoded);
        assert!(!text.contains(value) && !text.contains(start), "{what} has {value}:\n{text}");
    }
}

fn files(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files(&path);
        } else {
            assert_hidden(&path.display().to_string(), &String::from_utf8_lossy(&fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn secrets_of_manifests_are_in_the_cluster_and_nowhere_else() {
    let world = Provider::new(STACK);
    world.sandbox(200);
    let manifests = |password: &str| {
        let folder = world.path().join("own/chart");
        fs::create_dir_all(&folder).unwrap();
        let encoded = STANDARD.encode("from-base64");
        let text = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: database, namespace: shop, labels: {{a: b}}}}\n\
             type: Opaque\nstringData: {{password: {password}}}\ndata: {{user: {encoded}}}\n"
        );
        fs::write(folder.join("all.yaml"), text).unwrap();
    };
    let ran = |args: &[&str], code: i32| {
        let ended = world.run(&[args, &["--sandbox", "-vv"]].concat()).with(code);
        assert_hidden(&args.join(" "), &format!("{}{}", ended.out, ended.err));
        ended
    };
    let data = |password: &str| json!({"password": STANDARD.encode(password), "user": STANDARD.encode("from-base64")});
    let live = || kubernetes(&world, SECRET, None)["data"].clone();

    manifests("correct-horse");
    ran(&["up", "--yes"], 0);
    assert_eq!(live(), data("correct-horse"));
    ran(&["plan", "--detailed-exitcode"], 0);

    // Another value is a change that is shown without it.
    manifests("battery-staple");
    let plan = ran(&["plan", "--out", "saved"], 0);
    assert!(plan.out.contains("data.password") && !plan.out.contains("data.user"), "{}", plan.out);
    assert_hidden("the saved plan", &fs::read_to_string(world.path().join("saved")).unwrap());
    let change = &ran(&["plan", "--json"], 0).lines("change")[0];
    assert_eq!(change["fields"][0]["new"], "(hidden, another value)", "{change:#}");
    assert_eq!(change["origin"], "file");
    ran(&["up", "--yes", "saved"], 0);
    assert_eq!(live(), data("battery-staple"));
    ran(&["plan", "--detailed-exitcode"], 0);

    // What another person writes into it is told without the value, and taken back with the explicit word.
    kubernetes(&world, SECRET, Some(("kubectl-edit", &json!({"data": data("by-hand-value")}))));
    let plan = ran(&["plan"], 0);
    assert!(plan.out.contains("kubectl-edit") && plan.out.contains("hidden"), "{}{}", plan.out, plan.err);
    ran(&["up", "--yes", "--take-fields", "application/secret/shop/database"], 0);
    assert_eq!(live(), data("battery-staple"));
    ran(&["plan", "--detailed-exitcode"], 0);

    ran(&["state", "pull"], 0);
    // The file itself, and the sandbox's own records, hold the values.
    files(&world.path().join("state"));
    fs::remove_dir_all(world.path().join("own/chart")).unwrap();
    fs::create_dir_all(world.path().join("own/chart")).unwrap();
    ran(&["up", "--yes"], 0);
    assert_eq!(kubernetes(&world, SECRET, None), json!(null));
    ran(&["down", "--yes"], 0);
}

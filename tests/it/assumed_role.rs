//! `roleArn` and `externalId`, with the real binary on the sandbox: every call is made in the role, and a role that does not
//! admit the caller ends the command before anything else is called.

use crate::common::{Ended, Provider};
use serde_json::json;

const ROLE: &str = "arn:aws:iam::123456789012:role/platform";

/// A role that callers of the account may assume with an external ID.
const ASKING: &str = "
trust = {'Effect': 'Allow', 'Principal': {'AWS': 'arn:aws:iam::123456789012:root'}, 'Action': 'sts:AssumeRole',
    'Condition': {'StringEquals': {'sts:ExternalId': 'shop-4711'}}}
document = {'Version': '2012-10-17', 'Statement': [trust]}
client('iam').create_role(RoleName='platform', AssumeRolePolicyDocument=json.dumps(document))
print('{}')";

fn stack(external_id: &str) -> String {
    format!(
        "name: shop\nregion: eu-central-1\nroleArn: {ROLE}\nexternalId: {external_id}\n\
         network: {{zones: 2, nat: none, endpoints: [], flowLogs: false}}\n"
    )
}

#[test]
fn a_stack_is_made_in_its_role() {
    let world = Provider::new(&stack("shop-4711"));
    world.sandbox(600);
    world.boto3(ASKING);
    world.run(&["up", "--sandbox", "--yes"]).with(0);
    let log = world.boto3("print(urllib.request.urlopen(e + '/_ext/log').read().decode())");
    let assumed: Vec<_> =
        log.as_array().unwrap().iter().filter(|call| call["action"] == "AssumeRole").collect();
    assert_eq!(assumed.len(), 1, "all clients share the role's credentials: {assumed:?}");
    assert_eq!((&assumed[0]["resource"], &assumed[0]["status"]), (&json!("provisioner-shop"), &json!(200)));

    world.stack(&stack("shop-4712"));
    let refused = world.run(&["plan", "--sandbox", "--json"]).with(7);
    let error = &refused.lines("error")[0];
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.contains(ROLE) && hint.contains("externalId"), "{error}");
    assert_eq!(error["class"], "credentials", "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("sts:AssumeRole: AccessDenied: User") && !message.contains("Error {"),
        "{error}"
    );
}

#[test]
fn a_token_names_the_role_to_kubectl() {
    let world = Provider::new(&stack("shop-4711"));
    world.sandbox(600);
    world.boto3(ASKING);
    let token = |args: &[&str], code: i32| {
        let named = ["token", "--cluster", "shop", "--region", "eu-central-1", "--sandbox"];
        world.run(&[&named[..], args].concat()).with(code)
    };
    token(&["--role-arn", ROLE, "--external-id", "shop-4711"], 0);
    token(&["--role-arn", ROLE], 7);
}

#[test]
fn a_profile_of_aws_login_is_understood() {
    let world = Provider::new("name: shop\nregion: eu-central-1\nnetwork: {nat: none}\n");
    let config = world.path().join("config");
    std::fs::write(&config, "[profile me]\nlogin_session = arn:aws:iam::123456789012:user/me\n").unwrap();
    let mut plan = world.command(&["plan", "--json"]);
    plan.env("AWS_CONFIG_FILE", &config).env("AWS_PROFILE", "me");
    let ended = Ended::of(&plan.output().unwrap()).with(7);
    let error = &ended.lines("error")[0];
    // The login of this profile is looked for in its folder, and there is none.
    assert!(error["message"].as_str().unwrap().contains("login/cache"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("aws login"), "{error}");
}

//! Jobs and CronJobs of manifests: a hook's Job runs before the workloads, again with each image, and a failed one stops what
//! follows; a CronJob is not waited for.

use crate::common::{Ended, Provider, cluster_objects::kubernetes};
use serde_json::Value;
use std::fs;

const STACK: &str = "name: shop\nregion: eu-central-1\nnetwork: {zones: 2, nat: single, flowLogs: false}\n\
    cluster: {addons: [{name: metrics-server, enabled: false}]}\n\
    nodeGroups: [{name: default, instanceTypes: [t3.large], min: 2, max: 2}]\n\
    app: {ingress: none, manifests: own, namespace: shop, replicas: 1, maxReplicas: 1}\n";

const JOB: &str = "/apis/batch/v1/namespaces/shop/jobs/migrate";
const CRON_JOB: &str = "/apis/batch/v1/namespaces/shop/cronjobs/nightly";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/web";

fn manifests(world: &Provider, code: &str, greeting: &str) {
    let pod = |name: &str, code: &str| {
        format!(
            "{{restartPolicy: Never, containers: [{{name: {name}, image: '${{image}}', command: [/usr/bin/python3, -c, \"{code}\"]}}]}}"
        )
    };
    let text = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n---\n\
         apiVersion: batch/v1\nkind: Job\nmetadata: {{name: migrate, annotations: {{helm.sh/hook: 'pre-install,pre-upgrade'}}}}\n\
         spec: {{backoffLimit: 0, template: {{spec: {}}}}}\n---\n\
         apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: nightly}}\n\
         spec: {{schedule: '0 3 30 2 *', jobTemplate: {{spec: {{template: {{spec: {}}}}}}}}}\n---\n\
         apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\n\
         spec: {{replicas: 1, selector: {{matchLabels: {{app: web}}}}, template: {{metadata: {{labels: {{app: web}}}}, spec: \
         {{containers: [{{name: web, image: '${{image}}', env: [{{name: GREETING, value: {greeting}}}], \
         readinessProbe: {{httpGet: {{path: /, port: 8000}}, periodSeconds: 2}}}}]}}}}}}\n",
        pod("migrate", code),
        pod("nightly", "print()")
    );
    let folder = world.path().join("own/app");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("all.yaml"), text).unwrap();
}

/// Where in the run a step reached a state.
fn place(ended: &Ended, address: &str, state: &str) -> usize {
    let steps = ended.lines("step");
    let found = steps.iter().position(|step| step["address"] == address && step["state"] == state);
    found.unwrap_or_else(|| panic!("{address} never {state}: {}", ended.out))
}

#[test]
fn a_hook_runs_before_the_workload_and_again_with_each_image() {
    let world = Provider::new(STACK);
    world.sandbox(200);
    manifests(&world, "print('migrated')", "one");
    let up = |code: i32| world.run(&["up", "--sandbox", "--yes", "--json"]).with(code);
    let first = up(0);
    let (job, web) = ("application/job/shop/migrate", "application/deployment/shop/web");
    assert!(place(&first, job, "done") < place(&first, web, "started"), "{}", first.out);
    let live = |path: &str| kubernetes(&world, path, None);
    let ran = live(JOB);
    assert_eq!(ran["status"]["succeeded"], 1, "{ran:#}");
    assert_eq!(live(CRON_JOB)["status"], serde_json::json!({}));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);

    // Another image: the Job's template cannot be changed, so it is deleted and created.
    fs::write(world.path().join("app/data/another"), "content\n").unwrap();
    let plan = world.run(&["plan", "--sandbox", "--json"]).with(0);
    let changes = plan.lines("change");
    let action = |address: &str| {
        let found = changes.iter().find(|change| change["address"] == address);
        found.map(|change| change["action"].clone()).unwrap_or_default()
    };
    assert_eq!(action(job), "replace", "{}", plan.out);
    assert_eq!(action(web), "update", "{}", plan.out);
    let second = up(0);
    assert!(place(&second, job, "done") < place(&second, web, "started"), "{}", second.out);
    let again = live(JOB);
    let image = |object: &Value| object["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert_ne!(again["metadata"]["uid"], ran["metadata"]["uid"]);
    assert_eq!((image(&again), &again["status"]["succeeded"]), (image(&live(DEPLOYMENT)), &1.into()));
    world.run(&["plan", "--sandbox", "--detailed-exitcode"]).with(0);

    // A migration that fails: the pods of the previous version keep running.
    manifests(&world, "raise SystemExit(3)", "two");
    let failed = up(6);
    let errors = failed.lines("error");
    let error =
        errors.iter().find(|error| error["address"] == job).unwrap_or_else(|| panic!("{}", failed.out));
    assert!(error["message"].as_str().unwrap().contains("BackoffLimitExceeded"), "{error:#}");
    let kept = live(DEPLOYMENT);
    assert_eq!(kept["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"], "one", "{kept:#}");
    world.run(&["down", "--sandbox", "--yes"]).with(0);
}

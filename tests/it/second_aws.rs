//! Without `--sandbox`, against AWS implementations of others, as PyPI has them: moto and ministack. What each answers
//! unlike AWS is in one table, with its repair (`tests/second_aws/differences.py`); a difference without use fails.

use super::common::{
    Ended, Provider, boto3,
    image::{Ends, skipped},
    try_environment,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const UNITS: &str = "name: rep\nregion: eu-central-1\ntags: {team: one}\nrepositories: [{name: rep/web}]\n\
    parameters: [{name: /rep/message, value: hello}]\n";
const NETWORK: &str = "name: net\nregion: eu-central-1\ntags: {team: one}\nnetwork: {zones: 2}\n";
const CLUSTER: &str = "name: clu\nregion: eu-central-1\ntags: {team: one}\nnetwork: {zones: 2}\ncluster: {}\n\
    nodeGroups: [{name: default}]\n";

/// What pip says if it reaches no index.
const UNREACHABLE: &[&str] =
    &["connection broken by", "ConnectionError", "ReadTimeout", "ProxyError", "Network is unreachable"];

/// The repository and the parameter.
const SEEN_UNITS: &str = "
ecr, ssm = client('ecr'), client('ssm')
found = ecr.describe_repositories()['repositories']
tags = [tag for one in found for tag in ecr.list_tags_for_resource(resourceArn=one['repositoryArn'])['tags']]
print(json.dumps({
    'repositories': [one['repositoryName'] for one in found],
    'teams': [tag['Value'] for tag in tags if tag['Key'] == 'team'],
    'values': [one['Value'] for one in ssm.get_parameters(Names=['/rep/message'])['Parameters']],
}))";

/// How many resources of the network there are, and their teams.
const SEEN_NETWORK: &str = "
ec2 = client('ec2')
tags = lambda one: {tag['Key']: tag['Value'] for tag in one.get('Tags', [])}
lists = [
    *ec2.describe_vpcs()['Vpcs'], *ec2.describe_subnets()['Subnets'], *ec2.describe_nat_gateways()['NatGateways'],
    *ec2.describe_vpc_endpoints()['VpcEndpoints'], *ec2.describe_route_tables()['RouteTables'],
    *ec2.describe_flow_logs()['FlowLogs'], *ec2.describe_internet_gateways()['InternetGateways'],
]
found = [one for one in lists if tags(one).get('provisioner:stack') == 'net' and one.get('State', '').lower() != 'deleted']
names = ['FlowLogId', 'NatGatewayId', 'VpcEndpointId', 'SubnetId', 'RouteTableId', 'InternetGatewayId', 'VpcId']
kinds = [next(name for name in names if name in one) for one in found]
print(json.dumps({
    'kinds': {kind: kinds.count(kind) for kind in sorted(set(kinds))},
    'teams': sorted({tags(one).get('team', 'none') for one in found}),
}))";

/// An emulator behind its repairs, which ends with this value.
struct Emulator {
    url: String,
    /// Without repairs.
    bare: String,
    process: Ends,
    _folder: tempfile::TempDir,
}

impl Emulator {
    fn start(python: &Path, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut serve = Command::new(python);
        serve.arg("-B").arg(root().join("tests/second_aws/serve.py")).arg(name).current_dir(folder.path());
        serve.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        serve.env("HOME", folder.path()).env("TMPDIR", folder.path());
        serve.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap());
        let mut process = Ends(serve.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let urls = line.trim().split_once(' ');
        let (url, bare) = urls.unwrap_or_else(|| panic!("{}", fs::read_to_string(&log).unwrap()));
        Emulator { url: url.to_owned(), bare: bare.to_owned(), process, _folder: folder }
    }

    fn run(&self, world: &Provider, args: &[&str]) -> Ended {
        run_at(&self.url, world, args)
    }

    /// From `plan` to the end of the backend, with a tag that changes; `seen` is Python that prints what exists.
    fn journey(&self, stack: &str, seen: &str, exists: &Value, gone: &Value) {
        let world = Provider::new(stack);
        let run = |args: &[&str]| self.run(&world, args).with(0);
        names(run(&["plan"]), 0, &[" to create"]);
        assert_eq!(boto3(&self.url, seen), *gone);
        run(&["up", "--yes", "--timeout", "600s"]);
        assert_eq!(boto3(&self.url, seen), *exists);
        run(&["plan", "--detailed-exitcode"]);

        world.stack(&stack.replace("team: one", "team: two"));
        run(&["up", "--yes", "--timeout", "600s"]);
        let mut moved = exists.clone();
        moved["teams"] = json!(["two"]);
        assert_eq!(boto3(&self.url, seen), moved);
        run(&["plan", "--detailed-exitcode"]);
        names(run(&["status"]), 0, &["last run: "]);

        run(&["down", "--yes", "--timeout", "600s"]);
        assert_eq!(boto3(&self.url, seen), *gone);
        run(&["down", "--backend", "--yes", "--timeout", "600s"]);
        let backend = "print(json.dumps([client('s3').list_buckets()['Buckets'], client('dynamodb').list_tables()['TableNames']]))";
        assert_eq!(boto3(&self.url, backend), json!([[], []]));
    }

    fn journeys(&self) {
        let exists = json!({"repositories": ["rep/web"], "teams": ["one"], "values": ["hello"]});
        let gone = json!({"repositories": [], "teams": [], "values": []});
        self.journey(UNITS, SEEN_UNITS, &exists, &gone);
        let kinds = json!({"FlowLogId": 1, "InternetGatewayId": 1, "NatGatewayId": 1, "RouteTableId": 3, "SubnetId": 4,
            "VpcEndpointId": 1, "VpcId": 1});
        let exists = json!({"kinds": kinds, "teams": ["one"]});
        self.journey(NETWORK, SEEN_NETWORK, &exists, &json!({"kinds": {}, "teams": []}));
    }

    /// The clusters that boto3 finds, and the providers of their identities.
    fn clusters(&self) -> Value {
        boto3(
            &self.url,
            "providers = client('iam').list_open_id_connect_providers()['OpenIDConnectProviderList']\n\
             print(json.dumps([client('eks').list_clusters()['clusters'], len(providers)]))",
        )
    }

    /// Every difference of the table was met, so that none outlives the fault that it repairs.
    fn needed_every_repair(mut self) {
        let repairs = boto3(&self.url, "print(urllib.request.urlopen(e + '/_repairs').read().decode())");
        assert_eq!(repairs["unused"], json!([]), "no longer needed: remove them from the table");
        assert!(self.process.0.try_wait().unwrap().is_none());
    }
}

fn run_at(url: &str, world: &Provider, args: &[&str]) -> Ended {
    let mut command = world.command(args);
    command.env("AWS_ENDPOINT_URL", url).env("AWS_REGION", "eu-central-1");
    command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("PROVISIONER_MYIP", "203.0.113.7");
    Ended::of(&command.output().unwrap())
}

/// Asserts that a program ended with this code and named all of these.
#[track_caller]
fn names(ended: Ended, code: i32, texts: &[&str]) {
    let ended = ended.with(code);
    let all = format!("{}{}", ended.out, ended.err);
    for text in texts {
        assert!(all.contains(text), "no `{text}` in:\n{all}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python that has both emulators; `None` without PyPI, which CI must reach.
fn python() -> Option<PathBuf> {
    match try_environment("second-aws", "tests/second_aws/requirements.txt") {
        Ok(python) => Some(python),
        Err(error) if UNREACHABLE.iter().any(|text| error.contains(text)) => {
            skipped("PyPI cannot be reached");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn stacks_are_created_and_deleted_on_moto() {
    let Some(python) = python() else { return };
    let emulator = Emulator::start(&python, "moto");
    emulator.journeys();

    let world = Provider::new(CLUSTER);
    let page = "it begins with `<!doctype html>";
    names(
        run_at(&emulator.bare, &world, &["plan"]),
        1,
        &["cannot read the answer, HTTP status 404", page, "call: eks:DescribeClusterVersions"],
    );
    names(emulator.run(&world, &["plan"]), 0, &["42 to create"]);
    let targets = ["cluster/eks", "cluster/oidc-provider", "cluster/launch-template/default"];
    let targets = targets.iter().flat_map(|target| ["--target", *target]);
    let up: Vec<&str> = ["up", "--yes", "--timeout", "600s"].into_iter().chain(targets).collect();
    emulator.run(&world, &up).with(0);
    assert_eq!(emulator.clusters(), json!([["clu"], 1]));
    // The rest needs add-ons and access entries, which moto does not have.
    names(emulator.run(&world, &["plan", "--detailed-exitcode"]), 2, &["\n30 to create ·"]);
    names(
        emulator.run(&world, &["down", "--yes", "--timeout", "600s"]),
        1,
        &["cannot read the answer, HTTP status 404", page, "call: eks:ListAccessEntries"],
    );
    assert_eq!(emulator.clusters(), json!([["clu"], 1]));
    // Whatever cannot be read is named, with what was expected.
    names(
        run_at(&emulator.bare, &world, &["status"]),
        1,
        &["call: s3:GetBucketVersioning", "expected VersioningConfiguration", "GetBucketVersioningResponse"],
    );
    emulator.needed_every_repair();
}

#[test]
fn stacks_are_created_and_deleted_on_ministack() {
    let Some(python) = python() else { return };
    let emulator = Emulator::start(&python, "ministack");
    emulator.journeys();

    let world = Provider::new(CLUSTER);
    names(
        run_at(&emulator.bare, &world, &["plan"]),
        1,
        &[
            "No route for GET /cluster-versions",
            "call: eks:DescribeClusterVersions answered InvalidRequestException",
        ],
    );
    names(emulator.run(&world, &["plan"]), 0, &["41 to create"]);
    // The cluster is created, and ministack does not keep its VPC.
    names(
        emulator.run(&world, &["up", "--yes", "--timeout", "600s", "--target", "cluster/eks"]),
        6,
        &[
            "error: cluster/eks: AWS created it with another `vpc` than asked for: \"vpc-00000000\" instead of \"vpc-",
        ],
    );
    assert_eq!(emulator.clusters(), json!([["clu"], 0]));
    names(
        emulator.run(&world, &["down", "--yes", "--timeout", "600s"]),
        1,
        &[
            "No route for GET /clusters/clu/fargate-profiles",
            "call: eks:ListFargateProfiles answered InvalidRequest",
        ],
    );
    emulator.needed_every_repair();
}

#[test]
fn the_documentation_shows_the_table_of_differences() {
    let mut python = Command::new("python3");
    let output = python.arg("-B").arg(root().join("tests/second_aws/differences.py")).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let rows = |text: &str| text.lines().filter(|line| line.starts_with('|')).map(str::to_owned).collect();
    let documentation = fs::read_to_string(root().join("docs/TESTING.md")).unwrap();
    let section = documentation.split("\n## AWS by others\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let (shown, wanted): (Vec<String>, Vec<String>) = (rows(section), rows(&table));
    assert_eq!(
        shown, wanted,
        "write what `python3 tests/second_aws/differences.py` prints into docs/TESTING.md"
    );
}

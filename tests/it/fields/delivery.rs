//! What runs on the cluster needs of AWS: repositories, roles of service accounts, parameters, controllers, the application.

use super::case::{Case, Group, case};

const BASE: &str = "
name: fields
region: eu-central-1
tags: {team: platform}
network: {zones: 2, flowLogs: false}
fargateOnly: true
cluster: {deletionProtection: false}
repositories:
  - {name: fields/web, immutableTags: true, scanOnPush: true, keepImages: 30}
  - {name: fields/jobs}
serviceAccounts:
  - name: web
    namespace: demo
    podIdentity: false
    policyArns: [arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess]
    statements:
      - actions: [sqs:SendMessage]
        resources: ['arn:aws:sqs:eu-central-1:123456789012:orders']
        effect: Allow
        conditions: {StringEquals: {aws:ResourceTag/team: platform}}
  - {name: named, namespace: demo}
  - {name: spaced, namespace: demo}
parameters:
  - {name: /fields/message, value: hello}
  - {name: /fields/other, value: hello}
  - {name: /fields/from-env, secret: {env: FIRST}}
  - {name: /fields/from-file, secret: {file: first.txt}}
controllers: {clusterAutoscaler: false}
app: {parameter: /fields/message, ingress: none, platforms: [linux/amd64], replicas: 0}
";

const BEFORE: &str = "
key = shared_key()
print(json.dumps({'KEY': key}))";

pub fn group() -> Group {
    let mut cases = images();
    cases.extend(accounts());
    cases.extend(parameters());
    cases.extend(application());
    Group {
        base: BASE,
        before: BEFORE,
        files: &[
            ("first.txt", "first file"),
            ("second.txt", "second file"),
            (
                "other/Dockerfile",
                "FROM registry.invalid/tests/base:1@sha256:c756291ee1300fbbe15b1197f52ef9e6c3350c647d43f284f56cbc4f5913d350\n\
                 COPY . /app\nCMD [\"/bin/other\"]\n",
            ),
        ],
        environment: &[("FIRST", "one"), ("SECOND", "two")],
        cases,
    }
}

fn images() -> Vec<Case> {
    vec![
        case("repositories[1].name", "fields/batch")
            .plan(&["create cluster/repository/fields/batch", "delete cluster/repository/fields/jobs"])
            .aws("[n for n in repositories() if n in ('fields/jobs', 'fields/batch')]", "[fields/batch]"),
        case("repositories[0].immutableTags", "false")
            .plan(&["update cluster/repository/fields/web immutableTags=false"])
            .aws("repository('fields/web')['imageTagMutability']", "MUTABLE"),
        case("repositories[0].scanOnPush", "false")
            .plan(&["update cluster/repository/fields/web scanOnPush=false"])
            .aws("repository('fields/web')['imageScanningConfiguration']['scanOnPush']", "false"),
        case("repositories[0].keepImages", "50")
            .plan(&["update cluster/repository/fields/web lifecycle"])
            .aws("kept('fields/web')", "[50]"),
        case("tags.team", "blue")
            .plan_has(&[
                "update cluster/repository/fields/web tags.team=blue",
                "update cluster/parameter/fields/message tags.team=blue",
                "update cluster/parameter/fields/from-env tags.team=blue",
                "update cluster/service-account/demo/web tags.team=blue",
                "update cluster/fargate-profile/kube-system tags.team=blue",
                "update cluster/fargate-role tags.team=blue",
            ])
            .aws("untagged('blue')", "[]"),
    ]
}

fn accounts() -> Vec<Case> {
    let inline = "update cluster/service-account/demo/web inline";
    vec![
        case("serviceAccounts[1].name", "renamed")
            .plan(&["create cluster/service-account/demo/renamed", "delete cluster/service-account/demo/named"])
            .aws("['demo-named' in r for r in roles() if 'named' in r]", "[false]"),
        case("serviceAccounts[2].namespace", "space")
            .plan(&["create cluster/service-account/space/spaced", "delete cluster/service-account/demo/spaced"])
            .aws(
                "[v for v in trust('sa-space-spaced')['Condition']['StringEquals'].values() if 'system' in v]",
                "['system:serviceaccount:space:spaced']",
            ),
        case("serviceAccounts[0].policyArns", "['arn:aws:iam::aws:policy/AmazonSQSReadOnlyAccess']")
            .plan(&["update cluster/service-account/demo/web managed=['arn:aws:iam::aws:policy/AmazonSQSReadOnlyAccess']"])
            .aws("managed('sa-demo-web')", "[AmazonSQSReadOnlyAccess]"),
        case("serviceAccounts[0].statements[0].actions", "['sqs:ReceiveMessage']")
            .plan(&[inline])
            .aws("statement('sa-demo-web')['Action']", "['sqs:ReceiveMessage']"),
        case("serviceAccounts[0].statements[0].resources", "['arn:aws:sqs:eu-central-1:123456789012:other']")
            .plan(&[inline])
            .aws("statement('sa-demo-web')['Resource']", "['arn:aws:sqs:eu-central-1:123456789012:other']"),
        case("serviceAccounts[0].statements[0].effect", "Deny")
            .plan(&[inline])
            .aws("statement('sa-demo-web')['Effect']", "Deny"),
        case("serviceAccounts[0].statements[0].conditions.StringEquals", "{aws:ResourceTag/team: blue}")
            .plan(&[inline])
            .aws("statement('sa-demo-web')['Condition']['StringEquals']", "{aws:ResourceTag/team: blue}"),
        case("controllers.clusterAutoscaler", "true")
            .plan(&["create cluster/service-account/kube-system/cluster-autoscaler"])
            .aws("'sa-kube-system-cluster-autoscaler' in roles()", "true"),
        case("controllers.loadBalancerController", "true")
            .plan(&["create cluster/service-account/kube-system/aws-load-balancer-controller"])
            .aws("'sa-kube-system-aws-load-balancer-controller' in roles()", "true"),
    ]
}

fn parameters() -> Vec<Case> {
    vec![
        case("parameters[1].name", "/fields/another")
            .plan(&["create cluster/parameter/fields/another", "delete cluster/parameter/fields/other"])
            .aws("parameter('/fields/another')", "hello"),
        case("parameters[0].value", "goodbye")
            .plan(&["update cluster/parameter/fields/message value=goodbye"])
            .aws("parameter('/fields/message')", "goodbye"),
        case("parameters[2].secret.env", "SECOND")
            .plan(&["update cluster/parameter/fields/from-env value"])
            .aws("parameter('/fields/from-env')", "two"),
        case("parameters[2].secret.env", "NOWHERE").refused("NOWHERE"),
        case("parameters[3].secret.file", "second.txt")
            .plan(&["update cluster/parameter/fields/from-file value"])
            .aws("parameter('/fields/from-file')", "second file"),
        case("parameters[0]", "{name: /fields/message, secret: {env: FIRST}}")
            .plan(&["update cluster/parameter/fields/message secret=true", "update cluster/parameter/fields/message key"])
            .aws_in(2, "ssm.get_parameter(Name='/fields/message')['Parameter']['Type']", "SecureString")
            // Its history is kept: it was not deleted.
            .aws_in(2, "len(ssm.get_parameter_history(Name='/fields/message')['Parameters']) > 1", "true"),
        case("encryption", "{keyArn: '${KEY}'}")
            .plan_has(&[
                "delete network/key",
                "update cluster/parameter/fields/from-env key=${KEY}",
                "replace cluster/repository/fields/web key=${KEY}",
                "replace cluster/eks key=${KEY}",
                "replace cluster/fargate-profile/kube-system cluster",
                "update cluster/service-account/demo/web trust",
            ])
            .aws_in(2, "repository('fields/web')['encryptionConfiguration']['kmsKey']", "${KEY}")
            .aws_in(
                2,
                "[p['KeyId'] for p in ssm.describe_parameters()['Parameters'] if p['Name'] == '/fields/from-env']",
                "['${KEY}']",
            ),
    ]
}

fn application() -> Vec<Case> {
    vec![
        case("app.repository", "fields/demo")
            .plan(&[
                "create cluster/repository/fields/demo",
                "delete cluster/repository/fields/app",
                "update application/image repository=fields/demo",
                "update application/image registry",
            ])
            .aws("[n for n in repositories() if n in ('fields/app', 'fields/demo')]", "[fields/demo]"),
        case("app.path", "other")
            .plan(&["update application/image content"])
            .aws("(image('fields/demo') or {}).get('config', {}).get('Cmd')", "[/bin/other]"),
        case("app.platforms", "[linux/arm64]")
            .plan(&["update application/image content"])
            .aws("(image('fields/demo') or {}).get('architecture')", "arm64"),
        case("app.builder", "dockerfile").plan(&["update application/image content"]),
        case("app.namespace", "shop")
            .plan(&[
                "create cluster/service-account/shop/demo-application",
                "delete cluster/service-account/demo-application/demo-application",
                "create cluster/fargate-profile/shop",
                "delete cluster/fargate-profile/demo-application",
            ])
            .aws("profiles()", "[kube-system, shop]"),
        case("app.release", "v2")
            .plan(&[
                "create cluster/service-account/demo-application/v2",
                "delete cluster/service-account/demo-application/demo-application",
            ])
            .aws(
                "[r for r in roles() if r in ('sa-shop-v2', 'sa-demo-application-demo-application')]",
                "[sa-shop-v2]",
            ),
        case("app.parameter", "/fields/other")
            .plan(&["update cluster/service-account/demo-application/demo-application inline"])
            .aws("statement('sa-shop-v2', 'parameter')['Resource'].split('parameter')[1]", "/fields/other"),
        case("app.ingress", "alb")
            .plan(&["create cluster/service-account/kube-system/aws-load-balancer-controller"]),
        case("app.ingress", "alb").and("controllers.loadBalancerController", "false").plan(&[]),
        case("app.rollback", "false").plan(&[]),
        case("app.ingress", "nlb")
            .plan(&["create cluster/service-account/kube-system/aws-load-balancer-controller"])
            .aws_in(2, "'sa-kube-system-aws-load-balancer-controller' in roles()", "true"),
    ]
}

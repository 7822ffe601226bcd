//! AWS resources that workloads use: ECR repositories, SSM parameters and IAM roles for service accounts.

use super::{
    addresses::{
        app_repository, cluster_name, eks, key_arn, load_balancer_controller, parameter_address, provider,
        repository_address, role_name,
    },
    controller_images::copy_repositories,
    controllers,
    graph_builder::GraphBuilder,
    graph_context::Context,
    iam_policies,
    roles::role,
};
use crate::{
    model::{Address, SecretSource, partition},
    resources::{
        ecr_repository, eks_cluster, iam_role, oidc_provider, pod_identity_association, ssm_parameter,
    },
    stack::{
        Stack,
        delivery::{Parameter, Repository, ServiceAccount, Statement, StatementEffect},
    },
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How long an untagged image is kept, in days.
const UNTAGGED_DAYS: u32 = 7;

/// Adds the repositories, parameters and roles.
pub(super) fn delivery(build: &mut GraphBuilder<'_>, stack: &Stack, context: &Context) {
    for found in repositories(stack) {
        repository(build, stack, &found);
    }
    for found in &stack.parameters {
        parameter(build, stack, found);
    }
    if stack.cluster.is_some() {
        accounts(build, stack, context);
    }
}

/// Returns the repositories of the file, of the applications, and of copied controller images.
pub(super) fn repositories(stack: &Stack) -> Vec<Repository> {
    let mut all = stack.repositories.clone();
    let filled = stack.apps.iter().filter(|app| app.fills_repository());
    let own = filled.map(|app| app_repository(stack, app));
    for name in own.chain(copy_repositories(stack)) {
        if !all.iter().any(|repository| repository.name == name) {
            all.push(Repository { name, immutable_tags: true, scan_on_push: true, keep_images: 30 });
        }
    }
    all
}

fn repository(build: &mut GraphBuilder<'_>, stack: &Stack, repository: &Repository) {
    let address = repository_address(&repository.name);
    let lifecycle = json!({"rules": [
        {
            "rulePriority": 1,
            "description": format!("Untagged images go after {UNTAGGED_DAYS} days"),
            "selection": {
                "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days",
                "countNumber": UNTAGGED_DAYS,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            "description": format!("The newest {} tagged images stay", repository.keep_images),
            "selection": {
                "tagStatus": "tagged", "tagPatternList": ["*"], "countType": "imageCountMoreThan",
                "countNumber": repository.keep_images,
            },
            "action": {"type": "expire"},
        },
    ]});
    let spec = ecr_repository::Spec {
        name: repository.name.clone(),
        immutable_tags: repository.immutable_tags,
        scan_on_push: repository.scan_on_push,
        key: key_arn(stack),
        lifecycle,
        tags: build.tags(&address),
    };
    build.add(&address, &spec);
}

fn parameter(build: &mut GraphBuilder<'_>, stack: &Stack, parameter: &Parameter) {
    let address = parameter_address(&parameter.name);
    let secret = parameter.secret.as_ref().map(|secret| match (&secret.env, &secret.file) {
        (Some(name), _) => SecretSource::Env(name.clone()),
        (None, file) => SecretSource::File(file.clone().unwrap_or_default()),
    });
    let key = secret.is_some().then(|| key_arn(stack));
    let content = match secret {
        Some(secret) => ssm_parameter::ContentSpec::SecretSource(secret),
        None => ssm_parameter::ContentSpec::Plain(parameter.value.clone().unwrap_or_default()),
    };
    let spec = ssm_parameter::Spec { name: parameter.name.clone(), content, key, tags: build.tags(&address) };
    build.add(&address, &spec);
}

/// A service account and the policies of its role.
struct Account {
    namespace: String,
    name: String,
    pod_identity: bool,
    target_role: Option<String>,
    managed: Vec<String>,
    inline: BTreeMap<String, Value>,
}

fn accounts(build: &mut GraphBuilder<'_>, stack: &Stack, context: &Context) {
    let mut all: Vec<Account> = stack.service_accounts.iter().map(from_file).collect();
    if stack.controllers.cluster_autoscaler {
        let policy = controllers::autoscaler(&stack.region, &context.account, &stack.name);
        grant(&mut all, "kube-system", "cluster-autoscaler", "autoscaler", policy);
    }
    if load_balancer_controller(stack) {
        let policy = controllers::load_balancers(&stack.region, &stack.name);
        grant(&mut all, "kube-system", "aws-load-balancer-controller", "load-balancers", policy);
    }
    for app in &stack.apps {
        let Some(parameter) = &app.parameter else { continue };
        let policy = controllers::read_parameter(&stack.region, &context.account, parameter);
        grant(&mut all, &app.namespace, app.release(), "parameter", policy);
    }
    for account in all {
        add(build, stack, context, account);
    }
}

fn from_file(account: &ServiceAccount) -> Account {
    let statements: Vec<Value> = account.statements.iter().map(statement).collect();
    let inline =
        (!statements.is_empty()).then(|| ("statements".to_owned(), iam_policies::document(statements)));
    // Pod Identity assumes the target role in the name of the service account's own.
    // Source: <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-assign-target-role.html>
    let chained = account.target_role_arn.as_ref().filter(|_| account.pod_identity);
    let target = chained.map(|arn| {
        let assume =
            json!({"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": arn});
        ("target-role".to_owned(), iam_policies::document(vec![assume]))
    });
    Account {
        namespace: account.namespace.clone(),
        name: account.name.clone(),
        pod_identity: account.pod_identity,
        managed: account.policy_arns.clone(),
        target_role: account.target_role_arn.clone(),
        inline: inline.into_iter().chain(target).collect(),
    }
}

fn statement(statement: &Statement) -> Value {
    let effect = match statement.effect {
        StatementEffect::Allow => "Allow",
        StatementEffect::Deny => "Deny",
    };
    let mut value = json!({"Effect": effect, "Action": statement.actions, "Resource": statement.resources});
    if let (false, Some(map)) = (statement.conditions.is_empty(), value.as_object_mut()) {
        map.insert("Condition".to_owned(), json!(statement.conditions));
    }
    value
}

/// Adds an inline policy to a service account: to the file's, if it lists this one, or else to a new one.
fn grant(all: &mut Vec<Account>, namespace: &str, name: &str, policy_name: &str, policy: Value) {
    let mine = all.iter_mut().find(|it| it.namespace == namespace && it.name == name);
    if let Some(account) = mine {
        account.inline.insert(policy_name.to_owned(), policy);
        return;
    }
    all.push(Account {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        pod_identity: false,
        target_role: None,
        managed: Vec::new(),
        inline: BTreeMap::from([(policy_name.to_owned(), policy)]),
    });
}

fn add(build: &mut GraphBuilder<'_>, stack: &Stack, context: &Context, account: Account) {
    let (namespace, name) = (&account.namespace, &account.name);
    let address = Address::new(format!("cluster/service-account/{namespace}/{name}"));
    let cluster = format!(
        "arn:{}:eks:{}:{}:cluster/{}",
        partition(&stack.region),
        stack.region,
        context.account,
        stack.name
    );
    let (trust, given) = if account.pod_identity {
        (iam_policies::pod_identity_trust(&context.account, &cluster, namespace, name), BTreeMap::new())
    } else {
        let given = BTreeMap::from([
            ("provider".to_owned(), oidc_provider::ARN.of(&provider())),
            ("issuer".to_owned(), eks_cluster::ISSUER_HOST.of(&eks())),
        ]);
        (iam_policies::web_identity_trust(namespace, name), given)
    };
    role(
        build,
        stack,
        &address,
        iam_role::Spec {
            name: role_name(stack, &format!("sa-{namespace}-{name}")),
            description: format!("Service account {namespace}/{name} in cluster {}", stack.name),
            trust,
            given,
            inline: account.inline,
            managed: account.managed,
            ..iam_role::Spec::default()
        },
    );
    if account.pod_identity {
        let at = Address::new(format!("cluster/pod-identity/{namespace}/{name}"));
        let spec = pod_identity_association::Spec {
            cluster: cluster_name(stack),
            namespace: namespace.clone(),
            service_account: name.clone(),
            role: iam_role::ARN.of(&address),
            target_role: account.target_role.clone(),
            tags: build.tags(&at),
        };
        build.add_after(&at, &spec, &[&eks()]);
    }
}

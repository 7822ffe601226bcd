//! Validates the sections `repositories`, `serviceAccounts` and `parameters`, and calls the validation of `app`.

use super::{
    findings::{DNS_LABEL_HINT, Findings, is_arn, is_dns_label, made_of},
    types::File,
    validate_app,
};

/// Validates these sections.
pub fn check(file: &File, findings: &mut Findings<'_>) {
    delivery(file, findings);
    validate_app::check(file, findings);
}

fn delivery(file: &File, findings: &mut Findings<'_>) {
    let repositories = file.repositories.as_deref().unwrap_or_default();
    for (index, repository) in repositories.iter().enumerate() {
        let path = format!("repositories[{index}]");
        let name = &repository.name;
        let part = |part: &str| {
            !part.is_empty()
                && part.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-'))
                && part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.ends_with(|c: char| c.is_ascii_alphanumeric())
        };
        let sound = (2..=256).contains(&name.len()) && name.split('/').all(part);
        let hint = "use 2 to 256 lowercase letters and digits, separated by `.`, `_`, `-` or `/`";
        let name_path = format!("{path}.name");
        findings.valid(sound, &name_path, "repository name", name, hint);
        let unique = !repositories.iter().take(index).any(|other| other.name == *name);
        findings.unique(unique, &name_path, "repository", name);
        let keep = repository.keep_images;
        findings.range(&format!("{path}.keepImages"), keep.into(), 1..=u16::MAX.into(), "images");
    }
    let accounts = file.service_accounts.as_deref().unwrap_or_default();
    for (index, account) in accounts.iter().enumerate() {
        let path = format!("serviceAccounts[{index}]");
        let (name, namespace) = (&account.name, &account.namespace);
        let name_path = format!("{path}.name");
        findings.valid(is_dns_label(name), &name_path, "service account name", name, DNS_LABEL_HINT);
        let namespace_path = format!("{path}.namespace");
        findings.valid(is_dns_label(namespace), &namespace_path, "namespace", namespace, DNS_LABEL_HINT);
        let twice = accounts
            .iter()
            .take(index)
            .any(|other| (&other.name, &other.namespace) == (&account.name, &account.namespace));
        let shown = (findings.shown(&namespace_path, namespace), findings.shown(&name_path, name));
        let message = format!("duplicate service account \"{}/{}\"", shown.0, shown.1);
        findings.check(!twice, &path, message, "merge the two entries");
        if let Some(arn) = &account.target_role_arn {
            let path = format!("{path}.targetRoleArn");
            let sound = is_arn(arn, "iam") && arn.contains(":role/");
            findings.valid(
                sound,
                &path,
                "IAM role ARN",
                arn,
                "such as `arn:aws:iam::210987654321:role/shop`",
            );
        }
        for (index, arn) in account.policy_arns.iter().enumerate() {
            findings.valid(
                is_arn(arn, "iam"),
                &format!("{path}.policyArns[{index}]"),
                "IAM policy ARN",
                arn,
                "such as `arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess`",
            );
        }
        for (index, statement) in account.statements.iter().enumerate() {
            let path = format!("{path}.statements[{index}]");
            findings.check(
                !statement.actions.is_empty() && !statement.resources.is_empty(),
                &path,
                "`actions` and `resources` must not be empty",
                "add at least one of each",
            );
        }
    }
    let parameters = file.parameters.as_deref().unwrap_or_default();
    for (index, parameter) in parameters.iter().enumerate() {
        let path = format!("parameters[{index}]");
        let name = &parameter.name;
        let sound = name.starts_with('/') && name.len() > 1 && made_of(name, "/_.-") && !name.contains("//");
        let name_path = format!("{path}.name");
        let hint = "start with `/` and use letters, digits and `/_.-`, such as `/shop/message`";
        findings.valid(sound, &name_path, "SSM parameter name", name, hint);
        let lower = name.to_ascii_lowercase();
        let message = format!("reserved SSM parameter name {}", findings.quoted(&name_path, name));
        findings.check(
            !lower.starts_with("/aws") && !lower.starts_with("/ssm"),
            &name_path,
            message,
            "use a name that does not start with `/aws` or `/ssm`",
        );
        let unique = !parameters.iter().take(index).any(|other| other.name == *name);
        findings.unique(unique, &name_path, "SSM parameter", name);
        findings.check(
            parameter.value.is_some() != parameter.secret.is_some(),
            &path,
            "exactly one of `value` and `secret` is required",
            "keep one; `secret: {env: NAME}` keeps the value out of the file",
        );
        if let Some(secret) = &parameter.secret {
            findings.check(
                secret.env.is_some() != secret.file.is_some(),
                &format!("{path}.secret"),
                "exactly one of `env` and `file` is required",
                "keep one",
            );
        }
    }
}

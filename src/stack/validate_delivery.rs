//! Checks of what runs on the cluster, and of what it may reach.

use super::{
    types::File,
    validate::{Findings, is_arn, made_of},
};

/// A name as Kubernetes has it for most things (RFC 1123 label).
fn is_label(text: &str) -> bool {
    let chars = text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'));
    (1..=63).contains(&text.len()) && chars && !text.starts_with('-') && !text.ends_with('-')
}

const LABEL: &str = "small letters, digits and `-`, beginning and ending with a letter or digit; 63 at most";

/// All that is wrong with these sections.
pub fn check(file: &File, found: &mut Findings<'_>) {
    delivery(file, found);
    application(file, found);
}

fn delivery(file: &File, found: &mut Findings<'_>) {
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
        found.check(
            sound,
            &format!("{path}.name"),
            "this is no name of a repository",
            "small letters and digits, with `.`, `_`, `-` and `/` between them",
        );
        found.check(
            !repositories.iter().take(index).any(|other| other.name == *name),
            &format!("{path}.name"),
            format!("there are two repositories `{name}`"),
            "remove one of the two",
        );
        found.check(
            repository.keep_images >= 1,
            &format!("{path}.keepImages"),
            "at least one image is kept",
            "",
        );
    }
    let accounts = file.service_accounts.as_deref().unwrap_or_default();
    for (index, account) in accounts.iter().enumerate() {
        let path = format!("serviceAccounts[{index}]");
        found.check(
            is_label(&account.name),
            &format!("{path}.name"),
            "this is no name of a service account",
            LABEL,
        );
        found.check(
            is_label(&account.namespace),
            &format!("{path}.namespace"),
            "this is no name of a namespace",
            LABEL,
        );
        let twice = accounts
            .iter()
            .take(index)
            .any(|other| (&other.name, &other.namespace) == (&account.name, &account.namespace));
        found.check(!twice, &path, "this service account is named twice", "put both into one entry");
        for (index, arn) in account.policy_arns.iter().enumerate() {
            found.check(
                is_arn(arn, "iam"),
                &format!("{path}.policyArns[{index}]"),
                "this is no ARN of a policy",
                "such as `arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess`",
            );
        }
        for (index, statement) in account.statements.iter().enumerate() {
            let path = format!("{path}.statements[{index}]");
            found.check(
                !statement.actions.is_empty() && !statement.resources.is_empty(),
                &path,
                "a statement needs actions and resources",
                "",
            );
        }
    }
    let parameters = file.parameters.as_deref().unwrap_or_default();
    for (index, parameter) in parameters.iter().enumerate() {
        let path = format!("parameters[{index}]");
        let name = &parameter.name;
        let sound = name.starts_with('/') && name.len() > 1 && made_of(name, "/_.-") && !name.contains("//");
        found.check(
            sound,
            &format!("{path}.name"),
            "this is no name of a parameter",
            "such as `/shop/message`",
        );
        let lower = name.to_ascii_lowercase();
        found.check(
            !lower.starts_with("/aws") && !lower.starts_with("/ssm"),
            &format!("{path}.name"),
            "names that begin with `/aws` and `/ssm` are AWS's own",
            "",
        );
        found.check(
            !parameters.iter().take(index).any(|other| other.name == *name),
            &format!("{path}.name"),
            format!("there are two parameters `{name}`"),
            "remove one of the two",
        );
        found.check(
            parameter.value.is_some() != parameter.secret.is_some(),
            &path,
            "either `value` or `secret` is needed",
            "`secret: {env: NAME}` keeps a value out of the file",
        );
        if let Some(secret) = &parameter.secret {
            found.check(
                secret.env.is_some() != secret.file.is_some(),
                &format!("{path}.secret"),
                "either `env` or `file` is needed",
                "",
            );
        }
    }
}

fn application(file: &File, found: &mut Findings<'_>) {
    let Some(app) = &file.app else { return };
    for (field, path) in [("path", &app.path), ("manifests", &app.manifests)] {
        let sound = !path.is_empty() && !path.starts_with('/') && !path.split('/').any(|part| part == "..");
        found.check(
            sound,
            &format!("app.{field}"),
            "this must be a folder below the stack file's",
            "such as `app`",
        );
    }
    found.check(is_label(&app.namespace), "app.namespace", "this is no name of a namespace", LABEL);
    found.check(is_label(&app.release), "app.release", "this is no name of a Deployment", LABEL);
    found.check(app.port >= 1, "app.port", "a port is a number from 1 to 65535", "");
    for name in app.env.keys() {
        let head = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        found.check(
            head && made_of(name, "_"),
            &format!("app.env.{name}"),
            format!("`{name}` is no name of a variable"),
            "letters, digits and `_`",
        );
    }
    let parameter = app.parameter.as_deref().unwrap_or("/");
    found.check(parameter.starts_with('/'), "app.parameter", "a parameter's name begins with `/`", "");
    found.check(
        app.platforms.as_ref().is_none_or(|platforms| !platforms.is_empty()),
        "app.platforms",
        "an image needs a platform",
        "",
    );
}

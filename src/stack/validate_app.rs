//! Validates the section `app`, and each application of `apps`.

use super::{
    app_settings::HealthCheck,
    delivery::{App, Ingress},
    deserializer::nearest,
    findings::{DNS_LABEL_HINT, Findings, is_arn, is_dns_label, made_of},
    types::File,
    validate_apps::{existing_image, several},
};
use crate::model::partition;

/// The variable that the Deployment sets itself.
const PORT_VARIABLE: &str = "PORT";

/// Validates these sections.
pub fn check(file: &File, findings: &mut Findings<'_>) {
    several(file, findings);
    for (at, app) in file.applications() {
        application(file, &at, app, findings);
    }
}

/// Validates one application, which stands at the path `at` in the file.
fn application(file: &File, at: &str, app: &App, findings: &mut Findings<'_>) {
    for (field, path) in [("path", &app.path), ("manifests", &app.manifests)] {
        let sound = !path.is_empty() && !path.starts_with('/') && !path.split('/').any(|part| part == "..");
        let field = format!("{at}.{field}");
        let message =
            format!("must be a directory below the stack file (got {})", findings.quoted(&field, path));
        findings.check(sound, &field, message, "such as `app`");
    }
    let namespace = &app.namespace;
    let path = format!("{at}.namespace");
    findings.valid(is_dns_label(namespace), &path, "namespace", namespace, DNS_LABEL_HINT);
    if let Some(release) = &app.release {
        let path = format!("{at}.release");
        findings.valid(is_dns_label(release), &path, "Deployment name", release, DNS_LABEL_HINT);
    }
    findings.range(&format!("{at}.port"), app.port.into(), 1..=u16::MAX.into(), "");
    let parameter = app.parameter.as_deref().unwrap_or("/");
    let hint = "start with `/`, such as `/shop/message`";
    let path = format!("{at}.parameter");
    findings.valid(parameter.starts_with('/'), &path, "SSM parameter name", parameter, hint);
    findings.check(
        app.platforms.as_ref().is_none_or(|platforms| !platforms.is_empty()),
        &format!("{at}.platforms"),
        "must not be empty",
        "list at least one platform, such as `linux/amd64`",
    );
    existing_image(file, at, app, findings);
    pods(at, app, findings);
    environment(file, at, app, findings);
    entrance(file, at, app, findings);
}

fn pods(at: &str, app: &App, findings: &mut Findings<'_>) {
    if let Some(max) = app.max_replicas {
        let message = format!(
            "must be at least `replicas` (maxReplicas {}, replicas {})",
            findings.shown(&format!("{at}.maxReplicas"), max),
            app.replicas
        );
        findings.check(
            max >= u32::from(app.replicas),
            &format!("{at}.maxReplicas"),
            message,
            "raise `maxReplicas`; if it equals `replicas`, the number of pods is not adjusted to the load",
        );
        findings.check(
            i32::try_from(max).is_ok(),
            &format!("{at}.maxReplicas"),
            format!(
                "must be at most {} (got {})",
                i32::MAX,
                findings.shown(&format!("{at}.maxReplicas"), max)
            ),
            "",
        );
    }
    if let Some(command) = &app.command {
        let sound = command.first().is_some_and(|program| !program.is_empty());
        let hint = "such as `[gunicorn, \"shop:app\"]`, or remove `command` to run that of the image";
        findings.check(sound, &format!("{at}.command"), "must begin with a program", hint);
    }
    let health = &app.health;
    for (field, check) in [("startup", &health.startup), ("live", &health.live), ("ready", &health.ready)] {
        let HealthCheck::Path(path) = check else { continue };
        let sound = path.starts_with('/') && path.len() <= 1024 && path.chars().all(|c| c.is_ascii_graphic());
        let hint =
            "use a path that starts with `/` and has no spaces, such as `/health/live`, or `tcp` or `none`";
        findings.valid(sound, &format!("{at}.health.{field}"), "health check", path, hint);
    }
    resources(at, app, findings);
}

/// Source of the smallest amount of CPU:
/// <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#meaning-of-cpu>
fn resources(at: &str, app: &App, findings: &mut Findings<'_>) {
    const MILLI: u128 = 1_000_000;
    const WHOLE: u128 = 1_000 * MILLI;
    let resources = &app.resources;
    let cpu = resources.cpu.billionths();
    let sound = cpu.is_some_and(|cpu| cpu > 0 && cpu % MILLI == 0);
    let hint = "use thousandths of a CPU, such as `100m`, `0.5` or `2`";
    findings.valid(sound, &format!("{at}.resources.cpu"), "quantity of CPU", &resources.cpu.0, hint);
    let mut bytes = |field: &str, text: &str, value: Option<u128>| {
        let sound = value.is_some_and(|value| value > 0 && value % WHOLE == 0);
        let hint = match text.strip_suffix('m') {
            Some(number) => format!("`m` means thousandths of a byte; did you mean `{number}Mi`?"),
            None => "use bytes, such as `128Mi` or `1Gi`".to_owned(),
        };
        findings.valid(sound, &format!("{at}.resources.{field}"), "quantity of memory", text, &hint);
        value.filter(|_| sound)
    };
    let (memory, limit) = (&resources.memory, &resources.memory_limit);
    let reserved = bytes("memory", &memory.0, memory.billionths());
    let most = bytes("memoryLimit", &limit.0, limit.billionths());
    if let (Some(reserved), Some(most)) = (reserved, most) {
        let message = format!(
            "must be at least `memory` (memoryLimit {}, memory {})",
            findings.shown(&format!("{at}.resources.memoryLimit"), &limit.0),
            findings.shown(&format!("{at}.resources.memory"), &memory.0)
        );
        let hint = "raise `memoryLimit`, or lower `memory`";
        findings.check(most >= reserved, &format!("{at}.resources.memoryLimit"), message, hint);
    }
}

fn environment(file: &File, at: &str, app: &App, findings: &mut Findings<'_>) {
    let names =
        app.env.keys().map(|name| ("env", name)).chain(app.secrets.keys().map(|name| ("secrets", name)));
    for (field, name) in names {
        let head = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        findings.check(
            head && made_of(name, "_"),
            &format!("{at}.{field}.{name}"),
            "invalid environment variable name",
            "use letters, digits and `_`, not starting with a digit",
        );
    }
    let parameters = file.parameters.as_deref().unwrap_or_default();
    for (name, parameter) in &app.secrets {
        let path = format!("{at}.secrets.{name}");
        findings.check(
            !app.env.contains_key(name),
            &path,
            format!("environment variable `{name}` is also in `{at}.env`"),
            "remove one of the two",
        );
        findings.check(
            name != PORT_VARIABLE,
            &path,
            format!("environment variable `{PORT_VARIABLE}` is set to `{at}.port`"),
            "use another name",
        );
        if parameters.iter().any(|known| known.name == *parameter) {
            continue;
        }
        let near = nearest(parameter, parameters.iter().map(|known| known.name.as_str()));
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "add it to `parameters`; only parameters of this file can be read".to_owned(),
        };
        let message = format!("SSM parameter {} is not in `parameters`", findings.quoted(&path, parameter));
        findings.add(&path, message, hint);
    }
}

fn entrance(file: &File, at: &str, app: &App, findings: &mut Findings<'_>) {
    if !app.hosts.is_empty() && app.ingress != Ingress::Alb {
        let why = match app.ingress {
            Ingress::Nlb => "a Network Load Balancer forwards connections and does not see the host name",
            Ingress::Alb | Ingress::None => "without a load balancer no host name is forwarded",
        };
        let message = format!("`hosts` requires `ingress: alb`: {why}");
        findings.add(&format!("{at}.hosts"), message, "remove `hosts`, or set `ingress: alb`");
    }
    for (index, host) in app.hosts.iter().enumerate() {
        let path = format!("{at}.hosts[{index}]");
        let hint = "use lowercase labels separated by `.`, such as `shop.example.com` or `*.example.com`";
        findings.valid(is_host(host), &path, "host name", host, hint);
        let unique = !app.hosts.iter().take(index).any(|other| other == host);
        findings.unique(unique, &path, "host name", host);
    }
    if let Some(arn) = &app.certificate_arn {
        certificate(file, at, app, arn, findings);
    }
}

/// Returns whether a text is a host name (RFC 1123) that an Application Load Balancer takes: of at most 128 characters with
/// a dot among them. The first label may be `*`.
/// Source: <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html#host-conditions>
fn is_host(text: &str) -> bool {
    let labels = text.strip_prefix("*.").unwrap_or(text);
    let numeric = labels.rsplit('.').next().is_some_and(|last| last.chars().all(|c| c.is_ascii_digit()));
    text.len() <= 128 && text.contains('.') && labels.split('.').all(is_dns_label) && !numeric
}

/// A load balancer takes only certificates of its own region and account.
/// Source: <https://docs.aws.amazon.com/acm/latest/userguide/acm-regions.html>
fn certificate(file: &File, at: &str, app: &App, arn: &str, findings: &mut Findings<'_>) {
    let path = &format!("{at}.certificateArn");
    if app.ingress == Ingress::None {
        findings.add(
            path,
            "`certificateArn` requires a load balancer, and `ingress` is `none`",
            "remove `certificateArn`, or set `ingress` to `alb` or `nlb`",
        );
    }
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let (&[_, of, _, region, account, resource], true) = (&parts[..], is_arn(arn, "acm")) else {
        let hint = "such as `arn:aws:acm:eu-central-1:123456789012:certificate/...`";
        return findings.valid(false, path, "ACM certificate ARN", arn, hint);
    };
    let id = resource.strip_prefix("certificate/").unwrap_or_default();
    let digits = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
    let hint = "such as `arn:aws:acm:eu-central-1:123456789012:certificate/...`";
    findings.valid(digits && !id.is_empty() && made_of(id, "-"), path, "ACM certificate ARN", arn, hint);
    let (here, wanted) = (&file.region, partition(&file.region));
    let got = findings.quoted(path, arn);
    let hint = "request or import the certificate in this region";
    findings.check(
        region == here && of == wanted,
        path,
        format!("must be a certificate of the partition {wanted} in the stack's region {here} (got {got})"),
        hint,
    );
    if let Some(owner) = file.account.as_ref().filter(|owner| *owner != account) {
        let message = format!("must be a certificate of the stack's account {owner} (got {got})");
        findings.add(path, message, "request or import the certificate in this account");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_those_of_rfc_1123() {
        for name in
            ["shop.example.com", "*.example.com", "a.b", "1.example.com", "xn--bcher-kva.example", "*.com"]
        {
            assert!(is_host(name), "{name}");
        }
        let long = format!("{}.com", ["a"; 64].join("."));
        for name in [
            "",
            "shop",
            "*",
            "a.*.com",
            "Shop.example.com",
            "-a.example.com",
            "a..b",
            "a.b.",
            ".a.b",
            "a_b.com",
            "203.0.113.7",
            "a.b/c",
            "a.b:80",
            "*.*.example.com",
            &long,
        ] {
            assert!(!is_host(name), "{name}");
        }
    }
}

//! Validates the applications as a whole: their names, what two of them share, and images that exist already.

use super::{
    delivery::{App, Ingress},
    findings::{DNS_LABEL_HINT, Findings, is_dns_label},
    types::{File, Nat},
};
use crate::model::ImageReference;

/// Validates the list `apps`, and what two applications must not share.
pub fn several(file: &File, findings: &mut Findings<'_>) {
    if file.app.is_some() && file.apps.is_some() {
        let hint = "move `app` into the list, with a `name`";
        findings.add("apps", "conflicts with `app`", hint);
    }
    if file.app.as_ref().is_some_and(|app| app.name.is_some()) {
        let hint = "remove `name`, or write `apps: [{name: ...}]` instead of `app`";
        findings.add("app.name", "`name` is allowed only in `apps`", hint);
    }
    let apps = file.apps.as_deref().unwrap_or_default();
    for (index, app) in apps.iter().enumerate() {
        let (at, before) = (format!("apps[{index}]"), apps.get(..index).unwrap_or_default());
        let Some(name) = &app.name else {
            findings.add(&at, "`name` is required", "add a name, such as `name: web`");
            continue;
        };
        let path = format!("{at}.name");
        findings.valid(is_dns_label(name), &path, "application name", name, DNS_LABEL_HINT);
        let unique = !before.iter().any(|other| other.name.as_ref() == Some(name));
        findings.unique(unique, &path, "application", name);
        if !unique {
            continue;
        }
        let same = |other: &&App| (&other.namespace, other.release()) == (&app.namespace, app.release());
        if before.iter().find(same).is_some() {
            let shown = findings.shown(&format!("{at}.release"), app.release());
            let message = format!("duplicate release \"{shown}\" in namespace \"{}\"", app.namespace);
            findings.add(&at, message, "set `release` or `namespace` of one of the two");
        }
        hosts(&at, app, before, findings);
    }
}

/// Each host leads to one application. Where applications share a load balancer, those with wildcards come after the
/// others, so that a wildcard must not cover a host of another application that has wildcards, too.
fn hosts(at: &str, app: &App, before: &[App], findings: &mut Findings<'_>) {
    for (index, host) in app.hosts.iter().enumerate() {
        let path = format!("{at}.hosts[{index}]");
        for other in before {
            let name = other.name.as_deref().unwrap_or_default();
            if other.hosts.contains(host) {
                let message =
                    format!("host {} also leads to application `{name}`", findings.quoted(&path, host));
                findings.add(&path, message, "keep it in one of the two");
            } else if app.has_wildcard()
                && other.has_wildcard()
                && let Some(cover) = other.hosts.iter().find(|it| covers(it, host) || covers(host, it))
            {
                let shown = findings.quoted(&path, host);
                let message = format!("host {shown} overlaps with \"{cover}\" of application `{name}`");
                let hint = "give the application with the exact host no wildcard, so that it comes first";
                findings.add(&path, message, hint);
            }
        }
    }
}

/// Returns whether a host with a wildcard covers another host.
fn covers(wide: &str, host: &str) -> bool {
    wide.strip_prefix('*').is_some_and(|end| end.starts_with('.') && host.ends_with(end) && host != wide)
}

/// Validates `image` and `copy` of an application.
pub fn existing_image(file: &File, at: &str, app: &App, findings: &mut Findings<'_>) {
    let Some(image) = &app.image else {
        let message = "`copy` requires `image`";
        findings.check(!app.copy, &format!("{at}.copy"), message, "add `image`, or remove `copy`");
        return;
    };
    for field in ["path", "builder", "platforms"] {
        let path = format!("{at}.{field}");
        if findings.has(&path) {
            let message = "conflicts with `image`: an image that exists is not built";
            findings.add(&path, message, format!("remove `{field}` or `image`"));
        }
    }
    let path = format!("{at}.image");
    if findings.has(&format!("{at}.repository")) && !app.copy {
        let message = "has no effect without `copy`: pods get the image from its own registry";
        findings.add(&format!("{at}.repository"), message, "remove `repository`, or set `copy: true`");
    }
    let reference = ImageReference::parse(image);
    let hint = "such as `ghcr.io/acme/shop:1.2` or `ghcr.io/acme/shop@sha256:...`";
    findings.valid(reference.is_some(), &path, "image reference", image, hint);
    let here = reference.and_then(|it| it.ecr()).is_some_and(|home| home.region == file.region);
    let closed = file.network.as_ref().is_some_and(|it| it.existing.is_none() && it.nat == Nat::None);
    if closed && !here && !app.copy {
        let message = format!(
            "with `nat: none`, nodes reach no registry but ECR in {}, and not that of {}",
            file.region,
            findings.quoted(&path, image)
        );
        findings.add(&path, message, "set `copy: true` to copy the image into the stack's ECR");
    }
}

impl App {
    /// Returns whether a host begins with a wildcard.
    pub fn has_wildcard(&self) -> bool {
        self.hosts.iter().any(|host| host.starts_with("*."))
    }

    /// Returns whether the application shares its load balancer with others: an Application Load Balancer tells
    /// applications apart by their hosts.
    pub fn shares_balancer(&self) -> bool {
        self.name.is_some() && self.ingress == Ingress::Alb && !self.hosts.is_empty()
    }
}

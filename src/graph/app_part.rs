//! Which application a resource of the stack belongs to.

use super::addresses::{APP_IMAGE, SECRET_ENVIRONMENT};
use crate::{
    model::{Address, Desired as _},
    resources::{image, manifest, secret_environment},
    stack::delivery::App,
};
use serde_json::Value;

/// The part of objects that belong to the only application, or to several together.
pub const SHARED_PART: &str = "app";

/// Returns the part of the stack that the objects of an application form.
pub fn part(app: &App) -> String {
    app.name.as_ref().map_or_else(|| SHARED_PART.to_owned(), |name| format!("{SHARED_PART}/{name}"))
}

/// Returns whether objects of a part belong to an application.
pub fn is_application_part(part: &str) -> bool {
    part == SHARED_PART || part.strip_prefix(SHARED_PART).is_some_and(|rest| rest.starts_with('/'))
}

/// Returns whether a recorded resource belongs to applications; with `name`, to this application alone.
pub fn is_of_application(address: &Address, kind: &str, spec: &Value, name: Option<&str>) -> bool {
    let below = |base: &str| match name {
        Some(name) => {
            address.as_str().strip_prefix(base).and_then(|rest| rest.strip_prefix('/')) == Some(name)
        }
        None => address.is_within(base),
    };
    match kind {
        image::Spec::KIND => below(APP_IMAGE),
        secret_environment::Spec::KIND => below(SECRET_ENVIRONMENT),
        manifest::Spec::KIND => {
            let part = spec.get("part").and_then(Value::as_str).unwrap_or_default();
            match name {
                Some(name) => part.strip_prefix("app/") == Some(name),
                None => is_application_part(part),
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_several_applications_share_belongs_to_none_alone() {
        let of = |address: &str, kind: &str, part: &str, name: Option<&str>| {
            is_of_application(&address.into(), kind, &json!({"part": part}), name)
        };
        for (part, all, web) in [
            ("app", true, false),
            ("app/web", true, true),
            ("app/worker", true, false),
            ("own", false, false),
        ] {
            let address = "application/deployment/shop/web";
            assert_eq!(of(address, "manifest", part, None), all, "{part}");
            assert_eq!(of(address, "manifest", part, Some("web")), web, "{part}");
        }
        assert!(of("application/image", "image", "", None) && of("application/image/web", "image", "", None));
        assert!(of("application/image/web", "image", "", Some("web")));
        assert!(!of("application/image/web2", "image", "", Some("web")));
        assert!(!of("application/copy/cluster-autoscaler", "image", "", None));
        assert!(of("application/secret-environment/web", "secret_environment", "", Some("web")));
        assert!(!of("cluster/eks", "eks_cluster", "", None));
    }
}

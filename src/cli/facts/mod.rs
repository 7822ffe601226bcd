//! What the desired resources depend on beside the file: asked of AWS once, recorded, and asked again only where the
//! file moved.

mod addons;
mod image;
mod manifests;
mod nodes;
mod place;
mod recall;

pub use recall::recall;

use super::{exit::Failure, session::Session};
use crate::{
    aws::{cluster_version, kubernetes_versions, principal},
    graph::{Context, cluster_name, missing_endpoints},
    model::{Class, Snapshot},
    stack::{NEWEST_TESTED, Stack},
};
use serde_json::{Value, json};

/// The state's name for the Kubernetes minor: a newer program must not upgrade a cluster whose file names none.
const VERSION: &str = "kubernetesVersion";

impl Session {
    /// The facts for the desired resources. Remembers in the snapshot what is asked once.
    pub async fn context(&self, snapshot: &mut Snapshot) -> Result<Context, Failure> {
        let zones = self.zones(snapshot).await?;
        let mut context = Context {
            owner: snapshot.owner(),
            account: self.identity.account.clone(),
            shares: Session::shares(snapshot, &zones),
            zones,
            state_folder: self.target.state.display().to_string(),
            image: self.image().await?,
            ..Context::default()
        };
        let Some(cluster) = &self.stack.cluster else { return Ok(context) };
        context.version = self.version(snapshot).await?;
        context.addons = self.addons(snapshot, &context.version).await?;
        context.releases = self.releases(snapshot, &context.version).await?;
        if cluster.admin_caller {
            context.caller = principal(&self.target.clients, &self.identity, &self.stack.region).await?;
        }
        context.my_ip = self.my_ip().await?;
        context.objects = self.objects(&context)?;
        Ok(context)
    }

    /// The Kubernetes minor: the file's, the recorded one, or the newest that was tested.
    async fn version(&self, snapshot: &mut Snapshot) -> Result<String, Failure> {
        let recorded = snapshot.outputs.get(VERSION).and_then(Value::as_str).map(str::to_owned);
        let asked = self.stack.cluster.as_ref().and_then(|cluster| cluster.version.clone());
        // EKS moves a cluster by itself when its version's support ends; a file that names none goes along.
        let moved =
            if asked.is_none() { self.moved_version(snapshot, recorded.as_deref()).await? } else { None };
        let version =
            asked.or(moved).or_else(|| recorded.clone()).unwrap_or_else(|| NEWEST_TESTED.to_owned());
        if recorded.as_ref() != Some(&version) {
            match kubernetes_versions(&self.target.clients).await {
                // A target that is not AWS may not know the call.
                Err(fault) if fault.class == Class::Unsupported => {}
                Err(fault) => return Err(fault.into()),
                Ok(offered) if !offered.is_empty() && !offered.contains(&version) => {
                    let message = format!("EKS does not offer Kubernetes {version} in {}", self.stack.region);
                    let help = Some(format!("it offers {}", offered.join(", ")));
                    return Err(self.stack.diagnostic("cluster.version", message, help).into());
                }
                Ok(_) => {}
            }
            snapshot.outputs.insert(VERSION.to_owned(), json!(version));
        }
        Ok(version)
    }
}

impl Session {
    /// The cluster's own version, where it is later than the one that was chosen for it.
    async fn moved_version(
        &self,
        snapshot: &Snapshot,
        chosen: Option<&str>,
    ) -> Result<Option<String>, Failure> {
        let made = snapshot.resources.values().any(|entry| entry.kind == "eks_cluster");
        let Some(chosen) = chosen.filter(|_| made) else { return Ok(None) };
        let running = cluster_version(&self.target.clients, &cluster_name(&self.stack)).await?;
        let minor = |version: &str| version.rsplit('.').next().and_then(|minor| minor.parse::<u32>().ok());
        Ok(running.filter(|running| minor(running) > minor(chosen)))
    }
}

/// What is wrong with a file that only its parts together show.
pub fn check(stack: &Stack) -> Result<(), Failure> {
    let missing = missing_endpoints(stack);
    if missing.is_empty() {
        return Ok(());
    }
    let message =
        format!("with `nat: none` the stack's parts need more endpoints: {} missing", missing.join(", "));
    let help = Some("add them, or say `endpoints: auto`".to_owned());
    Err(stack.diagnostic("network.endpoints", message, help).into())
}

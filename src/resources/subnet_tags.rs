//! The role tags on a subnet of an existing network (`network.existing`). Nothing else of the subnet is
//! changed.
//!
//! A further tag, the marker, lists the role tags that the stack uses, so that a deletion keeps those that existed
//! before and those that other stacks use ([`role_tags`]).

use super::{
    prelude::*,
    role_tags::{self, Claims, SharedSubnet},
    subnet,
};
use crate::aws::{ec2_list, notice};
use aws_sdk_ec2::types::Tag;

/// Role tags of a subnet that the stack does not own.
pub struct SubnetTags;

/// Desired role tags.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Subnet id, `subnet-0123456789abcdef0`.
    pub subnet: String,
    /// Id of the VPC that the subnet must be in.
    pub vpc: String,
    /// Key of the marker, `provisioner:role-tags/STACK`.
    pub marker: String,
    /// Role tags, such as `kubernetes.io/role/elb: 1`.
    pub roles: Tags,
}

/// Subnet with the role tags that exist on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// Subnet id.
    pub id: String,
    /// Id of the VPC that the subnet is in.
    pub vpc: String,
    /// Name of the availability zone, for the graph of the other resources.
    pub zone: String,
    /// IPv4 block of the subnet.
    pub cidr: String,
    /// Key of the marker.
    pub marker: String,
    /// Keys of the role tags that a stack set, as the marker lists them.
    pub set: Vec<String>,
    /// Role tags that the marker accounts for.
    pub roles: Tags,
    /// Wanted role tags with a value of the owner's that controllers do not accept.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub unusable: Tags,
}

impl Spec {
    /// The key of the marker of a stack.
    pub fn marker_of(stack: &str) -> String {
        role_tags::marker_of(stack)
    }
}

impl Desired for Spec {
    const KIND: &'static str = SubnetTags::KIND;
}

impl Resource for SubnetTags {
    const INFO: KindInfo = KindInfo {
        name: "subnet_tags",
        identity: Identity::Name,
        tagged: false,
        self_marked: true,
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeSubnets"]),
            (IamScope::EC2_WRITE, &["ec2:CreateTags", "ec2:DeleteTags"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        // An owner's value that controllers accept is as good as the wanted one.
        let as_wanted = |(key, value): (&String, &String)| {
            let accepted = want.roles.get(key).filter(|_| role_tags::is_accepted(value));
            (key.clone(), accepted.unwrap_or(value).clone())
        };
        let roles: Tags = live.roles.iter().map(as_wanted).collect();
        Changes::default().fixed("subnet", &want.subnet, &live.id).fixed("vpc", &want.vpc, &live.vpc).mutable(
            "roles",
            &want.roles,
            &roles,
        )
    }

    fn ready(live: &Live) -> Readiness {
        match refusal(&live.id, &live.unusable) {
            Some((why, remedy)) => Readiness::Suspended { why, remedy },
            None => Readiness::Ready,
        }
    }
}

impl Lifecycle for SubnetTags {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let ids: Vec<String> =
            asked.iter().filter_map(|asked| asked.want.as_ref()).map(|w| w.subnet.clone()).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let subnets = subnet::list(cx, vec![filter("subnet-id", ids)]).await?;
        let mut found = Vec::new();
        for asked in asked {
            let Some(want) = &asked.want else { continue };
            let Some(subnet) = subnets.iter().find(|subnet| subnet.id == want.subnet) else {
                // The tags of a deleted subnet no longer exist.
                if asked.recorded.is_some() {
                    continue;
                }
                let message = format!("subnet {} not found in {}", want.subnet, cx.region);
                return Err(CallError::new(ErrorKind::Refused, message)
                    .hint("correct `network.existing` in the stack file"));
            };
            if subnet.vpc != want.vpc {
                let message = format!("subnet {} is in {}, not in {}", want.subnet, subnet.vpc, want.vpc);
                return Err(CallError::new(ErrorKind::Refused, message)
                    .hint("correct `network.existing` in the stack file"));
            }
            let tags = &subnet.tags;
            // A forged record, or a marker that another caller wrote, must not name other tags.
            if want.marker != Spec::marker_of(&cx.owner.stack) {
                continue;
            }
            if !tags.contains_key(&want.marker) {
                continue;
            }
            let shared = SharedSubnet { id: &want.subnet, tags, marker: &want.marker };
            let set = shared.proven(asked.recorded.as_ref().map_or(&[], |recorded| &recorded.set));
            let live = Live {
                id: want.subnet.clone(),
                vpc: subnet.vpc.clone(),
                zone: subnet.zone.clone(),
                cidr: subnet.cidr.clone(),
                marker: want.marker.clone(),
                roles: shared.accounted(&want.roles, &set),
                unusable: shared.unusable(&want.roles, &set),
                set,
            };
            found.push(FoundResource { address: asked.address.clone(), live });
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let tags = tags_of(cx, &want.subnet).await?.unwrap_or_default();
        let shared = SharedSubnet { id: &want.subnet, tags: &tags, marker: &want.marker };
        let proven = shared.proven(&[]);
        // It may have appeared since the plan.
        if let Some((why, remedy)) = refusal(&want.subnet, &shared.unusable(&want.roles, &proven)) {
            return Err(CallError::new(ErrorKind::Refused, why).hint(format!("`{remedy}`")));
        }
        let (claims, mut tags) = shared.settings(&want.roles, &proven);
        tags.insert(want.marker.clone(), role_tags::write_marker(&want.subnet, &want.marker, &claims));
        let call = cx.ec2.create_tags().resources(&want.subnet).set_tags(Some(ec2_list(&tags)));
        let call = call.customize().config_override(signed!(aws_sdk_ec2, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        let Some(tags) = tags_of(cx, &live.id).await? else { return Ok(None) };
        let shared = SharedSubnet { id: &live.id, tags: &tags, marker: &live.marker };
        let (mut claims, roles) = shared.settings(&want.roles, &live.set);
        mark(cx, live, &claims, roles).await?;
        let leaving: Vec<String> =
            claims.keys().filter(|key| !want.roles.contains_key(*key)).cloned().collect();
        if !leaving.is_empty() {
            let Some(tags) = tags_of(cx, &live.id).await? else { return Ok(None) };
            remove(cx, live, &tags, &leaving, false).await?;
            claims.retain(|key, _| want.roles.contains_key(key));
            mark(cx, live, &claims, Tags::new()).await?;
        }
        Ok(None)
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let Some(tags) = tags_of(cx, &live.id).await? else { return Ok(()) };
        let shared = SharedSubnet { id: &live.id, tags: &tags, marker: &live.marker };
        let Some(claims) = shared.leaving(&live.set) else {
            return remove(cx, live, &tags, &live.set, true).await;
        };
        // Another stack may be leaving at the same time: each says so before it looks.
        mark(cx, live, &claims, Tags::new()).await?;
        let Some(tags) = tags_of(cx, &live.id).await? else { return Ok(()) };
        remove(cx, live, &tags, &live.set, true).await
    }
}

/// Returns what is wrong with the first of these tags, and the command that makes it usable.
fn refusal(subnet: &str, unusable: &Tags) -> Option<(String, String)> {
    unusable.first_key_value().map(|(key, value)| role_tags::unusable(subnet, key, value))
}

/// Returns the tags of a subnet; `None` if it does not exist.
async fn tags_of(cx: &Cx, subnet: &str) -> Result<Option<Tags>, CallError> {
    let subnets = subnet::list(cx, vec![filter("subnet-id", vec![subnet.to_owned()])]).await?;
    Ok(subnets.into_iter().next().map(|subnet| subnet.fields.tags))
}

/// Sets the marker together with role tags.
async fn mark(cx: &Cx, live: &Live, claims: &Claims, mut tags: Tags) -> Result<(), CallError> {
    tags.insert(live.marker.clone(), role_tags::write_marker(&live.id, &live.marker, claims));
    let call = cx.ec2.create_tags().resources(&live.id).set_tags(Some(ec2_list(&tags)));
    call.send().await.call().map(drop)
}

/// Deletes those of the role tags `keys` that nothing else uses, and the marker in the same call if it is to go.
///
/// EC2 deletes a tag that is named with a value only if it has that value.
/// Source: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteTags.html>
async fn remove(cx: &Cx, live: &Live, tags: &Tags, keys: &[String], marker: bool) -> Result<(), CallError> {
    let shared = SharedSubnet { id: &live.id, tags, marker: &live.marker };
    if let Some(text) = shared.kept_unread(keys) {
        notice(&text);
    }
    let mut deleted = ec2_list(&shared.deletable(keys));
    deleted.extend(marker.then(|| Tag::builder().key(&live.marker).build()));
    if deleted.is_empty() {
        return Ok(());
    }
    cx.ec2.delete_tags().resources(&live.id).set_tags(Some(deleted)).send().await.gone_is_done()
}

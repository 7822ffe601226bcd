//! The role tags on a subnet of an existing network (`network.existing`). Nothing else of the subnet is
//! changed.
//!
//! A further tag, the marker, lists the role tags that this stack set, so that a deletion keeps tags that
//! existed before.

use super::{prelude::*, subnet};
use crate::aws::ec2_list;
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
    /// Keys of the role tags that this stack set, as the marker lists them.
    pub set: Vec<String>,
    /// Wanted role tags that the subnet has.
    pub roles: Tags,
}

/// What the keys of role tags begin with.
const ROLE: &str = "kubernetes.io/";

impl Spec {
    /// The key of the marker of a stack.
    pub fn marker_of(stack: &str) -> String {
        format!("provisioner:role-tags/{stack}")
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
        Changes::default().fixed("subnet", &want.subnet, &live.id).fixed("vpc", &want.vpc, &live.vpc).mutable(
            "roles",
            &want.roles,
            &live.roles,
        )
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
            let Some(set) = tags.get(&want.marker) else { continue };
            let live = Live {
                id: want.subnet.clone(),
                vpc: subnet.vpc.clone(),
                zone: subnet.zone.clone(),
                cidr: subnet.cidr.clone(),
                marker: want.marker.clone(),
                set: set.split(' ').filter(|key| key.starts_with(ROLE)).map(str::to_owned).collect(),
                roles: tags.clone().into_iter().filter(|(key, _)| want.roles.contains_key(key)).collect(),
            };
            found.push(FoundResource { address: asked.address.clone(), live });
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let subnets = subnet::list(cx, vec![filter("subnet-id", vec![want.subnet.clone()])]).await?;
        let there = subnets.into_iter().next().map(|subnet| subnet.fields.tags).unwrap_or_default();
        let ours: Vec<&str> = want
            .roles
            .iter()
            .filter(|(key, value)| there.get(*key) != Some(value))
            .map(|(key, _)| key.as_str())
            .collect();
        let mut tags: Tags = want.roles.clone();
        tags.insert(want.marker.clone(), ours.join(" "));
        let call = cx.ec2.create_tags().resources(&want.subnet).set_tags(Some(ec2_list(&tags)));
        let call = call.customize().config_override(signed!(aws_sdk_ec2, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        retag(cx, TagTarget::Ec2(&live.id), &want.roles, &live.roles).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let keys = live.set.iter().chain([&live.marker]);
        let tags = keys.map(|key| Tag::builder().key(key).build()).collect();
        let call = cx.ec2.delete_tags().resources(&live.id).set_tags(Some(tags));
        call.send().await.gone_is_done()
    }
}

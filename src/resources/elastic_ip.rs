//! An elastic IP address: the fixed public IPv4 address of a NAT gateway.

use super::prelude::*;
use aws_sdk_ec2::types::{self, DomainType, Filter, ResourceType};

/// Elastic IP address of a VPC: an allocated public IPv4 address.
pub struct ElasticIp;

/// Desired Elastic IP; AWS chooses the address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Wanted tags of the address: those of the stack file, `Name` and the owner tags.
    pub tags: Tags,
}

/// Address as EC2 describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// Allocation id, `eipalloc-0123456789abcdef0`.
    pub id: String,
    /// Public IPv4 address, `203.0.113.7`.
    pub address: String,
    /// Tags that the address has, with those that other programs set.
    pub tags: Tags,
}

/// Field [`Live::id`].
pub const ID: Field = Field::new("id");

identified!(Live);

impl Desired for Spec {
    const KIND: &'static str = ElasticIp::KIND;
}

impl Resource for ElasticIp {
    const INFO: KindInfo = KindInfo {
        name: "elastic_ip",
        identity: Identity::OwnerTag,
        supplies: &[ID],
        typical: Duration::from_secs(3),
        birth_mark: Some("id"),
        blockable: Blockable::ElasticIp,
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeAddresses"]),
            (IamScope::EC2_WRITE, &["ec2:AllocateAddress", "ec2:CreateTags", "ec2:DeleteTags"]),
            (IamScope::EC2_OWN, &["ec2:ReleaseAddress"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default().mutable("tags", &want.tags, &live.tags)
    }

    fn deletion_note(live: &Live) -> Option<String> {
        Some(format!("requests to the internet no longer come from {}", live.address))
    }
}

impl Lifecycle for ElasticIp {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        by_tag(cx, asked, "allocation-id", |filters| list(cx, filters)).await
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let tags = ec2_tags(ResourceType::ElasticIp, &want.tags, intent);
        let call = cx.ec2.allocate_address().domain(DomainType::Vpc).tag_specifications(tags);
        call.customize().config_override(single_shot!(aws_sdk_ec2, intent)).send().await.call()?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        retag(cx, TagTarget::Ec2(&live.id), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        cx.ec2.release_address().allocation_id(&live.id).send().await.gone_is_done()
    }
}

/// Lists addresses; `DescribeAddresses` returns all in one page.
async fn list(cx: &Cx, filters: Vec<Filter>) -> Result<Vec<Live>, CallError> {
    let answer = cx.ec2.describe_addresses().set_filters(Some(filters)).send().await;
    answer.read(|answer| answer.addresses.unwrap_or_default().into_iter().map(live).collect())
}

fn live(address: types::Address) -> Result<Live, MissingField> {
    Ok(Live {
        id: required(address.allocation_id, "allocationId")?,
        address: required(address.public_ip, "publicIp")?,
        tags: from_ec2(address.tags.as_deref()),
    })
}

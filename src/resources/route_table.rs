//! A route table. Its routes and its associations with subnets are separate resources.

use super::prelude::*;
use aws_sdk_ec2::{
    operation::describe_route_tables::DescribeRouteTablesError,
    types::{self, ResourceType},
};

/// Route table of a VPC.
pub struct RouteTable;

/// Desired route table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Id of the VPC.
    pub vpc: In<String>,
    /// Wanted tags of the table: those of the stack file, `Name` and the owner tags.
    pub tags: Tags,
}

/// Route table as EC2 describes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// Route table id, `rtb-0123456789abcdef0`.
    pub id: String,
    /// Id of the VPC.
    pub vpc: String,
    /// Tags that the table has, with those that other programs set.
    pub tags: Tags,
}

/// Field [`Live::id`].
pub const ID: Field = Field::new("id");

identified!(Live);

impl Desired for Spec {
    const KIND: &'static str = RouteTable::KIND;
}

impl Resource for RouteTable {
    const INFO: KindInfo = KindInfo {
        name: "route_table",
        identity: Identity::Token,
        supplies: &[ID],
        birth_mark: Some("id"),
        blockable: Blockable::RouteTable,
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeRouteTables"]),
            (IamScope::EC2_WRITE, &["ec2:CreateRouteTable", "ec2:CreateTags", "ec2:DeleteTags"]),
            (IamScope::EC2_OWN, &["ec2:DeleteRouteTable"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default().fixed("vpc", &want.vpc, &live.vpc).mutable("tags", &want.tags, &live.tags)
    }
}

impl Lifecycle for RouteTable {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let tables = cx.route_tables().await?.iter().map(live).collect::<Result<Vec<_>, _>>();
        let mut tables = tables.map_err(MissingField::in_answer_of::<DescribeRouteTablesError>)?;
        let lost = untagged_ids(asked, &tables);
        if !lost.is_empty() {
            let call = cx.ec2.describe_route_tables().filters(filter("route-table-id", lost)).send().await;
            let more =
                call.read(|answer| answer.route_tables().iter().map(live).collect::<Result<Vec<_>, _>>())?;
            tables.extend(more);
        }
        Ok(addressed(asked, tables))
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .ec2
            .create_route_table()
            .client_token(&intent.token)
            .vpc_id(resolved(&want.vpc, "vpc")?)
            .tag_specifications(ec2_tags(ResourceType::RouteTable, &want.tags, intent));
        let call = call.customize().config_override(signed!(aws_sdk_ec2, intent));
        call.send().await.call().map(drop)
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        retag(cx, TagTarget::Ec2(&live.id), &want.tags, &live.tags).await
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        cx.ec2.delete_route_table().route_table_id(&live.id).send().await.gone_is_done()
    }
}

fn live(table: &types::RouteTable) -> Result<Live, MissingField> {
    Ok(Live {
        id: required(table.route_table_id.clone(), "routeTableId")?,
        vpc: required(table.vpc_id.clone(), "vpcId")?,
        tags: from_ec2(table.tags.as_deref()),
    })
}

/// Finds the table that an input refers to: by its id, or, while the input is not resolved, by the address in
/// its tags.
pub(super) fn find_table<'a>(
    tables: &'a [types::RouteTable],
    input: &In<String>,
) -> Option<&'a types::RouteTable> {
    tables.iter().find(|table| match input {
        In::Known(id) => table.route_table_id.as_ref() == Some(id),
        In::Ref { r#ref, .. } => {
            crate::aws::resource_of(&from_ec2(table.tags.as_deref())).as_ref() == Some(r#ref)
        }
    })
}

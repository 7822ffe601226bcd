//! The association of a subnet with a route table. A subnet has at most one; without one it uses the VPC's
//! main table.

use super::prelude::*;
use aws_sdk_ec2::{
    operation::describe_route_tables::DescribeRouteTablesError,
    types::{self, RouteTable},
};

/// Association of a subnet with a route table.
pub struct RouteTableAssociation;

/// Desired association.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Id of the subnet.
    pub subnet: In<String>,
    /// Id of the route table.
    pub table: In<String>,
}

/// Association as the route table shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// Association id, `rtbassoc-0123456789abcdef0`. Changing the route table creates a new id.
    pub id: String,
    /// Id of the subnet.
    pub subnet: String,
    /// Id of the route table.
    pub table: String,
}

impl Desired for Spec {
    const KIND: &'static str = RouteTableAssociation::KIND;
}

impl Resource for RouteTableAssociation {
    const INFO: KindInfo = KindInfo {
        name: "route_table_association",
        identity: Identity::Name,
        tagged: false,
        part_of: Some(("subnet", "subnet")),
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeRouteTables"]),
            (
                IamScope::EC2_WRITE,
                &[
                    "ec2:AssociateRouteTable",
                    "ec2:ReplaceRouteTableAssociation",
                    "ec2:DisassociateRouteTable",
                ],
            ),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default().fixed("subnet", &want.subnet, &live.subnet).mutable(
            "table",
            &want.table,
            &live.table,
        )
    }
}

impl Lifecycle for RouteTableAssociation {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let tables = cx.route_tables().await?;
        let mut found = Vec::new();
        for asked in asked {
            let wanted = asked.want.as_ref().and_then(|want| want.subnet.known());
            let Some(subnet) = asked.recorded.as_ref().map(|last| &last.subnet).or(wanted) else { continue };
            let mut associations = tables.iter().flat_map(RouteTable::associations);
            let Some(association) = associations.find(|association| {
                let state = association.association_state.as_ref().and_then(|state| state.state.as_ref());
                let leaving = state.is_some_and(|state| state.as_str().starts_with("disassociat"));
                association.subnet_id.as_ref() == Some(subnet) && !leaving
            }) else {
                continue;
            };
            let live = live(association, subnet);
            let live = live.map_err(MissingField::in_answer_of::<DescribeRouteTablesError>)?;
            found.push(FoundResource { address: asked.address.clone(), live });
        }
        Ok(found)
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .ec2
            .associate_route_table()
            .route_table_id(resolved(&want.table, "table")?)
            .subnet_id(resolved(&want.subnet, "subnet")?);
        call.customize().config_override(single_shot!(aws_sdk_ec2, intent)).send().await.call()?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        let table = resolved(&want.table, "table")?;
        let call = cx.ec2.replace_route_table_association().association_id(&live.id).route_table_id(table);
        call.send().await.call().map(|_| None)
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let call = cx.ec2.disassociate_route_table().association_id(&live.id);
        call.send().await.gone_is_done()
    }
}

fn live(association: &types::RouteTableAssociation, subnet: &str) -> Result<Live, MissingField> {
    Ok(Live {
        id: required(association.route_table_association_id.clone(), "routeTableAssociationId")?,
        subnet: subnet.to_owned(),
        table: required(association.route_table_id.clone(), "routeTableId")?,
    })
}

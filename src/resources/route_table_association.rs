//! Which route table a subnet uses. A subnet has one association at most.

use super::{Asked, Found, Lifecycle, handler::given};
use crate::{
    aws::{Call, Cx, gone_is_done, once},
    model::{Changes, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct RouteTableAssociation;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The subnet.
    pub subnet: In<String>,
    /// The route table.
    pub table: In<String>,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// `rtbassoc-...`; another one after each change.
    pub id: String,
    /// The subnet.
    pub subnet: String,
    /// The route table.
    pub table: String,
}

impl Desired for Spec {
    const KIND: &'static str = RouteTableAssociation::KIND;
}

impl Resource for RouteTableAssociation {
    const KIND: &'static str = "route_table_association";
    const IAM: &'static [&'static str] = &[
        "ec2:DescribeRouteTables",
        "ec2:AssociateRouteTable",
        "ec2:ReplaceRouteTableAssociation",
        "ec2:DisassociateRouteTable",
    ];
    const IDENTITY: Identity = Identity::Name;
    const TAGGED: bool = false;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default().fixed("subnet", &want.subnet, &live.subnet).mutable(
            "table",
            &want.table,
            &live.table,
        )
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for RouteTableAssociation {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let tables = cx.route_tables().await?;
        let found = asked.iter().filter_map(|asked| {
            let wanted = asked.want.as_ref().and_then(|want| want.subnet.known());
            let subnet = asked.last.as_ref().map(|last| &last.subnet).or(wanted)?;
            let association =
                tables.iter().flat_map(aws_sdk_ec2::types::RouteTable::associations).find(|association| {
                    let state = association.association_state.as_ref().and_then(|state| state.state.as_ref());
                    let leaving = state.is_some_and(|state| state.as_str().starts_with("disassociat"));
                    association.subnet_id.as_ref() == Some(subnet) && !leaving
                })?;
            let live = Live {
                id: association.route_table_association_id.clone().unwrap_or_default(),
                subnet: subnet.clone(),
                table: association.route_table_id.clone().unwrap_or_default(),
            };
            Some(Found { address: asked.address.clone(), live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx
            .ec2
            .associate_route_table()
            .route_table_id(given(&want.table, "table")?)
            .subnet_id(given(&want.subnet, "subnet")?);
        call.customize()
            .config_override(once!(aws_sdk_ec2, intent))
            .send()
            .await
            .call("ec2", "AssociateRouteTable")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        let table = given(&want.table, "table")?;
        let call = cx.ec2.replace_route_table_association().association_id(&live.id).route_table_id(table);
        call.send().await.call("ec2", "ReplaceRouteTableAssociation")?;
        Ok(())
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        let call = cx.ec2.disassociate_route_table().association_id(&live.id);
        gone_is_done(call.send().await.call("ec2", "DisassociateRouteTable"))
    }
}

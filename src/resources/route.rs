//! One route in a route table. Its destination is unique in the table.

use super::{Asked, Found, Lifecycle, handler::given, route_table::named};
use crate::{
    aws::{Call, Cx, gone_is_done, once},
    model::{Changes, Desired, Fault, Identity, In, Intent, Ready, Resource},
};
use serde::{Deserialize, Serialize};

/// The kind.
pub struct Route;

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The route table.
    pub table: In<String>,
    /// The IPv4 block that it is for.
    pub destination: String,
    /// An internet gateway that it leads to; exactly one of this and `nat` is set.
    pub gateway: Option<In<String>>,
    /// A NAT gateway that it leads to.
    pub nat: Option<In<String>>,
}

/// What is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// The route table.
    pub table: String,
    /// The IPv4 block that it is for.
    pub destination: String,
    /// The internet gateway that it leads to.
    pub gateway: Option<String>,
    /// The NAT gateway that it leads to.
    pub nat: Option<String>,
}

impl Desired for Spec {
    const KIND: &'static str = Route::KIND;
}

impl Resource for Route {
    const KIND: &'static str = "route";
    const IAM: &'static [&'static str] =
        &["ec2:DescribeRouteTables", "ec2:CreateRoute", "ec2:ReplaceRoute", "ec2:DeleteRoute"];
    const IDENTITY: Identity = Identity::Name;
    const TAGGED: bool = false;
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("table", &want.table, &live.table)
            .fixed("destination", &want.destination, &live.destination)
            .mutable("gateway", &want.gateway, &live.gateway)
            .mutable("nat", &want.nat, &live.nat)
    }

    fn ready(_: &Live) -> Ready {
        Ready::Yes
    }
}

impl Lifecycle for Route {
    async fn find(cx: &Cx, asked: &[Asked<Self>]) -> Result<Vec<Found<Live>>, Fault> {
        let tables = cx.route_tables().await?;
        let found = asked.iter().filter_map(|asked| {
            let (input, destination) = match (&asked.last, &asked.want) {
                (Some(last), _) => (In::Known(last.table.clone()), &last.destination),
                (None, Some(want)) => (want.table.clone(), &want.destination),
                (None, None) => return None,
            };
            let table = named(tables, &input)?;
            let route =
                table.routes().iter().find(|r| r.destination_cidr_block.as_ref() == Some(destination))?;
            let live = Live {
                table: table.route_table_id.clone().unwrap_or_default(),
                destination: destination.clone(),
                gateway: route.gateway_id.clone(),
                nat: route.nat_gateway_id.clone(),
            };
            Some(Found { address: asked.address.clone(), live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), Fault> {
        let call = cx
            .ec2
            .create_route()
            .route_table_id(given(&want.table, "table")?)
            .destination_cidr_block(&want.destination)
            .set_gateway_id(target(want.gateway.as_ref())?)
            .set_nat_gateway_id(target(want.nat.as_ref())?);
        call.customize()
            .config_override(once!(aws_sdk_ec2, intent))
            .send()
            .await
            .call("ec2", "CreateRoute")?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<(), Fault> {
        let call = cx
            .ec2
            .replace_route()
            .route_table_id(&live.table)
            .destination_cidr_block(&live.destination)
            .set_gateway_id(target(want.gateway.as_ref())?)
            .set_nat_gateway_id(target(want.nat.as_ref())?);
        call.send().await.call("ec2", "ReplaceRoute")?;
        Ok(())
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), Fault> {
        let call =
            cx.ec2.delete_route().route_table_id(&live.table).destination_cidr_block(&live.destination);
        gone_is_done(call.send().await.call("ec2", "DeleteRoute"))
    }
}

fn target(input: Option<&In<String>>) -> Result<Option<String>, Fault> {
    input.map(|input| given(input, "target").cloned()).transpose()
}

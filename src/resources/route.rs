//! A route in a route table. Its destination is unique in the table.

use super::{prelude::*, route_table::find_table};

/// IPv4 route of a route table.
pub struct Route;

/// Desired route.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Id of the route table.
    pub table: In<String>,
    /// Destination, an IPv4 block such as `0.0.0.0/0`.
    pub destination: String,
    /// Id of the internet gateway that traffic is sent to. Exactly one of this and `nat` is set.
    pub gateway: Option<In<String>>,
    /// Id of the NAT gateway that traffic is sent to.
    pub nat: Option<In<String>>,
}

/// Route as its route table shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Live {
    /// Id of the route table.
    pub table: String,
    /// Destination, an IPv4 block.
    pub destination: String,
    /// Id of the internet gateway that traffic is sent to, if it is one.
    pub gateway: Option<String>,
    /// Id of the NAT gateway that traffic is sent to, if it is one.
    pub nat: Option<String>,
}

impl Desired for Spec {
    const KIND: &'static str = Route::KIND;
}

impl Resource for Route {
    const INFO: KindInfo = KindInfo {
        name: "route",
        identity: Identity::Name,
        tagged: false,
        part_of: Some(("route_table", "table")),
        iam: &[
            (IamScope::EC2_READ, &["ec2:DescribeRouteTables"]),
            (IamScope::EC2_WRITE, &["ec2:CreateRoute", "ec2:ReplaceRoute"]),
            (IamScope::EC2_OWN, &["ec2:DeleteRoute"]),
        ],
        ..KindInfo::DEFAULT
    };
    type Spec = Spec;
    type Live = Live;

    fn diff(want: &Spec, live: &Live) -> Changes {
        Changes::default()
            .fixed("table", &want.table, &live.table)
            .fixed("destination", &want.destination, &live.destination)
            .mutable("gateway", &want.gateway, &live.gateway)
            .mutable("nat", &want.nat, &live.nat)
    }
}

impl Lifecycle for Route {
    async fn find(cx: &Cx, asked: &[TypedLookup<Self>]) -> Result<Vec<FoundResource<Live>>, CallError> {
        let tables = cx.route_tables().await?;
        let found = asked.iter().filter_map(|asked| {
            let (input, destination) = asked.key(
                |last| (In::Known(last.table.clone()), &last.destination),
                |want| (want.table.clone(), &want.destination),
            )?;
            let table = find_table(tables, &input)?;
            let route =
                table.routes().iter().find(|it| it.destination_cidr_block.as_ref() == Some(destination))?;
            let live = Live {
                table: table.route_table_id.clone()?,
                destination: destination.clone(),
                gateway: route.gateway_id.clone(),
                nat: route.nat_gateway_id.clone(),
            };
            Some(FoundResource { address: asked.address.clone(), live })
        });
        Ok(found.collect())
    }

    async fn create(cx: &Cx, want: &Spec, intent: &Intent) -> Result<(), CallError> {
        let call = cx
            .ec2
            .create_route()
            .route_table_id(resolved(&want.table, "table")?)
            .destination_cidr_block(&want.destination)
            .set_gateway_id(if_resolved(want.gateway.as_ref(), "gateway")?)
            .set_nat_gateway_id(if_resolved(want.nat.as_ref(), "nat")?);
        call.customize().config_override(single_shot!(aws_sdk_ec2, intent)).send().await.call()?;
        Ok(())
    }

    async fn sync(cx: &Cx, want: &Spec, live: &Live) -> Result<Option<UpdateId>, CallError> {
        let call = cx
            .ec2
            .replace_route()
            .route_table_id(&live.table)
            .destination_cidr_block(&live.destination)
            .set_gateway_id(if_resolved(want.gateway.as_ref(), "gateway")?)
            .set_nat_gateway_id(if_resolved(want.nat.as_ref(), "nat")?);
        call.send().await.call().map(|_| None)
    }

    async fn delete(cx: &Cx, live: &Live) -> Result<(), CallError> {
        let call =
            cx.ec2.delete_route().route_table_id(&live.table).destination_cidr_block(&live.destination);
        call.send().await.gone_is_done()
    }
}

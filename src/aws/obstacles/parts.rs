//! Parts of the VPC that others created in it, and its connections to other networks.

use super::{
    super::{Call, Clients, GUARDDUTY_TAG, Tags, filter, from_ec2},
    holdings::Holdings,
    obstacle::{Obstacle, created_by},
};
use crate::model::CallError;
use aws_sdk_ec2::types::{
    AttachmentStatus, RouteTable, TransitGatewayAttachmentState, TransitGatewayVpcAttachment, VpcEndpoint,
    VpcPeeringConnection, VpcPeeringConnectionStateReasonCode, VpnState,
};
use std::collections::BTreeSet;

type Answer = (&'static str, Result<Vec<Obstacle>, CallError>);

/// Returns what was found of each type, if the VPC is to be deleted.
pub(super) async fn find(clients: &Clients, holdings: &Holdings) -> Vec<Answer> {
    let Some(vpc) = &holdings.vpc else { return Vec::new() };
    let look = Look { clients, holdings, vpc };
    let (subnets, tables, acls, gateways, egress, vpn, peerings, transit, endpoints) = tokio::join!(
        look.subnets(),
        look.route_tables(),
        look.acls(),
        look.internet_gateways(),
        look.egress_only_gateways(),
        look.vpn_gateways(),
        look.peerings(),
        look.transit_attachments(),
        look.endpoints(),
    );
    vec![
        ("subnets", subnets),
        ("route tables", tables),
        ("network ACLs", acls),
        ("internet gateways", gateways),
        ("egress-only internet gateways", egress),
        ("VPN gateways", vpn),
        ("peering connections", peerings),
        ("transit gateway attachments", transit),
        ("VPC endpoints", endpoints),
    ]
}

/// Returns the subnets of other owners that use a route table.
pub(super) async fn associations(
    clients: &Clients,
    holdings: &Holdings,
    table: &str,
) -> Result<Vec<Obstacle>, CallError> {
    let call = clients.ec2.describe_route_tables().filters(filter("route-table-id", vec![table.to_owned()]));
    let all: Vec<RouteTable> = call.into_paginator().items().send().try_collect().await.call()?;
    Ok(all.iter().flat_map(|table| foreign_associations(table, holdings)).collect())
}

/// One look at a VPC.
struct Look<'a> {
    clients: &'a Clients,
    holdings: &'a Holdings,
    vpc: &'a str,
}

impl Look<'_> {
    fn in_vpc(&self, name: &str) -> aws_sdk_ec2::types::Filter {
        filter(name, vec![self.vpc.to_owned()])
    }

    /// Returns the obstacle, unless it is the stack's or of its cluster.
    fn foreign(
        &self,
        kind: &'static str,
        id: Option<&str>,
        tags: &Tags,
        detail: &str,
        hint: &str,
    ) -> Option<Obstacle> {
        let id = id.filter(|id| !self.holdings.has(id))?;
        if self.holdings.is_of_cluster(tags) {
            return None;
        }
        Some(Obstacle {
            kind,
            id: id.to_owned(),
            name: tags.get("Name").cloned(),
            detail: format!("{detail}{}", created_by(tags)),
            ends: false,
            blocks: [self.vpc.to_owned()].into(),
            hint: hint.replace("{id}", id).replace("{vpc}", self.vpc),
        })
    }

    async fn subnets(&self) -> Result<Vec<Obstacle>, CallError> {
        let call = self.clients.ec2.describe_subnets().filters(self.in_vpc("vpc-id"));
        let all: Vec<_> = call.into_paginator().items().send().try_collect().await.call()?;
        let found = all.iter().filter_map(|it| {
            let cidr = it.cidr_block().unwrap_or_default();
            let hint = "delete it: `aws ec2 delete-subnet --subnet-id {id}`";
            self.foreign("subnet", it.subnet_id(), &from_ec2(Some(it.tags())), cidr, hint)
        });
        Ok(found.collect())
    }

    async fn route_tables(&self) -> Result<Vec<Obstacle>, CallError> {
        let call = self.clients.ec2.describe_route_tables().filters(self.in_vpc("vpc-id"));
        let all: Vec<RouteTable> = call.into_paginator().items().send().try_collect().await.call()?;
        Ok(all.iter().flat_map(|table| self.route_table(table)).collect())
    }

    /// Returns a table of another owner, or the subnets of other owners that use a table of the stack.
    fn route_table(&self, table: &RouteTable) -> Vec<Obstacle> {
        let id = table.route_table_id().unwrap_or_default();
        let main = table.associations().iter().any(|it| it.main == Some(true));
        if !self.holdings.has(id) {
            let hint = "delete it: `aws ec2 delete-route-table --route-table-id {id}`";
            let tags = from_ec2(Some(table.tags()));
            let found = self.foreign("route table", Some(id), &tags, "in the VPC", hint);
            return found.filter(|_| !main).into_iter().collect();
        }
        foreign_associations(table, self.holdings)
    }

    async fn acls(&self) -> Result<Vec<Obstacle>, CallError> {
        let call = self.clients.ec2.describe_network_acls().filters(self.in_vpc("vpc-id"));
        let all: Vec<_> = call.into_paginator().items().send().try_collect().await.call()?;
        let found = all.iter().filter(|it| it.is_default != Some(true)).filter_map(|it| {
            let hint = "delete it: `aws ec2 delete-network-acl --network-acl-id {id}`";
            self.foreign("network ACL", it.network_acl_id(), &from_ec2(Some(it.tags())), "in the VPC", hint)
        });
        Ok(found.collect())
    }

    async fn internet_gateways(&self) -> Result<Vec<Obstacle>, CallError> {
        let call = self.clients.ec2.describe_internet_gateways().filters(self.in_vpc("attachment.vpc-id"));
        let all: Vec<_> = call.into_paginator().items().send().try_collect().await.call()?;
        let found = all.iter().filter_map(|it| {
            let hint =
                "detach it: `aws ec2 detach-internet-gateway --internet-gateway-id {id} --vpc-id {vpc}`";
            let tags = from_ec2(Some(it.tags()));
            self.foreign("internet gateway", it.internet_gateway_id(), &tags, "attached to the VPC", hint)
        });
        Ok(found.collect())
    }

    async fn egress_only_gateways(&self) -> Result<Vec<Obstacle>, CallError> {
        // The call has no filter for the VPC.
        let call = self.clients.ec2.describe_egress_only_internet_gateways();
        let all: Vec<_> = call.into_paginator().items().send().try_collect().await.call()?;
        let here = all.iter().filter(|it| it.attachments().iter().any(|at| at.vpc_id() == Some(self.vpc)));
        let found = here.filter_map(|it| {
            let hint = "delete it: `aws ec2 delete-egress-only-internet-gateway --egress-only-internet-gateway-id {id}`";
            let (id, tags) = (it.egress_only_internet_gateway_id(), from_ec2(Some(it.tags())));
            self.foreign("egress-only internet gateway", id, &tags, "attached to the VPC", hint)
        });
        Ok(found.collect())
    }

    async fn vpn_gateways(&self) -> Result<Vec<Obstacle>, CallError> {
        let call = self.clients.ec2.describe_vpn_gateways().filters(self.in_vpc("attachment.vpc-id"));
        let all = call.send().await.call()?.vpn_gateways.unwrap_or_default();
        let there = all.iter().filter(|it| {
            let here = it.vpc_attachments().iter().filter(|at| at.vpc_id() == Some(self.vpc));
            let detached = Some(&AttachmentStatus::Detached);
            it.state() != Some(&VpnState::Deleted) && here.clone().any(|at| at.state() != detached)
        });
        let found = there.filter_map(|it| {
            let hint = "detach it: `aws ec2 detach-vpn-gateway --vpn-gateway-id {id} --vpc-id {vpc}`";
            let tags = from_ec2(Some(it.tags()));
            let found =
                self.foreign("VPN gateway", it.vpn_gateway_id(), &tags, "attached to the VPC", hint)?;
            let here = it.vpc_attachments().iter().filter(|at| at.vpc_id() == Some(self.vpc));
            let ends = here.clone().all(|at| at.state() != Some(&AttachmentStatus::Attached))
                && here.clone().any(|at| at.state() == Some(&AttachmentStatus::Detaching));
            Some(Obstacle { ends, ..found })
        });
        Ok(found.collect())
    }

    async fn peerings(&self) -> Result<Vec<Obstacle>, CallError> {
        let mut all: Vec<VpcPeeringConnection> = Vec::new();
        for side in ["requester-vpc-info.vpc-id", "accepter-vpc-info.vpc-id"] {
            let call = self.clients.ec2.describe_vpc_peering_connections().filters(self.in_vpc(side));
            let found: Vec<_> = call.into_paginator().items().send().try_collect().await.call()?;
            all.extend(found);
        }
        let found = all.iter().filter(|it| is_active(it)).filter_map(|it| {
            let vpc = |side: Option<&aws_sdk_ec2::types::VpcPeeringConnectionVpcInfo>| {
                side.and_then(|side| side.vpc_id()).unwrap_or("another VPC").to_owned()
            };
            let ends = [vpc(it.requester_vpc_info()), vpc(it.accepter_vpc_info())];
            let other = ends.iter().find(|end| *end != self.vpc).unwrap_or(&ends[0]);
            let hint = "delete it: `aws ec2 delete-vpc-peering-connection --vpc-peering-connection-id {id}`";
            let (id, tags) = (it.vpc_peering_connection_id(), from_ec2(Some(it.tags())));
            let found = self.foreign("peering connection", id, &tags, &format!("with {other}"), hint)?;
            // AWS deletes an active one with the VPC, and refuses to delete the VPC while a request is pending.
            // Source: <https://docs.aws.amazon.com/vpc/latest/peering/delete-vpc-peering-connection.html>
            let pending = it.status().and_then(|status| status.code())
                == Some(&VpcPeeringConnectionStateReasonCode::PendingAcceptance);
            Some(if pending { found } else { Obstacle { blocks: BTreeSet::new(), ..found } })
        });
        Ok(found.collect())
    }

    async fn transit_attachments(&self) -> Result<Vec<Obstacle>, CallError> {
        let call = self.clients.ec2.describe_transit_gateway_vpc_attachments().filters(self.in_vpc("vpc-id"));
        let all: Vec<TransitGatewayVpcAttachment> =
            call.into_paginator().items().send().try_collect().await.call()?;
        let there = all.iter().filter(|it| it.state() != Some(&TransitGatewayAttachmentState::Deleted));
        let found = there.filter_map(|it| {
            let hint = "delete it: `aws ec2 delete-transit-gateway-vpc-attachment --transit-gateway-attachment-id {id}`";
            let to = format!("to {}", it.transit_gateway_id().unwrap_or("a transit gateway"));
            let (id, tags) = (it.transit_gateway_attachment_id(), from_ec2(Some(it.tags())));
            let ends = it.state() == Some(&TransitGatewayAttachmentState::Deleting);
            let mut found = self.foreign("transit gateway attachment", id, &tags, &to, hint)?;
            found.blocks.extend(it.subnet_ids().iter().filter(|id| self.holdings.has(id)).cloned());
            found.ends = ends;
            Some(found)
        });
        Ok(found.collect())
    }

    async fn endpoints(&self) -> Result<Vec<Obstacle>, CallError> {
        let call = self.clients.ec2.describe_vpc_endpoints().filters(self.in_vpc("vpc-id"));
        let all: Vec<VpcEndpoint> = call.into_paginator().items().send().try_collect().await.call()?;
        // AWS spells the states in lower case, the API's model does not.
        let state = |it: &VpcEndpoint| it.state().map(|state| state.as_str().to_ascii_lowercase());
        let there = all.iter().filter(|it| state(it).is_none_or(|state| state != "deleted"));
        let found = there.filter_map(|it| {
            let (tags, service) = (from_ec2(Some(it.tags())), it.service_name().unwrap_or_default());
            // Deleted with the network.
            if tags.contains_key(GUARDDUTY_TAG) {
                return None;
            }
            let hint = "delete it: `aws ec2 delete-vpc-endpoints --vpc-endpoint-ids {id}`";
            let mut found = self.foreign("VPC endpoint", it.vpc_endpoint_id(), &tags, service, hint)?;
            found.blocks.extend(it.subnet_ids().iter().filter(|id| self.holdings.has(id)).cloned());
            found.ends = state(it).is_some_and(|state| state == "deleting");
            Some(found)
        });
        Ok(found.collect())
    }
}

/// Returns the associations of a table of the stack with subnets of other owners.
fn foreign_associations(table: &RouteTable, holdings: &Holdings) -> Vec<Obstacle> {
    let id = table.route_table_id().unwrap_or_default();
    let foreign = table.associations().iter().filter_map(|it| {
        let subnet = it.subnet_id.as_ref().filter(|subnet| !holdings.has(subnet))?;
        let association = it.route_table_association_id.clone()?;
        Some(Obstacle {
            kind: "route table association",
            hint: format!("remove it: `aws ec2 disassociate-route-table --association-id {association}`"),
            id: association,
            name: None,
            detail: format!("of {subnet} with {id}"),
            ends: false,
            blocks: [id.to_owned()].into(),
        })
    });
    foreign.collect()
}

/// Returns whether a connection still holds its VPCs: AWS lists ended ones for hours.
/// Source: <https://docs.aws.amazon.com/vpc/latest/peering/vpc-peering-basics.html>
fn is_active(connection: &VpcPeeringConnection) -> bool {
    use VpcPeeringConnectionStateReasonCode::{Deleted, Expired, Failed, Rejected};
    let state = connection.status().and_then(|status| status.code());
    !matches!(state, Some(Deleted | Expired | Failed | Rejected))
}

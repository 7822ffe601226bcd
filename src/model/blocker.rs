//! What keeps AWS from deleting a resource.

/// How it is found out what keeps a resource of a kind from being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blockable {
    /// Nothing of others does.
    Never,
    /// Everything in the VPC, and its connections.
    Vpc,
    /// The network interfaces in the subnet.
    Subnet,
    /// The network interfaces with the security group, and the rules that name it.
    SecurityGroup,
    /// The public addresses in its VPC.
    InternetGateway,
    /// The associations of the route table.
    RouteTable,
    /// The network interface with the Elastic IP.
    ElasticIp,
    /// The instance profiles with the role.
    Role,
    /// The node groups and Fargate profiles in the cluster, and what uses the security group that EKS created for it.
    Cluster,
    /// What uses the security groups that AWS names in the reason of a failed deletion.
    NodeGroup,
    /// Nothing of others. It blocks its cluster.
    FargateProfile,
}

/// One resource that keeps AWS from deleting another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// What it is: kind, id, `Name` tag, and who created it.
    pub what: String,
    /// Whether AWS deletes it within minutes without anyone's doing. Otherwise a person has to.
    pub ends: bool,
    /// Whether it ends within two minutes, if it does. One that exists longer is as one that does not end.
    pub soon: bool,
    /// What to do about it, as an imperative.
    pub hint: String,
}

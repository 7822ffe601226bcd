//! A network that is there already.

use super::case::{Case, Group, case};

const BASE: &str = "
name: fields
region: eu-central-1
network:
  existing:
    vpcId: ${VPC}
    privateSubnetIds: ['${S1}', '${S2}']
    publicSubnetIds: ['${S3}']
";

const BEFORE: &str = "
ec2 = client('ec2')
def network(block):
    vpc = ec2.create_vpc(CidrBlock=block + '.0.0/16')['Vpc']['VpcId']
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock='%s.%d.0/24' % (block, n),
        AvailabilityZone='eu-central-1' + 'ab'[n % 2])['Subnet']['SubnetId'] for n in range(5)]
    return [vpc, *subnets]
names = ['VPC', 'S1', 'S2', 'S3', 'S4', 'S5', 'VPC2', 'T1', 'T2', 'T3']
print(json.dumps(dict(zip(names, [*network('10.8'), *network('10.9')]))))";

pub fn group() -> Group {
    Group { base: BASE, before: BEFORE, files: &[], environment: &[], cases: cases() }
}

/// The subnets that carry the stack's marker and this role's tag.
fn cases() -> Vec<Case> {
    vec![
        case("network.existing.privateSubnetIds", "['${S1}', '${S4}']")
            .plan(&["create network/subnet-tags/${S4}", "delete network/subnet-tags/${S2}"])
            .aws("sorted(tagged_subnets('internal-elb')) == sorted(['${S1}', '${S4}'])", "true"),
        case("network.existing.publicSubnetIds", "['${S5}']")
            .plan(&["create network/subnet-tags/${S5}", "delete network/subnet-tags/${S3}"])
            .aws("tagged_subnets('elb')", "['${S5}']"),
        case("network.existing.vpcId", "${VPC2}").refused("not in ${VPC2}"),
        case("network.existing.vpcId", "${VPC2}")
            .and("network.existing.privateSubnetIds", "['${T1}', '${T2}']")
            .and("network.existing.publicSubnetIds", "['${T3}']")
            .plan(&[
                "create network/subnet-tags/${T1} vpc=${VPC2}",
                "create network/subnet-tags/${T2} vpc=${VPC2}",
                "create network/subnet-tags/${T3} vpc=${VPC2}",
                "delete network/subnet-tags/${S1}",
                "delete network/subnet-tags/${S2}",
                "delete network/subnet-tags/${S3}",
            ])
            .aws_in(2, "tagged_subnets('elb')", "['${T3}']"),
    ]
}

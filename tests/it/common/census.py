# All that a stack could have left in a region of the sandbox, by kind. boto3 asks each service itself.
def census(region):
    ec2, eks, iam, kms = (client(name, region) for name in ('ec2', 'eks', 'iam', 'kms'))
    gone = {'deleted', 'failed', 'terminated'}
    instances = [i for r in ec2.describe_instances()['Reservations'] for i in r['Instances']]
    parameters = client('ssm', region).describe_parameters()['Parameters']
    keys = [kms.describe_key(KeyId=k['KeyId'])['KeyMetadata'] for k in kms.list_keys()['Keys']]
    return {
        'vpcs': len([v for v in ec2.describe_vpcs()['Vpcs'] if not v['IsDefault']]),
        'subnets': len([s for s in ec2.describe_subnets()['Subnets'] if not s['DefaultForAz']]),
        'gateways': len(ec2.describe_internet_gateways()['InternetGateways']),
        'nat': len([n for n in ec2.describe_nat_gateways()['NatGateways'] if n['State'] not in gone]),
        'addresses': len(ec2.describe_addresses()['Addresses']),
        'endpoints': len(ec2.describe_vpc_endpoints()['VpcEndpoints']),
        'groups': len([g for g in ec2.describe_security_groups()['SecurityGroups'] if g['GroupName'] != 'default']),
        'interfaces': len(ec2.describe_network_interfaces()['NetworkInterfaces']),
        'flowLogs': len(ec2.describe_flow_logs()['FlowLogs']),
        'instances': len([i for i in instances if i['State']['Name'] not in gone]),
        'volumes': len(ec2.describe_volumes()['Volumes']),
        'templates': len(ec2.describe_launch_templates()['LaunchTemplates']),
        'keyPairs': len(ec2.describe_key_pairs()['KeyPairs']),
        'scalingGroups': len(client('autoscaling', region).describe_auto_scaling_groups()['AutoScalingGroups']),
        'clusters': len(eks.list_clusters()['clusters']),
        'logGroups': len(client('logs', region).describe_log_groups()['logGroups']),
        'roles': len([r for r in iam.list_roles()['Roles'] if not r['Path'].startswith('/aws-service-role/')]),
        'profiles': len(iam.list_instance_profiles()['InstanceProfiles']),
        'policies': len(iam.list_policies(Scope='Local')['Policies']),
        'providers': len(iam.list_open_id_connect_providers()['OpenIDConnectProviderList']),
        'repositories': len(client('ecr', region).describe_repositories()['repositories']),
        'parameters': len([p for p in parameters if not p['Name'].startswith('/aws/')]),
        'buckets': len(client('s3', region).list_buckets()['Buckets']),
        'tables': len(client('dynamodb', region).list_tables()['TableNames']),
        'aliases': len([a for a in kms.list_aliases()['Aliases'] if 'provisioner' in a['AliasName']]),
        'keys': len([k for k in keys if k['KeyState'] == 'Enabled' and k['KeyManager'] == 'CUSTOMER']),
    }

# What AWS says of the stack `fields`. Each value is asked for by the call that a person would make.
# A client reads its service's model when it is made, which takes longer than the calls: only those that are used are.
class Lazy:
    def __init__(self, name):
        self.name = name

    def __getattr__(self, attribute):
        if attribute == 'client':
            self.client = client(self.name)
            return self.client
        return getattr(self.client, attribute)


names = 'ec2 eks iam kms ssm ecr logs s3 dynamodb resourcegroupstaggingapi'.split()
ec2, eks, iam, kms, ssm, ecr, logs, s3, dynamodb, tagging = map(Lazy, names)
mine = [{'Name': 'tag:provisioner:stack', 'Values': ['fields']}]


def cluster():
    return eks.describe_cluster(name='fields')['cluster']


# A replaced group or profile has a suffix behind the name of the stack file.
def first_name(name):
    import re
    return re.sub('-[0-9a-f]{5}$', '', name)


def named(names, name):
    return next((n for n in names if first_name(n) == name), name)


def group(name):
    name = named(eks.list_nodegroups(clusterName='fields')['nodegroups'], name)
    return eks.describe_nodegroup(clusterName='fields', nodegroupName=name)['nodegroup']


# The version of its launch template that a group runs.
def template(name):
    used = group(name)['launchTemplate']
    versions = ec2.describe_launch_template_versions(LaunchTemplateId=used['id'], Versions=[used['version']])
    return versions['LaunchTemplateVersions'][0]['LaunchTemplateData']


def disk(name):
    return [d['Ebs'] for d in template(name)['BlockDeviceMappings'] if d['DeviceName'] == '/dev/xvdb'][0]


def user_data(name):
    import base64
    return base64.b64decode(template(name)['UserData']).decode()


def public_key(name):
    pairs = ec2.describe_key_pairs(KeyNames=[template(name)['KeyName']], IncludePublicKey=True)['KeyPairs']
    return pairs[0]['PublicKey'].split()[1][-8:]


def profile(name):
    name = named(eks.list_fargate_profiles(clusterName='fields')['fargateProfileNames'], name)
    return eks.describe_fargate_profile(clusterName='fields', fargateProfileName=name)['fargateProfile']


def profiles():
    return sorted(map(first_name, eks.list_fargate_profiles(clusterName='fields')['fargateProfileNames']))


def association(account):
    listed = eks.list_pod_identity_associations(clusterName='fields', serviceAccount=account)['associations']
    return eks.describe_pod_identity_association(clusterName='fields', associationId=listed[0]['associationId'])['association']


def addon(name):
    return eks.describe_addon(clusterName='fields', addonName=name)['addon']


def entry(role):
    arn = 'arn:aws:iam::123456789012:role/' + role
    found = eks.describe_access_entry(clusterName='fields', principalArn=arn)['accessEntry']
    policies = eks.list_associated_access_policies(clusterName='fields', principalArn=arn)['associatedAccessPolicies']
    return {'groups': found['kubernetesGroups'], 'policies': policies}


def granted(role):
    return [(p['policyArn'].split('/')[-1], p['accessScope'].get('namespaces', [])) for p in entry(role)['policies']]


def logged():
    return [sorted(x['types']) for x in cluster()['logging']['clusterLogging'] if x['enabled']]


def log_group(name):
    return [g for g in logs.describe_log_groups(logGroupNamePrefix=name)['logGroups'] if g['logGroupName'] == name][0]


def role(name):
    return iam.get_role(RoleName='fields-eu-central-1-' + name)['Role']


def roles():
    return sorted(r['RoleName'][20:] for r in iam.list_roles()['Roles'] if r['RoleName'].startswith('fields-eu-central-1-sa-'))


def managed(name):
    found = iam.list_attached_role_policies(RoleName='fields-eu-central-1-' + name)['AttachedPolicies']
    return sorted(p['PolicyName'] for p in found)


def only(document):
    statements = document['Statement']
    return statements[0] if isinstance(statements, list) else statements


def trust(name):
    return only(role(name)['AssumeRolePolicyDocument'])


def statement(name, policy='statements'):
    return only(iam.get_role_policy(RoleName='fields-eu-central-1-' + name, PolicyName=policy)['PolicyDocument'])


def repository(name):
    return ecr.describe_repositories(repositoryNames=[name])['repositories'][0]


def repositories():
    return sorted(r['repositoryName'] for r in ecr.describe_repositories()['repositories'])


def image(name):
    """The configuration of the image in a repository of one, where there is such."""
    if name not in repositories():
        return None
    ids = ecr.list_images(repositoryName=name)['imageIds']
    got = ecr.batch_get_image(repositoryName=name, imageIds=ids[:1])['images'][0]
    config = json.loads(got['imageManifest'])['config']['digest']
    url = ecr.get_download_url_for_layer(repositoryName=name, layerDigest=config)['downloadUrl']
    return json.loads(urllib.request.urlopen(url).read())


def kept(name):
    rules = json.loads(ecr.get_lifecycle_policy(repositoryName=name)['lifecyclePolicyText'])['rules']
    return [r['selection']['countNumber'] for r in rules if r['selection']['tagStatus'] == 'tagged']


def parameter(name):
    return ssm.get_parameter(Name=name, WithDecryption=True)['Parameter']['Value']


def vpc():
    return ec2.describe_vpcs(Filters=mine)['Vpcs'][0]


def subnets():
    return sorted(s['AvailabilityZone'][-1] for s in ec2.describe_subnets(Filters=mine)['Subnets'])


# Subnets of a network that is there already, by the role that the stack's tags give them.
def tagged_subnets(role):
    found = ec2.describe_subnets(Filters=[{'Name': 'tag-key', 'Values': ['provisioner:role-tags/fields']}])['Subnets']
    return [s['SubnetId'] for s in found if 'kubernetes.io/role/' + role in [t['Key'] for t in s['Tags']]]


def bucket_key(name):
    rules = s3.get_bucket_encryption(Bucket=name)['ServerSideEncryptionConfiguration']['Rules']
    return rules[0]['ApplyServerSideEncryptionByDefault']['KMSMasterKeyID']


def table(name):
    return dynamodb.describe_table(TableName=name)['Table']


# What the stacks of a region are called, by the tags of their VPCs.
def stacks(region):
    tags = [t for v in client('ec2', region).describe_vpcs()['Vpcs'] for t in v.get('Tags', [])]
    return sorted(t['Value'] for t in tags if t['Key'] == 'provisioner:stack')


def endpoints():
    found = ec2.describe_vpc_endpoints(Filters=mine)['VpcEndpoints']
    return sorted(e['ServiceName'].split('.', 3)[3] for e in found if e['State'] == 'available')


def gateways():
    found = ec2.describe_nat_gateways(Filters=mine)['NatGateways']
    return len([n for n in found if n['State'] == 'available'])


def modes():
    found = ec2.describe_nat_gateways(Filters=mine)['NatGateways']
    return [n['AvailabilityMode'] for n in found if n['State'] == 'available']


def key():
    return kms.describe_key(KeyId='alias/provisioner/fields')['KeyMetadata']['KeyId']


def key_tags():
    return {t['TagKey']: t['TagValue'] for t in kms.list_resource_tags(KeyId=key())['Tags']}


# What carries the stack's tag and not the file's own one with this value. Instances and disks that are gone leave tags.
def untagged(value):
    instances = [i for r in ec2.describe_instances()['Reservations'] for i in r['Instances']]
    gone = {i['InstanceId'] for i in instances if i['State']['Name'] in ('terminated', 'shutting-down')}
    disks = {v['VolumeId'] for v in ec2.describe_volumes()['Volumes']}
    tags = {}
    pages = ec2.get_paginator('describe_tags').paginate(Filters=[{'Name': 'resource-id', 'Values': ['*']}])
    for tag in (t for page in pages for t in page['Tags']):
        tags.setdefault(tag['ResourceId'], {})[tag['Key']] = tag['Value']
    for page in tagging.get_paginator('get_resources').paginate():
        for found in page['ResourceTagMappingList']:
            tags[found['ResourceARN']] = {t['Key']: t['Value'] for t in found['Tags']}
    for found in iam.list_roles()['Roles']:
        tags[found['Arn']] = {t['Key']: t['Value'] for t in iam.list_role_tags(RoleName=found['RoleName'])['Tags']}
    here = {
        k: t for k, t in tags.items()
        if k.split('/')[-1] not in gone and (not k.startswith('vol-') or k in disks)
    }
    return sorted(k for k, t in here.items() if t.get('provisioner:stack') == 'fields' and t.get('team') != value)


def answer(expressions):
    def said(text):
        try:
            return eval(text, globals())
        except Exception as error:
            return 'no answer: %r' % error
    answers = {name: said(text) for name, text in json.loads(expressions).items()}
    print(json.dumps(answers, default=str))

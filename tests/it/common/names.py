# Node groups and Fargate profiles that were replaced have a suffix behind the name of the stack file.
import re


def first_name(name):
    return re.sub('-[0-9a-f]{5}$', '', name)


def named(names, name):
    return next((n for n in names if first_name(n) == name), name)


def group(cluster, name):
    eks = of('eks')
    name = named(eks.list_nodegroups(clusterName=cluster)['nodegroups'], name)
    return eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)['nodegroup']


def profile(cluster, name):
    eks = of('eks')
    name = named(eks.list_fargate_profiles(clusterName=cluster)['fargateProfileNames'], name)
    return eks.describe_fargate_profile(clusterName=cluster, fargateProfileName=name)['fargateProfile']

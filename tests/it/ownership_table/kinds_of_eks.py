"""Kinds of EKS, which are known by their names within a cluster. Their functions are those of `kinds_by_name`."""

from account import TRUST, attempt, client, stamp, until
from kinds_by_name import network, role_arn

WITHIN = {"clusterName": "shop"}


def labelled(own):
    """Tags as a parameter, which EKS refuses if they are empty."""
    return {"tags": own} if own else {}


def eks():
    return client("eks")


class EksKind:
    """`doc` is the name of the document, `by` the parameter with the name, `of` that name in the live form."""

    verb, doc, by, of = "", "", "", "name"

    @classmethod
    def described(cls, live):
        found = attempt(getattr(eks(), f"describe_{cls.verb}"), **WITHIN, **{cls.by: live[cls.of]})
        return found and found[cls.doc]

    @classmethod
    def again(cls, live, own):
        getattr(eks(), f"delete_{cls.verb}")(**WITHIN, **{cls.by: live[cls.of]})
        until(lambda: not cls.described(live))
        cls.make(live, own)
        until(lambda: cls.described(live).get("status", "ACTIVE") == "ACTIVE")
        return live

    @classmethod
    def other(cls, own):
        live = {cls.of: cls.another}
        cls.make(live, own)
        until(lambda: cls.described(live).get("status", "ACTIVE") == "ACTIVE")
        made = cls.described(live)
        arn = next(made[key] for key in made if key.lower().endswith("arn") and cls.another.split("/")[-1] in made[key])
        return {**live, "arn": arn, "birth": stamp(made["createdAt"])}

    @classmethod
    def look(cls, live):
        found = cls.described(live)
        kept = ("modifiedAt", "health", "status", "resources")
        return found and {key: str(value) for key, value in found.items() if key not in kept}


class AccessEntry(EksKind):
    address, verb, doc, by, of = "cluster/access/caller", "access_entry", "accessEntry", "principalArn", "principal"
    another = "arn:aws:iam::123456789012:role/payroll-access"

    @classmethod
    def make(cls, live, own):
        attempt(client("iam").create_role, RoleName="payroll-access", AssumeRolePolicyDocument=TRUST)
        eks().create_access_entry(**WITHIN, principalArn=live[cls.of], **labelled(own))


class Addon(EksKind):
    address, verb, doc, by = "cluster/addon/metrics-server", "addon", "addon", "addonName"
    another = "aws-ebs-csi-driver"

    @classmethod
    def make(cls, live, own):
        eks().create_addon(**WITHIN, addonName=live["name"], **labelled(own))


class FargateProfile(EksKind):
    address, verb, doc, by = "cluster/fargate-profile/jobs", "fargate_profile", "fargateProfile", "fargateProfileName"
    another = "payroll"

    @classmethod
    def make(cls, live, own):
        eks().create_fargate_profile(
            **WITHIN, fargateProfileName=live["name"], podExecutionRoleArn=role_arn("cluster/fargate-role"),
            subnets=network(), selectors=[{"namespace": "payroll"}], **labelled(own),
        )  # fmt: skip


class NodeGroup(EksKind):
    address, verb, doc, by = "cluster/node-group/default", "nodegroup", "nodegroup", "nodegroupName"
    another = "payroll"

    @classmethod
    def make(cls, live, own):
        eks().create_nodegroup(
            **WITHIN, nodegroupName=live["name"], nodeRole=role_arn("cluster/node-role"), subnets=network(),
            amiType="BOTTLEROCKET_x86_64", scalingConfig={"minSize": 1, "maxSize": 1, "desiredSize": 1}, **labelled(own),
        )  # fmt: skip


class PodIdentityAssociation(EksKind):
    address, verb, doc = "cluster/pod-identity/jobs/worker", "pod_identity_association", "association"

    @classmethod
    def make(cls, namespace, account, own):
        made = eks().create_pod_identity_association(
            **WITHIN, namespace=namespace, serviceAccount=account, roleArn=role_arn("cluster/service-account/jobs/worker"),
            **labelled(own),
        )["association"]  # fmt: skip
        return {"id": made["associationId"], "arn": made["associationArn"]}

    @classmethod
    def again(cls, live, own):
        eks().delete_pod_identity_association(**WITHIN, associationId=live["id"])
        return {**live, **cls.make(live["namespace"], live["serviceAccount"], own)}

    @classmethod
    def other(cls, own):
        return {"namespace": "payroll", "serviceAccount": "theirs", **cls.make("payroll", "theirs", own)}

    @classmethod
    def look(cls, live):
        found = attempt(eks().describe_pod_identity_association, **WITHIN, associationId=live["id"])
        return found and {key: str(value) for key, value in found["association"].items() if key != "modifiedAt"}


class EksCluster:
    address = "cluster/eks"

    @staticmethod
    def make(name, own):
        eks().create_cluster(
            name=name, roleArn=role_arn("cluster/role"), resourcesVpcConfig={"subnetIds": network()},
            accessConfig={"authenticationMode": "API"}, **labelled(own),
        )  # fmt: skip
        return until(lambda: (made := eks().describe_cluster(name=name)["cluster"])["status"] == "ACTIVE" and made)

    @classmethod
    def again(cls, live, own):
        for group in eks().list_nodegroups(**WITHIN)["nodegroups"]:
            eks().delete_nodegroup(**WITHIN, nodegroupName=group)
        for profile in eks().list_fargate_profiles(**WITHIN)["fargateProfileNames"]:
            eks().delete_fargate_profile(**WITHIN, fargateProfileName=profile)
            until(lambda: not attempt(eks().describe_fargate_profile, **WITHIN, fargateProfileName=profile))
        until(lambda: not eks().list_nodegroups(**WITHIN)["nodegroups"])
        eks().update_cluster_config(name="shop", deletionProtection=False)
        until(lambda: eks().describe_cluster(name="shop")["cluster"]["status"] == "ACTIVE")
        eks().delete_cluster(name="shop")
        until(lambda: not attempt(eks().describe_cluster, name="shop"))
        cls.make("shop", own)
        return live

    @classmethod
    def other(cls, own):
        made = cls.make("payroll", own)
        return {"name": "payroll", "arn": made["arn"], "birth": stamp(made["createdAt"])}

    @staticmethod
    def look(live):
        found = attempt(eks().describe_cluster, name=live["name"])
        keep = ("arn", "createdAt", "tags", "version", "roleArn", "logging", "accessConfig", "status")
        return found and {key: str(found["cluster"].get(key)) for key in keep}

"""Kinds whose resources AWS knows by a name that anyone can give again after a deletion.

Each class has `again(live, tags)`, which deletes the recorded one and creates another of its name, `other(tags)`, which
creates one of another name and returns how a state would record it, and `look(live)`, which returns what is there.
"""

import json

from account import TRUST, attempt, client, stamp, state, tags, until


def network():
    resources = state("shop")["resources"]
    return [resources[f"network/subnet/private-eu-central-1{zone}"]["live"]["id"] for zone in "ab"]


def role_arn(address):
    return state("shop")["resources"][address]["live"]["arn"]


class IamRole:
    address = "cluster/service-account/jobs/reader"

    @staticmethod
    def again(live, own):
        iam, name = client("iam"), live["name"]
        for one in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=one["PolicyArn"])
        for one in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=one)
        iam.delete_role(RoleName=name)
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST, Tags=tags(own))
        return live

    @staticmethod
    def other(own):
        made = client("iam").create_role(RoleName="payroll", AssumeRolePolicyDocument=TRUST, Tags=tags(own))["Role"]
        return {"name": "payroll", "arn": made["Arn"], "birth": made["RoleId"], "inline": {}, "managed": []}

    @staticmethod
    def look(live):
        iam, name = client("iam"), live["name"]
        role = attempt(iam.get_role, RoleName=name)
        return role and [
            role["Role"]["RoleId"], role["Role"].get("Tags", []), role["Role"]["AssumeRolePolicyDocument"],
            iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"],
            iam.list_role_policies(RoleName=name)["PolicyNames"],
        ]  # fmt: skip


class EcrRepository:
    address = "cluster/repository/team/app"

    @staticmethod
    def push(name):
        """An image, so that there is something to lose."""
        ecr, config = client("ecr"), b"{}"
        digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        upload = ecr.initiate_layer_upload(repositoryName=name)["uploadId"]
        ecr.upload_layer_part(
            repositoryName=name, uploadId=upload, partFirstByte=0, partLastByte=1, layerPartBlob=config
        )
        ecr.complete_layer_upload(repositoryName=name, uploadId=upload, layerDigests=[digest])
        blob = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": digest}
        layer = {**blob, "mediaType": "application/vnd.oci.image.layer.v1.tar"}
        media = "application/vnd.oci.image.manifest.v1+json"
        manifest = {"schemaVersion": 2, "mediaType": media, "config": blob, "layers": [layer]}
        ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag="theirs", imageManifestMediaType=media)

    @classmethod
    def again(cls, live, own):
        client("ecr").delete_repository(repositoryName=live["name"], force=True)
        client("ecr").create_repository(repositoryName=live["name"], tags=tags(own))
        cls.push(live["name"])
        return live

    @classmethod
    def other(cls, own):
        made = client("ecr").create_repository(repositoryName="payroll", tags=tags(own))["repository"]
        cls.push("payroll")
        uri, arn = made["repositoryUri"], made["repositoryArn"]
        return {"name": "payroll", "arn": arn, "uri": uri, "birth": stamp(made["createdAt"]), "lifecycle": None, "key": None}

    @staticmethod
    def look(live):
        ecr, name = client("ecr"), live["name"]
        found = attempt(ecr.describe_repositories, repositoryNames=[name])
        return found and [
            str(found["repositories"][0]["createdAt"]), found["repositories"][0]["imageTagMutability"],
            ecr.list_tags_for_resource(resourceArn=found["repositories"][0]["repositoryArn"])["tags"],
            ecr.list_images(repositoryName=name)["imageIds"],
            attempt(ecr.get_lifecycle_policy, repositoryName=name),
        ]  # fmt: skip


class SsmParameter:
    address = "cluster/parameter/sec/token"
    kept = "SecureString"

    @classmethod
    def again(cls, live, own):
        client("ssm").delete_parameter(Name=live["name"])
        client("ssm").put_parameter(Name=live["name"], Value="theirs", Type=cls.kept, Tags=tags(own))
        return live

    @classmethod
    def other(cls, own):
        name = f"/payroll/{cls.kept}"
        client("ssm").put_parameter(Name=name, Value="theirs", Type=cls.kept, Tags=tags(own))
        arn = f"arn:aws:ssm:eu-central-1:123456789012:parameter{name}"
        return {"name": name, "arn": arn, "version": 1}

    @staticmethod
    def look(live):
        ssm, name = client("ssm"), live["name"]
        found = attempt(ssm.get_parameter, Name=name, WithDecryption=True)
        return found and [
            found["Parameter"]["Value"], found["Parameter"]["Version"], found["Parameter"]["Type"],
            ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"],
        ]  # fmt: skip


class PlainParameter(SsmParameter):
    address = "cluster/parameter/sec/msg"
    kept = "String"


class LogGroup:
    address = "network/flow-log-group"

    @staticmethod
    def again(live, own):
        client("logs").delete_log_group(logGroupName=live["name"])
        return LogGroup.make(live["name"], own) and live

    @staticmethod
    def make(name, own):
        logs = client("logs")
        logs.create_log_group(logGroupName=name, **({"tags": own} if own else {}))
        logs.create_log_stream(logGroupName=name, logStreamName="theirs")
        return logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]

    @classmethod
    def other(cls, own):
        made = cls.make("/payroll", own)
        from datetime import datetime, timezone

        birth = stamp(datetime.fromtimestamp(made["creationTime"] / 1000, timezone.utc))
        return {"name": "/payroll", "arn": made["arn"].removesuffix(":*"), "birth": birth, "key": None}

    @staticmethod
    def look(live):
        logs = client("logs")
        found = [one for one in logs.describe_log_groups(logGroupNamePrefix=live["name"])["logGroups"]
                 if one["logGroupName"] == live["name"]]  # fmt: skip
        return found and [
            found[0]["creationTime"], found[0].get("retentionInDays"),
            logs.list_tags_for_resource(resourceArn=found[0]["arn"].removesuffix(":*"))["tags"],
            [one["logStreamName"] for one in logs.describe_log_streams(logGroupName=live["name"])["logStreams"]],
        ]  # fmt: skip


class KeyPair:
    address = "cluster/key-pair/default"

    @staticmethod
    def make(name, public, own):
        given = [{"ResourceType": "key-pair", "Tags": tags(own)}] if own else []
        return client("ec2").import_key_pair(KeyName=name, PublicKeyMaterial=public.encode(), TagSpecifications=given)

    @classmethod
    def again(cls, live, own):
        client("ec2").delete_key_pair(KeyName=live["name"])
        cls.make(live["name"], live["publicKey"], own)
        return live

    @classmethod
    def other(cls, own):
        public = state("shop")["resources"][cls.address]["live"]["publicKey"]
        return {"name": "payroll", "id": cls.make("payroll", public, own)["KeyPairId"]}

    @staticmethod
    def look(live):
        found = attempt(client("ec2").describe_key_pairs, KeyNames=[live["name"]])
        return found and [[one["KeyPairId"], one.get("Tags", [])] for one in found["KeyPairs"]]


class LaunchTemplate:
    address = "cluster/launch-template/default"

    @staticmethod
    def make(name, own):
        given = [{"ResourceType": "launch-template", "Tags": tags(own)}] if own else []
        made = client("ec2").create_launch_template(
            LaunchTemplateName=name, LaunchTemplateData={"InstanceType": "t3.small"}, TagSpecifications=given
        )
        return made["LaunchTemplate"]["LaunchTemplateId"]

    @classmethod
    def again(cls, live, own):
        client("ec2").delete_launch_template(LaunchTemplateName=live["name"])
        cls.make(live["name"], own)
        return live

    @classmethod
    def other(cls, own):
        return {"name": "payroll", "id": cls.make("payroll", own)}

    @staticmethod
    def look(live):
        found = attempt(client("ec2").describe_launch_templates, LaunchTemplateNames=[live["name"]])
        keep = ("LaunchTemplateId", "Tags", "DefaultVersionNumber", "LatestVersionNumber")
        return found and [[one.get(key) for key in keep] for one in found["LaunchTemplates"]]


class OidcProvider:
    address = "cluster/oidc-provider"

    @staticmethod
    def make(url, own):
        arguments = {"Url": url, "ClientIDList": ["theirs"], "ThumbprintList": ["0" * 40], "Tags": tags(own)}
        return client("iam").create_open_id_connect_provider(**arguments)["OpenIDConnectProviderArn"]

    @classmethod
    def again(cls, live, own):
        client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=live["arn"])
        cls.make(live["issuer"], own)
        return live

    @classmethod
    def other(cls, own):
        arn = cls.make("https://payroll.example.com", own)
        made = client("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        birth = made["CreateDate"].strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0") + "Z"
        return {"arn": arn, "issuer": "https://payroll.example.com", "birth": birth}

    @staticmethod
    def look(live):
        found = attempt(client("iam").get_open_id_connect_provider, OpenIDConnectProviderArn=live["arn"])
        return found and [str(found["CreateDate"]), found.get("Tags", []), found["ClientIDList"]]

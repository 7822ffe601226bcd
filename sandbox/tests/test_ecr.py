"""ECR: repositories, encryption, login."""

from __future__ import annotations

import base64
import datetime
import time
from typing import Any

from conftest import Sandbox
from ecr import Registry
from policies import allow, policy


class TestRepositories:
    def test_default_key(self, ecr: Any) -> None:
        first = Registry(ecr, "aa", encryptionConfiguration={"encryptionType": "KMS"}).repository
        second = Registry(ecr, "bb", encryptionConfiguration={"encryptionType": "KMS_DSSE"}).repository
        arn = first["encryptionConfiguration"]["kmsKey"]
        assert arn.startswith("arn:aws:kms:eu-central-1:123456789012:key/")
        assert second["encryptionConfiguration"] == {"encryptionType": "KMS_DSSE", "kmsKey": arn}
        plain = Registry(ecr, "cc").repository
        assert plain["encryptionConfiguration"] == {"encryptionType": "AES256"}

    def test_keys(self, sandbox: Sandbox, ecr: Any, refused: Any) -> None:
        kms = sandbox.client("kms")
        key = kms.create_key()["KeyMetadata"]
        kms.create_alias(AliasName="alias/ecr", TargetKeyId=key["KeyId"])
        for n, given in enumerate((key["Arn"], key["KeyId"], "alias/ecr")):
            made = Registry(ecr, f"a{n}", encryptionConfiguration={"encryptionType": "KMS", "kmsKey": given})
            assert made.repository["encryptionConfiguration"]["kmsKey"] == key["Arn"]
        elsewhere = key["Arn"].replace("eu-central-1", "eu-west-1")
        absent = key["Arn"].replace(key["KeyId"], "00000000-0000-0000-0000-000000000000")
        for given in (elsewhere, absent, "alias/none"):
            encryption = {"encryptionType": "KMS", "kmsKey": given}
            error = refused(
                "KmsException", ecr.create_repository, 400, repositoryName="no", encryptionConfiguration=encryption
            )
            assert error.response["kmsError"] == "NotFoundException"
        encryption = {"encryptionType": "KMS", "kmsKey": key["Arn"]}
        kms.disable_key(KeyId=key["KeyId"])
        error = refused("KmsException", ecr.create_repository, repositoryName="no", encryptionConfiguration=encryption)
        assert error.response["kmsError"] == "DisabledException"
        kms.schedule_key_deletion(KeyId=key["KeyId"])
        error = refused("KmsException", ecr.create_repository, repositoryName="no", encryptionConfiguration=encryption)
        assert error.response["kmsError"] == "KMSInvalidStateException"

    def test_a_repository_whose_key_is_disabled_takes_nothing(self, sandbox: Sandbox, ecr: Any, refused: Any) -> None:
        kms = sandbox.client("kms")
        key = kms.create_key()["KeyMetadata"]["Arn"]
        Registry(ecr, "sealed", encryptionConfiguration={"encryptionType": "KMS", "kmsKey": key})
        upload = ecr.initiate_layer_upload(repositoryName="sealed")["uploadId"]
        part = {"repositoryName": "sealed", "uploadId": upload, "layerPartBlob": b"x"}
        part |= {"partFirstByte": 0, "partLastByte": 0}
        kms.disable_key(KeyId=key)
        assert refused("KmsException", ecr.upload_layer_part, 400, **part).response["kmsError"] == "DisabledException"
        refused("KmsException", ecr.initiate_layer_upload, 400, repositoryName="sealed")
        refused("KmsException", ecr.put_image, 400, repositoryName="sealed", imageManifest="{}")
        assert ecr.describe_repositories(repositoryNames=["sealed"])["repositories"]
        kms.enable_key(KeyId=key)
        ecr.upload_layer_part(**part)

    def test_a_caller_who_may_not_use_the_key(self, sandbox: Sandbox, ecr: Any, refused: Any) -> None:
        key = sandbox.client("kms").create_key()["KeyMetadata"]["Arn"]
        encryption = {"encryptionType": "KMS", "kmsKey": key}
        sandbox.configure(callerPolicy=policy(allow("ecr:*", "kms:DescribeKey")))
        wanted = {"repositoryName": "no", "encryptionConfiguration": encryption}
        error = refused("KmsException", ecr.create_repository, 400, **wanted)
        assert error.response["kmsError"] == "AccessDeniedException" and "kms:CreateGrant" in str(error)
        sandbox.configure(callerPolicy=policy(allow("ecr:*", "kms:DescribeKey", "kms:CreateGrant")))
        ecr.create_repository(repositoryName="yes", encryptionConfiguration=encryption)
        encryption["encryptionType"] = "AES256"
        refused(
            "InvalidParameterException", ecr.create_repository, repositoryName="no", encryptionConfiguration=encryption
        )

    def test_scanning_that_is_not_asked_for(self, ecr: Any) -> None:
        ecr.create_repository(repositoryName="app", imageScanningConfiguration={"scanOnPush": True})
        ecr.put_image_scanning_configuration(repositoryName="app", imageScanningConfiguration={})
        found = ecr.describe_repositories(repositoryNames=["app"])["repositories"][0]
        assert found["imageScanningConfiguration"] == {"scanOnPush": False}

    def test_pages(self, ecr: Any, refused: Any) -> None:
        names = [f"team/{n}" for n in range(5)]
        for name in reversed(names):
            Registry(ecr, name)
        pages = list(ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2}))
        assert [[one["repositoryName"] for one in page["repositories"]] for page in pages] == [
            names[:2],
            names[2:4],
            names[4:],
        ]
        found = ecr.describe_repositories(repositoryNames=["team/3"])["repositories"]
        assert [one["repositoryName"] for one in found] == ["team/3"]
        refused("RepositoryNotFoundException", ecr.describe_repositories, repositoryNames=["none"])
        refused("InvalidParameterException", ecr.describe_repositories, repositoryNames=["team/3"], maxResults=1)

    def test_token(self, ecr: Any) -> None:
        tokens = []
        for _ in range(2):
            data = ecr.get_authorization_token()["authorizationData"][0]
            user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
            assert (user, len(password) > 1000) == ("AWS", True)
            ahead = data["expiresAt"] - datetime.datetime.now(datetime.timezone.utc)
            assert abs(ahead - datetime.timedelta(hours=12)) < datetime.timedelta(minutes=1)
            assert data["proxyEndpoint"] == "https://123456789012.dkr.ecr.eu-central-1.amazonaws.com"
            tokens.append(password)
        assert tokens[0] != tokens[1]

    def test_tags_are_found(self, sandbox: Sandbox, ecr: Any) -> None:
        made = Registry(ecr, tags=[{"Key": "provisioner:stack", "Value": "demo"}]).repository
        found = sandbox.client("resourcegroupstaggingapi").get_resources(ResourceTypeFilters=["ecr:repository"])
        assert found["ResourceTagMappingList"] == [
            {"ResourceARN": made["repositoryArn"], "Tags": [{"Key": "provisioner:stack", "Value": "demo"}]}
        ]

    def test_seen_late(self, sandbox: Sandbox, app: Registry) -> None:
        sandbox.configure(faults=[{"on": "ecr:DescribeImages", "kind": "stale", "seconds": 2}])
        app.image(b"one", "v1")
        assert app.describe_images()["imageDetails"] == []
        assert len(app.list_images()["imageIds"]) == 1
        time.sleep(2.1)
        assert len(app.describe_images()["imageDetails"]) == 1

"""The bucket and the table that all stacks share. Their functions are those of `kinds_by_name`; their record is a file."""

import hashlib
import json
import pathlib

import account
from account import attempt, client, tags


def record():
    return next(pathlib.Path(account.FOLDER, "state").rglob("backend-*.json"))


def read():
    return json.loads(record().read_text())


def seal(document):
    document["resources"] = dict(sorted(document["resources"].items()))
    text = lambda: json.dumps(document, indent=2, ensure_ascii=False)
    document["digest"] = ""
    document["digest"] = hashlib.sha256(text().encode()).hexdigest()
    record().write_text(text())


class StateBucket:
    address, backend = "backend/bucket", True

    @staticmethod
    def make(name, own):
        s3 = client("s3")
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": account.REGION})
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags(own)})
        s3.put_object(Bucket=name, Key="theirs", Body=b"1", IfNoneMatch="*")
        return {"name": name}

    @classmethod
    def again(cls, live, own):
        s3, name = client("s3"), live["name"]
        listed = s3.list_object_versions(Bucket=name)
        for one in listed.get("Versions", []) + listed.get("DeleteMarkers", []):
            s3.delete_object(Bucket=name, Key=one["Key"], VersionId=one["VersionId"])
        s3.delete_bucket(Bucket=name)
        return {**live, **cls.make(name, own)}

    @classmethod
    def other(cls, own):
        return cls.make("payroll-4711", own)

    @staticmethod
    def look(live):
        s3, name = client("s3"), live["name"]
        if not attempt(s3.head_bucket, Bucket=name):
            return None
        return [
            attempt(s3.get_bucket_tagging, Bucket=name), attempt(s3.get_bucket_policy, Bucket=name),
            [one["Key"] for one in s3.list_objects_v2(Bucket=name).get("Contents", [])],
        ]  # fmt: skip


class LockTable:
    address, backend = "backend/table", True

    @staticmethod
    def make(name, own):
        client("dynamodb").create_table(
            TableName=name, KeySchema=[{"AttributeName": "stack", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "stack", "AttributeType": "S"}], Tags=tags(own),
        )  # fmt: skip
        client("dynamodb").get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
        client("dynamodb").put_item(TableName=name, Item={"stack": {"S": "theirs"}})
        made = client("dynamodb").describe_table(TableName=name)["Table"]
        return {"name": name, "arn": made["TableArn"]}

    @classmethod
    def again(cls, live, own):
        dynamodb, name = client("dynamodb"), live["name"]
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.delete_table(TableName=name)
        account.until(lambda: not attempt(dynamodb.describe_table, TableName=name))
        return {**live, **cls.make(name, own)}

    @classmethod
    def other(cls, own):
        return cls.make("payroll", own)

    @staticmethod
    def look(live):
        dynamodb, name = client("dynamodb"), live["name"]
        found = attempt(dynamodb.describe_table, TableName=name)
        return found and [
            found["Table"]["TableStatus"], str(found["Table"]["CreationDateTime"]),
            dynamodb.list_tags_of_resource(ResourceArn=found["Table"]["TableArn"])["Tags"],
            attempt(dynamodb.get_item, TableName=name, Key={"stack": {"S": "theirs"}}),
        ]  # fmt: skip

    @staticmethod
    def suspend(live):
        key = read()["resources"]["backend/key"]["live"]["id"]
        client("kms").disable_key(KeyId=key)

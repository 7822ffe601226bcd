"""DynamoDB: tables take their time to come and to go, and need the key that they are encrypted with."""

from __future__ import annotations

import time
import uuid
from typing import Any

from provisioner_sandbox import key_use, keys
from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.keys import KeyProblem
from provisioner_sandbox.registry import Call, handles, prepares
from provisioner_sandbox.wire.message import Answer

CREATING = 10
DELETING = 10
# When a table shows that its key cannot be used: 13 to 75 minutes after DisableKey or ScheduleKeyDeletion, by
# measurements of November 2026 in a public repository (ack-api-quirks, DDB-TABLE-331), 42 with traffic on the table.
DETECTION = 2500
# Only these look at a table that is not active.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
ITEM_OPERATIONS = (
    "BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem",
)  # fmt: skip


@prepares("dynamodb")
def settle(call: Call) -> None:
    for name, table in list(call.backend.tables.items()):
        if status(table) == "DELETED":
            call.backend.delete_table(name)


def status(table: Any) -> str:
    deleted = getattr(table, "sandbox_deleted", None)
    if deleted is not None:
        return "DELETING" if CLOCK.elapsed(deleted) < DELETING else "DELETED"
    created = getattr(table, "sandbox_created", None)
    return "CREATING" if created is not None and CLOCK.elapsed(created) < CREATING else "ACTIVE"


def table_of(call: Call) -> Any:
    name = call.params.get("TableName", "")
    return call.backend.tables.get(name.rpartition("/")[2])


def table_key(specification: dict[str, Any] | None) -> str | None:
    """The key that a table is encrypted with, if it is not AWS's own."""
    found = specification or {}
    return found.get("KMSMasterKeyId") if found.get("Enabled") else None


def refuse_key(problem: KeyProblem | None) -> None:
    """Codes and texts: https://github.com/aws/aws-cdk/issues/18616 and ack-api-quirks, DDB-TABLE-331 and 461."""
    if problem is None:
        return
    denied = problem.code == "AccessDeniedException"
    kind = {"DisabledException": "KMS key disabled error", "AccessDeniedException": "KMS key access denied error"}
    raised = "AWSKMSException" if denied else problem.code
    message = (
        f"{kind.get(problem.code, 'KMS validation error')}: com.amazonaws.services.kms.model.{raised}: "
        f"{problem.message} (Service: AWSKMS; Status Code: 400; Error Code: {problem.code}; "
        f"Request ID: {uuid.uuid4()}; Proxy: null)"
    )
    raise AwsError(problem.code if denied else "ValidationException", message)


def check_new_key(call: Call) -> None:
    """DynamoDB uses the key by grants, which the caller must be allowed to give.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
    """
    key = table_key(call.params.get("SSESpecification"))
    if key:
        refuse_key(key_use.problem(call, key, "kms:DescribeKey", "kms:CreateGrant"))


def keep_key(call: Call, table: Any) -> None:
    """Keeps the ARN of the key, which the alias that it was given by may leave later, and a copy of the key."""
    given = table_key(table.sse_specification)
    if given:
        table.sse_specification["KMSMasterKeyId"] = keys.find(call.region, given).arn
    check_key(call, table)


def check_key(call: Call, table: Any) -> None:
    """DynamoDB asks KMS for a table's key when the caller's copy is five minutes old.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.howitworks.html
    """
    key = table_key(table.sse_specification)
    if key:
        refuse_key(key_use.cached_problem(call, table, key, "kms:Decrypt"))


@handles("dynamodb", "CreateTable")
def create(call: Call) -> dict:
    check_new_key(call)
    result = call.moto()
    table = table_of(call)
    table.sandbox_created = CLOCK.now()
    keep_key(call, table)
    if table_key(table.sse_specification):
        result["TableDescription"]["SSEDescription"]["KMSMasterKeyArn"] = table.sse_specification["KMSMasterKeyId"]
    result["TableDescription"]["TableStatus"] = "CREATING"
    return result


@handles("dynamodb", "DescribeTable")
def describe(call: Call) -> dict | Answer:
    table = table_of(call)
    if table is None:
        return call.forward()
    result = call.moto()
    result["Table"]["TableStatus"] = status(table)
    since = inaccessible_since(call.region, table)
    if since is not None and status(table) == "ACTIVE":
        result["Table"]["TableStatus"] = "INACCESSIBLE_ENCRYPTION_CREDENTIALS"
        result["Table"]["SSEDescription"]["InaccessibleEncryptionDateTime"] = since
    return result


def inaccessible_since(region: str, table: Any) -> float | None:
    """When DynamoDB found that the table's key cannot be used, in seconds of the epoch.

    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_SSEDescription.html
    """
    given = table_key(table.sse_specification)
    key = keys.find(region, given) if given else None
    # While callers use their copies for ever, the table does so too.
    if key is None or isinstance(key, KeyProblem) or keys.state_problem(key) is None or keys.CACHE == [None]:
        return None
    overdue = keys.unchanged_for(key) - DETECTION
    return time.time() - overdue / CLOCK.scale if overdue >= 0 else None


@handles("dynamodb", "DeleteTable")
def delete(call: Call) -> dict | Answer:
    table = table_of(call)
    if table is None:
        return call.forward()
    name = table.name
    if table.deletion_protection_enabled:
        message = (
            f"Resource cannot be deleted as it is currently protected against deletion. "
            f"Disable deletion protection first. Table: {table.table_arn}"
        )
        raise AwsError("ValidationException", message)
    check_active(table)
    described = call.moto({"TableName": name}, "DescribeTable")["Table"]
    table.sandbox_deleted = CLOCK.now()
    described["TableStatus"] = "DELETING"
    return {"TableDescription": described}


@handles("dynamodb", "UpdateTable", "UpdateContinuousBackups")
def update(call: Call) -> Answer:
    table = table_of(call)
    if table is not None:
        check_active(table)
        if "SSESpecification" in call.params:
            # The data is encrypted again, for which the old key is needed too.
            check_key(call, table)
            check_new_key(call)
    answer = call.forward()
    # moto drops it.
    if table is not None and "SSESpecification" in call.params:
        table.sse_specification = dict(call.params["SSESpecification"])
        keep_key(call, table)
    return answer


def check_active(table: Any) -> None:
    current = status(table)
    if current != "ACTIVE":
        verb = "deleted" if current == "DELETING" else "created"
        raise AwsError(
            "ResourceInUseException",
            f"Attempt to change a resource which is still in use: Table is being {verb}: {table.name}",
        )


@handles("dynamodb", *ITEM_OPERATIONS)
def use_items(call: Call) -> Answer:
    names = [call.params["TableName"]] if "TableName" in call.params else list(call.params.get("RequestItems", {}))
    for name in names:
        table = call.backend.tables.get(name.rpartition("/")[2])
        if table is not None and status(table) != "ACTIVE":
            raise AwsError("ResourceNotFoundException", "Requested resource not found")
        if table is not None:
            check_key(call, table)
    return call.forward()


def tagged(backend: Any) -> list[tuple[str, dict[str, str]]]:
    return [
        (table.table_arn, {tag["Key"]: tag["Value"] for tag in table.tags})
        for table in backend.tables.values()
        if table.tags
    ]

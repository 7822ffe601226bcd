"""DynamoDB: tables take their time to come and to go."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.clock import CLOCK
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.registry import Call, handles, prepares
from provisioner_sandbox.wire.message import Answer

CREATING = 10
DELETING = 10
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


@handles("dynamodb", "CreateTable")
def create(call: Call) -> dict:
    result = call.moto()
    table_of(call).sandbox_created = CLOCK.now()
    result["TableDescription"]["TableStatus"] = "CREATING"
    return result


@handles("dynamodb", "DescribeTable")
def describe(call: Call) -> dict | Answer:
    table = table_of(call)
    if table is None:
        return call.forward()
    result = call.moto()
    result["Table"]["TableStatus"] = status(table)
    return result


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
    answer = call.forward()
    # moto drops it.
    if table is not None and "SSESpecification" in call.params:
        table.sse_specification = dict(call.params["SSESpecification"])
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
    return call.forward()


def tagged(backend: Any) -> list[tuple[str, dict[str, str]]]:
    return [
        (table.table_arn, {tag["Key"]: tag["Value"] for tag in table.tags})
        for table in backend.tables.values()
        if table.tags
    ]

"""Repositories of other accounts: made with their `registryId`, and read as far as their policies allow.

Calls that make and fill one act as its owner here; in AWS they take keys of the other account.
Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/repository-policies.html
"""

from __future__ import annotations

from provisioner_sandbox.backend import ACCOUNT
from provisioner_sandbox.caller import caller
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.iam_context import circumstances
from provisioner_sandbox.policy import Malformed, Question, applies, statements
from provisioner_sandbox.registry import Call, prepares
from provisioner_sandbox.sessions import session

# Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-pull.html and repository-policy-examples.html
READS = {
    "BatchCheckLayerAvailability", "BatchGetImage", "DescribeImages", "GetDownloadUrlForLayer", "ListImages",
}  # fmt: skip


@prepares("ecr")
def check_policy(call: Call) -> None:
    """A repository that does not exist is told as such: `repository_of` does."""
    registry = call.params.get("registryId") or ACCOUNT
    repository = call.backend.repositories.get(call.params.get("repositoryName"))
    if call.name not in READS or registry == ACCOUNT or repository is None or repository.registry_id != registry:
        return
    held = session(call.request)
    who = held.arn if held is not None else caller().arn
    role = held.role_arn if held is not None else caller().principal
    action = f"ecr:{call.name}"
    question = Question(ACCOUNT, who, action, repository.arn, circumstances(call.request, call.region, who), role=role)
    try:
        # Statements of these policies have no resource: they are about their repository.
        found = statements(repository.policy, needs_resource=False) if repository.policy else []
        effects = {one["Effect"] for one in found if applies({"Resource": "*", **one}, question)}
    except Malformed:
        effects = set()
    if effects == {"Allow"}:
        return
    denied = "Deny" in effects
    why = "with an explicit deny in a" if denied else "because no"
    end = "" if denied else f" allows the {action} action"
    message = (
        f"User: {who} is not authorized to perform: {action} on resource: {repository.arn} {why} resource-based policy{end}"
    )
    raise AwsError("AccessDeniedException", message)

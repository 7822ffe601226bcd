"""IAM: what moto accepts and AWS does not."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.policy import Malformed, statements
from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.wire.message import Answer

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MANAGED_POLICIES_PER_ROLE = 10
INLINE_CHARACTERS_PER_ROLE = 10240


@handles("iam", "CreateRole", "UpdateAssumeRolePolicy")
def with_trust(call: Call) -> Answer:
    document = call.params.get("AssumeRolePolicyDocument") or call.params.get("PolicyDocument", "")
    try:
        statements(document, needs_resource=False)
    except Malformed as error:
        raise AwsError("MalformedPolicyDocument", str(error)) from None
    return call.forward()


@handles("iam", "AttachRolePolicy")
def attach(call: Call) -> Answer:
    role = role_of(call)
    arn = call.params["PolicyArn"]
    if (
        role is not None
        and arn not in role.managed_policies
        and len(role.managed_policies) >= MANAGED_POLICIES_PER_ROLE
    ):
        raise quota(f"PoliciesPerRole: {MANAGED_POLICIES_PER_ROLE}")
    return call.forward()


@handles("iam", "PutRolePolicy")
def put_inline(call: Call) -> Answer:
    role = role_of(call)
    if role is not None:
        others = {name: doc for name, doc in role.policies.items() if name != call.params["PolicyName"]}
        documents = [*others.values(), call.params["PolicyDocument"]]
        # Blanks do not count.
        if sum(len("".join(str(document).split())) for document in documents) > INLINE_CHARACTERS_PER_ROLE:
            message = f"Maximum policy size of {INLINE_CHARACTERS_PER_ROLE} bytes exceeded for role {role.name}"
            raise AwsError("LimitExceeded", message, 409)
    return call.forward()


@handles("iam", "DeletePolicy")
def delete_policy(call: Call) -> Answer:
    policy = call.backend.managed_policies.get(call.params["PolicyArn"])
    if policy is not None and policy.attachment_count:
        raise AwsError("DeleteConflict", "Cannot delete a policy attached to entities.", 409)
    return call.forward()


@handles("iam", "DeleteOpenIDConnectProvider")
def delete_provider(call: Call) -> Answer:
    arn = call.params["OpenIDConnectProviderArn"]
    if arn not in call.backend.open_id_providers:
        raise AwsError("NoSuchEntity", f"OpenIDConnect Provider not found for arn {arn}", 404)
    return call.forward()


def role_of(call: Call) -> Any:
    name = call.params["RoleName"]
    return next((role for role in call.backend.roles.values() if role.name == name), None)


def quota(name: str) -> AwsError:
    return AwsError("LimitExceeded", f"Cannot exceed quota for {name}", 409)

"""IAM: what moto accepts and AWS does not, and the policy simulator."""

from __future__ import annotations

import re
from typing import Any

from provisioner_sandbox import authorization
from provisioner_sandbox.caller import caller as own_caller
from provisioner_sandbox.errors import AwsError
from provisioner_sandbox.identity import managed, policies_of
from provisioner_sandbox.policy import Malformed, statements
from provisioner_sandbox.registry import Call, handles, prepares
from provisioner_sandbox.simulation import invalid_input, simulate
from provisioner_sandbox.wire.message import Answer

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MANAGED_POLICIES_PER_ROLE = 10
INLINE_CHARACTERS_PER_ROLE = 10240
# What only AWS may do to a role of IAM Identity Center.
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteRole.html (UnmodifiableEntity)
CHANGES_OF_ROLES = {
    "AttachRolePolicy", "DeleteRole", "DeleteRolePermissionsBoundary", "DeleteRolePolicy", "DetachRolePolicy",
    "PutRolePermissionsBoundary", "PutRolePolicy", "UpdateAssumeRolePolicy", "UpdateRole", "UpdateRoleDescription",
}  # fmt: skip
PROTECTED_PATH = "/aws-reserved/"
ENTITY = re.compile(r"arn:aws[\w-]*:iam::\d{12}:(?P<kind>user|group|role)/(?:[^/]+/)*(?P<name>[^/]+)")


@prepares("iam")
def protect(call: Call) -> None:
    role = role_of(call) if call.name in CHANGES_OF_ROLES else None
    if role is not None and role.path.startswith(PROTECTED_PATH):
        message = (
            f"Cannot perform the operation on the protected role '{role.name}' - this role is only modifiable by AWS"
        )
        raise AwsError("UnmodifiableEntity", message)


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


@handles("iam", "SimulateCustomPolicy")
def simulate_custom(call: Call) -> dict:
    return simulate(call.params, [], [], call.params.get("CallerArn"))


@handles("iam", "SimulatePrincipalPolicy")
def simulate_principal(call: Call) -> dict:
    """Of the caller by his `callerPolicy`; of others by what is attached to them."""
    arn = call.params["PolicySourceArn"]
    match = ENTITY.fullmatch(arn)
    if not match:
        raise invalid_input(f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    caller = call.params.get("CallerArn") or (arn if match["kind"] == "user" else None)
    if arn == own_caller().principal:
        return simulate(call.params, list(authorization.POLICIES), [], caller)
    things = getattr(call.backend, f"{match['kind']}s").values()
    entity = next((thing for thing in things if thing.arn == arn), None)
    if entity is None:
        raise AwsError("NoSuchEntity", f"The {match['kind']} with name {match['name']} cannot be found.", 404)
    policies = policies_of(match["kind"], entity)
    if match["kind"] == "user":
        for group in call.backend.get_groups_for_user(entity.name):
            policies += policies_of("group", group)
    boundary = call.backend.managed_policies.get(getattr(entity, "permissions_boundary_arn", None))
    return simulate(call.params, policies, [managed(boundary)] if boundary else [], caller)


def role_of(call: Call) -> Any:
    name = call.params["RoleName"]
    return next((role for role in call.backend.roles.values() if role.name == name), None)


def quota(name: str) -> AwsError:
    return AwsError("LimitExceeded", f"Cannot exceed quota for {name}", 409)

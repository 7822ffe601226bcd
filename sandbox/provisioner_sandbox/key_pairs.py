"""The access keys whose secrets the sandbox knows: of this start, of IAM users, of roles that were assumed."""

from __future__ import annotations

from typing import Any

from provisioner_sandbox.backend import backend
from provisioner_sandbox.caller import configured
from provisioner_sandbox.own_keys import own_keys

# What everybody knows counts for the user alone who runs the sandbox.
WELL_KNOWN = "sandbox"


def key_pairs(region: str, well_known: bool = False) -> dict[str, dict[str, Any]]:
    """By the key's id its `secret`, its `arn`, and its `sessionToken` where it has one."""
    own = own_keys()
    found: dict[str, dict[str, Any]] = {own.key_id: {"secret": own.secret, "arn": configured().arn}}
    if well_known:
        found[WELL_KNOWN] = {"secret": WELL_KNOWN, "arn": configured().arn}
    for user in backend("iam", region).users.values():
        for key in user.access_keys:
            if key.status == "Active":
                found[key.access_key_id] = {"secret": key.secret_access_key, "arn": user.arn}
    for role in backend("sts", region).assumed_roles:
        found[role.access_key_id] = {
            "secret": role.secret_access_key, "arn": role.arn, "sessionToken": role.session_token,
        }  # fmt: skip
    return found

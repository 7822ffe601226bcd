"""Settings of a control plane that are one value each: its way out, its tier, and zonal shift.

Names: UpdateType and UpdateParamType in botocore's model of EKS. The user guide calls the tier's update
`ScalingTierConfigUpdate`, which the model does not know.
"""

from __future__ import annotations

import json
from typing import Any

from provisioner_sandbox.registry import Call
from provisioner_sandbox.services.eks.readiness import ready_for
from provisioner_sandbox.services.eks.state import Cluster, invalid, start_update

AWS_MANAGED, CUSTOMER_ROUTED = "AWS_MANAGED", "CUSTOMER_ROUTED"
STANDARD = "standard"
# AWS seconds. A way out was changed in seven minutes (https://github.com/eksctl-io/eksctl/pull/8770); a tier takes "several
# minutes" (https://docs.aws.amazon.com/eks/latest/userguide/eks-provisioned-control-plane.html).
EGRESS = 420
TIER = 300
AT_ONCE = 1


def check_egress(mode: str | None) -> str:
    """The mode of a request. `CUSTOMER_ISOLATED` is in the model, and in no document.

    https://docs.aws.amazon.com/eks/latest/userguide/control-plane-egress.html
    """
    if mode not in (None, AWS_MANAGED, CUSTOMER_ROUTED):
        raise invalid(f"controlPlaneEgressMode {mode} is not supported")
    return mode or AWS_MANAGED


def of_new(params: dict[str, Any]) -> dict[str, Any]:
    """What a new cluster has. AWS answers the tier always, and zonal shift once it was set."""
    tier = (params.get("controlPlaneScalingConfig") or {}).get("tier", STANDARD)
    document: dict[str, Any] = {"controlPlaneScalingConfig": {"tier": tier}}
    if params.get("zonalShiftConfig"):
        document["zonalShiftConfig"] = params["zonalShiftConfig"]
    return document


def update_egress(call: Call, cluster: Cluster, mode: str) -> dict[str, Any]:
    """ "Once set to CUSTOMER_ROUTED, this setting cannot be changed back to AWS_MANAGED on the same cluster."

    https://docs.aws.amazon.com/eks/latest/APIReference/API_VpcConfigRequest.html
    """
    ready_for("ControlPlaneEgressUpdate", cluster)
    old, new = cluster.doc["resourcesVpcConfig"]["controlPlaneEgressMode"], check_egress(mode)
    if new == old:
        raise invalid(f"Cluster is already at the desired configuration with controlPlaneEgressMode: {old}")
    if old == CUSTOMER_ROUTED:
        raise invalid(f"Unsupported control plane egress mode update from {old} to {new}")
    changes = {"resourcesVpcConfig": {"controlPlaneEgressMode": new}}
    params = {"ControlPlaneEgressMode": new}
    return start_update(call, cluster, cluster, "ControlPlaneEgressUpdate", params, changes, EGRESS)


def update_tier(call: Call, cluster: Cluster, asked: dict[str, Any]) -> dict[str, Any]:
    ready_for("ControlPlaneScalingConfigUpdate", cluster)
    old, new = cluster.doc["controlPlaneScalingConfig"]["tier"], asked.get("tier")
    if new is None:
        raise invalid("The tier of controlPlaneScalingConfig is missing.")
    if new == old:
        raise invalid(f"Cluster is already at the desired configuration with controlPlaneScalingConfig tier: {old}")
    params, changes = {"UpdatedTier": new, "PreviousTier": old}, {"controlPlaneScalingConfig": {"tier": new}}
    return start_update(call, cluster, cluster, "ControlPlaneScalingConfigUpdate", params, changes, TIER)


def update_zonal_shift(call: Call, cluster: Cluster, asked: dict[str, Any]) -> dict[str, Any]:
    ready_for("ZonalShiftConfigUpdate", cluster)
    params = {"ZonalShiftConfig": json.dumps(asked)}
    return start_update(call, cluster, cluster, "ZonalShiftConfigUpdate", params, {"zonalShiftConfig": asked}, AT_ONCE)

"""Flow logs."""

from __future__ import annotations

from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.describe import listing


@handles("ec2", "DeleteFlowLogs")
def delete(call: Call) -> dict:
    """One that is missing is told in the answer, not by an error, and does not stop the others."""
    backend = call.backend
    unsuccessful = []
    for flow_log_id in call.params["FlowLogIds"]:
        if backend.flow_logs.pop(flow_log_id, None) is None:
            message = f"These flow log ids in the input list are not found: {flow_log_id}"
            error = {"Code": "InvalidFlowLogId.NotFound", "Message": message}
            unsuccessful.append({"ResourceId": flow_log_id, "Error": error})
        backend.tags.pop(flow_log_id, None)
    return {"Unsuccessful": unsuccessful}


listing(
    result="FlowLogs",
    id_member="FlowLogId",
    not_found=("InvalidFlowLogId.NotFound", "The flow log ID '{}' does not exist"),
    filters_param="Filter",
    filters={
        "deliver-log-status": "DeliverLogsStatus",
        "log-destination-type": "LogDestinationType",
        "flow-log-id": "FlowLogId",
        "log-group-name": "LogGroupName",
        "resource-id": "ResourceId",
        "traffic-type": "TrafficType",
    },
)

"""Launch templates: their own tags, which moto puts into the data for instances as well, and shows as they first were.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html
"""

from __future__ import annotations

from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.wire.message import Answer


@handles("ec2", "CreateLaunchTemplate")
def create(call: Call) -> dict | Answer:
    answer = call.forward()
    name = call.params.get("LaunchTemplateName")
    for template in call.backend.launch_templates.values():
        if template.name == name:
            data = template.versions[0].data
            of_instances = [tags for tags in data.get("TagSpecifications", []) if tags["ResourceType"] != "launch-template"]
            data["TagSpecifications"] = of_instances
    return answer


@handles("ec2", "DescribeLaunchTemplates")
def describe(call: Call) -> dict | Answer:
    for template in call.backend.launch_templates.values():
        template.tags = template.get_tags()
    return call.forward()

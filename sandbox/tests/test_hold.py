"""Calls that are held between their effect and their answer."""

import threading

import pytest
from botocore.exceptions import HTTPClientError
from conftest import until


@pytest.mark.parametrize(("kind", "made"), [("hold_request", 0), ("hold_response", 1)])
def test_a_held_call_is_seen_and_lost_when_it_is_released(sandbox, kind, made):
    ec2 = sandbox.client("ec2")
    sandbox.configure(faults=[{"on": "ec2:CreateVpc", "kind": kind, "times": 1}])
    lost = []

    def create():
        try:
            ec2.create_vpc(CidrBlock="10.0.0.0/16")
        except HTTPClientError as error:
            lost.append(error)

    caller = threading.Thread(target=create)
    caller.start()
    until(lambda: sandbox.ext("GET", "status")[1]["held"] == "ec2:CreateVpc")
    there = [vpc for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]]
    assert len(there) == made
    assert caller.is_alive()
    sandbox.ext("POST", "release")
    caller.join(5)
    assert len(lost) == 1
    assert sandbox.ext("GET", "status")[1]["held"] is None

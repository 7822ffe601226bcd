"""Key pairs: found and deleted by id as well as by name; moto knows the name alone.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteKeyPair.html
"""

from __future__ import annotations

from provisioner_sandbox.registry import Call, handles
from provisioner_sandbox.services.ec2.describe import listing
from provisioner_sandbox.wire.message import Answer

listing(
    result="KeyPairs",
    id_member="KeyPairId",
    not_found=("InvalidKeyPair.NotFound", "The key pair ID '{}' does not exist"),
    filters={
        "key-pair-id": "KeyPairId",
        "key-name": "KeyName",
        "fingerprint": "KeyFingerprint",
    },
    extra_params=("IncludePublicKey", "KeyNames"),
)


@handles("ec2", "DeleteKeyPair")
def delete(call: Call) -> dict | Answer:
    """Of a pair that is not there AWS says that it is deleted, without an id."""
    backend, wanted = call.backend, call.params.get("KeyPairId")
    if not wanted:
        return call.forward()
    name = next((pair.key_name for pair in backend.key_pairs.values() if pair.id == wanted), None)
    if name is None:
        return {"Return": True}
    backend.tags.pop(wanted, None)
    return call.moto({"KeyName": name})

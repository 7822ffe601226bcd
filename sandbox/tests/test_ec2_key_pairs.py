"""Key pairs by id and by name."""

PUBLIC = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFRXS4HYgrxKDTbjqkVoPmLCAeynmnB5kMsjtXpNHgKc someone@somewhere"


def imported(ec2, name):
    tags = [{"ResourceType": "key-pair", "Tags": [{"Key": "team", "Value": "blue"}]}]
    return ec2.import_key_pair(KeyName=name, PublicKeyMaterial=PUBLIC, TagSpecifications=tags)["KeyPairId"]


def test_a_pair_is_found_by_id_tag_and_name(ec2, refused):
    first, second = imported(ec2, "one"), imported(ec2, "two")
    by_id = ec2.describe_key_pairs(KeyPairIds=[second], IncludePublicKey=True)["KeyPairs"]
    assert [pair["KeyName"] for pair in by_id] == ["two"]
    assert by_id[0]["PublicKey"].startswith("ssh-ed25519 ")
    tagged = ec2.describe_key_pairs(Filters=[{"Name": "tag:team", "Values": ["blue"]}])["KeyPairs"]
    assert {pair["KeyPairId"] for pair in tagged} == {first, second}
    refused("InvalidKeyPair.NotFound", ec2.describe_key_pairs, KeyNames=["three"])


def test_a_pair_is_deleted_by_id_and_twice_is_no_mistake(ec2):
    pair = imported(ec2, "one")
    assert ec2.delete_key_pair(KeyPairId=pair)["Return"] is True
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    assert ec2.delete_key_pair(KeyPairId=pair)["Return"] is True

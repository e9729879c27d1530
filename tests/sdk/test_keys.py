"""A chosen master key through every SDK, and what its state does to the secrets under it."""

import uuid

import pytest

from test_secrets import CHINESE, create, refusal


@pytest.fixture
def key(sdk):
    """A new symmetric master key's metadata."""
    return sdk.call("CreateKey", Description="主密钥", KeySpec="Aliyun_AES_256", KeyUsage="ENCRYPT/DECRYPT")["KeyMetadata"]


def test_key(sdk, target, key):
    assert (key["KeyState"], key["KeySpec"], key["KeyUsage"]) == ("Enabled", "Aliyun_AES_256", "ENCRYPT/DECRYPT")
    assert key["Arn"] == f"acs:kms:{target.region}:{target.account}:key/{key['KeyId']}"
    assert sdk.call("DescribeKey", KeyId=key["KeyId"])["KeyMetadata"]["Description"] == "主密钥"

    found, page = set(), 1
    while True:
        answer = sdk.call("ListKeys", PageNumber=page, PageSize=100)
        found |= {k["KeyId"] for k in answer["Keys"]["Key"]}
        if page * 100 >= answer["TotalCount"]:
            break
        page += 1
    assert key["KeyId"] in found


@pytest.mark.parametrize("way", ["id", "arn", "alias"])
def test_secret_under_a_chosen_key(sdk, witness, key, name, way):
    if way == "alias":
        chosen = f"alias/sdk-{uuid.uuid4()}"
        sdk.call("CreateAlias", AliasName=chosen, KeyId=key["KeyId"])
        assert refusal(sdk, "CreateAlias", AliasName=chosen, KeyId=key["KeyId"]) == (400, "AliasAlreadyExists")
    else:
        chosen = {"id": key["KeyId"], "arn": key["Arn"]}[way]
    create(sdk, name, CHINESE, EncryptionKeyId=chosen)
    assert sdk.call("DescribeSecret", SecretName=name)["EncryptionKeyId"] == key["KeyId"]
    assert witness.call("GetSecretValue", SecretName=name)["SecretData"] == CHINESE


def test_disabled_key(sdk, key, name):
    create(sdk, name, CHINESE, EncryptionKeyId=key["KeyId"])
    sdk.call("DisableKey", KeyId=key["KeyId"])
    disabled = (409, "Rejected.Disabled")
    assert refusal(sdk, "GetSecretValue", SecretName=name) == disabled
    more = {"SecretName": name + "2", "VersionId": "v1", "SecretData": "x", "EncryptionKeyId": key["KeyId"]}
    assert refusal(sdk, "CreateSecret", **more) == disabled
    # What does not touch the value still works.
    assert sdk.call("DescribeSecret", SecretName=name)["SecretName"] == name
    sdk.call("EnableKey", KeyId=key["KeyId"])
    assert sdk.call("GetSecretValue", SecretName=name)["SecretData"] == CHINESE


def test_unknown_key(sdk, name):
    more = {"SecretName": name, "VersionId": "v1", "SecretData": "x", "EncryptionKeyId": str(uuid.uuid4())}
    assert refusal(sdk, "CreateSecret", **more) == (404, "Forbidden.KeyNotFound")

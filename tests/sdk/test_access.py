"""Who is refused, and the code that each SDK reports for it."""

import dataclasses
import time
import uuid

import pytest

from test_secrets import create, refusal

NO_PERMISSION = (403, "Forbidden.NoPermission")


def test_wrong_secret(sdk_class, target):
    sdk = sdk_class(dataclasses.replace(target, access_key_secret="not the secret"))
    assert refusal(sdk, "ListSecrets") == (400, sdk.wrong_secret_code)


def test_unknown_access_key(sdk_class, target):
    sdk = sdk_class(dataclasses.replace(target, access_key_id="LTAInobodyhasthisone"))
    assert refusal(sdk, "ListSecrets") == (404, "InvalidAccessKeyId.NotFound")


def test_narrow_policy(sdk_class, witness, new_user, name):
    """A user who may describe and read what begins `narrow/`, and no more."""
    mine, other = f"narrow/{uuid.uuid4()}", name
    create(witness, mine, "a")
    create(witness, other, "b")
    statement = {"Effect": "Allow", "Action": ["kms:DescribeSecret", "kms:GetSecretValue"]}
    _, narrow = new_user({"Version": "1", "Statement": [{**statement, "Resource": "acs:kms:*:*:secret/narrow/*"}]})
    sdk = sdk_class(narrow)

    assert sdk.call("DescribeSecret", SecretName=mine)["SecretName"] == mine
    assert sdk.call("GetSecretValue", SecretName=mine)["SecretData"] == "a"
    assert refusal(sdk, "GetSecretValue", SecretName=other) == NO_PERMISSION
    assert refusal(sdk, "DeleteSecret", SecretName=mine) == NO_PERMISSION
    assert refusal(sdk, "ListSecrets") == NO_PERMISSION
    # Whether a name exists is not told to those who may not know.
    assert refusal(sdk, "GetSecretValue", SecretName=name + "-absent") == NO_PERMISSION
    assert refusal(sdk, "GetSecretValue", SecretName="narrow/absent") == (404, "Forbidden.ResourceNotFound")


def test_the_key_needs_its_own_permission(sdk_class, witness, new_user, name):
    """A secret under a user's own master key is read only with kms:Decrypt on that key."""
    key = witness.call("CreateKey")["KeyMetadata"]
    create(witness, name, "a", EncryptionKeyId=key["KeyId"])
    read = {"Effect": "Allow", "Action": "kms:GetSecretValue", "Resource": f"acs:kms:*:*:secret/{name}"}
    decrypt = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key["Arn"]}
    _, without = new_user({"Version": "1", "Statement": [read]})
    _, with_it = new_user({"Version": "1", "Statement": [read, decrypt]})
    assert refusal(sdk_class(without), "GetSecretValue", SecretName=name) == NO_PERMISSION
    assert sdk_class(with_it).call("GetSecretValue", SecretName=name)["SecretData"] == "a"


def test_deny_wins_and_revocation_is_quick(sdk_class, admin, new_user):
    allow = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "kms:CreateSecret", "Resource": "*"}
    user, who = new_user({"Version": "1", "Statement": [allow, deny]})
    sdk = sdk_class(who)
    sdk.call("ListSecrets")
    assert refusal(sdk, "CreateSecret", SecretName=user, VersionId="v1", SecretData="x") == NO_PERMISSION

    admin("policy", "detach", user, "--user", user)
    time.sleep(1)
    assert refusal(sdk, "ListSecrets") == NO_PERMISSION

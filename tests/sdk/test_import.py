"""Imported key material: encrypted by an independent implementation, brought by every SDK."""

import base64
import os
import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from test_secrets import CHINESE, create, refusal


def oaep(algorithm):
    return padding.OAEP(padding.MGF1(algorithm), algorithm, None)


PADDINGS = {
    "RSAES_PKCS1_V1_5": padding.PKCS1v15(),
    "RSAES_OAEP_SHA_1": oaep(hashes.SHA1()),
    "RSAES_OAEP_SHA_256": oaep(hashes.SHA256()),
}


def parameters(sdk, key_id, algorithm):
    return sdk.call("GetParametersForImport", KeyId=key_id, WrappingAlgorithm=algorithm, WrappingKeySpec="RSA_2048")


def wrapped(answer, algorithm, material):
    public = serialization.load_der_public_key(base64.b64decode(answer["PublicKey"]))
    assert public.key_size == 2048
    return base64.b64encode(public.encrypt(material, PADDINGS[algorithm])).decode()


def brought(answer, algorithm, material, expires=0):
    """The parameters of ImportKeyMaterial."""
    return {
        "KeyId": answer["KeyId"],
        "EncryptedKeyMaterial": wrapped(answer, algorithm, material),
        "ImportToken": answer["ImportToken"],
        "KeyMaterialExpireUnix": expires,
    }


@pytest.fixture
def key(sdk):
    return sdk.call("CreateKey", Origin="EXTERNAL", KeySpec="Aliyun_AES_256")["KeyMetadata"]


@pytest.mark.parametrize("algorithm", PADDINGS)
def test_import(sdk, witness, key, name, algorithm):
    assert (key["KeyState"], key["Origin"]) == ("PendingImport", "EXTERNAL")
    key_id, material = key["KeyId"], os.urandom(32)
    answer = parameters(sdk, key_id, algorithm)
    assert answer["KeyId"] == key_id and answer["TokenExpireTime"].endswith("Z")

    short = brought(answer, algorithm, material[:16])
    assert refusal(sdk, "ImportKeyMaterial", **short) == (400, "InvalidKeyMaterial")
    sdk.call("ImportKeyMaterial", **brought(answer, algorithm, material))
    assert witness.call("DescribeKey", KeyId=key_id)["KeyMetadata"]["KeyState"] == "Enabled"
    create(sdk, name, CHINESE, EncryptionKeyId=key_id)

    again = parameters(sdk, key_id, algorithm)
    other = brought(again, algorithm, os.urandom(32))
    assert refusal(sdk, "ImportKeyMaterial", **other) == (400, "InvalidKeyMaterial")
    sdk.call("DeleteKeyMaterial", KeyId=key_id)
    assert refusal(witness, "GetSecretValue", SecretName=name) == (409, "Rejected.PendingImport")
    sdk.call("ImportKeyMaterial", **brought(again, algorithm, material, int(time.time()) + 3600))
    assert witness.call("GetSecretValue", SecretName=name)["SecretData"] == CHINESE
    assert witness.call("DescribeKey", KeyId=key_id)["KeyMetadata"]["MaterialExpireTime"] != ""


def test_false_tokens(sdk, key):
    algorithm = "RSAES_OAEP_SHA_256"
    answer = parameters(sdk, key["KeyId"], algorithm)
    good = brought(answer, algorithm, os.urandom(32))
    other = sdk.call("CreateKey", Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    assert refusal(sdk, "ImportKeyMaterial", **{**good, "KeyId": other}) == (400, "InvalidImportToken")
    forged = {**good, "ImportToken": base64.b64encode(os.urandom(57)).decode()}
    assert refusal(sdk, "ImportKeyMaterial", **forged) == (400, "InvalidImportToken")
    own = sdk.call("CreateKey")["KeyMetadata"]["KeyId"]
    origin = (400, "Unsupported.Origin")
    wanted = {"KeyId": own, "WrappingAlgorithm": algorithm, "WrappingKeySpec": "RSA_2048"}
    assert refusal(sdk, "GetParametersForImport", **wanted) == origin
    assert refusal(sdk, "DeleteKeyMaterial", KeyId=own) == origin

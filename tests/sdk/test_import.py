"""Imported key material: encrypted by an independent implementation, brought by every SDK."""

import base64
import os
import struct
import time
import uuid

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from test_crypto import context
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


@pytest.mark.parametrize("spec,length", [("Aliyun_AES_256", 32), ("Aliyun_AES_192", 24), ("Aliyun_AES_128", 16)])
def test_imported_material_encrypts(sdk, witness, spec, length):
    """What the material encrypted opens again when the material has gone and come back, and not under any other key."""
    algorithm, material = "RSAES_OAEP_SHA_256", os.urandom(length)
    keys = [sdk.call("CreateKey", Origin="EXTERNAL", KeySpec=spec)["KeyMetadata"]["KeyId"] for _ in range(2)]
    for key_id in keys:
        sdk.call("ImportKeyMaterial", **brought(parameters(sdk, key_id, algorithm), algorithm, material))
    key_id, bound = keys[0], {"order": "7"}
    blob = sdk.call("Encrypt", KeyId=key_id, Plaintext=CHINESE, EncryptionContext=context(sdk, bound))["CiphertextBlob"]
    opened = {"CiphertextBlob": blob, "EncryptionContext": context(sdk, bound)}
    assert sdk.call("Decrypt", **opened)["Plaintext"] == CHINESE

    sdk.call("DeleteKeyMaterial", KeyId=key_id)
    assert refusal(sdk, "Decrypt", **opened) == (409, "Rejected.PendingImport")
    sdk.call("ImportKeyMaterial", **brought(parameters(sdk, key_id, algorithm), algorithm, material))
    assert witness.call("Decrypt", CiphertextBlob=blob, EncryptionContext=bound)["Plaintext"] == CHINESE
    # The same material makes no other key of it: the blob names its key, and is bound to that.
    raw = base64.b64decode(blob)
    other = sdk.call("Encrypt", KeyId=keys[1], Plaintext="x", EncryptionContext=context(sdk, bound))["CiphertextBlob"]
    crossed = base64.b64encode(raw[:2] + base64.b64decode(other)[2:18] + raw[18:]).decode()
    assert refusal(sdk, "Decrypt", **{**opened, "CiphertextBlob": crossed}) == (400, "InvalidParameter")


@pytest.fixture(scope="session")
def deployment(admin):
    return uuid.UUID(admin("check")["Deployment"]).bytes


@pytest.mark.parametrize("algorithm", PADDINGS)
def test_the_key_is_the_very_material(sdk, target, deployment, key, algorithm):
    """With the material alone, and docs/formats.md, a blob is opened and made outside of the token."""
    key_id, material = key["KeyId"], os.urandom(32)
    sdk.call("ImportKeyMaterial", **brought(parameters(sdk, key_id, algorithm), algorithm, material))
    bound = {"a": "1", "用途": "备份"}
    blob = sdk.call("Encrypt", KeyId=key_id, Plaintext=CHINESE, EncryptionContext=context(sdk, bound))["CiphertextBlob"]
    raw = base64.b64decode(blob)
    assert raw[:2] == b"\x01\x01"
    fields = [deployment, target.account.encode(), target.region.encode(), uuid.UUID(key_id).bytes, raw[2:18], b"\x00\x01"]
    for name, value in sorted((name.encode(), value.encode()) for name, value in bound.items()):
        fields += [name, value]
    associated = b"bulla\x01\x03" + b"".join(struct.pack(">I", len(field)) + field for field in fields)
    assert AESGCM(material).decrypt(raw[18:30], raw[30:], associated).decode() == CHINESE

    iv = os.urandom(12)
    ours = raw[:18] + iv + AESGCM(material).encrypt(iv, "made outside 数".encode(), associated)
    opened = sdk.call("Decrypt", CiphertextBlob=base64.b64encode(ours).decode(), EncryptionContext=context(sdk, bound))
    assert (opened["Plaintext"], opened["KeyId"]) == ("made outside 数", key_id)


def test_data_keys_under_imported_material_are_exported(sdk, key):
    """A data key that the material sealed, opened by the token and read with a private key of our own."""
    algorithm = "RSAES_OAEP_SHA_1"
    sdk.call("ImportKeyMaterial", **brought(parameters(sdk, key["KeyId"], algorithm), algorithm, os.urandom(32)))
    ours = rsa.generate_private_key(65537, 2048)
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    named = {
        "PublicKeyBlob": base64.b64encode(ours.public_key().public_bytes(*form)).decode(),
        "WrappingKeySpec": "RSA_2048",
        "WrappingAlgorithm": "RSAES_OAEP_SHA_256",
    }
    made = sdk.call("GenerateDataKey", KeyId=key["KeyId"])
    exported = sdk.call("ExportDataKey", CiphertextBlob=made["CiphertextBlob"], **named)["ExportedDataKey"]
    assert ours.decrypt(base64.b64decode(exported), oaep(hashes.SHA256())) == base64.b64decode(made["Plaintext"])

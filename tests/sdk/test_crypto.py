"""Cryptographic operations through every SDK, checked by an implementation that shares nothing with Bulla: the package `cryptography`."""

import base64
import hashlib
import hmac
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from clients import Refused
from test_secrets import refusal

INVALID = (400, "InvalidParameter")
UNSUPPORTED = (400, "UnsupportedOperation")
OAEP = {"RSAES_OAEP_SHA_256": hashes.SHA256, "RSAES_OAEP_SHA_1": hashes.SHA1}


def b64(data):
    return base64.b64encode(data).decode()


def context(sdk, entries):
    """An EncryptionContext as this SDK takes it: the new ones a map, the old ones its JSON."""
    return entries if sdk.typed else json.dumps(entries, ensure_ascii=False)


def new_key(client, spec="Aliyun_AES_256", usage="ENCRYPT/DECRYPT"):
    return client.call("CreateKey", KeySpec=spec, KeyUsage=usage)["KeyMetadata"]


def pair(client, spec, usage):
    """KeyId and KeyVersionId of a new key pair."""
    key = new_key(client, spec, usage)
    listed = client.call("ListKeyVersions", KeyId=key["KeyId"])["KeyVersions"]["KeyVersion"]
    return {"KeyId": key["KeyId"], "KeyVersionId": listed[0]["KeyVersionId"]}


def public_key(sdk, named):
    return serialization.load_pem_public_key(sdk.call("GetPublicKey", **named)["PublicKey"].encode())


# --- symmetric -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["Aliyun_AES_256", "Aliyun_AES_192", "Aliyun_AES_128"])
def test_encrypt_and_decrypt(sdk, witness, spec):
    key = new_key(sdk, spec)["KeyId"]
    for plaintext in (b64(b"\x00\xff" * 3072), "a PEM is not Base64: 证书 -----BEGIN"):
        bound = {"用途": "备份", "order": "7 & more"}
        made = sdk.call("Encrypt", KeyId=key, Plaintext=plaintext, EncryptionContext=context(sdk, bound))
        assert made["KeyId"] == key
        blob = made["CiphertextBlob"]
        opened = sdk.call("Decrypt", CiphertextBlob=blob, EncryptionContext=context(sdk, bound))
        assert (opened["Plaintext"], opened["KeyId"], opened["KeyVersionId"]) == (plaintext, key, made["KeyVersionId"])
        # The order of the entries does not matter, nor which SDK wrote them down.
        turned = dict(reversed(bound.items()))
        assert witness.call("Decrypt", CiphertextBlob=blob, EncryptionContext=turned)["Plaintext"] == plaintext
        for other in ({"用途": "备份"}, {**bound, "more": ""}, {}):
            assert refusal(sdk, "Decrypt", CiphertextBlob=blob, EncryptionContext=context(sdk, other)) == INVALID


def test_what_was_changed_does_not_open(sdk):
    one, other = (sdk.call("Encrypt", KeyId=new_key(sdk)["KeyId"], Plaintext="QQ==")["CiphertextBlob"] for _ in range(2))
    one, other = base64.b64decode(one), base64.b64decode(other)
    wrong = [one[:-1], one[:-4], one[:18], one[:2] + other[2:18] + one[18:], one + b"\x00", one[:-1] + bytes([one[-1] ^ 1])]
    for blob in wrong:
        assert refusal(sdk, "Decrypt", CiphertextBlob=b64(blob)) == INVALID


@pytest.mark.parametrize("asked, length", [({}, 32), ({"KeySpec": "AES_128"}, 16), ({"KeySpec": "AES_256", "NumberOfBytes": 64}, 64)])
def test_data_keys(sdk, asked, length):
    key = new_key(sdk)["KeyId"]
    bound = context(sdk, {"a": "1"})
    made = sdk.call("GenerateDataKey", KeyId=key, EncryptionContext=bound, **asked)
    assert len(base64.b64decode(made["Plaintext"])) == length
    assert sdk.call("Decrypt", CiphertextBlob=made["CiphertextBlob"], EncryptionContext=bound)["Plaintext"] == made["Plaintext"]
    hidden = sdk.call("GenerateDataKeyWithoutPlaintext", KeyId=key, EncryptionContext=bound, **asked)
    assert "Plaintext" not in hidden
    opened = sdk.call("Decrypt", CiphertextBlob=hidden["CiphertextBlob"], EncryptionContext=bound)
    assert len(base64.b64decode(opened["Plaintext"])) == length


def test_re_encrypt(sdk):
    source, destination = new_key(sdk)["KeyId"], new_key(sdk, "Aliyun_AES_128")["KeyId"]
    blob = sdk.call("Encrypt", KeyId=source, Plaintext="QQ==", EncryptionContext=context(sdk, {"a": "1"}))["CiphertextBlob"]
    to = {"DestinationKeyId": destination, "DestinationEncryptionContext": context(sdk, {"b": "2"})}
    made = sdk.call("ReEncrypt", CiphertextBlob=blob, SourceEncryptionContext=context(sdk, {"a": "1"}), **to)
    assert made["KeyId"] == destination
    opened = sdk.call("Decrypt", CiphertextBlob=made["CiphertextBlob"], EncryptionContext=context(sdk, {"b": "2"}))
    assert opened["Plaintext"] == "QQ=="
    assert refusal(sdk, "ReEncrypt", CiphertextBlob=blob, **to) == INVALID


@pytest.mark.parametrize("algorithm", OAEP)
def test_exported_data_keys_decrypt(sdk, algorithm):
    private = rsa.generate_private_key(65537, 2048)
    info = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    under = {"PublicKeyBlob": b64(info), "WrappingKeySpec": "RSA_2048", "WrappingAlgorithm": algorithm}

    def decrypt(exported):
        digest = OAEP[algorithm]()
        oaep = padding.OAEP(padding.MGF1(digest), digest, None)
        return private.decrypt(base64.b64decode(exported), oaep)

    key = new_key(sdk)["KeyId"]
    made = sdk.call("GenerateDataKey", KeyId=key)
    exported = sdk.call("ExportDataKey", CiphertextBlob=made["CiphertextBlob"], **under)
    assert b64(decrypt(exported["ExportedDataKey"])) == made["Plaintext"]
    both = sdk.call("GenerateAndExportDataKey", KeyId=key, KeySpec="AES_128", **under)
    opened = sdk.call("Decrypt", CiphertextBlob=both["CiphertextBlob"])
    assert b64(decrypt(both["ExportedDataKey"])) == opened["Plaintext"]

    assert refusal(sdk, "GenerateAndExportDataKey", KeyId=key, NumberOfBytes=215, **under) == INVALID
    assert refusal(sdk, "ExportDataKey", CiphertextBlob=made["CiphertextBlob"], **{**under, "PublicKeyBlob": "QQ=="}) == INVALID
    sm2 = {**under, "WrappingKeySpec": "EC_SM2", "WrappingAlgorithm": "SM2PKE"}
    assert refusal(sdk, "ExportDataKey", CiphertextBlob=made["CiphertextBlob"], **sm2) == UNSUPPORTED


# --- pairs ---------------------------------------------------------------------------------------------------------------


def verify(public, algorithm, signature, digest):
    sha = Prehashed(hashes.SHA256())
    if algorithm == "ECDSA_SHA_256":
        return public.verify(signature, digest, ec.ECDSA(sha))
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    return public.verify(signature, digest, pss if algorithm == "RSA_PSS_SHA_256" else padding.PKCS1v15(), sha)


@pytest.mark.parametrize(
    "spec, algorithms",
    [
        ("EC_P256", ["ECDSA_SHA_256"]),
        ("EC_P256K", ["ECDSA_SHA_256"]),
        ("RSA_2048", ["RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"]),
    ],
)
def test_signatures_verify(sdk, spec, algorithms):
    named = pair(sdk, spec, "SIGN/VERIFY")
    public = public_key(sdk, named)
    if spec.startswith("EC"):
        assert public.curve.name == {"EC_P256": "secp256r1", "EC_P256K": "secp256k1"}[spec]
    else:
        assert (public.key_size, public.public_numbers().e) == (2048, 65537)
    for algorithm in algorithms:
        for message in (b"", b"message", "签名".encode()):
            digest = hashlib.sha256(message).digest()
            asked = {**named, "Algorithm": algorithm, "Digest": b64(digest)}
            value = sdk.call("AsymmetricSign", **asked)["Value"]
            verify(public, algorithm, base64.b64decode(value), digest)
            with pytest.raises(InvalidSignature):
                verify(public, algorithm, base64.b64decode(value), hashlib.sha256(b"another").digest())
            assert sdk.call("AsymmetricVerify", Value=value, **asked)["Value"] is True
            raw = base64.b64decode(value)
            spoiled = b64(raw[:-1] + bytes([raw[-1] ^ 1]))
            assert sdk.call("AsymmetricVerify", Value=spoiled, **asked)["Value"] is False
        short = {**named, "Algorithm": algorithm, "Digest": b64(digest[:31])}
        assert refusal(sdk, "AsymmetricSign", **short) == INVALID


def test_foreign_signatures(witness):
    """Only PSS with 32 bytes of salt is RSA_PSS_SHA_256, and a signature of one algorithm is none of the other."""
    named = pair(witness, "RSA_2048", "SIGN/VERIFY")
    digest = b64(hashlib.sha256(b"m").digest())
    values = {a: witness.call("AsymmetricSign", Algorithm=a, Digest=digest, **named)["Value"] for a in ("RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256")}
    for made in values:
        for asked in values:
            answer = witness.call("AsymmetricVerify", Algorithm=asked, Digest=digest, Value=values[made], **named)
            assert answer["Value"] is (made == asked)


@pytest.mark.parametrize("algorithm", OAEP)
def test_oaep_both_ways(sdk, algorithm):
    named = {**pair(sdk, "RSA_2048", "ENCRYPT/DECRYPT"), "Algorithm": algorithm}
    digest = OAEP[algorithm]()
    oaep = padding.OAEP(padding.MGF1(digest), digest, None)
    public = public_key(sdk, {k: named[k] for k in ("KeyId", "KeyVersionId")})
    longest = 256 - 2 * digest.digest_size - 2
    for plaintext in (b"\x00", b"message", b"\x01" * longest):
        blob = b64(public.encrypt(plaintext, oaep))
        assert base64.b64decode(sdk.call("AsymmetricDecrypt", CiphertextBlob=blob, **named)["Plaintext"]) == plaintext
        blob = sdk.call("AsymmetricEncrypt", Plaintext=b64(plaintext), **named)["CiphertextBlob"]
        assert len(base64.b64decode(blob)) == 256
        assert base64.b64decode(sdk.call("AsymmetricDecrypt", CiphertextBlob=blob, **named)["Plaintext"]) == plaintext
    assert refusal(sdk, "AsymmetricEncrypt", Plaintext=b64(b"\x01" * (longest + 1)), **named) == INVALID

    # Right encryptions of other paddings, labels and hashes; what is no encryption at all.
    other = hashes.SHA1() if algorithm == "RSAES_OAEP_SHA_256" else hashes.SHA256()
    wrong = [
        public.encrypt(b"m", padding.PKCS1v15()),
        public.encrypt(b"m", padding.OAEP(padding.MGF1(other), other, None)),
        public.encrypt(b"m", padding.OAEP(padding.MGF1(digest), other, None)),
        public.encrypt(b"m", padding.OAEP(padding.MGF1(other), digest, None)),
        public.encrypt(b"m", padding.OAEP(padding.MGF1(digest), digest, b"label")),
        bytes(256),
        b"\xff" * 256,
        bytes(255),
        pow(2, 65537, public.public_numbers().n).to_bytes(256),
    ]
    for blob in wrong:
        assert refusal(sdk, "AsymmetricDecrypt", CiphertextBlob=b64(blob), **named) == INVALID


def test_re_encrypt_from_a_pair(witness):
    named = pair(witness, "RSA_2048", "ENCRYPT/DECRYPT")
    blob = public_key(witness, named).encrypt(b"secret", padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
    source = {f"Source{name}": value for name, value in named.items()} | {"SourceEncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    to = {"CiphertextBlob": b64(blob), "DestinationKeyId": new_key(witness)["KeyId"]}
    made = witness.call("ReEncrypt", **source, **to)
    assert witness.call("Decrypt", CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == b64(b"secret")
    assert refusal(witness, "ReEncrypt", **to) == INVALID
    assert refusal(witness, "ReEncrypt", **source, **to, SourceEncryptionContext={"a": "1"}) == INVALID
    del source["SourceEncryptionAlgorithm"]
    assert refusal(witness, "ReEncrypt", **source, **to) == (400, "MissingParameter")


@pytest.mark.parametrize("spec", ["RSA_3072", "RSA_4096"])
def test_longer_keys(witness, spec):
    bits = int(spec[4:])
    digest = hashlib.sha256(b"m").digest()
    named = pair(witness, spec, "SIGN/VERIFY")
    public = public_key(witness, named)
    assert public.key_size == bits
    for algorithm in ("RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"):
        value = base64.b64decode(witness.call("AsymmetricSign", Algorithm=algorithm, Digest=b64(digest), **named)["Value"])
        assert len(value) == bits // 8
        verify(public, algorithm, value, digest)

    named = pair(witness, spec, "ENCRYPT/DECRYPT")
    public = public_key(witness, named)
    for algorithm, digest in OAEP.items():
        longest = bits // 8 - 2 * digest().digest_size - 2
        blob = b64(public.encrypt(b"\x07" * longest, padding.OAEP(padding.MGF1(digest()), digest(), None)))
        opened = witness.call("AsymmetricDecrypt", Algorithm=algorithm, CiphertextBlob=blob, **named)
        assert base64.b64decode(opened["Plaintext"]) == b"\x07" * longest


# --- MACs ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [224, 256, 384, 512])
def test_macs(sdk, size):
    if "GenerateMac" in sdk.lacks:
        pytest.skip("this SDK is older than the operation")
    algorithm = f"HMAC_SHA_{size}"
    key = new_key(sdk, algorithm, "GENERATE/VERIFY_MAC")["KeyId"]
    asked = {"KeyId": key, "Algorithm": algorithm, "Message": b64("消息".encode())}
    made = sdk.call("GenerateMac", **asked)
    assert (made["KeyId"], made["Algorithm"]) == (key, algorithm)
    assert len(base64.b64decode(made["Mac"])) == size // 8
    assert sdk.call("VerifyMac", Mac=made["Mac"], **asked)["Value"] is True
    assert sdk.call("VerifyMac", Mac=b64(bytes(size // 8)), **asked)["Value"] is False


def test_a_mac_is_no_plain_digest(witness):
    """The key never leaves the token, so nobody else can compute its MACs; but they are none of a key that one could guess."""
    key = new_key(witness, "HMAC_SHA_256", "GENERATE/VERIFY_MAC")["KeyId"]
    made = base64.b64decode(witness.call("GenerateMac", KeyId=key, Algorithm="HMAC_SHA_256", Message=b64(b"m"))["Mac"])
    for guessed in (b"", bytes(32), b"\xff" * 32):
        assert made != hmac.digest(guessed, b"m", "sha256")


# --- rehearsals, and what is not served ----------------------------------------------------------------------------------


def test_dry_run(witness):
    key = new_key(witness)["KeyId"]
    blob = witness.call("Encrypt", KeyId=key, Plaintext="QQ==")["CiphertextBlob"]
    works = (400, "DryRunOperationError")
    assert refusal(witness, "Encrypt", KeyId=key, Plaintext="QQ==", DryRun="true") == works
    assert refusal(witness, "Decrypt", CiphertextBlob=blob, DryRun="true") == works
    assert refusal(witness, "Decrypt", CiphertextBlob="QQ==", DryRun="true") == (400, "ValidationError")
    assert witness.call("Decrypt", CiphertextBlob=blob, DryRun="false")["Plaintext"] == "QQ=="


def test_recipients_are_refused(witness):
    blob = witness.call("Encrypt", KeyId=new_key(witness)["KeyId"], Plaintext="QQ==")["CiphertextBlob"]
    assert refusal(witness, "Decrypt", CiphertextBlob=blob, Recipient="{}") == UNSUPPORTED


@pytest.mark.parametrize("spec", ["Aliyun_SM4", "EC_SM2"])
def test_what_the_token_lacks(witness, spec):
    with pytest.raises(Refused) as caught:
        witness.call("CreateKey", KeySpec=spec)
    assert (caught.value.status, caught.value.code) == UNSUPPORTED

"""Transit through the second door: hvac's calls, and an OpenBao server that unseals itself with a key of Bulla's token."""

import base64
import hashlib
import json
import os
import pathlib
import threading
import time
import urllib.request
import uuid

import hvac
import hvac.exceptions
import pytest

from conftest import need
from run import free_port
from vault import Api, Ended, bao_server


RECIPES = pathlib.Path(__file__).resolve().parent.parent.parent / "packaging/vault"


def text(data):
    return base64.b64encode(data).decode()


@pytest.fixture
def make_key(witness):
    """Makes a key with an alias; gives the alias without its prefix."""

    def make(**parameters):
        name = f"transit-{uuid.uuid4().hex[:12]}"
        key = witness.call("CreateKey", **parameters)["KeyMetadata"]
        witness.call("CreateAlias", KeyId=key["KeyId"], AliasName=f"alias/{name}")
        return name, key["KeyId"]

    return make


@pytest.fixture
def client(target):
    client = hvac.Client(url=f"http://{target.endpoint}")
    client.auth.approle.login(target.access_key_id, target.access_key_secret)
    return client


def test_encrypt_and_decrypt(client, make_key, witness):
    name, key_id = make_key()
    transit = client.secrets.transit
    assert transit.read_key(name)["data"]["type"] == "aes256-gcm96"
    for plaintext in (b"\x00", b"hunter2", bytes(range(256)) * 24):
        made = transit.encrypt_data(name, text(plaintext))["data"]
        assert made["ciphertext"].startswith("vault:v1:") and made["key_version"] == 1
        assert base64.b64decode(transit.decrypt_data(name, made["ciphertext"])["data"]["plaintext"]) == plaintext
    batch = transit.encrypt_data(name, batch_input=[{"plaintext": text(b"a")}, {"plaintext": text(b"b")}])["data"]["batch_results"]
    opened = transit.decrypt_data(name, batch_input=[{"ciphertext": item["ciphertext"]} for item in batch])["data"]
    assert [base64.b64decode(item["plaintext"]) for item in opened["batch_results"]] == [b"a", b"b"]
    bound = transit.encrypt_data(name, text(b"c"), associated_data=text(b"here"))["data"]["ciphertext"]
    for wrong in ({}, {"associated_data": text(b"there")}):
        with pytest.raises(hvac.exceptions.InvalidRequest, match="invalid ciphertext"):
            transit.decrypt_data(name, bound, **wrong)
    assert transit.decrypt_data(name, bound, associated_data=text(b"here"))["data"]["plaintext"] == text(b"c")
    other, _ = make_key()
    with pytest.raises(hvac.exceptions.InvalidRequest, match="invalid ciphertext"):
        transit.decrypt_data(other, made["ciphertext"])
    with pytest.raises(hvac.exceptions.InvalidRequest, match="encryption key not found"):
        transit.encrypt_data(f"{name}-absent", text(b"a"))
    with pytest.raises(hvac.exceptions.InvalidPath):
        transit.read_key(f"{name}-absent")
    for shown, bits in (("plaintext", 256), ("wrapped", 128)):
        made = transit.generate_data_key(name, shown, bits=bits)["data"]
        opened = transit.decrypt_data(name, made["ciphertext"])["data"]["plaintext"]
        assert len(base64.b64decode(opened)) * 8 == bits and made.get("plaintext") in (None, opened)
        assert ("plaintext" in made) == (shown == "plaintext")
    ciphertext = transit.encrypt_data(name, text(b"d"))["data"]["ciphertext"]
    again = transit.rewrap_data(name, ciphertext)["data"]["ciphertext"]
    assert again != ciphertext and transit.decrypt_data(name, again)["data"]["plaintext"] == text(b"d")
    api = Api(client.url, client.token)
    assert api.ask("POST", f"transit/datakey/wrapped/{name}", {"key_version": "1"})[0] == 200
    for kind in ("encrypt", "datakey/wrapped"):
        status, _, answer = api.ask("POST", f"transit/{kind}/{name}", {"plaintext": text(b"a"), "key_version": 7})
        assert status == 400 and "is not the newest" in answer["errors"][0], answer
    # What would count for all of a batch is not passed over in one item.
    hashed = {"input": text(hashlib.sha256(b"a").digest()), "prehashed": True}
    status, _, answer = api.ask("POST", f"transit/sign/{name}", {"batch_input": [hashed]})
    assert status == 400 and answer["errors"] == ["prehashed counts for all of a batch: it stands beside batch_input, not in it"]
    witness.call("DisableKey", KeyId=key_id)
    with pytest.raises(hvac.exceptions.InvalidRequest, match="disabled"):
        transit.encrypt_data(name, text(b"a"))


@pytest.mark.parametrize(("spec", "algorithm"), [("EC_P256", None), ("RSA_2048", "pss"), ("RSA_2048", "pkcs1v15")])
def test_sign_and_verify(client, make_key, spec, algorithm):
    name, _ = make_key(KeySpec=spec, KeyUsage="SIGN/VERIFY")
    transit = client.secrets.transit
    options = {"hash_algorithm": "sha2-256"} | ({"signature_algorithm": algorithm} if algorithm else {})
    signature = transit.sign_data(name, text(b"message"), **options)["data"]["signature"]
    assert signature.startswith("vault:v1:")
    for message, valid in ((b"message", True), (b"another", False)):
        told = transit.verify_signed_data(name, text(message), signature=signature, **options)
        assert told["data"]["valid"] is valid


def test_hmac(client, make_key):
    name, _ = make_key(KeySpec="HMAC_SHA_256", KeyUsage="GENERATE/VERIFY_MAC")
    made = client.secrets.transit.generate_hmac(name, text(b"message"))["data"]["hmac"]
    for message, valid in ((b"message", True), (b"another", False)):
        told = client.secrets.transit.verify_signed_data(name, text(message), hmac=made)
        assert told["data"]["valid"] is valid


def test_openbao_unseals_itself(target, make_key, tmp_path):
    unseals(target, make_key()[0], tmp_path, 3)


def test_openbao_unseals_itself_when_the_token_is_back(target, make_key, tmp_path):
    unseals(target, make_key()[0], tmp_path, 2, before=unplugged)


def unplugged():
    """Takes the folder of Bulla's token away, and puts it back after two seconds."""
    need("BULLA_ADMIN_ARGS")
    tokens = pathlib.Path(os.environ["BULLA_ADMIN_ARGS"].removeprefix("--data ")) / "tokens"
    away = tokens.rename(tokens.with_name("tokens.away"))
    threading.Timer(2, away.rename, [tokens]).start()


def unseals(target, name, tmp_path, times, before=None):
    """A server of its own, on disk: it initialises, and after each restart unseals itself with a key of Bulla's token. Where that
    cannot be it ends, and is started again, as by a supervisor."""
    api = Api(f"http://{target.endpoint}").login(target.access_key_id, target.access_key_secret)
    address = f"127.0.0.1:{free_port()}"
    seal = (RECIPES / "openbao.hcl").read_text().replace("https://bulla:8443", api.address).replace('"openbao"', f'"{name}"')
    seal = seal.replace('tls_ca_cert     = "/etc/bulla/ca.crt"', f'token = "{api.token}"')
    config = tmp_path / "bao.hcl"
    (tmp_path / "data").mkdir()
    config.write_text(
        f'storage "raft" {{ path = "{tmp_path}/data"\n node_id = "one" }}\n'
        f'listener "tcp" {{ address = "{address}"\n tls_disable = true }}\n'
        f'api_addr = "http://{address}"\ncluster_addr = "http://127.0.0.1:{free_port()}"\ndisable_mlock = true\n'
        + seal
    )

    def status():
        with urllib.request.urlopen(f"http://{address}/v1/sys/seal-status", timeout=30) as answer:
            return json.load(answer)

    def unsealed():
        deadline = time.monotonic() + 60
        while (told := status())["sealed"]:
            assert time.monotonic() < deadline, told
            time.sleep(0.2)

    with bao_server(tmp_path, f"-config={config}", address=address):
        bao = Api(f"http://{address}")
        code, _, made = bao.ask("PUT", "sys/init", {"recovery_shares": 1, "recovery_threshold": 1})
        assert code == 200, made
        unsealed()
    for _ in range(times):
        if before:
            before()
        deadline = time.monotonic() + 60
        while True:
            try:
                with bao_server(tmp_path, f"-config={config}", address=address):
                    unsealed()
                    assert status()["type"] == "transit"
                    assert Api(f"http://{address}", made["root_token"]).ask("GET", "auth/token/lookup-self")[0] == 200
                    break
            except Ended:
                if before is None or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

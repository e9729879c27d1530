"""The official caching clients: they read a secret, notice a new version by themselves, and outlive a restart of the server.

Of the two, aliyun-secret-manager-client alone takes client keys: alibabacloud-secretsmanager-client-v2 knows the credentials `ak`,
`ecs_ram_role` and `oidc_role_arn` only, and the SDK under it signs with secrets only. What the former calls `dkms` speaks Protocol
Buffers to a KMS instance, which is another API.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import queue
import signal
import subprocess
import threading
import time
import uuid

import pytest

from clients import Target, Tea

PROGRAM = pathlib.Path(__file__).parent / "cache_client.py"

BOUND = ["setpriv", "--pdeathsig", "KILL", "--"]  # what is started here ends with this process
TTL_MS = 500
PATIENCE_S = 120  # for a slow machine; the clients' own retries wait up to 10 s


class Lines:
    """What a process prints, as it comes."""

    def __init__(self, stream):
        self.queue = queue.Queue()
        threading.Thread(target=lambda: [self.queue.put(line) for line in stream], daemon=True).start()

    def next(self):
        return self.queue.get(timeout=PATIENCE_S)


class Server:
    """`bulla dev` on a port of its own, so that it can be stopped and started again."""

    def __init__(self, folder):
        self.folder, self.listen, self.process = folder, "127.0.0.1:0", None

    def start(self):
        where = ["--data", self.folder / "data", "--listen", self.listen]
        command = [*BOUND, os.environ["BULLA_PROGRAM"], "dev", "--json", *where]
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        ready = json.loads(Lines(self.process.stdout).next())
        endpoint = ready["Endpoint"].removeprefix("http://").rstrip("/")
        self.listen = endpoint
        return Target(endpoint, ready["RegionId"], ready["AccountId"], ready["AccessKeyId"], ready["AccessKeySecret"])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=PATIENCE_S)


@contextlib.contextmanager
def watching(kind, target, secret, more=None):
    named = {f"BULLA_{name.upper()}": value for name, value in dataclasses.asdict(target).items() if value is not None}
    environment = named | (more or {})
    command = [*BOUND, os.environ["BULLA_CACHE_PYTHON"], PROGRAM, kind, secret, str(TTL_MS)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    try:
        lines = Lines(process.stdout)
        yield lambda: json.loads(lines.next())
        assert process.poll() is None, "the application has ended"
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", ["v1", "v2"])
def test_caching_client(kind, tmp_path):
    for name in ("BULLA_CACHE_PYTHON", "BULLA_PROGRAM"):
        if name not in os.environ:
            pytest.skip(f"{name} is not set")
    server = Server(tmp_path)
    try:
        target = server.start()
        writer = Tea(target)
        writer.call("CreateSecret", SecretName="app/db", VersionId="v1", SecretData="one 密")
        with watching(kind, target, "app/db") as value:
            assert value() == "one 密"
            writer.call("PutSecretValue", SecretName="app/db", VersionId="v2", SecretData="two")
            assert value() == "two"
            # What is not current is not theirs.
            writer.call("PutSecretValue", SecretName="app/db", VersionId="v3", SecretData="x", VersionStages='["next"]')
            server.stop()
            time.sleep(3 * TTL_MS / 1000)
            assert server.start() == target
            writer.call("UpdateSecretVersionStage", SecretName="app/db", VersionStage="ACSCurrent", MoveToVersion="v1")
            assert value() == "one 密"
    finally:
        if server.process and server.process.poll() is None:
            server.stop()


def client_key(writer, folder, secret, addresses):
    """The environment of an application with a client key that reads this secret from these addresses."""
    tag = uuid.uuid4().hex
    rule, policy, point, password = f"r-{tag}", f"p-{tag}", f"a-{tag}", f"pass {tag}"
    writer.call("CreateNetworkRule", Name=rule, Type="Private", SourcePrivateIp=json.dumps(addresses))
    permissions = json.dumps(["RbacPermission/Template/CryptoServiceSecretUser"])
    resources, rules = json.dumps([f"secret/{secret}"]), json.dumps({"NetworkRules": [rule]})
    writer.call("CreatePolicy", Name=policy, Permissions=permissions, Resources=resources, AccessControlRules=rules)
    writer.call("CreateApplicationAccessPoint", Name=point, Policies=json.dumps([policy]))
    made = writer.call("CreateClientKey", AapName=point, Password=password)
    file = folder / f"clientKey_{point}.json"
    file.write_text(json.dumps({"KeyId": made["ClientKeyId"], "PrivateKeyData": made["PrivateKeyData"]}))
    return {"client_key_private_key_path": str(file), "client_key_password": password}


def test_caching_client_with_a_client_key(tmp_path, target, name):
    if "BULLA_CACHE_PYTHON" not in os.environ:
        pytest.skip("BULLA_CACHE_PYTHON is not set")
    writer = Tea(target)
    writer.call("CreateSecret", SecretName=name, VersionId="v1", SecretData="one 密")
    writer.call("CreateSecret", SecretName=name + "2", VersionId="v1", SecretData="another")
    # Nothing else lets these applications in.
    stranger = dataclasses.replace(target, access_key_id="none", access_key_secret="none")
    here = client_key(writer, tmp_path, name, ["127.0.0.0/8", "::1"])
    with watching("v1-client-key", stranger, name, here) as value:
        assert value() == "one 密"
        writer.call("PutSecretValue", SecretName=name, VersionId="v2", SecretData="two")
        assert value() == "two"
    for secret, key in [(name + "2", here), (name, client_key(writer, tmp_path, name, ["10.255.0.0/16"]))]:
        with watching("v1-client-key", stranger, secret, key) as value:
            assert value() == {"refused": "Forbidden.NoPermission"}

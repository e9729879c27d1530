"""The official caching clients: they read a secret, notice a new version by themselves, and outlive a restart of the server.

Those of Java and Go speak https only, and believe every certificate. All but one take client keys:
alibabacloud-secretsmanager-client-v2 knows the credentials `ak`, `ecs_ram_role` and `oidc_role_arn` only, and the SDK under it
signs with secrets only. What the others call `dkms` speaks Protocol Buffers to a KMS instance, which is another API.
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

from clients import SDKS, Target, Tea
from conftest import need

PROGRAM = pathlib.Path(__file__).parent / "cache_client.py"

ELSEWHERE = ["java", "go"]

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


class Dev:
    """`bulla dev` on a port of its own, so that it can be stopped and started again."""

    def __init__(self, folder):
        need("BULLA_PROGRAM")
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
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=PATIENCE_S)


class Secure:
    """A node under TLS beside the Bulla of the suite, with the same face."""

    def __init__(self, node, target):
        self.node, self.target, self.stop = node, target, node.stop

    def start(self):
        return dataclasses.replace(self.target, endpoint=self.node.start())


def command(kind, how):
    """The program that watches through this client, `how` being access-key or client-key."""
    if kind in ELSEWHERE:
        need(SDKS[kind].variable)
        return [*SDKS[kind].command(), "cache", how]
    need("BULLA_CACHE_PYTHON")
    return [os.environ["BULLA_CACHE_PYTHON"], PROGRAM, kind if how == "access-key" else f"{kind}-{how}"]


@contextlib.contextmanager
def watching(program, target, secret, more=None):
    named = {f"BULLA_{name.upper()}": value for name, value in dataclasses.asdict(target).items() if value is not None}
    environment = named | (more or {})
    process = subprocess.Popen(
        [*BOUND, *program, secret, str(TTL_MS)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )
    try:
        lines = Lines(process.stdout)
        yield lambda: json.loads(lines.next())
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", ["v1", "v2", *ELSEWHERE])
def test_caching_client(kind, target, tmp_path, name, new_node, authority):
    program = command(kind, "access-key")
    server = Secure(new_node(), target) if kind in ELSEWHERE else Dev(tmp_path)
    try:
        here = server.start()
        writer = Tea(dataclasses.replace(here, ca=str(authority.file)) if kind in ELSEWHERE else here)
        writer.call("CreateSecret", SecretName=name, VersionId="v1", SecretData="one 密 <&>")
        with watching(program, here, name) as value:
            assert value() == "one 密 <&>"
            writer.call("PutSecretValue", SecretName=name, VersionId="v2", SecretData="two")
            assert value() == "two"
            # What is not current is not theirs.
            writer.call("PutSecretValue", SecretName=name, VersionId="v3", SecretData="x", VersionStages='["next"]')
            server.stop()
            time.sleep(3 * TTL_MS / 1000)
            assert server.start() == here
            writer.call("UpdateSecretVersionStage", SecretName=name, VersionStage="ACSCurrent", MoveToVersion="v1")
            assert value() == "one 密 <&>"
    finally:
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


@pytest.mark.parametrize("kind", ["v1", *ELSEWHERE])
def test_caching_client_with_a_client_key(kind, tmp_path, target, secure, name):
    program = command(kind, "client-key")
    writer = Tea(target)
    writer.call("CreateSecret", SecretName=name, VersionId="v1", SecretData="one 密")
    writer.call("CreateSecret", SecretName=name + "2", VersionId="v1", SecretData="another")
    # Nothing else lets these applications in.
    stranger = dataclasses.replace(target, access_key_id="none", access_key_secret="none")
    endpoint = secure.endpoint if kind in ELSEWHERE else f"http://{target.endpoint}"
    regions = json.dumps([{"regionId": target.region, "endpoint": endpoint}])
    where = {"credentials_type": "client_key", "cache_client_region_id": regions}
    here = where | client_key(writer, tmp_path, name, ["127.0.0.0/8", "::1"])
    with watching(program, stranger, name, here) as value:
        assert value() == "one 密"
        writer.call("PutSecretValue", SecretName=name, VersionId="v2", SecretData="two")
        assert value() == "two"
    elsewhere = where | client_key(writer, tmp_path, name, ["10.255.0.0/16"])
    for secret, key in [(name + "2", here), (name, elsewhere)]:
        with watching(program, stranger, secret, key) as value:
            assert value() == {"refused": "Forbidden.NoPermission"}

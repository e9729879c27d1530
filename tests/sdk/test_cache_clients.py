"""The official caching clients: they read a secret, notice a new version by themselves, and outlive a restart of the server."""

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
def watching(kind, target, secret):
    environment = {f"BULLA_{name.upper()}": value for name, value in dataclasses.asdict(target).items() if value is not None}
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

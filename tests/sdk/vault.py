"""The second door, for tests of Vault's clients: logins, a client that speaks plain HTTP, the `bao` program."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from run import free_port

BAO = pathlib.Path(sys.executable).parent / "bao"
READY_S = 60


class Api:
    """One server of the Vault API and a token; no retries, no redirects."""

    def __init__(self, address, token=None):
        self.address, self.token = address, token

    def ask(self, method, path, body=None, headers=None, raw=None):
        """Status, headers in lower case, and the body as JSON, None where there is none."""
        sent = dict(headers or {})
        if self.token:
            sent["X-Vault-Token"] = self.token
        data = raw if raw is not None else (json.dumps(body).encode() if body is not None else None)
        request = urllib.request.Request(f"{self.address}/v1/{path}", data=data, headers=sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, told, text = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refused:
            status, told, text = refused.code, refused.headers, refused.read()
        return status, {name.lower(): value for name, value in told.items()}, json.loads(text) if text.strip() else None

    def login(self, role_id, secret_id):
        status, _, answer = self.ask("POST", "auth/approle/login", {"role_id": role_id, "secret_id": secret_id})
        assert status == 200, answer
        return Api(self.address, answer["auth"]["client_token"])


def bao(address, *arguments, token=None, stdin=None, expected=0, environment=None):
    """Runs the `bao` program; its standard output."""
    with tempfile.TemporaryDirectory() as home:
        given = environment or {}
        own = {"PATH": os.environ["PATH"], "HOME": home, "VAULT_ADDR": address, "BAO_ADDR": address, "NO_COLOR": "1", **given}
        if token:
            own |= {"VAULT_TOKEN": token, "BAO_TOKEN": token}
        done = subprocess.run(
            [BAO, *arguments], env=own, input=stdin, stdin=None if stdin else subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    assert done.returncode == expected, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + (done.stderr if expected else "")


class Ended(AssertionError):
    """An OpenBao server that ended where it should serve; with its log."""


@contextlib.contextmanager
def bao_server(folder, *arguments, address=None, environment=None):
    """An OpenBao server; ends with the block."""
    if address is None:
        address = f"127.0.0.1:{free_port()}"
        arguments = (*arguments, f"-dev-listen-address={address}")
    log = pathlib.Path(folder) / "bao.log"
    with open(log, "ab") as out:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", BAO, "server", *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env={**os.environ, "HOME": str(folder), **(environment or {})},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + READY_S
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Ended(log.read_text())
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://{address}/v1/sys/seal-status", timeout=5).close()
                break
            time.sleep(0.1)
        yield f"http://{address}", log
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)

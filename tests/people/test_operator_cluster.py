"""The operator of two nodes on PostgreSQL under TLS: certificates, settings, a new program, all while applications go on reading and
writing. No request of theirs fails; at the end the audit logs of both nodes prove what happened."""

import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time

import pytest
from client import Away, Client
from conftest import BULLA, ROOT, bulla, typed

sys.path.insert(0, str(ROOT / "tests/sdk"))
from run import free_port, postgresql  # noqa: E402

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
pytestmark = pytest.mark.skipif(not os.path.exists(MODULE), reason=f"no {MODULE} on this machine")


def openssl(folder, *arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=folder)


class Authority:
    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj", "/CN=ca",
                "-keyout", "ca.key", "-out", "ca.crt")
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")

    def issue(self, name, into):
        """A certificate and its key, put in place as certbot does: each file by a rename."""
        openssl(self.folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout",
                "new.key", "-out", "new.csr")
        openssl(self.folder, "x509", "-req", "-in", "new.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "9",
                "-extfile", "names", "-out", "new.crt")
        for ending in ("key", "crt"):
            (self.folder / f"new.{ending}").chmod(0o600)
            os.replace(self.folder / f"new.{ending}", into / f"tls.{ending}")


CONFIG = """
region = "cn-hangzhou"
[server]
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin}"
tls = {{ certificate_file = "tls.crt", key_file = "tls.key" }}
[token]
module = "{module}"
label = "cluster"
pin_file = "../pin"
[database]
url_file = "../database"
plain = true
[audit]
directory = "audit"
max_file_bytes = 65536
[limits]
requests_per_second = {limit}
[log]
format = "json"
"""


class Node:
    def __init__(self, folder, authority, environment):
        self.folder, self.environment = folder, dict(environment)
        folder.mkdir()
        self.port, self.admin = free_port(), free_port()
        self.config = folder / "bulla.toml"
        self.configure()
        authority.issue(folder.name, folder)
        self.process = None

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.port}"

    def configure(self, limit=100_000):
        self.config.write_text(CONFIG.format(port=self.port, admin=self.admin, module=MODULE, limit=limit))

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([BULLA, "serve", "--config", self.config], env=self.environment, stderr=log,
                                            stdin=subprocess.DEVNULL)

    def ready(self, seconds=90):
        until = time.monotonic() + seconds
        while bulla("probe", f"http://127.0.0.1:{self.admin}/readyz").returncode != 0:
            assert self.process.poll() is None, self.log()[-3000:]
            assert time.monotonic() < until, self.log()[-3000:]
            time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0, self.log()[-3000:]

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def logs(self, text, seconds=20):
        until = time.monotonic() + seconds
        while text not in self.log():
            assert time.monotonic() < until, f"{text!r} is not in\n{self.log()[-3000:]}"
            time.sleep(0.1)

    def certificate(self):
        return ssl.get_server_certificate(("127.0.0.1", self.port))


class Applications:
    """Some threads that read and write all the time, from whichever node takes the connection. What was sent is never sent again."""

    def __init__(self, client, nodes):
        self.client, self.nodes = client, nodes
        self.failures, self.reads, self.writes = [], 0, 0
        self.lock, self.over = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(number,)) for number in range(4)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def call(self, action, **parameters):
        for node in itertools.islice(itertools.cycle(random.sample(self.nodes, 2)), 200):
            try:
                return self.client.call(node.endpoint, action, **parameters)
            except Away:
                time.sleep(0.05)
        raise AssertionError("no node takes a connection")

    def work(self, number):
        for turn in itertools.count():
            if self.over.is_set():
                return
            try:
                if turn % 5 == 0:
                    status, answer = self.call("PutSecretValue", SecretName=f"app/{number}", VersionId=f"t{turn}", SecretData=f"{turn}")
                    value = f"{turn}"
                else:
                    status, answer = self.call("GetSecretValue", SecretName=f"app/{number}")
                    assert status != 200 or answer["SecretData"] == value, (answer, value)
                with self.lock:
                    self.reads += turn % 5 != 0
                    self.writes += turn % 5 == 0
                    if status != 200:
                        self.failures.append((status, answer))
            except Exception as error:  # of the connection, of the answer: all of them are failures
                with self.lock:
                    self.failures.append(repr(error))
            time.sleep(0.02)

    def go_on(self, more=20):
        """Until so many more requests were answered; none has failed."""
        until = self.reads + self.writes + more
        while self.reads + self.writes < until and not self.failures:
            time.sleep(0.05)
        assert self.failures == []


def test_two_nodes_from_the_first_start_to_an_upgrade(tmp_path):
    authority = Authority(tmp_path / "ca")
    pin = str(random.randrange(100_000, 1_000_000))
    (tmp_path / "pin").write_text(f"{pin}\n")
    (tmp_path / "pin").chmod(0o600)
    (tmp_path / "tokens").mkdir()
    conf = tmp_path / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("BULLA_", "RUST_LOG"))} | {"SOFTHSM2_CONF": str(conf)}
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "cluster", "--so-pin", pin, "--pin", pin], check=True,
                   capture_output=True, env=environment)
    with postgresql() as url:
        (tmp_path / "database").write_text(url + "\n")
        (tmp_path / "database").chmod(0o600)
        nodes = a, b = [Node(tmp_path / name, authority, environment) for name in ("a", "b")]
        command = lambda *words: typed(*words, "--config", a.config, env=environment)  # noqa: E731
        key = command("init")
        (tmp_path / "aud.pem").write_text(command("audit", "public-key")["PublicKey"])
        report = command("check")
        assert report["Passed"] is True, report
        root = Client(key["AccessKeyId"], key["AccessKeySecret"], authority.folder / "ca.crt")
        try:
            for node in nodes:
                node.start()
            for node in nodes:
                node.ready()
            # Sixty connections fit into PostgreSQL's hundred, but not once for each node.
            checks = lambda each: {check["Check"]: check for check in typed(  # noqa: E731
                "check", "--config", a.config, env=environment | {"BULLA_DATABASE__CONNECTIONS": str(each)})["Checks"]}
            few, many = checks(8), checks(60)
            assert few["database connections"]["Verdict"] == few["clock"]["Verdict"] == "ok", few
            assert many["database connections"]["Verdict"] == "warn" and "2 nodes" in many["database connections"]["Found"], many
            # An application's user, made on the host while both nodes serve, and known to both within a second.
            (tmp_path / "policy.json").write_text(json.dumps({"Version": "1", "Statement": [
                {"Effect": "Allow", "Action": ["kms:GetSecretValue", "kms:PutSecretValue"],
                 "Resource": "acs:kms:*:*:secret/app/*"}]}))
            command("user", "create", "app")
            command("policy", "create", "of-app", "--document", tmp_path / "policy.json")
            command("policy", "attach", "of-app", "--user", "app")
            key = command("access-key", "create", "--user", "app")
            client = Client(key["AccessKeyId"], key["AccessKeySecret"], authority.folder / "ca.crt")
            time.sleep(1.5)
            for number in range(4):
                made = root.call(a.endpoint, "CreateSecret", SecretName=f"app/{number}", VersionId="v0", SecretData="0")
                assert made[0] == 200, json.dumps(made)
            with Applications(client, nodes) as applications:
                applications.go_on()
                # A new certificate: new connections get it within a second or two, and nobody notices.
                before = [node.certificate() for node in nodes]
                for node in nodes:
                    authority.issue(f"{node.folder.name}-renewed", node.folder)
                until = time.monotonic() + 20
                while set(node.certificate() for node in nodes) & set(before):
                    assert time.monotonic() < until, "the old certificate is still shown"
                    time.sleep(0.2)
                applications.go_on()
                # Another log level, without a restart.
                a.config.write_text(a.config.read_text() + 'level = "warn"\n')
                a.process.send_signal(signal.SIGHUP)
                a.logs("SIGHUP")
                applications.go_on()
                # The next program: the schema first, then node by node, then the level.
                new = environment | {"BULLA_LEVELS": "1-2"}
                done = bulla("migrate", "--config", a.config, env=new)
                assert done.returncode == 0 and "9999" in done.stdout, done
                applications.go_on()
                for node in nodes:
                    node.stop()
                    applications.go_on()
                    node.environment = new
                    node.start()
                    node.ready()
                    applications.go_on()
                raised = bulla("level", "--raise", "--config", a.config, env=new)
                assert raised.returncode == 0, raised
                applications.go_on(40)
            assert applications.failures == []
            assert applications.reads > 100 and applications.writes > 25
            reads = applications.reads
            assert root.call(b.endpoint, "ListSecrets")[1]["TotalCount"] == 4
            # Limits, without a restart: what was set holds, and what does not fit changes nothing.
            for limit, throttled in ((1, True), (0, True), (100_000, False)):
                b.configure(limit)
                b.process.send_signal(signal.SIGHUP)
                b.logs("limits: read again" if limit else "limits: cannot be read again")
                until = time.monotonic() + 20
                while any(root.call(b.endpoint, "ListSecrets")[0] == 429 for _ in range(6)) != throttled:
                    assert time.monotonic() < until, f"{limit} a second does not hold"
                    time.sleep(1)
        finally:
            for node in nodes:
                if node.process and node.process.poll() is None:
                    node.process.terminate()
            for node in nodes:
                if node.process:
                    node.process.wait(30)
        # Where the logs of both are brought together: each is whole, over all its files, and every read is in one of them.
        folders = []
        for node in nodes:
            folders.append(tmp_path / f"shipped-{node.folder.name}")
            shutil.copytree(node.folder / "audit", folders[-1])
        proof = ("--public-key", tmp_path / "aud.pem")
        reports = typed("audit", "verify", *folders, *proof)
        served = [report for report in reports if report["Log"] == "audit"]
        assert len(served) == 2 and all(report["Complete"] and report["Closed"] for report in served), reports
        assert max(report["Files"] for report in served) > 1, "files of 64 KiB were full"
        found = bulla("audit", "search", *folders, *proof, "--who", "app", "--action", "GetSecretValue", "--format", "csv")
        assert found.returncode == 0 and f"# {reads} records" in found.stdout, found.stdout[-300:]

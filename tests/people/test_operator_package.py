"""The operator of two hosts, from the Debian package to its purge: PostgreSQL, a token that both reach, TLS, a certificate that is renewed,
logs that are full and shipped, and the next version of the package on one host after the other, while applications go on. No request of
theirs fails.
"""

import json
import os
import random
import re
import shutil
import subprocess
import time

from client import Client
from conftest import BULLA
from test_operator_cluster import Applications, Authority, Node, free_port, postgresql
from test_packaging import AS_BULLA, machine_at, needs, owner_in, run

# What a program of the next level says of itself, which only a debug build does.
NEXT = {"BULLA_LEVELS": "1-2"}
TOKENS = "/srv/token"


class Host(Node):
    """A machine with the package: its service is what the unit starts, without systemd."""

    def __init__(self, root, inside, authority):
        self.root, self.inside, self.folder = root, inside, root / "etc/bulla"
        self.port, self.admin = free_port(), free_port()
        self.authority, self.process = authority, None
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BULLA_", "RUST_LOG"))}
        self.environment = kept | {"SOFTHSM2_CONF": "/etc/bulla/softhsm2.conf", "LC_ALL": "C"}

    def at(self, *command, **more):
        """A command of this host's root."""
        return run(*self.inside, *command, env=self.environment, **more)

    def bulla(self, *words, **more):
        """A command as the service's user, as the package says."""
        return self.at(*AS_BULLA, "bulla", *words, **more)

    def typed(self, *words):
        return json.loads(self.bulla(*words, "--json"))

    def install(self, file):
        shutil.copy(file, self.root / "bulla.deb")
        # A machine that is thrown away needs no file on its disk for good.
        return self.at("dpkg", "--force-unsafe-io", "--install", "/bulla.deb")

    def give(self, name, text):
        """A file in /etc/bulla that the service reads and root alone writes."""
        self.at("install", "-m", "0640", "-o", "root", "-g", "bulla", "/dev/stdin", f"/etc/bulla/{name}", input=text)

    def configure(self, url):
        """The settings that came with the package, with what its comments say for two hosts."""
        file = self.folder / "bulla.toml"
        text = file.read_text()
        for old, new in (
            ("127.0.0.1:8080", f"127.0.0.1:{self.port}"), ("127.0.0.1:9090", f"127.0.0.1:{self.admin}"),
            ("# [server.tls]", "[server.tls]"), ("# certificate_file", "certificate_file"), ("# key_file", "key_file"),
            ('url = "sqlite:/var/lib/bulla/bulla.db"\n', ""), ("# url_file", "url_file"),
            ('directory = "/var/lib/bulla/audit"', 'directory = "/var/lib/bulla/audit"\nmax_file_bytes = 65536'),
        ):
            assert old in text, (old, text)
            text = text.replace(old, new)
        file.write_text(text)
        self.give("database", f"{url}\n")
        self.give("softhsm2.conf", f"directories.tokendir = {TOKENS}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.renew("first")

    def renew(self, name):
        """A certificate and its key, each put in its place at once."""
        self.authority.issue(name, self.authority.folder)
        for ending in ("key", "crt"):
            self.give(f"tls.{ending}.new", (self.authority.folder / f"tls.{ending}").read_text())
            self.at("mv", f"/etc/bulla/tls.{ending}.new", f"/etc/bulla/tls.{ending}")

    def start(self):
        with open(self.root / "var/log/bulla", "ab") as log:
            command = [*map(str, self.inside), *AS_BULLA, "bulla", "serve"]
            self.process = subprocess.Popen(command, env=self.environment, stderr=log, stdin=subprocess.DEVNULL)

    def log(self):
        return (self.root / "var/log/bulla").read_text(errors="replace")

    def full(self):
        """The audit files that are closed."""
        return [file for file in (self.root / "var/lib/bulla/audit").iterdir() if re.fullmatch(r"audit-\d+\.jsonl", file.name)]


@needs("dpkg", "setpriv", "adduser", "softhsm2-util", "openssl")
def test_two_hosts_from_the_package_to_its_purge(package, newer, tmp_path):
    authority, shipped = Authority(tmp_path / "ca"), tmp_path / "shipped"
    tokens = tmp_path / "token"
    tokens.mkdir()
    pin = str(random.randrange(100_000, 1_000_000))
    with postgresql() as url, machine_at(tmp_path / "a") as on_a, machine_at(tmp_path / "b") as on_b:
        a, b = hosts = [Host(*on, authority) for on in (on_a, on_b)]
        try:
            # First host: package, token, settings, deployment. The second one has the same token and database.
            for host in hosts:
                assert "installed, not started" in host.install(package)
                (host.root / TOKENS[1:]).mkdir()
                run("mount", "--bind", tokens, host.root / TOKENS[1:])
                host.give("pin", f"{pin}\n")
                host.configure(url)
            assert owner_in(a.root) == owner_in(b.root)
            a.at("chown", "bulla:bulla", TOKENS)
            a.at(*AS_BULLA, "softhsm2-util", "--init-token", "--free", "--label", "bulla", "--so-pin", pin, "--pin", pin)
            key = a.typed("init")
            for host in hosts:
                # That the certificates end in nine days it says, too.
                odd = {check["Check"] for check in host.typed("check")["Checks"] if check["Verdict"] != "ok"}
                assert "certificates" in odd and odd <= {"certificates", "memory"}, odd
            (tmp_path / "aud.pem").write_text(a.bulla("audit", "public-key"))
            client = Client(key["AccessKeyId"], key["AccessKeySecret"], authority.folder / "ca.crt")
            for host in hosts:
                host.start()
            for host in hosts:
                host.ready()
            for number in range(4):
                made = client.call(a.endpoint, "CreateSecret", SecretName=f"app/{number}", VersionId="v0", SecretData="0")
                assert made[0] == 200, made
            with Applications(client, hosts) as applications:
                applications.go_on()
                # Certificates are renewed, one host after the other.
                for host in hosts:
                    before, until = host.certificate(), time.monotonic() + 30
                    host.renew("second")
                    while host.certificate() == before:
                        assert time.monotonic() < until, "the old certificate is still shown"
                        time.sleep(0.2)
                    applications.go_on()
                # Audit files that are full are shipped.
                until = time.monotonic() + 60
                while not all(host.full() for host in hosts):
                    assert time.monotonic() < until, "no audit file is full"
                    applications.go_on()
                # The next version: on each host its package, beside the program that runs; on the first one the schema; a restart.
                for host in hosts:
                    told = host.install(newer)
                    assert "Unpacking bulla" in told and "over" in told and "installed, not started" not in told, told
                    applications.go_on()
                    host.environment |= NEXT
                    migrated = host.bulla("migrate")
                    assert ("9999" in migrated) == (host is a), migrated
                    applications.go_on()
                    host.stop()
                    applications.go_on()
                    host.start()
                    host.ready()
                    applications.go_on()
                level = a.typed("level", "--raise")
                assert level["Level"] == 2, level
                applications.go_on(40)
            assert applications.failures == [] and applications.reads > 100 and applications.writes > 25
            for host in hosts:
                assert f"127.0.0.1:{host.port}" in (host.folder / "bulla.toml").read_text(), "an upgrade keeps settings"
                host.stop()
                shutil.copytree(host.root / "var/lib/bulla/audit", shipped / host.root.parent.name)
            # What was shipped is whole, on a machine that has nothing else, and has every read.
            proof = ("--public-key", tmp_path / "aud.pem")
            folders = sorted(shipped.iterdir())
            reports = json.loads(run(BULLA, "audit", "verify", *folders, *proof, "--json"))
            served = [report for report in reports if report["Log"] == "audit"]
            assert len(served) == 2 and all(report["Complete"] and report["Closed"] and report["Files"] > 1 for report in served), reports
            found = run(BULLA, "audit", "search", *folders, *proof, "--who", "root", "--action", "GetSecretValue", "--format", "csv")
            assert f"# {applications.reads} records" in found, found[-300:]
            # Away with it: settings and data first stay; what is on the token always does.
            for host in hosts:
                host.at("dpkg", "--remove", "bulla")
                assert not (host.root / "usr/bin/bulla").exists() and (host.folder / "bulla.toml").is_file() and host.full()
                host.at("dpkg", "--purge", "bulla")
                assert not host.folder.exists() and not (host.root / "var/lib/bulla").exists()
            assert list(tokens.rglob("*.object"))
        finally:
            for host in hosts:
                if host.process and host.process.poll() is None:
                    host.process.kill()
                    host.process.wait()
                subprocess.run(["umount", "--lazy", host.root / TOKENS[1:]], capture_output=True)

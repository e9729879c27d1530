"""The units under systemd itself: it starts a root that has this machine's files, the package is installed there as an operator would, and the
service and the agent are what `systemctl` says of them.
"""

import json
import os
import pathlib
import pwd
import re
import signal
import subprocess
import time

import pytest
from client import Client
from test_packaging import AS_BULLA, files_at, free_port, needs

PIN = "12345678"
CONF = "/etc/bulla/softhsm2.conf"
SOFTHSM = f"SOFTHSM2_CONF={CONF}"
WAIT_S = 60


def until(condition, what):
    end = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(0.05)
    return found


class Machine:
    """A root that systemd has started, on this machine's network."""

    def __init__(self, root, log):
        self.root = root
        # As the first process of a machine may: raise limits of what may be locked.
        command = ["systemd-nspawn", "--quiet", "--boot", f"--directory={root}", "--register=no", "--keep-unit", f"--machine=bulla-{os.getpid()}",
                   "--link-journal=no", "--console=pipe", "--capability=CAP_SYS_RESOURCE", "systemd.unit=basic.target"]  # fmt: skip
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=open(log, "wb"), stderr=subprocess.STDOUT,
            env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
        )  # fmt: skip
        self.log = log
        self.first = until(self.first_process, self.said)
        until(lambda: self.asked("systemctl", "is-system-running").stdout.strip() == "running", self.said)

    def said(self):
        return self.log.read_text(errors="replace")

    def first_process(self):
        if self.process.poll() is not None:
            pytest.skip(f"systemd cannot be started in a root of its own here: {self.said().strip()}")
        below = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next((pid for pid in below if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd"), None)

    def asked(self, *command, **more):
        inside = ["nsenter", "--target", self.first, "--mount", "--uts", "--ipc", "--pid", "--cgroup", "env", "-i", "LC_ALL=C",
                  "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]  # fmt: skip
        return subprocess.run([*inside, *map(str, command)], capture_output=True, text=True, **more)

    def at(self, *command, **more):
        """A command of this machine's root, which must succeed."""
        ended = self.asked(*command, **more)
        assert ended.returncode == 0, f"{command}: exit {ended.returncode}\n{ended.stdout}{ended.stderr}\n{self.journal()}"
        return ended.stdout

    def as_service(self, *command):
        """A command as the service's user, with the service's environment."""
        return self.at(*AS_BULLA, "env", SOFTHSM, *command)

    def give(self, file, text, *mode):
        self.at("install", "-D", *mode, "/dev/stdin", file, input=text)

    def journal(self, unit="bulla*"):
        return self.asked("journalctl", "--no-pager", "--output=cat", "--unit", unit).stdout

    def shows(self, unit, what):
        return self.at("systemctl", "show", "--property", what, "--value", unit).strip()

    def may_raise_limits(self):
        effective = re.search(r"(?m)^CapEff:\s+(\w+)$", self.at("cat", "/proc/1/status"))[1]
        return int(effective, 16) >> 24 & 1 == 1

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def booted(tmp_path):
    with files_at(tmp_path) as root:
        # Containers forbid packages to start services.
        (root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
        machine = Machine(root, tmp_path / "console.log")
        try:
            yield machine
        finally:
            machine.stop()


def a_deployment(machine):
    """As the package's own words say, up to what starts the service: where it will serve, and a client of its first user."""
    ports = {"127.0.0.1:8080": f"127.0.0.1:{free_port()}", "127.0.0.1:9090": f"127.0.0.1:{free_port()}"}
    settings = machine.root / "etc/bulla/bulla.toml"
    text = settings.read_text()
    for delivered, ours in ports.items():
        text = text.replace(delivered, ours)
    settings.write_text(text)
    owned = ("-m", "0640", "-o", "root", "-g", "bulla")
    machine.give("/etc/bulla/pin", f"{PIN}\n", *owned)
    machine.give(CONF, "directories.tokendir = /var/lib/bulla/tokens\nobjectstore.backend = file\nlog.level = ERROR\n", *owned)
    machine.at("install", "-d", "-o", "bulla", "-g", "bulla", "-m", "0700", "/var/lib/bulla/tokens")
    with open(machine.root / "etc/default/bulla", "a") as file:
        file.write(f"{SOFTHSM}\n")
    machine.as_service("softhsm2-util", "--init-token", "--free", "--label", "bulla", "--so-pin", PIN, "--pin", PIN)
    key = json.loads(machine.as_service("bulla", "init", "--json"))
    return ports["127.0.0.1:8080"], key


@needs("systemd-nspawn", "nsenter", "dpkg", "setpriv", "adduser", "softhsm2-util")
def test_the_service_and_the_agent_as_systemd_runs_them(package, newer, booted):
    machine = booted
    for file, name in ((package, "bulla.deb"), (newer, "next.deb")):
        (machine.root / name).write_bytes(file.read_bytes())
    assert "installed, not started" in machine.at("dpkg", "--force-unsafe-io", "--install", "/bulla.deb")
    endpoint, key = a_deployment(machine)
    client = Client(key["AccessKeyId"], key["AccessKeySecret"])

    # `systemctl` comes back when the service says that it serves: the first request is answered.
    machine.at("systemctl", "enable", "--now", "bulla")
    made = client.call(endpoint, "CreateSecret", SecretName="app/db", VersionId="v1", SecretData="first")
    assert made[0] == 200, made
    assert (machine.shows("bulla", "ActiveState"), machine.shows("bulla", "StatusText")) == ("active", "serving")

    def main():
        return machine.shows("bulla", "MainPID")

    # It has no capability and cannot get one. Its memory stays out of swap, where systemd may raise the limit of what a service may lock.
    status = machine.at("cat", f"/proc/{main()}/status")
    assert re.search(r"(?m)^CapBnd:\s+0+$", status) and re.search(r"(?m)^NoNewPrivs:\s+1$", status), status
    locked = int(re.search(r"(?m)^VmLck:\s+(\d+) kB$", status)[1])
    assert locked > 0 or not machine.may_raise_limits(), machine.journal()

    def serves(value="first"):
        got = client.call(endpoint, "GetSecretValue", SecretName="app/db")
        assert (got[0], got[1].get("SecretData")) == (200, value), got

    pid = main()
    machine.at("systemctl", "reload", "bulla")
    until(lambda: "limits: read again" in machine.journal(), machine.journal)
    assert main() == pid
    serves()

    # What ends or hangs is started again, however often.
    for times in range(1, 5):
        machine.at("systemctl", "kill", "--signal=KILL", "--kill-who=main", "bulla")
        back = lambda: [machine.shows("bulla", what) for what in ("NRestarts", "ActiveState")] == [str(times), "active"]  # noqa: B023, E731
        until(back, machine.journal)
    serves()
    machine.give("/etc/systemd/system/bulla.service.d/soon.conf", "[Service]\nWatchdogSec=2\n")
    machine.at("systemctl", "daemon-reload")
    machine.at("systemctl", "restart", "bulla")
    pid = main()
    machine.at("kill", "-STOP", pid)
    until(lambda: main() not in (pid, "0") and machine.shows("bulla", "ActiveState") == "active", machine.journal)
    assert "Watchdog timeout" in machine.journal()
    serves()

    # A PIN that the token refuses is presented once, not at each of a supervisor's tries.
    machine.give("/etc/bulla/pin", "87654321\n")
    assert machine.asked("systemctl", "restart", "bulla").returncode != 0
    ended = [machine.shows("bulla", what) for what in ("ExecMainStatus", "NRestarts", "ActiveState")]
    assert ended == ["8", "0", "failed"], (ended, machine.journal())
    machine.give("/etc/bulla/pin", f"{PIN}\n", "-m", "0640", "-g", "bulla")
    machine.at("systemctl", "start", "bulla")
    serves()

    # One that lies on no disk is waited for, longer than a start may take, until somebody gives it.
    settings = machine.root / "etc/bulla/bulla.toml"
    of_a_file = settings.read_text()
    named = 'pin_credential = "pin"\npin_file = "pin"\n'
    assert named in of_a_file
    settings.write_text(of_a_file.replace(named, 'unlock_socket = "/run/bulla/unlock.sock"\n'))
    machine.at("rm", "/etc/bulla/pin")
    machine.give("/etc/systemd/system/bulla.service.d/soon.conf", "[Service]\nTimeoutStartSec=2\n")
    machine.at("systemctl", "daemon-reload")
    machine.at("systemctl", "restart", "--no-block", "bulla")
    until(lambda: "bulla unlock" in machine.shows("bulla", "StatusText"), machine.journal)
    time.sleep(4)
    assert machine.shows("bulla", "ActiveState") == "activating", machine.journal()
    machine.at("bulla", "unlock", input=f"{PIN}\n")
    until(lambda: machine.shows("bulla", "ActiveState") == "active", machine.journal)
    serves()
    # A service that should have one says what is missing.
    settings.write_text(of_a_file)
    assert machine.asked("systemctl", "restart", "bulla").returncode != 0
    assert machine.shows("bulla", "ExecMainStatus") == "7" and "pin: it is empty" in machine.journal(), machine.journal()
    machine.give("/etc/bulla/pin", f"{PIN}\n", "-m", "0640", "-g", "bulla")
    machine.at("systemctl", "start", "bulla")

    # The agent: a user that exists while it runs, and a file for another.
    machine.give("/etc/bulla-agent/access-key", f"{key['AccessKeyId']}:{key['AccessKeySecret']}\n", "-m", "0600")
    machine.give("/etc/default/bulla-agent", f"BULLA_ENDPOINT=http://{endpoint}\n")
    agent = 'interval_seconds = 1\n[[file]]\nsecret = "app/db"\npath = "/run/bulla-agent/app-password"\nowner = "daemon"\n'
    machine.give("/etc/bulla-agent/agent.toml", agent)
    machine.at("systemctl", "enable", "--now", "bulla-agent")
    file = "/run/bulla-agent/app-password"

    def kept():
        return machine.at("cat", file), machine.at("stat", "--format=%a %u", file).split()

    reader = str(pwd.getpwnam("daemon").pw_uid)
    assert kept() == ("first", ["400", reader])
    put = client.call(endpoint, "PutSecretValue", SecretName="app/db", VersionId="v2", SecretData="second")
    assert put[0] == 200, put
    until(lambda: kept()[0] == "second", lambda: machine.journal("bulla-agent"))
    machine.at("systemctl", "stop", "bulla-agent")
    assert kept() == ("second", ["400", reader]), "what reads the file goes on"
    machine.at("systemctl", "start", "bulla-agent")

    # The next version of the package starts both again; its purge ends them and leaves nothing that runs.
    pid = main()
    machine.at("dpkg", "--force-unsafe-io", "--install", "/next.deb")
    assert main() not in (pid, "0")
    serves("second")
    assert machine.shows("bulla-agent", "ActiveState") == "active"
    machine.at("systemctl", "stop", "bulla")
    assert machine.shows("bulla", "Result") == "success"
    machine.at("systemctl", "start", "bulla")
    machine.at("dpkg", "--purge", "bulla")
    assert machine.asked("pgrep", "--exact", "bulla").stdout == ""

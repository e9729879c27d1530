"""What the tests of commands share: a program, a deployment of `bulla dev`, texts that are the same each time.

Run by tests/people/run.sh; $BULLA names the program. Golden files are written anew with BULLA_GOLDEN=write.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BULLA = os.environ.get("BULLA", str(ROOT / "target/debug/bulla"))
GOLDEN = HERE / "golden"
READY_S = 90

CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("BULLA_", "SOFTHSM2_", "RUST_LOG"))}
# English, whatever this machine speaks; test_chinese.py asks for another language.
CLEAN["LC_ALL"] = "C.UTF-8"


def bulla(*arguments, env=None, cwd=None, stdin=None, timeout=120):
    """Runs a command to its end; on its standard input is a text, or nothing."""
    return subprocess.run(
        [BULLA, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**CLEAN, **(env or {})},
        cwd=cwd,
        timeout=timeout,
        **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}),
    )


def done(*arguments, **more):
    """Runs a command that must succeed, and therefore say nothing on standard error; gives what it prints."""
    ended = bulla(*arguments, **more)
    assert ended.returncode == 0, f"{arguments}: exit {ended.returncode}\n{ended.stdout}{ended.stderr}"
    assert ended.stderr == "", f"{arguments}: a command that succeeds says nothing on standard error:\n{ended.stderr}"
    return ended.stdout


def typed(*arguments, **more):
    return json.loads(done(*arguments, "--json", **more))


class Serving:
    """A `bulla` that serves until it is stopped."""

    def __init__(self, *arguments, log, env=None):
        self.log_file = pathlib.Path(log)
        self.process = subprocess.Popen(
            [BULLA, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=open(self.log_file, "ab"),
            stdin=subprocess.DEVNULL,
            env={**CLEAN, **(env or {})},
            text=True,
        )

    def first_line(self):
        line = self.process.stdout.readline()
        assert line, f"ended with {self.process.wait(5)}\n{self.log()}"
        return line

    def log(self):
        return self.log_file.read_text(errors="replace")

    def waits_for(self, text, seconds=READY_S):
        """Until the log says so."""
        until = time.monotonic() + seconds
        while text not in self.log():
            assert self.process.poll() is None, f"ended with {self.process.returncode}\n{self.log()}"
            assert time.monotonic() < until, f"{text!r} is not in\n{self.log()}"
            time.sleep(0.05)

    def send(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def serving(tmp_path):
    running = []

    def start(*arguments, **more):
        running.append(Serving(*arguments, log=tmp_path / f"serving-{len(running)}.log", **more))
        return running[-1]

    yield start
    for server in running:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


@pytest.fixture(scope="session")
def dev(tmp_path_factory):
    """A deployment that serves, shared by tests that don't break it: its folder and what it said."""
    data = tmp_path_factory.mktemp("dev") / "d"
    server = Serving("dev", "--data", data, "--listen", "0", "--json", log=data.parent / "dev.log")
    ready = json.loads(server.first_line())
    ready["data"] = data
    yield ready
    assert server.stop() == 0


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """The Debian package of the program."""
    out = tmp_path_factory.mktemp("deb") / "bulla.deb"
    command = [ROOT / "packaging/build-deb.sh", BULLA, out]
    made = subprocess.run(command, env=os.environ | {"BULLA_DEB_FAST": "1"}, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return out


@pytest.fixture
def newer(package, tmp_path):
    """The next version of the package, of the same program."""
    tree, out = tmp_path / "next", tmp_path / "next.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN/control"
    version = re.search(r"(?m)^Version: (.*)$", control.read_text())[1]
    control.write_text(control.read_text().replace(f"Version: {version}", f"Version: {version}+next"))
    subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", tree, out], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["dpkg", "--compare-versions", f"{version}+next", "gt", version], check=True)
    return out


@pytest.fixture(scope="module")
def home(dev, tmp_path_factory):
    """A home folder without a profile, and the server's."""
    folder = tmp_path_factory.mktemp("home")
    until = time.monotonic() + 60
    while not (dev["data"] / "profile.toml").is_file():
        assert time.monotonic() < until
        time.sleep(0.05)
    return folder


@pytest.fixture(scope="module")
def env(home):
    kept = {k: v for k, v in CLEAN.items() if not k.startswith(("ALIBABA_CLOUD_", "XDG_", "CREDENTIALS_"))}
    return kept | {"HOME": str(home)}


@pytest.fixture(scope="module")
def asks(dev, env):
    """Runs a command as who has the dev folder as a profile."""

    def run(*arguments, stdin=b"", more=None, timeout=120, profile=dev["data"]):
        leading = ("--profile", str(profile)) if profile else ()
        return subprocess.run(
            [BULLA, *leading, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            env={**env, **(more or {})},
            timeout=timeout,
        )

    return run


@pytest.fixture(scope="module")
def gives(asks):
    """Runs a command that must succeed without a word on standard error; gives its output."""

    def run(*arguments, **more):
        ended = asks(*arguments, **more)
        assert (ended.returncode, ended.stderr) == (0, b""), f"{arguments}: {ended}"
        return ended.stdout

    return run


def refused(ended, code, *words):
    text = ended.stderr.decode()
    assert (ended.returncode, ended.stdout) == (code, b""), ended
    assert text.startswith("error: "), text
    for word in words:
        assert word in text, f"{word!r} is not in {text}"
    return text


VARIABLE = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>"),
    (re.compile(r"\bBLLA[A-Z2-9]{20}\b"), "<access-key>"),
    (re.compile(r"\b[1-9]\d{15}\b"), "<account>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<sha256>"),
    (re.compile(r"(?s)-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----"), "<pem>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"((?:AccessKeySecret\"?[: ]+\"?|access_key_secret=')\s*)[A-Za-z0-9._~+/-]{40}"), r"\1<secret>"),
    (re.compile(r'serial "[0-9a-f]{16}"'), 'serial "<serial>"'),
    (re.compile(r"\([0-9a-f]{16}\)"), "(<serial>)"),
    (re.compile(r"/\S*pytest-of-\w+/pytest-\d+/(\w+?)\d*/"), r"<tmp>/"),
    (re.compile(r"process \d+"), "process <pid>"),
    (re.compile(r"(\buid[= ])\d+"), r"\1<uid>"),
]


def masked(text):
    for pattern, word in VARIABLE:
        text = pattern.sub(word, text)
    # Columns are as wide as what was in them.
    return re.sub(r" {2,}", "  ", text)


def golden(name, text):
    """Compares a text that people see with the one that is kept."""
    file = GOLDEN / f"{name}.txt"
    text = masked(text).rstrip() + "\n"
    if os.environ.get("BULLA_GOLDEN") == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert file.is_file(), f"{file} is not there; write it with BULLA_GOLDEN=write, and read it"
    assert text == file.read_text(), f"{file} (BULLA_GOLDEN=write writes it anew)"


def transcript(*calls, env=None, cwd=None):
    """Commands one after the other, as a terminal shows them."""
    shown = []
    for call in calls:
        ended = bulla(*call, env=env, cwd=cwd)
        words = " ".join(str(word) for word in call if word not in ("--data",) and not str(word).startswith("/"))
        shown.append(f"$ bulla {words}\n{ended.stdout}{ended.stderr}[exit {ended.returncode}]\n")
    return "\n".join(shown)


@pytest.fixture(scope="session")
def managed():
    """A MariaDB with accounts for Bulla to manage."""
    from managed import mariadb

    with mariadb() as database:
        if database is None:
            pytest.skip("not on this machine: MariaDB")
        yield database

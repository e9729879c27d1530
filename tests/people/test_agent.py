"""`bulla agent`: files that are kept fresh, as their readers, an operator and the service manager see it."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest
from conftest import BULLA, ROOT, refused
from test_client import BAO, BINARY, CANARY

WAIT_S = 60


def until(condition, what, agent=None):
    end = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert agent is None or agent.process.poll() is None, f"ended with {agent.process.returncode}\n{agent.said()}"
        assert time.monotonic() < end, f"{what}\n{agent.said() if agent else ''}"
        time.sleep(0.02)
    return found


class Agent:
    """An agent that runs, and what it tells the service manager."""

    def __init__(self, config, env, tmp_path, profile, prefix=(), more=None):
        self.log = tmp_path / f"agent-{time.monotonic_ns()}.log"
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = str(tmp_path / f"notify-{time.monotonic_ns()}")
        self.manager.bind(address)
        self.manager.setblocking(False)
        self.told = []
        command = [*prefix, BULLA, "--profile", profile, "agent", "--config", config]
        self.process = subprocess.Popen(
            [str(word) for word in command], env=env | {"NOTIFY_SOCKET": address} | (more or {}), stderr=open(self.log, "ab"), stdin=subprocess.DEVNULL
        )

    def said(self):
        return self.log.read_text(errors="replace")

    def heard(self, word):
        while True:
            try:
                self.told += self.manager.recv(65536).decode().split("\n")
            except BlockingIOError:
                return [line for line in self.told if line.startswith(word)]

    def ready(self):
        until(lambda: self.heard("READY=1"), "it is not ready", self)
        return self

    def waits_for(self, text):
        until(lambda: text in self.said(), f"it does not say {text!r}", self)

    def end(self):
        begun = time.monotonic()
        self.process.terminate()
        assert self.process.wait(WAIT_S) == 0, self.said()
        return time.monotonic() - begun


@pytest.fixture
def agent(dev, env, tmp_path):
    running = []

    def start(config, profile=dev["data"], **more):
        running.append(Agent(config, env, tmp_path, profile, **more))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        one.manager.close()


@pytest.fixture
def settings(tmp_path):
    """Writes a configuration of these files; each is a table."""
    folder = tmp_path / "agent"
    folder.mkdir()

    def write(*files, interval=1):
        text = f"interval_seconds = {interval}\n"
        for file in files:
            text += "[[file]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in file.items())
        (folder / "agent.toml").write_text(text)
        return folder / "agent.toml"

    return write


def test_files_are_written_once(gives, asks, settings, tmp_path):
    gives("secret", "put", "ag/db", stdin=b'{"user":"u","pass word":"it\'s \\"x\\"","port":5432}')
    gives("secret", "put", "ag/bytes", stdin=BINARY)
    (tmp_path / "agent/app.tmpl").write_text("url=db://{{ bulla://ag/db#user }}@h {{ other }}\n")
    at = lambda name: tmp_path / name  # noqa: E731
    sound = [
        {"secret": "ag/db#user", "path": str(at("user"))},
        {"secret": "bulla://ag/bytes", "path": str(at("bytes")), "mode": "0640"},
        {"secret": "ag/db", "format": "env", "path": str(at("env"))},
        {"template": "app.tmpl", "path": str(at("conf"))},
    ]
    assert gives("agent", "--once", "--config", settings(*sound)) == b""
    assert at("user").read_bytes() == b"u" and at("user").stat().st_mode & 0o7777 == 0o400
    assert at("bytes").read_bytes() == BINARY and at("bytes").stat().st_mode & 0o7777 == 0o640
    assert at("conf").read_text() == "url=db://u@h {{ other }}\n"
    shell = subprocess.run(["sh", "-c", f'. {at("env")}; printf %s "$pass_word $port"'], capture_output=True, text=True)
    assert shell.stdout == 'it\'s "x" 5432', at("env").read_text()
    # The same again writes nothing.
    before = {file: file.stat().st_ino for file in map(at, ("user", "bytes", "env", "conf"))}
    gives("agent", "--once", "--config", settings(*sound))
    assert before == {file: file.stat().st_ino for file in before}

    # One that is missing keeps no other from being written.
    missing = {"secret": "ag/none", "path": str(at("none"))}
    nofield = {"secret": "ag/db#nofield", "path": str(at("nofield"))}
    at("user").unlink()
    ended = asks("agent", "--once", "--config", settings(missing, *sound, nofield))
    assert (ended.returncode, ended.stdout) == (3, b"") and b"ag/none" in ended.stderr and b"nofield" in ended.stderr, ended
    assert at("user").read_bytes() == b"u" and not at("none").exists()
    nowhere = {"secret": "ag/db", "path": str(at("no/such/folder"))}
    assert asks("agent", "--once", "--config", settings(nowhere)).returncode == 7
    # Said once, and with --json as JSON alone.
    ended = asks("agent", "--once", "--config", settings(missing, *sound), "--json")
    assert (ended.returncode, ended.stdout) == (3, b"") and "ag/none" in json.loads(ended.stderr)["error"]["message"], ended
    ended = asks("agent", "--once", "--config", settings(missing, *sound))
    assert ended.stderr.count(b"ag/none") == 1, ended
    refused(asks("agent", "--once", "--config", tmp_path / "absent"), 7, "absent")
    wrong = {"secret": "ag/db", "path": str(at("x")), "mode": "0644"}
    refused(asks("agent", "--once", "--config", settings(wrong)), 7, "everybody on this host")


def test_what_is_no_file_stays_as_it_is(asks, settings, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refused(asks("agent", "--config", settings({"secret": "ag/none", "path": str(pipe)}), "--once"), 7, f"{pipe}: is no file")
    assert pipe.is_fifo()
    twice = [{"secret": "ag/none", "path": path} for path in (f"{tmp_path}/a", f"{tmp_path}/../{tmp_path.name}/a")]
    refused(asks("agent", "--config", settings(*twice), "--once"), 7, "named twice")


def test_the_example_is_sound(asks, tmp_path):
    """As it is shipped, but for users that are not on this machine."""
    text = (ROOT / "packaging/agent/agent.toml").read_text()
    (tmp_path / "pgbouncer-users.tmpl").write_text("")
    for user in ("app", "postgres"):
        text = text.replace(f'owner = "{user}"', "owner = 1").replace(f'group = "{user}"', "group = 1")
    (tmp_path / "agent.toml").write_text(text.replace("/run/bulla-agent", str(tmp_path)))
    ended = asks("agent", "--once", "--config", tmp_path / "agent.toml")
    assert ended.returncode == 3 and b"app/db" in ended.stderr and b"app/env" in ended.stderr, ended
    assert {"app/db", "app/env"} <= set(ended.stderr.decode().replace(":", " ").split())


READER = """
import signal, sys, time
path, pid_file = sys.argv[1:]
def hup(*_): print("hup", open(path).read(), flush=True)
signal.signal(signal.SIGHUP, hup)
import os
open(pid_file, "w").write(str(os.getpid()))
print("begin", open(path).read(), flush=True)
while True: time.sleep(0.1)
"""


def test_a_new_version_reaches_files_and_their_readers(gives, agent, settings, tmp_path):
    gives("secret", "put", "ag/told", stdin=b"first")
    file, other, mark, pid_file = (tmp_path / name for name in ("told", "other", "mark", "pid"))
    hook = ["sh", "-c", f'echo told >> {mark}; test -z "$ALIBABA_CLOUD_ACCESS_KEY_SECRET$NOTIFY_SOCKET"']
    by_command = {"secret": "ag/told", "path": str(other), "on_change": hook}
    by_signal = {"secret": "ag/told", "path": str(file), "mode": "0440", "signal": "HUP", "pid_file": str(pid_file)}
    config = settings(by_signal, by_command)
    running = agent(config).ready()
    assert file.read_bytes() == b"first" and not mark.exists(), "a file that is made is no change"
    reader = subprocess.Popen([sys.executable, "-c", READER, file, pid_file], stdout=subprocess.PIPE, text=True)
    try:
        assert reader.stdout.readline() == "begin first\n"
        open_still = open(file)
        gives("secret", "put", "ag/told", stdin=b"second")
        assert reader.stdout.readline() == "hup second\n"
        assert open_still.read() == "first", "who has it open reads on"
        until(mark.exists, "the command was not run", running)
        assert file.stat().st_mode & 0o7777 == 0o440
        assert not [left for left in tmp_path.iterdir() if left.name.endswith(".bulla-new")]
    finally:
        reader.kill()
        reader.wait()

    # What others did to a file does not last.
    other.unlink()
    until(other.exists, "a file that was removed is not there again", running)
    file.chmod(0o444)
    until(lambda: file.stat().st_mode & 0o7777 == 0o440, "its mode is not what it should be", running)

    # HUP: another file; then a configuration that is wrong, which changes nothing.
    third = tmp_path / "third"
    settings(by_signal, by_command, {"secret": "ag/told", "path": str(third)})
    running.process.send_signal(signal.SIGHUP)
    until(third.exists, "the new configuration is not followed", running)
    config.write_text("[[file]]\nsecrt = 1\n")
    running.process.send_signal(signal.SIGHUP)
    running.waits_for("the configuration stays as it was")
    third.unlink()
    until(third.exists, "it does not go on", running)
    assert running.end() < WAIT_S
    assert running.heard("STOPPING=1") and third.exists(), "the files stay"
    assert "second" not in running.said()


def test_hooks_that_fail_are_tried_again(gives, agent, settings, tmp_path):
    gives("secret", "put", "ag/again", stdin=b"1")
    file, mark = tmp_path / "again", tmp_path / "mark"
    hook = ["sh", "-c", f"test -e {mark} || {{ touch {mark}; exit 3; }}; echo done >> {mark}"]
    running = agent(settings({"secret": "ag/again", "path": str(file), "on_change": hook})).ready()
    gives("secret", "put", "ag/again", stdin=b"2")
    until(lambda: mark.exists() and mark.read_text() == "done\n", "it is not tried again", running)
    running.waits_for("exit status: 3")


def test_who_was_not_told_before_the_agent_ended_is_told_by_the_next(gives, agent, settings, tmp_path):
    gives("secret", "put", "ag/owed", stdin=b"1")
    file, may, mark = (tmp_path / name for name in ("owed", "may", "mark"))
    hook = ["sh", "-c", f"test -e {may} && echo done >> {mark}"]
    config = settings({"secret": "ag/owed", "path": str(file), "on_change": hook})
    first = agent(config).ready()
    gives("secret", "put", "ag/owed", stdin=b"2")
    first.waits_for("not told, and tried again")
    first.process.kill()
    first.process.wait()
    may.touch()
    second = agent(config).ready()
    until(mark.exists, "nobody was told", second)
    second.end()
    third = agent(config).ready()
    third.end()
    assert mark.read_text() == "done\n" and file.read_bytes() == b"2", "once is enough"


def test_a_reload_changes_whom_a_file_is_for(gives, agent, settings, tmp_path):
    gives("secret", "put", "ag/mode", stdin=b"1")
    file = tmp_path / "mode"
    running = agent(settings({"secret": "ag/mode", "path": str(file), "mode": "0400"})).ready()
    assert file.stat().st_mode & 0o7777 == 0o400
    settings({"secret": "ag/mode", "path": str(file), "mode": "0440"})
    running.process.send_signal(signal.SIGHUP)
    until(lambda: file.stat().st_mode & 0o7777 == 0o440, "it is for the same as before", running)
    assert file.read_bytes() == b"1"


@pytest.mark.parametrize("what", ["link", "pipe"])
def test_what_others_put_beside_a_file_is_not_written_through(gives, agent, settings, tmp_path, what):
    """The reader may own the folder: neither the note of its hook nor the next file goes where a link leads, and a pipe stops nobody."""
    name, folder, victim, told = f"ag/beside-{what}", tmp_path / "folder", tmp_path / "victim", tmp_path / "told"
    gives("secret", "put", name, stdin=b"1")
    folder.mkdir()
    victim.write_text("untouched")
    file = folder / "f"
    running = agent(settings({"secret": name, "path": str(file), "on_change": ["touch", str(told)]})).ready()
    for beside in (folder / ".f.bulla-untold", folder / ".f.bulla-new"):
        beside.symlink_to(victim) if what == "link" else os.mkfifo(beside)
    gives("secret", "put", name, stdin=b"2")
    until(told.exists, "nobody is told", running)
    assert file.read_bytes() == b"2" and not file.is_symlink() and victim.read_text() == "untouched"
    # What is longer than the value, and has no end that anybody would wait for, is not read.
    with open(folder / "endless", "wb") as endless:
        endless.truncate(1 << 40)
    os.replace(folder / "endless", file)
    until(lambda: file.stat().st_size == 1, "it is not replaced", running)
    until(lambda: [path.name for path in folder.iterdir()] == ["f"], "something stays beside it", running)
    assert running.end() < WAIT_S


def test_files_outlive_the_server(serving, asks, agent, settings, env, tmp_path):
    data = tmp_path / "d"
    first = serving("dev", "--data", data, "--listen", "0", "--json")
    endpoint = json.loads(first.first_line())["Endpoint"]
    assert asks("secret", "put", "a", profile=data, stdin=CANARY.encode()).returncode == 0
    file = tmp_path / "kept"
    config = settings({"secret": "a", "path": str(file)})
    running = agent(config, profile=data).ready()
    assert file.read_text() == CANARY
    assert first.stop() == 0
    running.waits_for("the files stay as they are")
    until(lambda: running.heard("STATUS=without the server since"), "the service manager is not told", running)
    # One that begins now is ready too: every file is there.
    later = agent(config, profile=data).ready()
    assert later.end() < WAIT_S and file.read_text() == CANARY
    again = serving("dev", "--data", data, "--listen", endpoint, "--json")
    again.first_line()
    assert asks("secret", "put", "a", profile=data, stdin=b"new").returncode == 0
    until(lambda: file.read_text() == "new", "it does not come back", running)
    running.waits_for("the server answers again")
    # What the server refuses stays as well, and is named.
    assert asks("secret", "delete", "a", "--now", "--yes", profile=data).returncode == 0
    running.waits_for("Forbidden.ResourceNotFound")
    assert file.read_text() == "new"
    until(lambda: any("1 of 1 files" in line for line in running.heard("STATUS=")), "the service manager is not told", running)
    assert CANARY not in running.said() + later.said()


@pytest.fixture
def others():
    """A folder that other users reach."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bulla-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users: needs root")
def test_files_are_given_to_their_readers_with_one_capability(gives, dev, agent, settings, others):
    """As the unit runs it: a user of its own with CAP_CHOWN alone, in a folder of its own."""
    gives("secret", "put", "ag/given", stdin=b"1")
    user, caps = 65534, "-all,+chown"
    prefix = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs")
    prefix += (f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set={caps}", "--")
    if subprocess.run([*prefix, BULLA, "--version"], capture_output=True).returncode != 0:
        pytest.skip("other users cannot run this program here")
    own, profile = others / "own", others / "profile"
    own.mkdir(0o755)
    profile.mkdir(0o700)
    (profile / "secret").write_text(dev["AccessKeySecret"])
    (profile / "profile.toml").write_text(
        f'endpoint = "{dev["Endpoint"]}"\naccess_key_id = "{dev["AccessKeyId"]}"\nsecret_file = "secret"\n'
    )
    (profile / "secret").chmod(0o600)
    file = own / "given"
    config = shutil.copy(settings({"secret": "ag/given", "path": str(file), "owner": 1, "group": 2, "mode": "0440"}), profile)
    for path in (own, profile, *profile.iterdir()):
        os.chown(path, user, user)
    running = agent(config, profile=profile, prefix=prefix, more={"HOME": "/nonexistent"})
    until(file.exists, "the file is not there", running)
    look = lambda: (file.stat().st_uid, file.stat().st_gid, file.stat().st_mode & 0o7777)  # noqa: E731
    assert look() == (1, 2, 0o440)
    gives("secret", "put", "ag/given", stdin=b"2")
    until(lambda: file.read_bytes() == b"2", "it is not replaced", running)
    assert look() == (1, 2, 0o440)
    assert running.end() < WAIT_S


def at_socket(path, target, method="GET", user=None):
    """Status and answer of a request at a local socket; as another user where one is named."""
    command = ["curl", "-sS", "--unix-socket", path, "-X", method, "-w", "\n%{http_code}", f"http://localhost{target}"]
    if method == "HEAD":
        command[4:6] = ["-I"]
    prefix = ["setpriv", f"--reuid={user}", "--regid=65534", "--clear-groups", "--"] if user else []
    ended = subprocess.run([*prefix, *map(str, command)], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended
    body, _, status = ended.stdout.rpartition("\n")
    return int(status), json.loads(body) if body.startswith("{") else body


@pytest.mark.skipif(shutil.which("curl") is None, reason="not on this machine: curl")
def test_a_socket_answers_reads_of_vaults_api(gives, agent, others, tmp_path):
    gives("secret", "put", "sock/obj", "--version-id", "v1", stdin=b'{"user":"u","n":1.50}')
    gives("secret", "put", "sock/text", stdin=b"plain")
    gives("secret", "put", "sock/bytes", stdin=b"\x00\xff")
    gives("secret", "put", "hidden", stdin=b"x")
    path, config = others / "api.sock", tmp_path / "agent.toml"
    config.write_text(f'interval_seconds = 1\n[socket]\npath = "{path}"\nmode = "0666"\nusers = [65534]\nsecrets = ["sock/*"]\n')
    running = agent(config).ready()
    status, told = at_socket(path, "/v1/secret/data/sock/obj")
    assert status == 200 and told["data"]["data"] == {"user": "u", "n": 1.5} and told["data"]["metadata"]["version_id"] == "v1", told
    assert at_socket(path, "/v1/secret/data/sock/text")[1]["data"]["data"] == {"value": "plain"}
    assert at_socket(path, "/v1/secret/data/sock/bytes")[1]["data"]["data"] == {"value": "AP8="}
    assert at_socket(path, "/v1/secret/data/sock%2Ftext")[0] == 200
    for target, method, expected in [
        ("/v1/secret/data/sock/none", "GET", 404),
        ("/v1/secret/data/hidden", "GET", 403),
        ("/v1/secret/data/sock/obj?version=1", "GET", 400),
        ("/v1/secret/data/sock/obj", "POST", 405),
        ("/v1/secret/metadata/sock/obj", "GET", 404),
        ("/v1/sys/health", "GET", 200),
        ("/v1/sys/health", "HEAD", 200),
        ("/elsewhere", "GET", 404),
    ]:
        assert at_socket(path, target, method)[0] == expected, (method, target)
    if BAO.is_file():
        ended = subprocess.run(
            [BAO, "kv", "get", "-field=user", "secret/sock/obj"], capture_output=True, text=True, timeout=60,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "BAO_ADDR": f"unix://{path}", "VAULT_ADDR": f"unix://{path}"},
        )  # fmt: skip
        assert ended.stdout == "u", ended
    if os.geteuid() == 0:
        assert at_socket(path, "/v1/secret/data/sock/text", user=65534)[0] == 200
        assert at_socket(path, "/v1/secret/data/sock/text", user=65533) == (403, {"errors": ["permission denied"]})
        running.waits_for("user 65533")
    # A new version is there soon, and nothing is written down.
    gives("secret", "put", "sock/text", stdin=b"newer")
    until(lambda: at_socket(path, "/v1/secret/data/sock/text")[1]["data"]["data"] == {"value": "newer"}, "it stays old", running)
    # HUP: other names. An agent that was killed leaves a file, which the next one takes over; two at one place are one too many.
    config.write_text(config.read_text().replace("sock/*", "hidden"))
    running.process.send_signal(signal.SIGHUP)
    until(lambda: at_socket(path, "/v1/secret/data/hidden")[0] == 200, "the new configuration is not followed", running)
    assert at_socket(path, "/v1/secret/data/sock/text")[0] == 403
    second = agent(config)
    assert second.process.wait(WAIT_S) == 5 and "another agent serves there" in second.said()
    assert path.exists()
    running.process.kill()
    running.process.wait()
    third = agent(config).ready()
    assert at_socket(path, "/v1/secret/data/hidden")[0] == 200
    assert third.end() < WAIT_S and not path.exists()
    assert "plain" not in running.said() and "newer" not in running.said()


def at_once(path, request=b"", user=None):
    """A connection to a local socket, as another user where one is named: the kernel keeps who connected."""
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(60)
    if user:
        os.seteuid(user)
    try:
        peer.connect(str(path))
    finally:
        if user:
            os.seteuid(0)
    # To send nothing is an error, too, where the other end has closed already.
    if request:
        peer.sendall(request)
    return peer


@pytest.mark.skipif(shutil.which("curl") is None, reason="not on this machine: curl")
def test_nobody_keeps_the_places_of_a_socket(agent, others, tmp_path):
    path, config = others / "api.sock", tmp_path / "agent.toml"
    config.write_text(f'[socket]\npath = "{path}"\nmode = "0666"\nsecrets = ["sock/*"]\n')
    agent(config).ready()
    request = b"GET /v1/sys/health HTTP/1.1\r\nHost: h\r\n\r\n"
    # With a byte now and then, before the request is whole and behind the answer.
    for begin in (b"", request):
        peer = at_once(path, begin)
        for _ in range(300):
            time.sleep(0.2)
            try:
                peer.send(b"x")
            except OSError:
                break
        else:
            pytest.fail(f"{begin}: it is listened to for a minute")
        peer.close()
    if os.geteuid() != 0:
        pytest.skip("whoever is not root cannot be another user")
    # Those who may not ask are told so, as many as there is room for, and keep nobody else away.
    strangers = [at_once(path, user=65533) for _ in range(80)]
    assert at_socket(path, "/v1/sys/health")[0] == 200
    for stranger in strangers:
        stranger.close()

    def is_told():
        # While the others' places are not free again, it may be closed before the request is on its way.
        try:
            return at_once(path, request, 65533).recv(100).startswith(b"HTTP/1.1 403 ")
        except OSError:
            return False

    until(is_told, "a stranger is not told")


@pytest.mark.skipif(shutil.which("curl") is None, reason="not on this machine: curl")
def test_a_socket_serves_the_last_value_while_the_server_is_away(serving, asks, agent, tmp_path):
    data, path, config = tmp_path / "d", tmp_path / "api.sock", tmp_path / "agent.toml"
    server = serving("dev", "--data", data, "--listen", "0", "--json")
    server.first_line()
    assert asks("secret", "put", "a", profile=data, stdin=b"kept").returncode == 0
    config.write_text(f'interval_seconds = 1\n[socket]\npath = "{path}"\nsecrets = ["a", "b"]\n')
    running = agent(config, profile=data).ready()
    assert at_socket(path, "/v1/secret/data/a")[1]["data"]["data"] == {"value": "kept"}
    assert server.stop() == 0
    # Beyond its second: the answer is the old value.
    time.sleep(1.5)
    assert at_socket(path, "/v1/secret/data/a")[1]["data"]["data"] == {"value": "kept"}
    status, told = at_socket(path, "/v1/secret/data/b")
    assert status == 503 and "cannot be reached" in told["errors"][0], told
    assert running.end() < WAIT_S

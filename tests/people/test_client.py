"""A shell and its secrets: the commands that ask a server, as persons, scripts and programs use them.

One server for nearly all of it, `bulla dev`; its folder is the profile.
"""

import base64
import contextlib
import ctypes
import functools
import http.server
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import pexpect
import pytest
from conftest import BULLA, CLEAN, ROOT, Serving, done, refused, typed
from traces import Door, Look

sys.path.insert(0, str(ROOT / "tests/sdk"))
from run import postgresql  # noqa: E402
from tls import Authority  # noqa: E402
from vault import BAO, Api, bao_server  # noqa: E402

CANARY = "c4nary-Zx7-value-that-must-not-leak"
BINARY = bytes(range(256))


def test_a_value_goes_in_and_comes_out(gives, asks, tmp_path):
    gives("secret", "put", "io/pipe", "-", stdin=b"s3cret")
    assert gives("secret", "get", "io/pipe") == b"s3cret"
    # What `echo` adds is no part of it; what a text of several lines has is.
    gives("secret", "put", "io/pipe", stdin=b"echoed\n")
    assert gives("secret", "get", "io/pipe") == b"echoed"
    gives("secret", "put", "io/lines", "-", stdin=b"one\ntwo\n")
    assert gives("secret", "get", "io/lines") == b"one\ntwo\n"
    gives("secret", "put", "io/binary", "-", stdin=BINARY)
    assert gives("secret", "get", "io/binary") == BINARY
    file = tmp_path / "value"
    file.write_bytes(b"exactly\n")
    gives("secret", "put", "io/file", "--file", file)
    assert gives("secret", "get", "io/file") == b"exactly\n"
    out = tmp_path / "out"
    assert gives("secret", "get", "io/binary", "--out", out) == b""
    assert out.read_bytes() == BINARY and out.stat().st_mode & 0o777 == 0o600
    answer = json.loads(gives("secret", "get", "io/binary", "--json"))
    assert answer["SecretDataType"] == "binary" and answer["VersionStages"] == ["ACSCurrent"]
    made = json.loads(gives("secret", "put", "io/made", "--generate", "40", "--json"))
    assert set(made) == {"SecretName", "VersionId"}
    assert len(gives("secret", "get", "io/made")) == 40
    refused(asks("secret", "put", "io/empty", stdin=b""), 2, "no value")
    refused(asks("secret", "put", "io/absent", "--file", tmp_path / "absent"), 7, "absent")
    refused(asks("secret", "put", "io/pipe", "s3cret"), 2)


def test_versions_and_what_changes_them(gives, asks):
    gives("secret", "put", "v/a", "--version-id", "one", "--create", stdin=b'{"user":"u","password":"p1"}')
    refused(asks("secret", "put", "v/a", "--create", stdin=b"x"), 5, "request ID: ")
    gives("secret", "put", "v/a", "--version-id", "two", "--if-version", "one", stdin=b'{"user":"u","password":"p2"}')
    refused(asks("secret", "put", "v/a", "--version-id", "late", "--if-version", "one", stdin=b"{}"), 5, "two")
    refused(asks("secret", "put", "v/a", "--version-id", "two", stdin=b"another"), 5)
    assert gives("secret", "get", "v/a", "--field", "password") == b"p2"
    assert gives("secret", "get", "v/a", "--field", "password", "--version", "one") == b"p1"
    assert gives("secret", "get", "v/a", "--field", "password", "--stage", "ACSPrevious") == b"p1"
    text = refused(asks("secret", "get", "v/a", "--field", "pasword"), 3, "password, user")
    assert "p2" not in text
    versions = json.loads(gives("secret", "versions", "v/a", "--json"))
    assert {v["VersionId"]: v["VersionStages"] for v in versions} == {
        "one": ["ACSPrevious"],
        "two": ["ACSCurrent"],
        "late": [],
    }
    diff = json.loads(gives("secret", "diff", "v/a", "one", "two", "--json"))
    assert diff == [{"Field": "password", "Change": "changed"}]
    gives("secret", "patch", "v/a", "password=-", "user!", stdin=b"p3\n")
    assert json.loads(gives("secret", "get", "v/a")) == {"password": "p3"}
    refused(asks("secret", "patch", "v/a", "password=p4"), 2, "FIELD=@FILE")
    gives("secret", "rollback", "v/a")
    assert gives("secret", "get", "v/a", "--field", "password") == b"p2"
    gives("secret", "rollback", "v/a", "--version", "one")
    assert gives("secret", "get", "v/a", "--field", "password") == b"p1"
    refused(asks("secret", "rollback", "v/a", "--version", "one"), 5)
    refused(asks("secret", "rotate", "v/a"), 1, "UnsupportedOperation")


def test_what_there_is(gives, asks):
    for name in ("tree/a", "tree/b/c", "tree/b/d"):
        gives("secret", "put", name, "--tag", "team=Billing", stdin=b"x")
    assert gives("secret", "list", "tree/").decode().split() == ["tree/a", "tree/b/c", "tree/b/d"]
    assert gives("secret", "list", "tree/", "-r").decode().split() == ["tree/a", "tree/b/c", "tree/b/d"]
    assert gives("secret", "list", "tree/", "-d").decode().split() == ["tree/a", "tree/b/"]
    assert gives("secret", "list", "none/") == b""
    assert json.loads(gives("secret", "list", "none/", "--json")) == []
    listed = json.loads(gives("secret", "list", "tree/", "--json"))
    assert [s["SecretName"] for s in listed] == ["tree/a", "tree/b/c", "tree/b/d"]
    assert gives("secret", "find", "bILLing").decode().split() == ["tree/a", "tree/b/c", "tree/b/d"]
    gives("secret", "tag", "tree/a", "team!", "owner=me")
    shown = json.loads(gives("secret", "show", "tree/a", "--json"))
    assert shown["Tags"] == [{"TagKey": "owner", "TagValue": "me"}] and shown["Versions"] == 1 and shown["PlannedDeleteTime"] is None
    gives("secret", "delete", "tree/a", "--in", "7d", "--yes")
    refused(asks("secret", "get", "tree/a"), 5, "restore")
    gives("secret", "restore", "tree/a")
    assert gives("secret", "get", "tree/a") == b"x"
    refused(asks("secret", "delete", "tree/a"), 2, "--yes")
    refused(asks("secret", "delete", "tree/a", "--in", "3d", "--yes"), 2)
    gives("secret", "delete", "tree/a", "--now", "--yes")
    refused(asks("secret", "get", "tree/a"), 3, "tree/a")
    policy = gives("secret", "policy", "tree/b/c")
    gives("secret", "policy", "tree/b/c", "--set", "-", stdin=policy)


def test_every_exit_code_by_its_cause(gives, asks, dev, env, tmp_path):
    gives("secret", "put", "code/x", stdin=b"v")
    refused(asks("secret", "get", "code/none"), 3, "request ID: ")
    error = json.loads(asks("--json", "secret", "get", "code/none").stderr)["error"]
    assert error["class"] == "not_found" and error["code"] == "Forbidden.ResourceNotFound" and error["status"] == 404
    assert re.fullmatch(r"[0-9a-f-]{36}", error["request_id"]) and error["message"]
    data = ("--data", dev["data"])
    done("user", "create", "outsider", *data)
    key = typed("access-key", "create", "--user", "outsider", *data)
    of = lambda key: {  # noqa: E731
        "ALIBABA_CLOUD_ACCESS_KEY_ID": key["AccessKeyId"],
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key["AccessKeySecret"],
        "BULLA_ENDPOINT": dev["Endpoint"],
    }
    refused(asks("secret", "get", "code/x", more=of(key), profile=None), 4, "outsider", "kms:GetSecretValue")
    who = json.loads(asks("whoami", "--json", more=of(key), profile=None).stdout)
    assert who["Arn"].endswith(":user/outsider") and who["IdentityType"] == "RAMUser" and who["Source"] == "environment"
    wrong = of(key) | {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong"}
    refused(asks("whoami", more=wrong, profile=None), 4, "the access key's secret is wrong")
    refused(asks("whoami", more=of(key) | {"ALIBABA_CLOUD_ACCESS_KEY_ID": "BLLAnobody"}, profile=None), 4, "BLLAnobody")
    refused(asks("whoami", more=of(key) | {"BULLA_ENDPOINT": "127.0.0.1:1"}, profile=None), 6, "cannot be reached")
    refused(asks("whoami", more=of(key) | {"BULLA_ENDPOINT": f"https://{dev['Endpoint']}"}, profile=None), 7, "http://")
    refused(asks("whoami", profile=None), 7, "bulla login")
    refused(asks("whoami", profile="nosuch"), 7, "nosuch")
    refused(asks("secret", "get", "bad name"), 2, "InvalidParameter")
    loose = tmp_path / "loose"
    loose.mkdir()
    (loose / "secret").write_text("s")
    (loose / "secret").chmod(0o644)
    (loose / "profile.toml").write_text('endpoint = "127.0.0.1:1"\naccess_key_id = "i"\nsecret_file = "secret"\n')
    refused(asks("whoami", profile=loose), 7, "others may read it", "chmod 600")
    (loose / "profile.toml").write_text('endpoint = "127.0.0.1:1"\nacces_key_id = "i"\n')
    refused(asks("whoami", profile=loose), 7, "line 2", "acces_key_id")


def test_where_credentials_come_from(gives, asks, dev, env, home, tmp_path):
    endpoint, id, secret = dev["Endpoint"], dev["AccessKeyId"], dev["AccessKeySecret"]
    key = {"ALIBABA_CLOUD_ACCESS_KEY_ID": id, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret}
    source = lambda **more: json.loads(gives("whoami", "--json", **more))["Source"]  # noqa: E731
    assert source(profile=None, more={"BULLA_ENDPOINT": endpoint, **key}) == "environment"
    assert source(more={**key, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong"}) == f"profile {dev['data']}"
    assert source(profile=None, more={"BULLA_PROFILE": str(dev["data"])}) == f"profile {dev['data']}"
    given = tmp_path / "credentials"
    given.mkdir()
    (given / "bulla-access-key").write_text(f"{id}:{secret}\n")
    of_systemd = {"BULLA_ENDPOINT": endpoint, "CREDENTIALS_DIRECTORY": str(given)}
    assert source(profile=None, more=of_systemd) == "$CREDENTIALS_DIRECTORY/bulla-access-key"
    aliyun = tmp_path / "home/.aliyun"
    aliyun.mkdir(parents=True)
    profile = {"name": "default", "mode": "AK", "access_key_id": id, "access_key_secret": secret}
    (aliyun / "config.json").write_text(json.dumps({"current": "default", "profiles": [profile]}))
    (aliyun / "config.json").chmod(0o600)
    of_aliyun = {"BULLA_ENDPOINT": endpoint, "HOME": str(tmp_path / "home")}
    assert source(profile=None, more=of_aliyun) == "~/.aliyun/config.json"
    config = tmp_path / "home/.config/bulla"
    config.mkdir(parents=True)
    (config / "config.toml").write_text(
        f'[profile.ci]\nendpoint = "http://{endpoint}"\naccess_key_id = "{id}"\nsecret_command = "cat secret"\nsignature = "rpc"\n'
    )
    ended = asks("whoami", profile="ci", more=of_aliyun)
    assert ended.returncode == 7 and b"error: profile ci: secret_command: " in ended.stderr
    (tmp_path / "key").write_text(secret)
    (config / "config.toml").write_text((config / "config.toml").read_text().replace("cat secret", f"cat {tmp_path}/key"))
    assert source(profile="ci", more=of_aliyun) == "profile ci"
    half = {"BULLA_ENDPOINT": endpoint, "ALIBABA_CLOUD_ACCESS_KEY_ID": id}
    refused(asks("whoami", profile=None, more=half), 7, "ALIBABA_CLOUD_ACCESS_KEY_SECRET is not")


def terminal(arguments, env, program=BULLA, **more):
    return pexpect.spawn(program, [str(a) for a in arguments], env=env, timeout=60, encoding="utf-8", **more)


def test_a_person_at_a_terminal(gives, dev, env, home):
    child = terminal(["login", "--endpoint", f"http://{dev['Endpoint']}"], env)
    child.expect("Access key ID: ")
    child.sendline(dev["AccessKeyId"])
    child.expect(re.escape("Access key secret (not shown): "))
    child.sendline(dev["AccessKeySecret"])
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0 and dev["AccessKeySecret"] not in child.before, child.before
    kept = home / ".config/bulla"
    assert (kept / "default.secret").stat().st_mode & 0o777 == 0o600
    assert dev["AccessKeySecret"] not in (kept / "config.toml").read_text()
    assert json.loads(gives("whoami", "--json", profile=None))["Source"] == "profile default"

    child = terminal(["secret", "put", "tty/x"], env)
    child.expect(re.escape("Value of tty/x (not shown): "))
    child.sendline(CANARY)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0 and CANARY not in child.before
    # With a line's end on a terminal only.
    assert gives("secret", "get", "tty/x", profile=None) == CANARY.encode()
    child = terminal(["secret", "get", "tty/x"], env)
    child.expect(pexpect.EOF)
    assert child.before == f"{CANARY}\r\n"
    gives("secret", "put", "tty/binary", profile=None, stdin=BINARY)
    child = terminal(["secret", "get", "tty/binary"], env)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2 and "binary" in child.before and "--out" in child.before
    # Nor by a template, or by the name of the terminal.
    template = home / "template"
    template.write_text("{{ bulla://tty/binary }}")
    for words in (["inject", "-i", template], ["inject", "-i", template, "-o", "/dev/stdout"], ["secret", "get", "tty/binary", "--out", "/dev/tty"]):
        child = terminal(words, env)
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 2 and "binary" in child.before and "\x00" not in child.before, (words, child.before)
    template.write_text("{{ bulla://tty/x }}")
    child = terminal(["inject", "-i", template], env)
    child.expect(pexpect.EOF)
    assert child.before == f"{CANARY}\r\n"

    child = terminal(["secret", "delete", "tty/x"], env)
    child.expect("Type tty/x to go on: ")
    child.send("\x04")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2 and child.before.startswith("\r\nerror: "), child.before
    child = terminal(["secret", "delete", "tty/x"], env)
    child.expect("Type tty/x")
    child.sendline("tty/y")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2 and gives("secret", "get", "tty/x", profile=None) == CANARY.encode()
    child = terminal(["secret", "delete", "tty/x"], env)
    child.expect("Type tty/x")
    child.sendline("tty/x")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    (home / ".config/bulla/config.toml").unlink()


def test_profiles_are_listed_without_secrets(gives, asks, dev, home, tmp_path):
    """No server is asked, and no secret's file or command is looked at."""
    folder = tmp_path / "config"
    at = {"XDG_CONFIG_HOME": str(folder)}
    listed = lambda **more: json.loads(gives("profiles", "--json", profile=None, more=at | more))  # noqa: E731
    assert listed() == [] and gives("profiles", profile=None, more=at) == b"none\n"
    (folder / "bulla").mkdir(parents=True)
    (folder / "bulla/config.toml").write_text(
        f'[profile.default]\nendpoint = "https://kms.example"\naccess_key_id = "BLLAone"\nsecret_file = "nowhere"\n'
        f'[profile.ci]\naccess_key_id = "BLLAtwo"\nsecret_command = "echo {CANARY}; touch {tmp_path}/ran"\n'
    )
    row = lambda name, endpoint, id, default: {"Profile": name, "Endpoint": endpoint, "AccessKeyId": id, "Default": default}  # noqa: E731
    ci, default = row("ci", None, "BLLAtwo", False), row("default", "https://kms.example", "BLLAone", True)
    assert listed() == [ci, default]
    assert listed(BULLA_PROFILE="ci") == [ci | {"Default": True}, default | {"Default": False}]
    table = gives("profiles", profile=None, more=at)
    assert table.decode() == (
        "Profile  Endpoint             AccessKeyId  Default\n"
        "ci       -                    BLLAtwo      false\n"
        "default  https://kms.example  BLLAone      true\n"
    )
    assert not (tmp_path / "ran").exists()
    (folder / "bulla/config.toml").write_text("[profile.default]\nsecret = 1\n")
    refused(asks("profiles", profile=None, more=at), 7, "line 2")


def test_an_editor_works_in_memory(gives, asks, dev, env, tmp_path):
    gives("secret", "put", "ed/x", stdin=b"old value")
    seen = tmp_path / "seen"
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\nstat -f -c %T "$1" > {seen}\nstat -c %a "$1" >> {seen}\nsed -i s/old/new/ "$1"\n')
    editor.chmod(0o755)
    gives("secret", "edit", "ed/x", more={"EDITOR": str(editor), "VISUAL": ""})
    assert gives("secret", "get", "ed/x") == b"new value"
    assert seen.read_text().split() == ["tmpfs", "600"]
    refused(asks("secret", "edit", "ed/x", more={"EDITOR": "true", "VISUAL": ""}), 1, "nothing was changed")
    refused(asks("secret", "edit", "ed/x", more={"EDITOR": "false", "VISUAL": ""}), 7, "nothing was written")


@pytest.fixture
def runtime():
    """A folder in memory, as $XDG_RUNTIME_DIR is."""
    with tempfile.TemporaryDirectory(prefix="bulla-runtime-", dir="/dev/shm") as folder:
        yield pathlib.Path(folder)


@pytest.mark.parametrize("editor", ["vi", "vim", "nvim"])
def test_vim_keeps_nothing_of_a_value(gives, dev, env, runtime, tmp_path, editor):
    """What is deleted goes into a register, which Vim keeps; and a vimrc may ask for more. The value itself may, by a modeline."""
    program = shutil.which(editor)
    said = subprocess.run([program, "--version"], capture_output=True, stdin=subprocess.DEVNULL).stdout if program else b""
    if not said.startswith((b"VIM - Vi IMproved", b"NVIM")):
        pytest.skip(f"not on this machine: Vim or Neovim as {editor}")
    name = f"ed/{editor}"
    gives("secret", "put", name, stdin=f"{CANARY}\nkept {CANARY}\n# vim: set undofile:\n".encode())
    home, kept = tmp_path / "home", tmp_path / "kept"
    (home / ".config/nvim").mkdir(parents=True)
    kept.mkdir()
    asked_for = "set undofile backup writebackup swapfile modeline updatecount=1\n"
    asked_for += "".join(f"set {option}={kept}\n" for option in ("undodir", "backupdir", "directory"))
    asked_for += f"autocmd BufWritePost * silent! execute 'write! {kept}/copy'\n"
    for file in (".vimrc", ".config/nvim/init.vim"):
        (home / file).write_text(asked_for)
    # `vi` is what is taken where no editor is named.
    named = {} if editor == "vi" else {"EDITOR": editor}
    own = {k: v for k, v in env.items() if k not in ("EDITOR", "VISUAL")} | {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), "TERM": "xterm"}
    child = terminal(["--profile", dev["data"], "secret", "edit", name], own | named)
    child.expect("kept")
    # Whoever is asked whether a terminal is there waits for a moment.
    time.sleep(1)
    child.send("dd:wq\r")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    assert gives("secret", "get", name) == f"kept {CANARY}\n# vim: set undofile:\n".encode()
    left = [path for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert left == [] and list(kept.iterdir()) == [] and list(runtime.iterdir()) == []


def test_an_editor_that_nobody_named_needs_a_terminal(gives, asks):
    gives("secret", "put", "ed/none", stdin=CANARY.encode())
    text = refused(asks("secret", "edit", "ed/none", more={"EDITOR": "", "VISUAL": ""}), 2, "no editor is named", "secret patch")
    assert CANARY not in text and "\x1b" not in text


def editing(dev, env, editor):
    return subprocess.Popen(
        [BULLA, "--profile", str(dev["data"]), "secret", "edit", "ed/kill"],
        env={**env, "EDITOR": str(editor), "VISUAL": "", "XDG_RUNTIME_DIR": ""},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_of_what_an_editor_had(gives, dev, env, tmp_path, number):
    gives("secret", "put", "ed/kill", stdin=CANARY.encode())
    seen, editor = tmp_path / "seen", tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\necho "$1 $$" > {seen}.new; mv {seen}.new {seen}\nexec sleep 60\n')
    editor.chmod(0o755)
    running = editing(dev, env, editor)
    until = time.monotonic() + 30
    while not seen.exists():
        assert time.monotonic() < until and running.poll() is None
        time.sleep(0.02)
    file, pid = seen.read_text().split()
    assert CANARY in pathlib.Path(file).read_text()
    # A key of the terminal is the editor's.
    running.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert running.poll() is None and pathlib.Path(file).exists()
    running.send_signal(number)
    assert running.wait(20) == -number, running.stderr.read()
    assert not pathlib.Path(file).parent.exists()
    stat = pathlib.Path(f"/proc/{pid}/stat")
    assert not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_the_next_edit_removes_what_a_killed_one_left(gives, dev, env, tmp_path):
    gives("secret", "put", "ed/kill", stdin=CANARY.encode())
    seen, editor = tmp_path / "seen", tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\necho "$1" > {seen}.new; mv {seen}.new {seen}\nexec sleep 20\n')
    editor.chmod(0o755)
    folders = []
    for _ in range(2):
        running = editing(dev, env, editor)
        until = time.monotonic() + 30
        while not seen.exists():
            assert time.monotonic() < until and running.poll() is None
            time.sleep(0.02)
        folders.append((running, pathlib.Path(seen.read_text().strip()).parent))
        seen.unlink()
    (killed, left), (living, kept) = folders
    killed.kill()
    killed.wait()
    old = time.time() - 60
    for folder in (left, kept):
        os.utime(folder, (old, old))
    gives("secret", "edit", "ed/kill", more={"EDITOR": "sed -i s/c4/C4/", "VISUAL": "", "XDG_RUNTIME_DIR": ""})
    assert not left.exists() and kept.exists()
    living.terminate()
    living.wait(20)


@pytest.mark.parametrize("keys, number", [("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT), (None, signal.SIGTERM)])
def test_a_terminal_shows_what_is_typed_after_a_hidden_prompt(dev, env, keys, number):
    line = f'trap : INT QUIT; {BULLA} --profile {dev["data"]} secret put tty/y; echo "ended $?"; stty -a'
    shell = pexpect.spawn("/bin/sh", ["-c", line], env=env, timeout=60, encoding="utf-8")
    shell.expect(re.escape("Value of tty/y (not shown): "))
    time.sleep(0.3)
    if keys:
        shell.send(keys)
    else:
        child = subprocess.run(["pgrep", "-P", str(shell.pid)], capture_output=True, text=True).stdout.split()[0]
        os.kill(int(child), number)
    shell.expect(f"ended {128 + number}")
    shell.expect(pexpect.EOF)
    modes = shell.before.split()
    assert "icanon" in modes and "echo" in modes, modes


def test_a_hidden_prompt_takes_long_values_and_stops(gives, dev, env):
    child = terminal(["--profile", str(dev["data"]), "secret", "put", "tty/long"], env)
    child.expect(re.escape("Value of tty/long (not shown): "))
    time.sleep(0.3)
    child.send("\x1a")
    until = time.monotonic() + 20
    state = lambda: pathlib.Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]  # noqa: E731
    while state() != "T":
        assert time.monotonic() < until, state()
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGCONT)
    child.expect(re.escape("Value of tty/long (not shown): "))
    for _ in range(100):
        child.send("0123456789" * 10)
        time.sleep(0.01)
    child.sendline("x\x7f!")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert gives("secret", "get", "tty/long") == b"0123456789" * 1000 + b"!"


def test_what_is_too_long_is_refused_and_signed_whole(gives, asks, tmp_path):
    # Whether the server would read so much or not.
    for length in (30_721, 2_000_000):
        refused(asks("secret", "put", "too/long", stdin=b"x" * length), 2, "too long")
    file = tmp_path / "big"
    file.write_bytes(b"a" * (8 << 20) + b"tail")
    refused(asks("secret", "put", "long/x", "--file", file), 2, "is longer than 8 MiB")
    refused(asks("secret", "put", "long/x", stdin=file.read_bytes()), 2, "standard input is longer than 8 MiB")
    key = json.loads(gives("--json", "key", "create", "--spec", "EC_P256", "--usage", "sign"))["KeyId"]
    signature = gives("key", "sign", key, "--in-file", file).decode().strip()
    verify = ("key", "verify", key, "--signature", signature)
    gives(*verify, stdin=file.read_bytes())
    file.write_bytes(b"a" * (8 << 20) + b"TAIL")
    refused(asks(*verify, "--in-file", file), 1, "the signature is not of these bytes")
    gives("key", "delete", key, "--yes")


def test_a_file_that_may_not_grow_leaves_nothing(gives, dev, env, tmp_path):
    gives("secret", "put", "full/x", stdin=CANARY.encode() * 500)
    line = f'ulimit -f 1; exec {BULLA} --profile {dev["data"]} secret get full/x --out {tmp_path}/out'
    ended = subprocess.run(["/bin/sh", "-c", line], env=env, capture_output=True)
    refused(ended, 7, "File too large")
    assert list(tmp_path.iterdir()) == []
    # A program that takes the place of `bulla` has the system's way again.
    line = f"ulimit -f 1; exec {BULLA} --profile {dev['data']} run -- /bin/sh -c 'head -c 100000 /dev/zero > {tmp_path}/z; kill -l $?'"
    ended = subprocess.run(["/bin/sh", "-c", line], env=env, capture_output=True)
    assert b"XFSZ" in ended.stdout, ended


def test_a_key_is_not_left_without_its_alias(gives, asks):
    before = gives("key", "list", "--quiet")
    refused(asks("key", "create", "--alias", "my key"), 2, "is no alias", "no key was made")
    assert gives("key", "list", "--quiet") == before


def test_a_profile_that_others_may_write_runs_nothing(gives, asks, dev, tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "key").write_text(dev["AccessKeySecret"])
    profile = folder / "profile.toml"
    profile.write_text(f'endpoint = "{dev["Endpoint"]}"\naccess_key_id = "{dev["AccessKeyId"]}"\nsecret_command = "touch {tmp_path}/ran; cat {folder}/key"\n')
    for mode in (0o664, 0o646):
        profile.chmod(mode)
        refused(asks("whoami", profile=folder), 7, "others may write it", f"chmod go-w {profile}")
        assert not (tmp_path / "ran").exists()
    profile.chmod(0o644)
    gives("whoami", profile=folder)
    if os.geteuid() == 0:
        os.chown(profile, 12345, -1)
        refused(asks("whoami", profile=folder), 7, "belongs to another user")


def test_a_file_that_is_not_needed_is_not_read(gives, asks, dev, tmp_path):
    config = tmp_path / "bulla"
    config.mkdir()
    (config / "config.toml").write_text("no TOML")
    more = {"XDG_CONFIG_HOME": str(tmp_path)}
    refused(asks("whoami", profile=None, more=more), 7, "config.toml")
    refused(asks("whoami", profile="nosuch", more=more), 7, "config.toml")
    gives("whoami", more=more)
    key = {"ALIBABA_CLOUD_ACCESS_KEY_ID": dev["AccessKeyId"], "ALIBABA_CLOUD_ACCESS_KEY_SECRET": dev["AccessKeySecret"]}
    gives("whoami", profile=None, more={**more, **key, "BULLA_ENDPOINT": dev["Endpoint"]})


SHOW = [sys.executable, "-c", "import json,os,sys; json.dump(dict(os.environ), sys.stdout)"]


def test_run_gives_values_to_a_program(gives, asks, dev, env, tmp_path):
    gives("secret", "put", "run/db", "--version-id", "1", stdin=b'{"user":"u","password":"p\'w $x"}')
    gives("secret", "put", "run/db", "--version-id", "2", stdin=b'{"user":"u2","password":"p2"}')
    gives("secret", "put", "run/plain", stdin=b"two\nlines\n")
    gives("secret", "put", "run/binary", stdin=BINARY)
    file = tmp_path / ".env"
    file.write_text("# c\nFROM_FILE=bulla://run/plain\nLITERAL='a b'\nTAKEN=bulla://run/none\n")
    more = {"DB": "bulla://run/db#password", "OLD": "bulla://run/db#password@1", "PREV": "bulla://run/db#user@ACSPrevious"}
    out = gives("run", "-e", "TAKEN=run/db#user", "--env-file", file, "--", *SHOW, more=more)
    seen = json.loads(out)
    assert seen["DB"] == "p2" and seen["OLD"] == "p'w $x" and seen["PREV"] == "u"
    assert seen["FROM_FILE"] == "two\nlines\n" and seen["LITERAL"] == "a b" and seen["TAKEN"] == "u2"
    # A missing one stops it before it begins; every one that is missing is named.
    began = tmp_path / "began"
    ended = asks("run", "-e", "A=run/none", "-e", "B=run/plain", "-e", "C=run/nil", "--", "touch", began)
    refused(ended, 3, "run/none", "run/nil", "request ID: ")
    refused(asks("run", "-e", "A=run/db#nofield", "--", "touch", began), 3, "nofield")
    refused(asks("run", "-e", "A=run/binary", "--", "touch", began), 2, "--file A=run/binary")
    refused(asks("run", "-e", "A", "--", "touch", began), 2)
    assert not began.exists()
    refused(asks("run", "-e", "A=run/plain", "--", "/no/such/program"), 127)
    refused(asks("run", "-e", "A=run/plain", "--", "/etc/passwd"), 126)
    # Arguments and environment together have a quarter of the stack's bound.
    gives("secret", "put", "run/long", stdin=b"x" * 30_000)
    words = " ".join(f"-e V{i}=run/long" for i in range(20))
    line = f"ulimit -s 1024; exec {BULLA} --profile {dev['data']} run {words} -- true"
    refused(subprocess.run(["sh", "-c", line], env=env, capture_output=True), 126, "Argument list too long", "--file VAR=NAME")
    # A name alone and a reference to a part are told apart.
    gives("secret", "put", "run/a@b", stdin=b"at")
    refused(asks("run", "-e", "A=run/a@b", "--", "touch", began), 3, "%40")
    assert gives("run", "-e", "A=run/a%40b", "--", "printenv", "A") == b"at\n"
    for words in ("get", "show", "versions"):
        text = refused(asks("secret", words, "bulla://run/db#password@ACSPrevious"), 2)
        assert "hint: here a name is wanted: run/db --field password --stage ACSPrevious" in text, text
    # Files are memory, sealed, and inherited.
    script = 'set -e; case "$F" in /proc/self/fd/*) ;; *) exit 9;; esac; cmp "$F" {0} && ! echo x 2>/dev/null > "$F"'
    (tmp_path / "binary").write_bytes(BINARY)
    gives("run", "--file", "F=run/binary", "--", "sh", "-c", script.format(tmp_path / "binary"))
    link = tmp_path / "link"
    assert gives("run", "--file", f"{link}=run/plain", "--", "cat", link) == b"two\nlines\n"
    assert gives("run", "--file", f"{link}=run/db#user", "--", "cat", link) == b"u2"
    # Nothing to ask for: no server is needed.
    assert gives("run", "--", "echo", "x", profile=None) == b"x\n"


def test_what_runs_is_the_program_itself(gives, asks, dev, env, tmp_path):
    gives("secret", "put", "self/x", stdin=CANARY.encode())
    ended = asks("run", "-e", "X=self/x", "--", "sh", "-c", "read line; echo \"$line\" >&2; exit 3", stdin=b"typed\n")
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, b"", b"typed\n")
    program = "import os,signal,sys,time\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    child = subprocess.Popen(
        [BULLA, "--profile", dev["data"], "run", "-e", "X=self/x", "--", sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env=env,
        text=True,
    )
    assert int(child.stdout.readline()) == child.pid
    assert CANARY.encode() not in pathlib.Path(f"/proc/{child.pid}/cmdline").read_bytes()
    limits = pathlib.Path(f"/proc/{child.pid}/limits").read_text()
    mine = pathlib.Path("/proc/self/limits").read_text()
    core = lambda text: re.search("Max core.*", text)[0].split()  # noqa: E731
    assert core(limits) == core(mine), "the program has the limits that it would have had"
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == -signal.SIGTERM


def test_values_are_on_no_command_line_and_no_disk(gives, serving, other, env, runtime, tmp_path):
    """While a command that handles a value runs, and afterwards, the value is on no command line, in no environment but that of the
    program that is given it, and in no file but those that were named for it."""
    begun = time.time()
    # Another one each time: tests beside this one handle values too, and left theirs in programs that still run.
    mark = uuid.uuid4().hex
    value = f"c4nary-{mark}"
    content = json.dumps({"f": value, "g": "x"}).encode()
    folders = {name: tmp_path / name for name in ("home", "tmp", "cwd", "wanted")}
    for folder in folders.values():
        folder.mkdir()
    wanted, cwd = folders["wanted"], folders["cwd"]
    kept_key = folders["home"] / ".config/bulla/leak.secret"
    data = tmp_path / "d"
    ready = json.loads(serving("dev", "--data", data, "--listen", "0", "--json").first_line())

    def may_hold(path):
        # What the commands are told to read and write; an editor's file, in memory; what `login` keeps.
        return path.startswith((f"{wanted}/", f"{runtime}/bulla-edit-")) or path == str(kept_key)

    program = tmp_path / "given"
    program.symlink_to("/bin/cat")
    places = (tmp_path, other["data"].parent, "/dev/shm")
    with Look(places, program, may_hold) as look, contextlib.closing(Door(ready["Endpoint"], look.again)) as door:
        look.add(mark)
        profile = door.profile(tmp_path / "profile", ready)
        own = env | {"HOME": str(folders["home"]), "TMPDIR": str(folders["tmp"]), "XDG_RUNTIME_DIR": str(runtime)}

        def begins(*words, more=None, profile=profile):
            leading = ("--profile", profile) if profile else ()
            command = [str(word) for word in (BULLA, *leading, *words)]
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=own | (more or {}), cwd=cwd)

        def ends(child, stdin=b""):
            out, said = child.communicate(stdin, timeout=120)
            assert (child.returncode, said) == (0, b""), (child.args, out, said)
            assert (child.pid, BULLA) in look.seen, f"nobody looked at {child.args}"
            return out

        def runs(*words, stdin=b"", **more):
            return ends(begins(*words, **more), stdin)

        # put, get
        (wanted / "value").write_text(value)
        runs("secret", "put", "leak/x", stdin=b'{"f":"before"}')
        runs("secret", "put", "leak/x", "--version-id", "one", "-", stdin=content)
        runs("secret", "put", "leak/file", "--file", wanted / "value")
        runs("secret", "put", "leak/binary", "--binary", "--create", "--tag", "a=b", stdin=value.encode())
        runs("secret", "put", "leak/made", "--generate", "40")
        look.add(runs("secret", "get", "leak/made").decode())
        assert runs("secret", "get", "leak/x") == content
        for more in (("--field", "f"), ("--json",), ("--version", "one"), ("--stage", "ACSCurrent"), ("--out", wanted / "got")):
            runs("secret", "get", "leak/x", *more)
        child = terminal(["--profile", profile, "secret", "put", "leak/typed"], own)
        child.expect(re.escape("(not shown): "))
        child.sendline(value)
        child.expect(pexpect.EOF)
        assert runs("secret", "get", "leak/typed") == value.encode()
        # patch, edit, diff, rollback
        runs("secret", "patch", "leak/x", "g=-", "h=@" + str(wanted / "value"), stdin=value.encode())
        editor = cwd / "editor"
        editor.write_text('#!/bin/sh\nsed -i s/c4nary/C4nary/ "$1"; exec sleep 0.1\n')
        editor.chmod(0o755)
        runs("secret", "edit", "leak/x", more={"EDITOR": str(editor), "VISUAL": ""})
        assert b"C4nary" in runs("secret", "get", "leak/x")
        runs("secret", "diff", "leak/x", "one")
        runs("secret", "rollback", "leak/x")
        # import, export
        (wanted / "app.env").write_text(f"A='{value}'\n")
        runs("secret", "import", wanted / "app.env", "--prefix", "leak/env/", "--dry-run")
        runs("secret", "import", wanted / "app.env", "--prefix", "leak/env/")
        runs("secret", "import", "-", "--format", "json", "--prefix", "leak/json/", stdin=content)
        manifest = runs("secret", "export", "leak/file", "leak/binary", "--format", "k8s")
        runs("secret", "import", "-", "--format", "k8s", "--prefix", "leak/k8s/", stdin=manifest)
        gives("secret", "put", "leak/there", stdin=content, profile=other["data"])
        there = ("--from-prefix", "leak/", "--prefix", "from/")
        runs("secret", "import", "--from-alibaba", other["address"], "--from-profile", other["data"], *there)
        runs("secret", "import", *vault_import(other["address"])[2:], *there[:-1], "from-vault/", more={"VAULT_TOKEN": other["token"]})
        for format in ("env", "json", "k8s"):
            runs("secret", "export", "leak/file", "leak/typed", "--format", format)
            runs("secret", "export", "--prefix", "leak/env/", "--format", format, "--out", wanted / f"out.{format}")
        # Keys, of which values are plaintexts and messages.
        create = lambda *words: json.loads(runs("key", "create", "--json", *words))["KeyId"]  # noqa: E731
        aes, rsa = create(), create("--spec", "RSA_2048", "--usage", "encrypt")
        pair, mac = create("--spec", "EC_P256", "--usage", "sign"), create("--spec", "HMAC_SHA_256", "--usage", "mac")
        for key in (aes, rsa):
            blob = runs("key", "encrypt", key, "--in-file", wanted / "value")
            assert runs("key", "decrypt", key, stdin=blob) == value.encode()
            runs("key", "decrypt", key, "--json", stdin=runs("key", "encrypt", key, stdin=value.encode()))
        for key, action in ((pair, "sign"), (mac, "mac")):
            made = runs("key", action, key, stdin=value.encode()).decode().strip()
            assert runs("key", action, key, "--in-file", wanted / "value")
            runs("key", "verify", key, "--signature", made, stdin=value.encode())

        # run: the program waits until it has been looked at.
        def gives_to_a_program(*words, more=None, changes=None, by_environment=True):
            before = set(look.running)
            child = begins("run", *words, "--", program, more=more)
            look.until(lambda: look.running - before or child.poll() is not None, f"{words}: no program")
            assert child.poll() is None, child.communicate()
            if changes:
                first = set(look.running)
                runs("secret", "put", changes, stdin=f'{{"f":"{value}","n":"{uuid.uuid4()}"}}'.encode())
                if by_environment:
                    look.until(lambda: look.running - first, f"{words}: it is not started again")
            look.again()
            ends(child)
            assert bool(look.got & (look.running - before)) is by_environment, words

        (cwd / "run.env").write_text("FROM_FILE=bulla://leak/x#f\n")
        gives_to_a_program("-e", "X=leak/x#f")
        gives_to_a_program(more={"X": "bulla://leak/x#f@one"})
        gives_to_a_program("--env-file", cwd / "run.env")
        gives_to_a_program("--mask", "-e", "X=leak/x#f")
        gives_to_a_program("--watch", "-e", "X=leak/x#f", changes="leak/x")
        gives_to_a_program("--file", "F=leak/x", by_environment=False)
        gives_to_a_program("--file", f"{cwd}/link=leak/x#f", by_environment=False)
        gives_to_a_program("--watch=hup", "--file", "F=leak/x", by_environment=False)
        # inject, agent
        template = b"{{ bulla://leak/x#f }}"
        (cwd / "template").write_bytes(template)
        assert runs("inject", stdin=template) == value.encode()
        runs("inject", "-i", cwd / "template", "-o", wanted / "injected")
        files = [
            ("plain", 'secret = "leak/x#f"\non_change = ["sleep", "0.1"]'),
            ("object", 'secret = "leak/x"\nformat = "env"'),
            ("filled", 'template = "template"'),
        ]
        table = "".join(f'[[file]]\npath = "{wanted}/{name}"\n{what}\n' for name, what in files)
        (cwd / "agent.toml").write_text(f'interval_seconds = 1\n{table}[socket]\npath = "{runtime}/api"\nsecrets = ["leak/*"]\n')
        runs("agent", "--once", "--config", cwd / "agent.toml")
        child = begins("agent", "--config", cwd / "agent.toml")
        look.until((runtime / "api").is_socket, "the agent does not serve")
        runs("secret", "put", "leak/x", stdin=json.dumps({"f": f"newer-{value}"}).encode())
        look.until(lambda: (wanted / "plain").read_text().startswith("newer"), "the agent's file stays")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(runtime / "api"))
            client.sendall(b"GET /v1/secret/data/leak/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            with client.makefile("rb") as answer:
                assert mark.encode() in answer.read()
        look.again()
        child.terminate()
        assert child.wait(60) == 0, child.communicate()
        assert (child.pid, BULLA) in look.seen
        # login: the value is the access key's secret.
        done("user", "create", "leak", "--data", data)
        key = typed("access-key", "create", "--user", "leak", "--data", data)
        look.add(key["AccessKeySecret"])
        endpoint = ("login", "--profile", "leak", "--endpoint", f"http://{door.endpoint}")
        runs(*endpoint, stdin=f"{key['AccessKeyId']}\n{key['AccessKeySecret']}\n".encode(), profile=None)
        assert kept_key.read_text() == key["AccessKeySecret"] + "\n"
        child = terminal([*endpoint, "--access-key-id", key["AccessKeyId"]], own)
        child.expect(re.escape("(not shown): "))
        child.sendline(key["AccessKeySecret"])
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0, child.before
        runs("whoami", profile="leak")
        (cwd / "profile.toml").write_text(
            f'endpoint = "http://{door.endpoint}"\naccess_key_id = "{key["AccessKeyId"]}"\nsecret_command = "cat {kept_key}"\n'
        )
        runs("whoami", profile=cwd)

        # And all of it again at the end, and what is new in the folder for temporary files, which not everybody calls $TMPDIR.
        look.again()
        shared = [entry for entry in os.scandir(tempfile.gettempdir()) if not entry.name.startswith("pytest-of-")]
        look.whole(*(entry.path for entry in shared if os.path.lexists(entry) and os.lstat(entry).st_ctime >= begun))
        assert look.met == set()
        results = {"value", "got", "app.env", "injected", "plain", "object", "filled"} | {f"out.{name}" for name in ("env", "json", "k8s")}
        assert {path.name for path in wanted.iterdir()} == results
        assert not list(runtime.glob("*")) and not list(folders["tmp"].iterdir())

        # Had there been anything, it would have been met.
        (folders["tmp"] / "x").write_bytes(base64.b64encode(b"?" + content))
        on_line = subprocess.Popen(["sh", "-c", "read line", value], stdin=subprocess.PIPE)
        in_environment = subprocess.Popen(["cat"], stdin=subprocess.PIPE, env={"X": value})
        look.again()
        assert len(look.met) == 3, look.met
        for child in (on_line, in_environment):
            child.communicate()


def test_inject_fills_a_template(gives, asks, tmp_path):
    gives("secret", "put", "in/db", stdin=b'{"password":"p&w"}')
    template, out = tmp_path / "t", tmp_path / "out"
    template.write_text("pw={{ bulla://in/db#password }}\nother={{ .Values.x }}\n")
    assert gives("inject", "-i", template, "-o", out) == b""
    assert out.read_text() == "pw=p&w\nother={{ .Values.x }}\n" and out.stat().st_mode & 0o777 == 0o600
    template.write_text("{{ bulla://in/db#password }}{{ bulla://in/none }}")
    refused(asks("inject", "-i", template, "-o", out), 3, "in/none")
    assert out.read_text().startswith("pw=")
    refused(asks("inject", stdin=b"\n{{ bulla://in/db"), 2, "line 2")


WATCHED = """
import os, signal, sys, time
path = os.environ.get("F")
read = lambda: open(path).read() if path else os.environ["X"]
def hup(*_): print("hup", read(), flush=True)
signal.signal(signal.SIGHUP, hup)
def term(*_):
    print("term", flush=True); sys.exit(0)
signal.signal(signal.SIGTERM, term)
print("begin", read(), flush=True)
while True: time.sleep(0.1)
"""


def running(dev, env, *words):
    """`bulla run` with these words, and the lines that it prints."""
    child = subprocess.Popen([BULLA, "--profile", dev["data"], "run", *words], stdout=subprocess.PIPE, env=env, text=True)
    return child, child.stdout


@pytest.mark.parametrize("how", ["restart", "hup"])
def test_a_new_version_reaches_a_running_program(gives, dev, env, how, capsys):
    name = f"watch/{how}"
    gives("secret", "put", name, stdin=b"first")
    source = ("-e", f"X={name}") if how == "restart" else ("--file", f"F={name}")
    child, lines = running(dev, env, f"--watch={how}", *source, "--", sys.executable, "-c", WATCHED)
    assert lines.readline() == "begin first\n"
    took = []
    for value in ("second", "third", "fourth"):
        gives("secret", "put", name, stdin=value.encode())
        begun = time.monotonic()
        if how == "restart":
            assert lines.readline() == "term\n" and lines.readline() == f"begin {value}\n"
        else:
            assert lines.readline() == f"hup {value}\n"
        took.append(time.monotonic() - begun)
    # Two seconds on a machine that has time (docs/cli.md); here others may be compiling, so the best counts.
    with capsys.disabled():
        print(f" {how} after {', '.join(f'{seconds:.1f} s' for seconds in took)}", end="")
    assert min(took) < 2 and max(took) < 60, took
    child.send_signal(signal.SIGTERM)
    assert lines.readline() == "term\n"
    assert child.wait(60) == 0


def test_who_may_not_look_watches_nothing(gives, asks, dev, tmp_path):
    """It is said before the program begins, and not among its lines when it runs for good."""
    data = ("--data", dev["data"])
    done("user", "create", "looker", *data)
    key = typed("access-key", "create", "--user", "looker", *data)
    allowed = {"Effect": "Allow", "Action": ["kms:GetSecretValue", "kms:BatchGetSecretValue"], "Resource": "acs:kms:*:*:secret/seen/a"}
    (tmp_path / "policy.json").write_text(json.dumps({"Version": "1", "Statement": [allowed]}))
    done("policy", "create", "only-read", "--document", tmp_path / "policy.json", *data)
    done("policy", "attach", "only-read", "--user", "looker", *data)
    for name in ("seen/a", "seen/b"):
        gives("secret", "put", name, "--version-id", "one", stdin=b"v")
    of = {"ALIBABA_CLOUD_ACCESS_KEY_ID": key["AccessKeyId"], "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key["AccessKeySecret"], "BULLA_ENDPOINT": dev["Endpoint"]}
    runs = lambda *words: asks("run", *words, "--", "echo", "begins", more=of, profile=None)  # noqa: E731
    assert runs("-e", "A=seen/a").stdout == b"begins\n"
    for how in ("restart", "hup"):
        refused(runs(f"--watch={how}", "-e", "A=seen/a"), 4, "seen/a", "gives looker kms:DescribeSecret", "request ID: ")
        # And where nothing can ever change.
        for words in ((), ("-e", "A=seen/a@one")):
            refused(runs(f"--watch={how}", *words), 2, "could have a new version")
    # Of several in one request it is said too what is lacking.
    refused(runs("-e", "A=seen/b", "-e", "B=seen/a"), 4, "seen/b", "kms:GetSecretValue")


def test_supervised_programs_keep_their_exit_codes_and_hide_values(gives, asks):
    gives("secret", "put", "mask/x", stdin=CANARY.encode())
    script = 'echo "a $X b"; echo "$X" >&2; exit 5'
    ended = asks("run", "--mask", "-e", "X=mask/x", "--", "sh", "-c", script)
    hidden = b"<concealed by bulla>"
    assert (ended.returncode, ended.stdout, ended.stderr) == (5, b"a " + hidden + b" b\n", hidden + b"\n")
    assert asks("run", "--mask", "-e", "X=mask/x", "--", "sh", "-c", "kill -9 $$").returncode == 137
    refused(asks("run", "--watch", "-e", "X=mask/x", "--", "/no/such/program"), 127)


COUNTS = """
import signal, time
came = []
signal.signal(signal.SIGINT, lambda *_: came.append(1))
print("ready", flush=True)
while not came:
    time.sleep(0.05)
time.sleep(0.5)
print("came", len(came), flush=True)
"""


@pytest.mark.parametrize("stdin", ["terminal", "nothing"])
@pytest.mark.parametrize("sender", ["key", "process"])
def test_a_supervised_program_gets_each_signal_once(gives, dev, env, stdin, sender):
    """A terminal's key reaches everybody in front of it, whatever is on standard input; what a process sends is for `bulla` to hand on."""
    gives("secret", "put", "mask/once", stdin=b"a-value")
    words = [BULLA, "--profile", dev["data"], "run", "--mask", "-e", "X=mask/once", "--", sys.executable, "-c", COUNTS]
    line = 'exec "$@"' if stdin == "terminal" else 'exec "$@" </dev/null'
    child = terminal(["-c", line, "-", *words], env, "/bin/sh")
    child.expect("ready")
    if sender == "key":
        child.sendintr()
    else:
        os.kill(child.pid, signal.SIGINT)
    child.expect(r"came (\d+)")
    assert child.match[1] == "1"
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_a_mask_covers_what_comes_later_and_waits_for_nobody(gives, asks, dev, env):
    gives("secret", "put", "mask/new", stdin=b"first-value")
    # Who is left behind with the output holds nothing up: neither the next start nor the end.
    for words, script, line in (
        (("--watch=hup", "--file", "F=mask/new"), "trap 'cat $F; echo' HUP; cat $F; echo; while :; do sleep 0.1; done", "<concealed by bulla>\n"),
        (("--watch", "-e", "X=mask/new"), 'echo "begin $X"; sleep 600 & wait', "begin <concealed by bulla>\n"),
    ):
        child, lines = running(dev, env, "--mask", *words, "--", "sh", "-c", script)
        assert lines.readline() == line
        gives("secret", "put", "mask/new", stdin=f"newer than {words[0]}".encode())
        assert lines.readline() == line
        child.terminate()
        assert child.wait(30) == 143
    begun = time.monotonic()
    assert asks("run", "--mask", "-e", "X=mask/new", "--", "sh", "-c", "sleep 600 & echo done; exit 3").returncode == 3
    assert time.monotonic() - begun < 60
    with open("/dev/full", "wb") as full:
        ended = subprocess.run([BULLA, "--profile", dev["data"], "run", "--mask", "-e", "X=mask/new", "--", "echo", "x"], stdout=full, stderr=subprocess.PIPE, env=env, timeout=60)
    assert ended.returncode == 7 and b"standard output" in ended.stderr, ended


def test_a_version_that_comes_while_a_program_ends_is_not_lost(gives, dev, env):
    gives("secret", "put", "watch/slow", stdin=b"1")
    script = "trap 'echo ends; sleep 4; exit 0' TERM; echo \"begin $X\"; while :; do sleep 0.1; done"
    child, lines = running(dev, env, "--watch", "-e", "X=watch/slow", "--", "sh", "-c", script)
    assert lines.readline() == "begin 1\n"
    gives("secret", "put", "watch/slow", stdin=b"2")
    assert lines.readline() == "ends\n"
    gives("secret", "put", "watch/slow", stdin=b"3")
    # A version that came so late that the second was begun ends that as well.
    while (line := lines.readline()) != "begin 3\n":
        assert line in ("begin 2\n", "ends\n"), line
    child.kill()


@contextlib.contextmanager
def silent(folder):
    """A server that takes requests and answers none; the folder becomes a profile of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        (folder / "secret").write_text("s3cret")
        (folder / "secret").chmod(0o600)
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        (folder / "profile.toml").write_text(f'endpoint = "{endpoint}"\naccess_key_id = "BLLAX"\nsecret_file = "secret"\n')
        yield server


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_that_waits_for_its_server(env, tmp_path, number):
    """The server takes the request and does not answer: the program has not begun, and nobody else is there to obey."""
    with silent(tmp_path) as server:
        for words in ((), ("--mask",), ("--watch",), ("--watch=hup", "--mask")):
            command = [BULLA, "--profile", tmp_path, "run", *words, "-e", "X=a", "--", "true"]
            # Whoever runs the tests in the background may ignore SIGINT.
            child = subprocess.Popen(command, env=env, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
            try:
                peer, _ = server.accept()
                assert peer.recv(1), "nothing is asked"
                child.send_signal(number)
                # Of the half minute that it would wait.
                assert child.wait(20) == -number, words
                peer.close()
            finally:
                child.kill()


# capabilities(7), prctl(2)
CAP_IPC_LOCK, PR_CAPBSET_DROP = 14, 24


def limited():
    """In a child: as somebody who may lock little memory, though root."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (64 << 10, 64 << 10))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may lock more memory than the limit")
@pytest.mark.parametrize("may", [True, False])
def test_memory_is_locked_where_it_may_be(env, tmp_path, may):
    """While a client waits (docs/security.md); where it may not, it works all the same."""
    effective = int(re.search(r"CapEff:\s+(\w+)", pathlib.Path("/proc/self/status").read_text())[1], 16)
    if not effective >> CAP_IPC_LOCK & 1:
        pytest.skip("root has no CAP_IPC_LOCK here")
    with silent(tmp_path) as server:
        for words in (("secret", "get", "a"), ("run", "-e", "X=a", "--", "true")):
            child = subprocess.Popen([BULLA, "--profile", tmp_path, *words], env=env, preexec_fn=None if may else limited)
            try:
                peer, _ = server.accept()
                assert peer.recv(1), "nothing is asked"
                sizes = dict(re.findall(r"(Vm\w+):\s+(\d+) kB", pathlib.Path(f"/proc/{child.pid}/status").read_text()))
                locked, values = int(sizes["VmLck"]), int(sizes["VmData"]) + int(sizes["VmStk"])
                assert values <= locked if may else locked == 0, sizes
                peer.close()
            finally:
                child.kill()
                child.wait()


def test_what_a_key_does_not_take_is_refused(gives, asks):
    aes, other = (json.loads(gives("key", "create", "--json"))["KeyId"] for _ in range(2))
    rsa = json.loads(gives("key", "create", "--spec", "RSA_2048", "--usage", "encrypt", "--json"))["KeyId"]
    refused(asks("key", "encrypt", rsa, "--context", "a=1", stdin=b"x"), 2, "--context")
    refused(asks("key", "encrypt", aes, "--algorithm", "RSAES_OAEP_SHA_256", stdin=b"x"), 2, "--algorithm")
    refused(asks("key", "encrypt", aes, "--context", "a=1", "--context", "a=2", stdin=b"x"), 2, "twice")
    blob = gives("key", "encrypt", aes, stdin=b"x")
    refused(asks("key", "decrypt", other, stdin=blob), 5, "another key")
    assert gives("key", "decrypt", aes, stdin=blob) == b"x"


def test_an_export_leaves_out_what_has_no_value(gives, asks, dev):
    gives("secret", "put", "out/a", stdin=b"1")
    gives("secret", "put", "out/b", stdin=b"2")
    door = Api(f"http://{dev['Endpoint']}").login(dev["AccessKeyId"], dev["AccessKeySecret"])
    assert door.ask("DELETE", "secret/data/out/b")[0] == 204
    exported = asks("secret", "export", "--prefix", "out/", "--format", "json")
    assert (exported.returncode, json.loads(exported.stdout)) == (0, {"a": "1"}) and b"out/b" in exported.stderr, exported
    exported = asks("secret", "export", "--prefix", "out/", "--json")
    assert json.loads(exported.stderr).keys() == {"warning"} and json.loads(exported.stdout) == {"a": "1"}, exported
    refused(asks("secret", "export", "out/b", "--format", "json"), 5, "This version", "undelete")
    # Nothing at all is no result.
    for format in ("env", "json", "k8s"):
        refused(asks("secret", "export", "--prefix", "out/typo", "--format", format), 3, "out/typo", "secret list")


def test_a_part_that_fails_behind_the_value_says_that_the_value_is_written(gives, asks):
    gives("secret", "put", "half/a", stdin=b"old")
    refused(asks("secret", "put", "half/a", "--tag", f"{'k' * 129}=v", "--version-id", "two", stdin=b"new"), 1, "version two is written")
    assert gives("secret", "get", "half/a") == b"new"


def test_a_pipe_is_no_secret_commands(gives, asks, dev, tmp_path):
    (tmp_path / "key").write_text(dev["AccessKeySecret"])
    profile = tmp_path / "profile.toml"
    command = f"cat > /dev/null; cat {tmp_path}/key"
    profile.write_text(f'endpoint = "{dev["Endpoint"]}"\naccess_key_id = "{dev["AccessKeyId"]}"\nsecret_command = "{command}"\n')
    profile.chmod(0o600)
    assert asks("secret", "put", "pipe/a", stdin=b"value", profile=tmp_path).returncode == 0
    assert gives("secret", "get", "pipe/a") == b"value"


def test_a_login_keeps_what_a_profile_says_and_a_proxy_is_for_others(asks, dev, tmp_path):
    config, key = tmp_path / "bulla", f"{dev['AccessKeyId']}\n{dev['AccessKeySecret']}\n".encode()
    nobody = dict.fromkeys(["HTTPS_PROXY", "https_proxy", "http_proxy", "ALL_PROXY"], "http://127.0.0.1:1")
    more = {"XDG_CONFIG_HOME": str(tmp_path)}
    made = asks("login", "--profile", "kept", "--endpoint", dev["Endpoint"], stdin=key, profile=None, more=more)
    assert made.returncode == 0, made
    file = config / "config.toml"
    file.write_text(file.read_text() + 'signature = "rpc"\n')
    again = asks("login", stdin=key, profile=None, more={**more, **nobody, "BULLA_PROFILE": "kept"})
    assert again.returncode == 0 and b"kept" in again.stdout, again
    assert 'signature = "rpc"' in file.read_text()
    # What is not written is not half written.
    file.write_text(file.read_text() + "[profile.x\n")
    before = sorted((path.name, path.read_bytes()) for path in config.iterdir())
    refused(asks("login", "--profile", "fresh", "--endpoint", dev["Endpoint"], stdin=key, profile=None, more=more), 7, "config.toml")
    assert sorted((path.name, path.read_bytes()) for path in config.iterdir()) == before


def test_keys_do_their_work(gives, asks, tmp_path):
    key = json.loads(gives("key", "create", "--alias", "cli/aes", "--description", "d", "--tag", "a=b", "--json"))["KeyId"]
    shown = json.loads(gives("key", "show", "alias/cli/aes", "--json"))
    assert (shown["KeyId"], shown["KeyState"], shown["Aliases"]) == (key, "Enabled", ["alias/cli/aes"])
    assert key in gives("key", "list", "-q").decode().split()
    assert key in [k["KeyId"] for k in json.loads(gives("key", "list", "--json"))]
    assert len(json.loads(gives("key", "versions", "alias/cli/aes", "--json"))) == 1
    refused(asks("key", "rotate", "alias/cli/aes"), 1, "7 days")
    blob = gives("key", "encrypt", "alias/cli/aes", "--context", "for=test", stdin=BINARY)
    assert gives("key", "decrypt", "--context", "for=test", stdin=blob) == BINARY
    refused(asks("key", "decrypt", stdin=blob), 2)
    gives("key", "disable", key)
    refused(asks("key", "encrypt", key, stdin=b"x"), 5, "Rejected.Disabled")
    gives("key", "enable", key)
    refused(asks("key", "delete", "alias/cli/aes"), 2, "--yes")
    gone = json.loads(gives("key", "delete", "alias/cli/aes", "--in", "7d", "--yes", "--json"))
    assert gone["KeyState"] == "PendingDeletion" and gone["DeleteDate"]
    assert json.loads(gives("key", "delete", key, "--cancel", "--json"))["KeyState"] == "Enabled"
    gives("key", "alias", "cli/two", key)
    assert json.loads(gives("key", "alias", "cli/two", "--json")) == [{"AliasName": "alias/cli/two", "KeyId": key}]
    gives("key", "alias", "cli/two", "--delete")
    refused(asks("key", "alias", "cli/two"), 3)
    refused(asks("key", "show", "alias/none"), 3)

    message = tmp_path / "message"
    message.write_bytes(b"m" * 100_000)
    pair = json.loads(gives("key", "create", "--spec", "EC_P256", "--json"))["KeyId"]
    signature = gives("key", "sign", pair, "--in-file", message).decode().strip()
    verify = ("key", "verify", pair, "--signature", signature)
    assert json.loads(gives(*verify, "--in-file", message, "--json"))["Valid"] is True
    refused(asks(*verify, stdin=b"another"), 1, "not of these bytes")
    (tmp_path / "public.pem").write_bytes(gives("key", "public-key", pair))
    openssl = ["openssl", "dgst", "-sha256", "-verify", tmp_path / "public.pem", "-signature", tmp_path / "signature", message]
    (tmp_path / "signature").write_bytes(base64.b64decode(signature))
    assert b"Verified OK" in subprocess.run(openssl, capture_output=True, check=True).stdout
    mac = json.loads(gives("key", "create", "--spec", "HMAC_SHA_256", "--usage", "mac", "--json"))["KeyId"]
    made = gives("key", "mac", mac, stdin=b"message").decode().strip()
    gives("key", "verify", mac, "--signature", made, stdin=b"message")
    refused(asks("key", "verify", mac, "--signature", made, stdin=b"massage"), 1)
    # Bytes are bytes: the end of a line is one of them, wherever they come from.
    message.write_bytes(b"line\n")
    assert gives("key", "mac", mac, stdin=b"line\n") == gives("key", "mac", mac, "--in-file", message)
    assert gives("key", "decrypt", stdin=gives("key", "encrypt", key, stdin=b"line\r\n")) == b"line\r\n"
    # A name that another key has stays its own, and no key is made.
    keys = gives("key", "list", "-q")
    refused(asks("key", "create", "--alias", "cli/aes"), 5, "alias/cli/aes", key, "no key was made")
    assert gives("key", "list", "-q") == keys
    assert json.loads(gives("key", "show", "alias/cli/aes", "--json"))["KeyId"] == key
    rsa = json.loads(gives("key", "create", "--spec", "RSA_2048", "--usage", "encrypt", "--json"))["KeyId"]
    blob = gives("key", "encrypt", rsa, stdin=b"to a pair")
    assert gives("key", "decrypt", rsa, stdin=blob) == b"to a pair"


def test_members_that_nobody_named_stay_as_they_are(gives, asks, tmp_path):
    value = b'{"z":1,"id":98765432109876543210,"ratio":0.10,"pw":"a","file":"f"}'
    gives("secret", "put", "exact/json", stdin=value)
    first = json.loads(gives("secret", "show", "exact/json", "--json"))["CurrentVersionId"]
    file = tmp_path / "line"
    file.write_bytes(b"of a file\r\n")
    gives("secret", "patch", "exact/json", "pw=-", f"file=@{file}", stdin=b"b\r\n")
    changed = value.replace(b'"a"', b'"b"').replace(b'"f"', b'"of a file"')
    assert gives("secret", "get", "exact/json") == changed
    assert gives("secret", "get", "exact/json", "--field", "id") == b"98765432109876543210"
    assert gives("run", "-e", "R=exact/json#ratio", "--", "sh", "-c", "printf %s $R") == b"0.10"
    shown = json.loads(gives("secret", "diff", "exact/json", first, "--json"))
    assert [row["Field"] for row in shown] == ["file", "pw"]
    refused(asks("secret", "patch", "exact/json", "nosuch!"), 3, "no field", "ratio")
    assert gives("secret", "get", "exact/json") == changed
    gives("secret", "put", "exact/json", stdin=changed.replace(b"543210", b"543211"))
    shown = json.loads(gives("secret", "diff", "exact/json", "ACSPrevious", "--json"))
    assert shown == [{"Field": "id", "Change": "changed"}]
    many = tmp_path / "many.json"
    many.write_bytes(b'\xef\xbb\xbf{"a": 98765432109876543210, "b": {"y": 1, "x": 0.10}}')
    gives("secret", "import", many, "--prefix", "exact/many/")
    assert gives("secret", "get", "exact/many/a") == b"98765432109876543210"
    assert gives("secret", "get", "exact/many/b") == b'{"y":1,"x":0.10}'


def test_an_empty_name_is_not_none(gives, asks):
    gives("secret", "put", "empty/a", stdin=b"one")
    for command in (("put", "--if-version", ""), ("get", "--version", ""), ("get", "--stage=",), ("rollback", "--version", "")):
        refused(asks("secret", command[0], "empty/a", *command[1:], stdin=b"two"), 2, "empty")
    assert gives("secret", "get", "empty/a") == b"one"
    # A variable that nobody set asks neither for all nor for a member without a name.
    for command in (("export", "--prefix", ""), ("import", "-", "--prefix", ""), ("list", ""), ("put", "empty/a", "--tag", "=v")):
        refused(asks("secret", *command, stdin=b"A=1"), 2)
    gives("secret", "put", "empty/j", stdin=b'{"a":"1"}')
    for change in ("=-", "!"):
        refused(asks("secret", "patch", "empty/j", change, stdin=b"x"), 2, "is no change")
        refused(asks("secret", "tag", "empty/j", change), 2, "is no change of tags")
    assert gives("secret", "get", "empty/j") == b'{"a":"1"}'
    refused(asks("whoami", "--endpoint", "127.0.0.1:99999"), 2, "1 to 65535")


def test_what_is_open_already_is_not_replaced(gives, dev, env, tmp_path):
    gives("secret", "put", "open/a", stdin=b"value\n")
    (tmp_path / "t").write_text("{{ bulla://open/a }}")
    file, bulla = tmp_path / "f", f"{BULLA} --profile {dev['data']}"
    commands = [
        f"{bulla} secret get open/a --out /dev/stdout",
        f"{bulla} secret get open/a --out /proc/self/fd/1",
        f"{bulla} secret get open/a --out /dev/fd/7 7>&1",
        f"{bulla} inject -i {tmp_path}/t -o /dev/stdout",
        f"{bulla} secret export open/a --format env --out /dev/stdout",
    ]
    for command in commands:
        subprocess.run(["sh", "-c", f"(echo first; {command}; echo last) > {file}"], env=env, check=True, timeout=60)
        text = file.read_text()
        assert text.startswith("first\n") and text.endswith("last\n") and "value" in text, (command, text)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_load_the_completion(shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"not on this machine: {shell}")
    script = tmp_path / f"_bulla.{shell}"
    script.write_text(done("completion", shell))
    # What help hides is no word of it either.
    assert "complete-names" not in script.read_text() and not re.search(r"bulla[_,]+man\b|__bulla_subcommand man\b", script.read_text())
    asked = {
        "bash": f"source {script}; COMP_WORDS=(bulla secret ro); COMP_CWORD=2; _bulla bulla ro secret; echo ${{COMPREPLY[@]}}",
        "zsh": f"autoload -U compinit; compinit -D; source {script}; [[ $_comps[bulla] == _bulla ]] && whence -f _bulla",
        "fish": f"source {script}; complete -C 'bulla secret ro'",
    }[shell]
    ended = subprocess.run([shell, "-c", asked], capture_output=True, text=True, env=CLEAN | {"HOME": str(tmp_path)}, timeout=60)
    assert ended.returncode == 0 and "rollback" in ended.stdout and "rotate" in ended.stdout, ended
    assert ended.stderr == "", "the script is sound"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_names_where_that_is_asked_for(gives, asks, dev, env, shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"not on this machine: {shell}")
    for name in ("tab/one", "tab/two", "tab/deep/x", "tabbed"):
        gives("secret", "put", name, stdin=b"x")
    # The shells share a server.
    if asks("key", "show", "alias/tab/key").returncode == 3:
        gives("key", "create", "--alias", "tab/key")
    script = tmp_path / f"_bulla.{shell}"
    script.write_bytes(gives("completion", shell, "--names", profile=None))
    # The program as it is called: by its path here, which the scripts keep.
    (tmp_path / "bulla").symlink_to(BULLA)

    def completed(*words):
        said = {
            "bash": f"source {script}; COMP_WORDS=({' '.join(words)}); [[ '{words[-1]}' ]] || COMP_WORDS+=(''); "
            f"COMP_CWORD=$(({len(words)} - 1)); _bulla_names {words[0]} '{words[-1]}' {words[-2]}; printf '%s\\n' ${{COMPREPLY[@]}}",
            "zsh": f"autoload -U compinit; compinit -D; source {script}; [[ $_comps[bulla] == _bulla_names ]] || exit 9; "
            # Both are of the editor, which is not there.
            "_bulla() { print rollback }; "
            f"compadd() {{ while [[ $1 != -- ]]; do shift; done; shift; print -l -- $@ }}; "
            f"words=({' '.join(word or chr(39) * 2 for word in words)}); CURRENT={len(words)}; _bulla_names",
            "fish": f"source {script}; complete -C '{' '.join(words)}' | string replace -r '\\t.*' ''; true",
        }[shell]
        ended = subprocess.run(
            [shell, "-c", said], capture_output=True, text=True, cwd=tmp_path, timeout=60,
            env=env | {"PATH": f"{tmp_path}:{env['PATH']}", "HOME": str(tmp_path)},
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, ""), ended
        return ended.stdout.split()

    profile = ("bulla", "--profile", str(dev["data"]))
    assert sorted(completed(*profile, "secret", "get", "tab/")) == ["tab/deep/", "tab/one", "tab/two"]
    assert sorted(completed(*profile, "secret", "get", "tab")) == ["tab/", "tabbed"]
    assert "tab/" in completed(*profile, "secret", "get", "")
    assert completed(*profile, "key", "show", "alias/tab") == ["alias/tab/key"]
    # Elsewhere, and where nobody answers, it is as without names.
    assert "rollback" in completed(*profile, "secret", "ro")
    assert not {"tab/", "tabbed"} & set(completed("bulla", "--endpoint", "127.0.0.1:1", "secret", "get", "tab"))


def test_many_go_in_and_out(gives, asks, tmp_path):
    env = tmp_path / "app.env"
    env.write_text("# c\nexport DB_URL='postgres://u:p@h/d'\nTOKEN=\"a\\nb\"\n")
    count = lambda out: {k: v for k, v in json.loads(out).items() if v and k != "DryRun"}  # noqa: E731
    command = ("secret", "import", env, "--prefix", "many/", "--tag", "from=env", "--json")
    assert count(gives(*command, "--dry-run")) == {"Created": 2}
    assert gives("secret", "list", "many/") == b""
    assert count(gives(*command)) == {"Created": 2}
    assert count(gives(*command)) == {"Unchanged": 2}
    assert gives("secret", "get", "many/TOKEN") == b"a\nb"
    env.write_text(env.read_text().replace("u:p", "u:q"))
    refused(asks(*command[:-1]), 5, "1 of 2", "many/DB_URL", "--overwrite")
    assert count(gives(*command, "--overwrite")) == {"Updated": 1, "Unchanged": 1}
    assert len(json.loads(gives("secret", "versions", "many/DB_URL", "--json"))) == 2
    gives("secret", "put", "many/bytes", stdin=BINARY)
    for format in ("json", "k8s"):
        out = tmp_path / f"out.{format}"
        gives("secret", "export", "--prefix", "many/", "--format", format, "--out", out)
        assert out.stat().st_mode & 0o777 == 0o600
        gives("secret", "import", out, "--prefix", f"{format}/")
        inner = "" if format == "json" else "bulla/"
        assert gives("secret", "get", f"{format}/{inner}bytes") == BINARY
        assert gives("secret", "get", f"{format}/{inner}DB_URL") == b"postgres://u:q@h/d"
    refused(asks("secret", "export", "--prefix", "many/", "--format", "env"), 2, "bytes")
    shown = gives("secret", "export", "many/TOKEN", "many/DB_URL", "--format", "env").decode()
    read = subprocess.run(["bash", "-c", f"{shown}\nprintf %s \"$many_DB_URL\""], capture_output=True, text=True)
    assert read.stdout == "postgres://u:q@h/d", shown
    # Lines within a value, for a shell and read back.
    gives("secret", "put", "lines", stdin=b"l1\nit's l2\n")
    shown = gives("secret", "export", "lines", "lines", "--format", "env")
    read = subprocess.run(["sh", "-c", f'{shown.decode()}printf %s "$lines"'], capture_output=True)
    assert read.stdout == b"l1\nit's l2\n", shown
    gives("secret", "import", "-", "--format", "env", "--prefix", "again/", stdin=b"\xef\xbb\xbf" + shown)
    assert gives("secret", "get", "again/lines") == b"l1\nit's l2\n"
    refused(asks("secret", "import", "-", stdin="A=1".encode("utf-16")), 7, "UTF-16")
    # What nobody could read back.
    for format in ("env", "json", "k8s"):
        refused(asks("secret", "export", "--prefix", "many/TOKEN", "--format", format), 2, "no name")
    refused(asks("secret", "export", "many/TOKEN", "--format", "k8s", "--name", "a: b"), 2, "--name")
    assert b'name: "007"' in gives("secret", "export", "many/TOKEN", "--format", "k8s", "--name", "007")
    refused(asks("secret", "export", "many/none"), 3, "many/none")
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"a": "s3cret')
    assert "s3cret" not in refused(asks("secret", "import", wrong), 2, "line 1")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another deployment, from which secrets come: its folder, its address, a token of its second door."""
    data = tmp_path_factory.mktemp("other") / "d"
    server = Serving("dev", "--data", data, "--listen", "0", "--json", log=data.parent / "dev.log")
    ready = json.loads(server.first_line())
    address = f"http://{ready['Endpoint']}"
    token = Api(address).login(ready["AccessKeyId"], ready["AccessKeySecret"]).token
    yield {"data": data, "address": address, "token": token}
    assert server.stop() == 0


def test_secrets_come_from_another_server_of_this_api(gives, asks, other, env, tmp_path):
    there = lambda *words, **more: gives(*words, profile=other["data"], **more)  # noqa: E731
    there("secret", "put", "mv/text", "--description", "what it is", "--tag", "team=blue", stdin=b"v1")
    there("secret", "put", "mv/text", stdin=b"v2")
    there("secret", "put", "mv/bytes", stdin=BINARY)
    there("secret", "put", "mv/going", stdin=b"x")
    there("secret", "delete", "mv/going", "--in", "7d", "--yes")
    there("secret", "put", "not/this", stdin=b"x")
    command = ("secret", "import", "--from-alibaba", other["address"], "--from-profile", other["data"], "--from-prefix", "mv/")
    count = lambda out: {k: v for k, v in json.loads(out).items() if v and k != "DryRun"}  # noqa: E731
    assert count(gives(*command, "--prefix", "moved/", "--dry-run", "--json")) == {"Created": 2}
    assert gives("secret", "list", "moved/") == b""
    assert count(gives(*command, "--prefix", "moved/", "--tag", "team=red", "--tag", "from=there", "--json")) == {"Created": 2}
    assert gives("secret", "get", "moved/mv/text") == b"v2" and gives("secret", "get", "moved/mv/bytes") == BINARY
    shown = json.loads(gives("secret", "show", "moved/mv/text", "--json"))
    assert shown["Description"] == "what it is" and {tag["TagKey"]: tag["TagValue"] for tag in shown["Tags"]} == {"from": "there", "team": "red"}
    assert count(gives(*command, "--prefix", "moved/", "--json")) == {"Unchanged": 2}
    gives("secret", "put", "moved/mv/text", stdin=b"other")
    refused(asks(*command, "--prefix", "moved/"), 5, "moved/mv/text", "--overwrite")
    refused(asks(*command[:-1], "none/"), 3, "at the source")
    refused(asks("secret", "import", "--from-alibaba", "http://127.0.0.1:1", "--from-profile", "nosuch"), 7, "nosuch")
    refused(asks("secret", "import", "--from-alibaba", other["address"]), 2, "--from-profile")
    refused(asks("secret", "import"), 2)


def vault_import(address, *more):
    return ("secret", "import", "--from-vault", address, *more)


def test_secrets_come_from_a_vault(gives, asks, other, env, tmp_path):
    """From Bulla's own second door, and from OpenBao where that is on this machine: both with the same secrets in them."""
    with contextlib.ExitStack() as stack:
        sources = {"door": (other["address"], other["token"])}
        if BAO.is_file():
            arguments = ("-dev", "-dev-root-token-id=root", "-dev-no-store-token")
            address, _ = stack.enter_context(bao_server(tmp_path, *arguments))
            sources["openbao"] = (address, "root")
        for source, (address, token) in sources.items():
            api = Api(address, token)
            for name, data in {"kv/a": {"user": "u", "n": 1.5}, "kv/deep/b/c": {"x": ["y", None]}, "kv/gone": {"z": 1}}.items():
                for value in ({"before": 1}, data):
                    assert api.ask("POST", f"secret/data/{name}", {"data": value})[0] == 200
            assert api.ask("POST", "secret/metadata/kv/a", {"custom_metadata": {"team": "blue"}})[0] in (200, 204)
            assert api.ask("DELETE", "secret/data/kv/gone")[0] in (200, 204)
            assert api.ask("POST", "secret/data/elsewhere", {"data": {"x": 1}})[0] == 200
            more = {"VAULT_TOKEN": token}
            command = vault_import(address, "--from-prefix", "kv/", "--prefix", f"{source}/", "--json")
            made = json.loads(gives(*command, more=more))
            assert (made["Created"], made["Skipped"]) == (2, 1), made
            assert json.loads(gives("secret", "get", f"{source}/kv/a")) == {"user": "u", "n": 1.5}
            assert json.loads(gives("secret", "get", f"{source}/kv/deep/b/c")) == {"x": ["y", None]}
            assert json.loads(gives("secret", "show", f"{source}/kv/a", "--json"))["Tags"] == [{"TagKey": "team", "TagValue": "blue"}]
            again = json.loads(gives(*command, more=more))
            assert (again["Created"], again["Unchanged"]) == (0, 2), again
            assert gives("secret", "list", f"{source}/elsewhere") == b""
            # A part of a name, and a folder of which nothing is.
            assert json.loads(gives(*vault_import(address, "--from-prefix", "kv/deep/b", "--dry-run", "--json"), more=more))["Created"] == 1
            refused(asks(*vault_import(address, "--from-prefix", "kv/none/"), more=more), 3, "at the source")
            text = refused(asks(*vault_import(address), more={"VAULT_TOKEN": "s.wrong"}), 4, "at the source")
            assert "s.wrong" not in text
        if "openbao" in sources:
            api = Api(*sources["openbao"])
            # Names that are none here are said before anything is written; so is a mount of another kind.
            assert api.ask("POST", "secret/data/odd/with%20space", {"data": {"x": 1}})[0] == 200
            assert api.ask("POST", "secret/data/odd/well", {"data": {"x": 1}})[0] == 200
            refused(asks(*vault_import(api.address, "--from-prefix", "odd/"), more={"VAULT_TOKEN": "root"}), 2, "odd/with space")
            assert gives("secret", "list", "odd/") == b""
            assert api.ask("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})[0] in (200, 204)
            refused(asks(*vault_import(api.address, "--mount", "old"), more={"VAULT_TOKEN": "root"}), 2, "version 2")
    refused(asks(*vault_import("127.0.0.1:8200"), more={"VAULT_TOKEN": "x"}), 7, "https://HOST:PORT")
    # Nobody has a terminal in a session of its own.
    command = [BULLA, "--profile", other["data"], *vault_import(other["address"])]
    alone = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True)
    refused(alone, 2, "nobody is there to be asked", "$VAULT_TOKEN")
    # A server of another API is not one without secrets: here one of files, of which there is none.
    (tmp_path / "none").mkdir()
    files = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "none")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        refused(asks(*vault_import(address), more={"VAULT_TOKEN": "x"}), 1, "at the source", "does not speak Vault's API")
        server.shutdown()
    child = terminal(["--profile", other["data"], *vault_import(other["address"], "--from-prefix", "kv/a", "--dry-run")], env)
    child.expect(re.escape("Token of the Vault (not shown): "))
    child.sendline(other["token"])
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0 and other["token"] not in child.before and "Unchanged" in child.before, child.before


def test_a_long_import_says_on_a_terminal_how_far_it_is(dev, env, tmp_path):
    file = tmp_path / "many.json"
    file.write_text(json.dumps({f"n{i}": "x" for i in range(2000)}))
    child = terminal(["--profile", dev["data"], "secret", "import", file, "--prefix", "long/"], env, dimensions=(24, 200))
    child.timeout = 300
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    assert re.search(r"\x1b\[Kimported \d+ of 2000, \d+ a second, (\d+ min )?\d+ s left\r", child.before), child.before
    # The line is gone before the result comes.
    assert re.search(r"\x1b\[KCreated +2000\r\n", child.before), child.before
    # Whoever asked for JSON reads JSON alone.
    child = terminal(["--json", "--profile", dev["data"], "secret", "import", file, "--prefix", "long/"], env, dimensions=(24, 200))
    child.timeout = 300
    child.expect(pexpect.EOF)
    assert child.before.startswith("{") and json.loads(child.before)["Unchanged"] == 2000, child.before


def test_a_long_search_says_on_a_terminal_how_far_it_is(env, tmp_path):
    file, data = tmp_path / "many.json", tmp_path / "d"
    file.write_text(json.dumps({f"n{i}": "x" for i in range(2000)}))
    server = Serving("dev", "--data", data, "--listen", "0", "--json", "--seed", file, log=tmp_path / "log")
    server.first_line()
    assert server.stop() == 0
    search = ["audit", "search", "--action", "CreateSecret", "--secret", "n*", "--format", "csv", "--data", data]
    child = terminal(search, env, dimensions=(24, 200))
    child.timeout = 300
    # Its records wait until they are read.
    time.sleep(1)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    line = r"\r\x1b\[Kread \d+ of \d+, \d+ a second, (\d+ min )?\d+ s left"
    assert re.search(line, child.before), child.before
    # The records stand there whole, with nothing of the line between them.
    told = re.sub(line, "", child.before).replace("\r\x1b[K", "")
    # Where a pager reads, the terminal is its own.
    piped = terminal(["-c", "exec \"$@\" | { sleep 1; cat; }", "-", BULLA, *search], env, "/bin/sh", dimensions=(24, 200))
    piped.timeout = 300
    piped.expect(pexpect.EOF)
    piped.close()
    assert piped.before == told and told.count("\r\n") > 2000


def test_what_one_secret_cannot_be_keeps_no_other_away(gives, asks, tmp_path):
    file = tmp_path / "mixed.json"
    file.write_text(json.dumps({"a": "1", "big": "x" * 40_000, "z": "2"}))
    text = refused(asks("secret", "import", file, "--prefix", "mixed/"), 2, "1 of 3 are refused; all others are done", "Refused\n  mixed/big: ")
    assert "xxxx" not in text
    text = refused(asks("secret", "import", file, "--prefix", "dry/", "--dry-run"), 2, "1 of 3 are refused", "dry/big", "30720")
    assert "xxxx" not in text and gives("secret", "list", "dry/") == b""
    # An empty file, and a name that is none, are not of a server.
    assert "--from-prefix" not in refused(asks("secret", "import", "-", "--format", "env"), 3, "no secret in the file")
    assert "--from-prefix" not in refused(asks("secret", "import", "-", stdin=b'{"a b":"1"}'), 2, "Refused\n  a b\n")
    for name in ("waits/b", "kept/b"):
        gives("secret", "put", name, stdin=b"old")
    gives("secret", "delete", "waits/b", "--yes")
    file.write_text(json.dumps({"a": "1", "b": "2", "c": "3"}))
    refused(asks("secret", "import", file, "--prefix", "waits/"), 5, "1 of 3 wait for their deletion", "WaitForDeletion\n  waits/b", "all others are done", "restore")
    assert gives("secret", "get", "waits/c") == b"3"
    refused(asks("secret", "import", file, "--prefix", "kept/"), 5, "1 of 3 have another value", "Different\n  kept/b")
    assert gives("secret", "list", "mixed/").decode().split() == ["mixed/a", "mixed/z"]


def test_an_import_names_all_that_it_left_and_counts_the_others(gives, asks):
    old, new = ({f"n{i:02}": f"{which} {i}" for i in range(30)} for which in ("old", "new"))
    gives("secret", "import", "-", "--prefix", "left/", stdin=json.dumps(old).encode())
    mixed = new | {"n00": "old 0", "more": "1", "big": "x" * 40_000}
    command = ("secret", "import", "-", "--prefix", "left/")
    different = [f"left/n{i:02}" for i in range(1, 30)]
    said = json.loads(asks(*command, "--json", stdin=json.dumps(mixed).encode()).stderr)
    assert said["error"]["class"] == "usage" and "29 of 32 have another value" in said["error"]["message"], said
    result = said["result"]
    assert (result["Created"], result["Updated"], result["Unchanged"], result["Different"]) == (1, 0, 1, different), result
    assert [reason.split(":")[0] for reason in result["Refused"]] == ["left/big"]
    text = refused(asks(*command, stdin=json.dumps(mixed | {"big": "1"}).encode()), 5, "29 of 32 have another value")
    assert text.endswith("\n".join(["Different", *(f"  {name}" for name in different), ""])) and "Created    1\n" in text, text


# At its full size (`make soak`): 10,000 secrets and 50 kills.
SOAK = bool(os.environ.get("BULLA_SOAK"))


@pytest.mark.parametrize("source", ["file", "vault", "alibaba"])
def test_an_import_that_is_killed_goes_on(gives, asks, dev, env, other, source, tmp_path, capsys):
    """Killed again and again, and started again: all of it is there, and nothing twice."""
    def does(*words, **more):
        """To its end, also where it takes long and therefore says how far it is."""
        ended = asks(*words, **more, timeout=3600)
        assert ended.returncode == 0, ended
        return ended.stdout

    total, kills_wanted = (10_000, 50) if SOAK else (200, 8)
    prefix = f"killed-{source}/"
    expected = {f"n{i:05}": json.dumps({"value": f"{source} {i}"}) for i in range(total)}
    file = tmp_path / "many.json"
    file.write_text(json.dumps(expected))
    whole, begun = [file, "--prefix", prefix], time.monotonic()
    does("secret", "import", *whole, profile=other["data"])
    longest = (time.monotonic() - begun) / 2
    server = {"vault": ["--from-vault"], "alibaba": ["--from-profile", other["data"], "--from-alibaba"]}
    where = whole if source == "file" else [*server[source], other["address"], "--from-prefix", prefix]
    command = [BULLA, "--profile", dev["data"], "secret", "import", *map(str, where)]
    env = env | {"VAULT_TOKEN": other["token"]}
    ends = random.Random(7)
    kills, begun = 0, time.monotonic()
    while kills < kills_wanted:
        with open(tmp_path / "said", "wb") as said:
            running = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=said)
        try:
            running.wait(ends.uniform(0.02, longest))
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
            kills += 1
        else:
            # It was done before it could be killed: a part of it is to be done again.
            assert running.returncode == 0, (tmp_path / "said").read_text()
            for name in ends.sample(sorted(expected), total // 50):
                gives("secret", "delete", prefix + name, "--now", "--yes")
    does(*command[3:], more=env)
    last = json.loads(does(*command[3:], "--json", more=env))
    assert (last["Created"], last["Updated"], last["Unchanged"]) == (0, 0, total)
    out = json.loads(does("secret", "export", "--prefix", prefix))
    assert out == expected
    for name in ends.sample(sorted(expected), 200 if SOAK else 5):
        assert len(json.loads(gives("secret", "versions", prefix + name, "--json"))) == 1
    if SOAK:
        with capsys.disabled():
            print(f" {total} from {source}, {kills} kills, {time.monotonic() - begun:.0f} s", end="")


def test_tls_with_an_authority_of_its_own_and_postgresql(serving, asks, tmp_path):
    """The same commands over TLS, on PostgreSQL; and what they say where the authority is not named."""
    with postgresql() as url:
        data = tmp_path / "d"
        server = serving("dev", "--data", data, "--listen", "0", "--tls", "--database", url, "--json")
        ready = json.loads(server.first_line())
        endpoint = f"https://{ready['Endpoint']}"
        put = asks("secret", "put", "tls/x", stdin=b"over tls", profile=data)
        assert (put.returncode, put.stderr) == (0, b""), put
        assert asks("run", "-e", "X=tls/x", "--", "printenv", "X", profile=data).stdout == b"over tls\n"
        key = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": ready["AccessKeyId"],
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": ready["AccessKeySecret"],
        }
        named = asks("--endpoint", endpoint, "--ca", ready["CaFile"], "secret", "get", "tls/x", more=key, profile=None)
        assert (named.returncode, named.stdout) == (0, b"over tls")
        refused(asks("whoami", "--endpoint", endpoint, more=key, profile=None), 7, "TLS", "--ca FILE")
        plain = endpoint.replace("https", "http")
        refused(asks("whoami", "--endpoint", plain, more=key, profile=None), 7, "https://")
        assert server.stop() == 0
        refused(asks("secret", "get", "tls/x", profile=data), 6, "cannot be reached")


def test_a_client_certificate_is_shown_where_the_server_asks_for_one(serving, asks, tmp_path):
    """End to end: an own authority for the server, another for its clients, and the certificate in the profile."""
    data = tmp_path / "d"
    first = serving("dev", "--data", data, "--listen", "0", "--json")
    ready = json.loads(first.first_line())
    assert first.stop() == 0
    folders = {name: tmp_path / name for name in ("server", "clients", "foreign", "profile")}
    for folder in folders.values():
        folder.mkdir()
    authorities = {name: Authority(folders[name]) for name in ("server", "clients", "foreign")}
    certificate, key = authorities["server"].issue(folders["server"])
    config = data / "bulla.toml"
    config.write_text(
        f'{config.read_text()}\n[server]\nlisten = "127.0.0.1:0"\n\n[server.tls]\ncertificate_file = "{certificate}"\nkey_file = "{key}"\n'
        f'client_ca_file = "{authorities["clients"].file}"\n'
    )
    server = serving("serve", "--data", data)
    server.waits_for("serving on ")
    endpoint = re.search(r"serving on (\S+)", server.log())[1]
    profile = folders["profile"]
    (profile / "secret").write_text(ready["AccessKeySecret"])
    (profile / "secret").chmod(0o600)

    def shows(signed_by):
        """Writes the profile, with a certificate of this authority."""
        lines = [f'endpoint = "https://{endpoint}"', f'ca_file = "{authorities["server"].file}"', 'secret_file = "secret"']
        lines.append(f'access_key_id = "{ready["AccessKeyId"]}"')
        if signed_by:
            authorities[signed_by].issue(profile)
            lines += ['client_certificate_file = "tls.crt"', 'client_key_file = "tls.key"']
        (profile / "profile.toml").write_text("\n".join(lines))

    shows("clients")
    put = asks("secret", "put", "mtls/x", stdin=b"shown", profile=profile)
    assert (put.returncode, put.stderr) == (0, b""), put
    assert asks("run", "-e", "X=mtls/x", "--", "printenv", "X", profile=profile).stdout == b"shown\n"
    kept = tmp_path / "kept"
    (tmp_path / "agent.toml").write_text(f'[[file]]\nsecret = "mtls/x"\npath = "{kept}"\n')
    assert asks("agent", "--once", "--config", tmp_path / "agent.toml", profile=profile).returncode == 0
    assert kept.read_bytes() == b"shown"
    moved = ("secret", "import", "--from-alibaba", f"https://{endpoint}", "--from-profile", profile, "--dry-run", "--json")
    assert json.loads(asks(*moved, profile=profile).stdout)["Unchanged"] == 1
    for signed_by in (None, "foreign"):
        shows(signed_by)
        refused(asks("secret", "get", "mtls/x", profile=profile), 7, "TLS", "client_certificate_file")
    (profile / "profile.toml").write_text((profile / "profile.toml").read_text().replace("client_key_file", "# "))
    refused(asks("secret", "get", "mtls/x", profile=profile), 7, "go together")
    shows("clients")
    (profile / "tls.key").write_text("no key")
    refused(asks("secret", "get", "mtls/x", profile=profile), 7, "no private key in PEM")


def test_status(gives, dev):
    said = json.loads(gives("status", "--json"))
    assert said["Endpoint"] == f"http://{dev['Endpoint']}" and abs(said["ClockAheadSeconds"]) <= 1
    assert said["AccessKey"] == "accepted"
    # From an answer to a signed request: what strangers may ask, /readyz, says neither.
    who = json.loads(gives("whoami", "--json"))
    assert (said["AccountId"], said["Arn"]) == (who["AccountId"], who["Arn"]), said
    assert done("--version").split() == ["bulla", said["ServerVersion"]], said
    assert said["ServerVersion"] not in json.dumps(said["Status"]), said
    # Typed, as the page itself is.
    assert isinstance(said["Status"], dict) and {"database", "token"} <= said["Status"].keys(), said

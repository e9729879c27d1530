"""Each command of the table once on SoftHSM, from an empty folder to a restore: it succeeds, says nothing on standard error, and what it
prints is what is kept in golden/said. A command that is in the table and in no list here fails.
"""

import ast
import glob
import json
import os
import random
import re
import subprocess
import sys
import time

import pytest
from client import Client
from conftest import CLEAN, HERE, READY_S, ROOT, Serving, bulla, golden, masked
from test_commands import READ, help_pages

sys.path.insert(0, str(ROOT / "tests/sdk"))
from run import free_port, postgresql, postgresql_program  # noqa: E402

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
ABSENT = [what for what, there in ((MODULE, os.path.exists(MODULE)), ("libfaketime", FAKETIME)) if not there]
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"not on this machine: {', '.join(ABSENT)}")

# What asks a server is tried where that server is: the test that calls it and hears nothing on standard error.
ELSEWHERE = {
    "profiles": "test_client.py::test_profiles_are_listed_without_secrets",
    "whoami": "test_client.py::test_a_person_at_a_terminal",
    "status": "test_client.py::test_status",
    "run": "test_client.py::test_run_gives_values_to_a_program",
    "inject": "test_client.py::test_inject_fills_a_template",
    "agent": "test_agent.py::test_files_are_written_once",
    "secret get": "test_client.py::test_a_value_goes_in_and_comes_out",
    "secret put": "test_client.py::test_a_value_goes_in_and_comes_out",
    "secret patch": "test_client.py::test_versions_and_what_changes_them",
    "secret list": "test_client.py::test_what_there_is",
    "secret find": "test_client.py::test_what_there_is",
    "secret show": "test_client.py::test_what_there_is",
    "secret versions": "test_client.py::test_versions_and_what_changes_them",
    "secret diff": "test_client.py::test_versions_and_what_changes_them",
    "secret edit": "test_client.py::test_an_editor_works_in_memory",
    "secret rollback": "test_client.py::test_versions_and_what_changes_them",
    "secret delete": "test_client.py::test_what_there_is",
    "secret restore": "test_client.py::test_what_there_is",
    "secret tag": "test_client.py::test_what_there_is",
    "secret import": "test_client.py::test_many_go_in_and_out",
    "secret export": "test_client.py::test_many_go_in_and_out",
    "secret policy": "test_client.py::test_what_there_is",
} | {
    f"key {word}": "test_client.py::test_keys_do_their_work"
    for word in ("list", "create", "show", "versions", "disable", "enable", "delete", "alias", "encrypt", "decrypt", "sign", "verify",
                 "mac", "public-key")
}  # fmt: skip

CONFIG = """region = "cn-hangzhou"
[server]
listen = "127.0.0.1:{port}"
[token]
module = "{module}"
label = "table"
pin_file = "pin"
[database]
url = "sqlite:bulla.db"
[audit]
directory = "audit"
"""

# A password of whoever manages accounts; the throw-away cluster asks nobody for one.
INSTANCE = """[[rotation.instance]]
id = "orders"
engine = "postgresql"
host = "127.0.0.1"
port = {port}
administrator = "bulla"
password_file = "pin"
tls = false
"""
# A key's next version is a week younger than its last one at least.
LAST_WEEK = {"LD_PRELOAD": FAKETIME[0], "FAKETIME": "-10d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"} if FAKETIME else {}


class Life:
    """A deployment, and every command that it has seen: of each its words, how it ended, and the transcript where it is told."""

    def __init__(self, folder):
        self.folder, self.port, self.servers, self.calls, self.told = folder, free_port(), 0, [], {}
        pin = str(random.randrange(100_000, 1_000_000))
        for name, text in (("pin", f"{pin}\n"), ("bulla.toml", CONFIG.format(port=self.port, module=MODULE)), ("policy.json", READ),
                           ("softhsm2.conf", f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")):
            (folder / name).write_text(text)
        (folder / "pin").chmod(0o600)
        (folder / "tokens").mkdir()
        self.pin = pin
        self.environment = {"SOFTHSM2_CONF": str(folder / "softhsm2.conf"), "BULLA_CONFIG": str(folder / "bulla.toml")}
        make = ["softhsm2-util", "--init-token", "--free", "--label", "table", "--so-pin", pin, "--pin", pin]
        subprocess.run(make, check=True, capture_output=True, env=CLEAN | self.environment)

    def run(self, group, *words, stdin=None, env=None):
        """A command, for the transcript of a group; its output."""
        ended = bulla(*words, env=self.environment | (env or {}), cwd=self.folder, stdin=stdin)
        shown = " ".join(f"'{word}'" if " " in word else word for word in words)
        self.calls.append((words, shown, ended))
        self.told.setdefault(group, []).append(f"$ bulla {shown}\n{ended.stdout}{ended.stderr}[exit {ended.returncode}]\n")
        return ended.stdout

    def typed(self, *words, env=None):
        return json.loads(self.run("typed", *words, "--json", env=env))

    def serves(self, *words, env=None):
        """A server on the port of the configuration."""
        self.servers += 1
        server = Serving(*words, log=self.folder / f"server-{self.servers}.log", env=self.environment | (env or {}))
        until = time.monotonic() + READY_S
        while bulla("probe", f"http://127.0.0.1:{self.port}/readyz").returncode != 0:
            assert server.process.poll() is None and time.monotonic() < until, server.log()
            time.sleep(0.1)
        return server

    def serves_quietly(self, *words):
        """One of which warnings alone are heard, from its start to its end: its silence counts as a command's. What a loaded machine makes it
        warn of once, it does not three times."""
        # Each start says that the clock of last week was accepted.
        env = {"RUST_LOG": "warn,bulla::base::clock_check=error"}
        for _ in range(3):
            server = self.serves(*words, env=env)
            ended = subprocess.CompletedProcess(words, server.stop(), "", server.log())
            if not ended.stderr:
                break
        self.calls.append((words, words[0], ended))


@pytest.fixture(scope="module")
def life(tmp_path_factory):
    life = Life(tmp_path_factory.mktemp("life"))
    comes_to_be(life)
    has_people(life)
    is_used(life)
    is_proved(life)
    return life


def comes_to_be(life):
    for words in (("migrate",), ("ceremony",), ("init", "--account", "main"), ("check",)):
        life.run("init", *words, env=LAST_WEEK)


def has_people(life):
    run = life.run
    for words in (("create", "second"), ("list",), ("disable", "second"), ("enable", "second"), ("delete", "second")):
        run("account", "account", *words)
    for words in (("create", "billing"), ("list",), ("show", "billing"), ("disable", "billing"), ("enable", "billing")):
        run("user", "user", *words)
    run("access-key", "access-key", "create", "--user", "billing")
    run("access-key", "access-key", "create")
    run("access-key", "access-key", "list", "--user", "billing")
    key = life.typed("access-key", "list", "--user", "billing")[0]["AccessKeyId"]
    for words in (("disable", key), ("enable", key), ("delete", key)):
        run("access-key", "access-key", *words)
    for words in (("create", "read-app", "--document", "policy.json"), ("show", "read-app"), ("attach", "read-app", "--user", "billing"),
                  ("list", "--user", "billing"), ("update", "read-app", "--document", "policy.json")):
        run("policy", "policy", *words)
    asked = ("--action", "kms:GetSecretValue", "--resource", "secret/app/db")
    run("policy", "access", "simulate", "--user", "billing", *asked)
    run("policy", "access", "who", *asked)
    run("policy", "policy", "detach", "read-app", "--user", "billing")
    run("policy", "policy", "delete", "read-app")
    run("token", "token", "create", "--user", "billing", "--ttl", "30d", "--label", "nightly job")
    run("token", "token", "list")
    run("token", "token", "revoke", life.typed("token", "list")[0]["Accessor"])


def is_used(life):
    """Served: with a key of last week, whose next version may be made by now, and an account of a database server."""
    root = life.typed("access-key", "list")[0]["AccessKeyId"]
    life.run("typed", "access-key", "delete", root)
    key = life.typed("access-key", "create")
    client = Client(key["AccessKeyId"], key["AccessKeySecret"])
    (life.folder / "home").mkdir()
    caller = {"HOME": str(life.folder / "home"), "XDG_CONFIG_HOME": ""}
    pair = f"{key['AccessKeyId']}\n{key['AccessKeySecret']}\n"
    endpoint = f"127.0.0.1:{life.port}"
    with postgresql() as url:
        settings = life.folder / "bulla.toml"
        settings.write_text(settings.read_text() + INSTANCE.format(port=re.search(r":(\d+)/", url)[1]))
        server = life.serves("serve", env=LAST_WEEK)
        life.run("served", "login", "--endpoint", endpoint, stdin=pair, env=LAST_WEEK | caller)
        master = life.typed("key", "create", env=LAST_WEEK | caller)["KeyId"]
        assert server.stop() == 0
        # The same from now on, with its PIN given by hand.
        by_hand = life.folder / "by-hand.toml"
        by_hand.write_text(settings.read_text().replace('pin_file = "pin"', 'unlock_socket = "unlock"', 1))
        server = Serving("serve", "--config", by_hand, log=life.folder / "by-hand.log", env=life.environment)
        server.waits_for("waiting for `bulla unlock`")
        life.run("served", "unlock", "--config", "by-hand.toml", stdin=f"{life.pin}\n")
        server.waits_for("serving on")
        life.run("served", "probe", f"http://{endpoint}/readyz")
        life.run("served", "clock", "accept")
        life.run("served", "key", "rotate", master, env=caller)
        subprocess.run([postgresql_program("psql"), "-q", "-d", url, "-c", "CREATE ROLE app LOGIN"], check=True)
        made = client.call(endpoint, "CreateSecret", SecretName="app/orders", VersionId="v1", SecretType="Rds", SecretData=json.dumps(
            {"Accounts": [{"AccountName": "app", "AccountPassword": "first"}]}), ExtendedConfig=json.dumps(
            {"SecretSubType": "SingleUser", "DBInstanceId": "orders"}))
        assert made[0] == 200, made
        life.run("served", "secret", "rotate", "app/orders", env=caller)
        made = client.call(endpoint, "CreateSecret", SecretName="app/db", VersionId="v1", SecretData="s3cret")
        assert made[0] == 200, made
        assert server.stop() == 0
        life.serves_quietly("serve")
    life.serves_quietly("dev", "--data", life.folder / "dev", "--listen", life.port)


def is_proved(life):
    run = life.run
    run("level", "level")
    run("verify", "verify")
    run("verify", "verify", "--open-data-keys")
    run("backup", "backup", "--to", "saved")
    run("backup", "backup", "verify", "saved")
    (life.folder / "aud.pem").write_text(run("audit", "audit", "public-key"))
    run("inventory", "inventory")
    run("inventory", "inventory", "--to", "inventory.json")
    run("inventory", "inventory", "verify", "inventory.json", "--public-key", "aud.pem")
    run("restore", "restore")
    run("user", "user", "delete", "billing")
    run("restore", "restore", "--from", "saved")
    run("restore", "restore", "--from", "saved", "--accept")
    run("audit", "audit", "verify")
    run("audit", "audit", "verify", "audit", "--public-key", "aud.pem")
    for words in (("--action", "DeleteUser"), ("--action", "DeleteUser", "--format", "csv"), ("--action", "DeleteUser", "--json"),
                  ("--who", "nobody")):
        run("audit", "audit", "search", *words)
    run("level", "migrate", env={"BULLA_LEVELS": "1-2"})
    run("level", "level", "--raise", env={"BULLA_LEVELS": "1-2"})
    for shell in ("bash", "zsh", "fish"):
        run("pages", "completion", shell)
    run("pages", "man", "pages")


def table():
    """The commands that do something: not those which only have others below them."""
    return {" ".join(path) for path, page in help_pages().items() if not re.search(r"Usage: bulla( [\w-]+)* (\[OPTIONS\] )?<COMMAND>\n", page)}


def test_every_command_of_the_table_succeeds_in_silence(life):
    commands, ran = table(), set()
    for words, shown, ended in life.calls:
        assert ended.returncode == 0, f"{shown}: exit {ended.returncode}\n{ended.stdout}{ended.stderr}"
        assert ended.stderr == "", f"{shown}: a command that succeeds says nothing on standard error:\n{ended.stderr}"
        ran |= {" ".join(words[:2]), words[0]} & commands
    assert set(ELSEWHERE) <= commands, "named here and not in the table"
    assert commands - ran - set(ELSEWHERE) == set(), "in the table, and run by no test"


@pytest.mark.parametrize("command", ELSEWHERE)
def test_a_command_that_is_tried_elsewhere_is(command):
    """Called there by what accepts no word on standard error."""
    file, name = ELSEWHERE[command].split("::")
    function = next(at for at in ast.parse((HERE / file).read_text()).body if getattr(at, "name", None) == name)
    calls = [at for at in ast.walk(function) if isinstance(at, ast.Call) and getattr(at.func, "id", None) in ("gives", "done", "typed")]
    heads = [[getattr(word, "value", None) for word in call.args[: len(command.split())]] for call in calls]
    assert command.split() in heads


# What differs from run to run, beside what conftest knows: ids, counts of what time adds (checkpoints, nonces), the program's version.
SETTLED = [
    (r"\bs\.[\w-]{43,}", "<token>"),
    (r"(?m)(^Accessor +|revoke |^)[\w-]{24}(?= |$)", r"\1<accessor>"),
    (r"(CKA_ID +)[0-9a-f]{32}", r"\1<id>"),
    (r"(CKA_EC_POINT +)[0-9a-f]{134}", r"\1<point>"),
    (r"(Token serial +)[0-9a-f]{16}", r"\1<serial>"),
    (r"ceremony-[0-9a-f]{16}", "ceremony-<sha256>"),
    (r"((?i:version) +|bulla )\d+\.\d+(\.\d+)?", r"\1<version>"),
    (r"\b\d{8}T\d{6}Z-[0-9a-f]{8}\b", "<version-id>"),
    (r'("mac":")[0-9a-f]{32}', r"\1<mac>"),
    (r"\b(Rows|RowsVerified|BackupRows|Bytes|AuditLines|Lines|LastLine|LastProvedLine|Checkpoints|Seconds|UsesLeft)( +|\":)\d+", r"\1\2<n>"),
    (r"proved \d+ of \d+ lines", "proved <n> of <n> lines"),
    (r'("seq":|<uuid>,)\d+', r"\1<n>"),
    (r"\b21474\d{5}\b", "<uses>"),
]


def settled(text):
    for pattern, word in SETTLED:
        text = re.sub(pattern, word, text)
    # Listed by ids that chance gave.
    return re.sub(r"(?m)(^<uuid>  <uuid>  .*\n)+", lambda rows: "".join(sorted(rows[0].splitlines(keepends=True))), text)


@pytest.mark.parametrize("group", ["access-key", "account", "audit", "backup", "init", "inventory", "level", "policy", "restore",
                                   "served", "token", "user", "verify"])
def test_what_commands_say(life, group):
    golden(f"said/{group}", settled(masked("\n".join(life.told[group]))))

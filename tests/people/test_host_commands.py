"""Each command of the table once on SoftHSM, from an empty folder to a restore: it succeeds, says nothing on standard error, and what it
prints is what is kept in golden/said; so is why a client command is refused, and what a terminal asks. A command that is in the table and in no
list here fails.
"""

import glob
import io
import json
import os
import random
import re
import shlex
import subprocess
import sys
import time
import urllib.request

import pexpect
import pytest
from client import Client
from client_steps import EDITOR, FILES, STEPS, STRANGER, TYPED
from conftest import CLEAN, READY_S, ROOT, Serving, bulla, golden, masked
from test_client import BINARY, terminal
from test_commands import READ, help_pages
from test_json import REMOTE

sys.path.insert(0, str(ROOT / "tests/sdk"))
from run import free_port, postgresql, postgresql_program  # noqa: E402

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
ABSENT = [what for what, there in ((MODULE, os.path.exists(MODULE)), ("libfaketime", FAKETIME)) if not there]
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"not on this machine: {', '.join(ABSENT)}")

# Without a transcript in golden/said: golden/dev.txt is of `dev`, `serve` prints nothing, and what `completion` prints is read by shells.
UNTOLD = {"dev", "serve", "completion"}

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
    """A deployment, and every command that it has seen: of each the transcript where it is told, its words, how it was to end and ended."""

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

    def run(self, group, *words, code=0, stdin=None, piped=None, env=None):
        """A command, for the transcript of a group, which shows what is piped in; its output."""
        ended = bulla(*words, env=self.environment | (env or {}), cwd=self.folder, stdin=stdin if piped is None else piped)
        self.tells(group, words, code, ended, piped)
        return ended.stdout

    def tells(self, group, words, code, ended, piped=None):
        shown = f"bulla {shlex.join(words)}" if piped is None else f"printf %s {shlex.quote(piped)} | bulla {shlex.join(words)}"
        self.calls.append((group, words, shown, code, ended))
        if group:
            self.told.setdefault(group, []).append(f"$ {shown}\n{ended.stdout}{ended.stderr}[exit {ended.returncode}]\n")

    def at_terminal(self, words, code, *dialog, env=None):
        """A command at a terminal, which shows what it asks and what it prints."""
        child = terminal(words, CLEAN | self.environment | (env or {}), cwd=self.folder)
        child.logfile_read = io.StringIO()
        for question, answer in zip(dialog[::2], dialog[1::2]):
            child.expect_exact(question)
            child.sendline(answer)
        child.expect(pexpect.EOF)
        child.close()
        screen = child.logfile_read.getvalue().replace("\r\n", "\n")
        self.tells("terminal", words, code, subprocess.CompletedProcess(words, child.exitstatus, screen, ""))

    def typed(self, *words, env=None):
        return json.loads(self.run(None, *words, "--json", env=env))

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
        self.calls.append((None, words, words[0], 0, ended))


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
    life.run(None, "access-key", "delete", root)
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
        life.at_terminal(("unlock", "--config", "by-hand.toml"), 0, "PIN of the token: ", life.pin)
        life.at_terminal(("user", "list", "--config", "by-hand.toml"), 0, "PIN of the token: ", life.pin)
        life.run("served", "probe", f"http://{endpoint}/readyz")
        life.run("served", "clock", "accept")
        # Heard within a quarter of a second, and told within another.
        server.waits_for("clock: an operator has said that it is right")
        until = time.monotonic() + 30
        while b"ahead" in urllib.request.urlopen(f"http://{endpoint}/readyz").read():
            assert time.monotonic() < until, "readyz tells of the clock still"
            time.sleep(0.1)
        life.run("served", "key", "rotate", master, env=caller)
        subprocess.run([postgresql_program("psql"), "-q", "-d", url, "-c", "CREATE ROLE app LOGIN"], check=True)
        made = client.call(endpoint, "CreateSecret", SecretName="app/orders", VersionId="v1", SecretType="Rds", SecretData=json.dumps(
            {"Accounts": [{"AccountName": "app", "AccountPassword": "first"}]}), ExtendedConfig=json.dumps(
            {"SecretSubType": "SingleUser", "DBInstanceId": "orders"}))
        assert made[0] == 200, made
        life.run("served", "secret", "rotate", "app/orders", env=caller)
        is_asked(life, key, endpoint, caller)
        made = client.call(endpoint, "CreateSecret", SecretName="app/db", VersionId="v1", SecretData="s3cret")
        assert made[0] == 200, made
        assert server.stop() == 0
        life.serves_quietly("serve")
    life.serves_quietly("dev", "--data", life.folder / "dev", "--listen", life.port)


def is_asked(life, key, endpoint, caller):
    """By a client, by one without a policy, and by one at a terminal."""
    facts = {"folder": str(life.folder), "endpoint": endpoint, "id": key["AccessKeyId"], "secret": key["AccessKeySecret"]}
    filled = lambda text: re.sub(r"\{([a-z -]+)\}", lambda name: facts[name[1]].strip(), text)  # noqa: E731
    for name, text in FILES.items():
        (life.folder / name).write_text(filled(text))

    def steps(group, listed, env):
        for code, command, *piped in listed:
            words = shlex.split(filled(command))
            told = life.run(group, *words, code=code, piped=filled(piped[0]) if piped else None, env=env)
            # What the first one of them printed.
            facts.setdefault(" ".join(words[:2]), told)

    for group, listed in STEPS.items():
        steps(group, listed, caller | {"EDITOR": EDITOR, "VISUAL": ""})
    life.typed("user", "create", "stranger")
    strange = life.typed("access-key", "create", "--user", "stranger")
    own = {"ALIBABA_CLOUD_ACCESS_KEY_ID": strange["AccessKeyId"], "ALIBABA_CLOUD_ACCESS_KEY_SECRET": strange["AccessKeySecret"]}
    steps("stranger", STRANGER, caller | own | {"BULLA_ENDPOINT": endpoint})
    (life.folder / "bytes").write_bytes(BINARY)
    life.run(None, "secret", "put", "shop/bytes", "--file", "bytes", env=caller)
    for code, command, *dialog in TYPED:
        life.at_terminal(shlex.split(filled(command)), code, *map(filled, dialog), env=caller)


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
    run("rekey", "rekey")
    run("rekey", "rekey", "--accept")
    run("audit", "audit", "verify")
    run("audit", "audit", "verify", "audit", "--public-key", "aud.pem")
    for words in (("--action", "DeleteUser"), ("--action", "DeleteUser", "--format", "csv"), ("--action", "DeleteUser", "--json"),
                  ("--who", "nobody")):
        run("audit", "audit", "search", *words)
    run("level", "migrate", env={"BULLA_LEVELS": "1-2"})
    run("level", "level", "--raise", env={"BULLA_LEVELS": "1-2"})
    for shell in ("bash", "zsh", "fish"):
        run(None, "completion", shell)
    run("pages", "man", "pages")


def table():
    """The commands that do something: not those which only have others below them."""
    return {" ".join(path) for path, page in help_pages().items() if not re.search(r"Usage: bulla( [\w-]+)* (\[OPTIONS\] )?<COMMAND>\n", page)}


def command_of(words, commands):
    """The command of the table that these words call."""
    two = " ".join(words[:2])
    return two if two in commands else words[0]


def test_every_command_of_the_table_succeeds_in_silence(life):
    for group, _, shown, code, ended in life.calls:
        assert ended.returncode == code, f"{shown}: exit {ended.returncode}\n{ended.stdout}{ended.stderr}"
        if group == "terminal":
            continue
        if code == 0:
            assert ended.stderr == "", f"{shown}: a command that succeeds says nothing on standard error:\n{ended.stderr}"
        else:
            assert ended.stdout == "" and ended.stderr.startswith("error: "), f"{shown}: {ended}"
    commands = table()
    ran = {command_of(words, commands) for _, words, _, code, _ in life.calls if code == 0}
    assert commands - ran == set(), "in the table, and run by no test"


def test_every_command_of_the_table_has_a_transcript(life):
    """And of a client's command another that tells why it was refused."""
    commands = table()
    told = lambda fits: {command_of(words, commands) for group, words, _, code, _ in life.calls if group and fits(code)}  # noqa: E731
    assert commands - told(lambda code: code == 0) == UNTOLD, "in the table, and in no transcript (client_steps.py has those of clients)"
    of_clients = {command for command in commands if command.split()[0] in REMOTE}
    assert of_clients - told(lambda code: code > 0) == set(), "refused in no transcript"
    assert set(life.told) == set(GROUPS)


# What differs from run to run, beside what conftest knows: ids, counts of what time adds (checkpoints, nonces), the program's version.
SETTLED = [
    (r"\bs\.[\w-]{43,}", "<token>"),
    (r"(?m)(^Accessor +|^\$ bulla token revoke )[\w.]{24}$", r"\1<accessor>"),
    (r"(?m)^[\w.]{24}(?=  user/)", "<accessor>"),
    (r"(?m)(^|--signature |printf %s )[A-Za-z0-9+/]{43,}={0,2}(?=$| \|)", r"\1<base64>"),
    (r"(CKA_ID +)[0-9a-f]{32}", r"\1<id>"),
    (r"(CKA_EC_POINT +)[0-9a-f]{134}", r"\1<point>"),
    (r"(Token serial +)[0-9a-f]{16}", r"\1<serial>"),
    (r"ceremony-[0-9a-f]{16}", "ceremony-<sha256>"),
    (r"((?i:version) +|bulla )\d+\.\d+(\.\d+)?", r"\1<version>"),
    (r"\b\d{8}T\d{6}Z-[0-9a-f]{8}\b", "<version-id>"),
    (r'("mac":")[0-9a-f]{32}', r"\1<mac>"),
    (r"\b(Rows|RowsVerified|BackupRows|Bytes|AuditLines|Lines|LastLine|LastProvedLine|Checkpoints|Seconds|UsesLeft)( +|\":)\d+", r"\1\2<n>"),
    (r"\b(ClockAheadSeconds|RoundTripMs)( +)-?\d+", r"\1\2<n>"),
    (r"proved \d+ of \d+ lines", "proved <n> of <n> lines"),
    (r'("seq":|<uuid>,)\d+', r"\1<n>"),
    (r"\b21474\d{5}\b", "<uses>"),
]


def settled(text):
    for pattern, word in SETTLED:
        text = re.sub(pattern, word, text)
    # Listed by ids that chance gave.
    return re.sub(r"(?m)(^<uuid>  <uuid>  .*\n)+", lambda rows: "".join(sorted(rows[0].splitlines(keepends=True))), text)


def test_what_is_masked_is_no_word():
    """Every name that a row has, at a line's beginning and as JSON, beside a number."""
    sources = (file.read_text() for file in (ROOT / "src").rglob("*.rs"))
    names = {name for source in sources for name in re.findall(r'\("([A-Z][A-Za-z]+)", ', source)}
    assert {"LinesAfterLastCheckpoint", "SecretName"} <= names
    for line in (line for name in sorted(names) for line in (f"{name}  0", f'{{"{name}":0}}', name)):
        shown = settled(masked(line))
        assert re.sub(r"0|<n>", "", shown) == line.replace("0", ""), (line, shown)


GROUPS = ["access-key", "account", "audit", "backup", "init", "inventory", "level", "pages", "policy", "rekey", "restore", "served", "stranger",
          "terminal", "token", "user", "verify", *STEPS]  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
def test_what_commands_say(life, group):
    golden(f"said/{group}", settled(masked("\n".join(life.told[group]))))

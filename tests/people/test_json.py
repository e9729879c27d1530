"""Every command of the table with --json: what it prints, a program can read. One that is new in the table is missed here."""

import json
import shlex
import shutil
import subprocess

import pytest
from client import Client
from clocks import LIBRARY, shifted, swept  # noqa: F401
from conftest import BULLA
from test_commands import MISSPELT, READ, commands

# What is printed: one document; a document a line (docs/cli.md says of which); or the command's own form, JSON or not, which this says.
ONE, LINES = "one document", "a document a line"
REMOTE = {"login", "whoami", "status", "secret", "key", "run", "inject", "agent"}
# Those that know no deployment.
NOWHERE = {"dev", "probe", "completion", "profiles"}

# In this order: the command, its arguments, what it prints, its standard input. {…} is a folder, or what an earlier command told.
SERVING = [
    ("whoami", "", ONE),
    ("status", "", ONE),
    ("login", "--profile walk --endpoint {dev[Endpoint]} --access-key-id {dev[AccessKeyId]}", ONE, "{dev[AccessKeySecret]}"),
    ("profiles", "", ONE),
    ("secret put", "w/a --version-id one", ONE, '{{"f":"1"}}'),
    ("secret patch", "w/a f=-", ONE, "2"),
    ("secret edit", "w/a", ONE),
    ("secret get", "w/a", ONE),
    ("secret list", "", ONE),
    ("secret find", "w", ONE),
    ("secret show", "w/a", ONE),
    ("secret versions", "w/a", ONE),
    ("secret diff", "w/a one", ONE),
    ("secret rollback", "w/a --version one", ONE),
    ("secret tag", "w/a a=b", ONE),
    ("secret policy", "w/a", ONE),
    ("secret import", "- --format env --prefix w/env/", ONE, "A=1"),
    ("secret export", "w/a --format json", ONE),
    ("secret export", "w/a --format env --out {folder}/out.env", ONE),
    ("secret rotate", "managed", ONE),
    ("secret delete", "w/a --yes", ONE),
    ("secret restore", "w/a", ONE),
    ("key create", "--alias w/key", ONE),
    ("key list", "", ONE),
    ("key show", "alias/w/key", ONE),
    ("key versions", "alias/w/key", ONE),
    ("key alias", "w/more alias/w/key", ONE),
    ("key alias", "", ONE),
    ("key encrypt", "alias/w/key", ONE, "text"),
    ("key decrypt", "", ONE, "{key encrypt[CiphertextBlob]}"),
    ("key disable", "alias/w/key", ONE),
    ("key enable", "alias/w/key", ONE),
    ("key protect", "alias/w/key", ONE),
    ("key protect", "alias/w/key --off", ONE),
    ("key delete", "alias/w/more --yes", ONE),
    ("key delete", "{key create[KeyId]} --cancel", ONE),
    ("key create", "--spec HMAC_SHA_256 --usage mac --alias w/mac", ONE),
    ("key mac", "alias/w/mac", ONE, "text"),
    ("key create", "--spec EC_P256 --usage sign --alias w/pair", ONE),
    ("key public-key", "alias/w/pair", ONE),
    ("key sign", "alias/w/pair", ONE, "text"),
    ("key verify", "alias/w/pair --signature {key sign[Value]}", ONE, "text"),
    ("run", "-e X=w/env/A -- printenv X", "1\n"),
    ("inject", "", "a=1", "a={{{{ bulla://w/env/A }}}}"),
    ("agent", "--once --config {folder}/agent.toml", ""),
    ("account create", "second", ONE),
    ("account list", "", ONE),
    ("account disable", "second", ONE),
    ("account enable", "second", ONE),
    ("account delete", "second", ONE),
    ("user create", "reader", ONE),
    ("user list", "", ONE),
    ("user disable", "reader", ONE),
    ("user enable", "reader", ONE),
    ("user show", "reader", ONE),
    ("access-key create", "--user reader", ONE),
    ("access-key list", "", ONE),
    ("access-key disable", "{access-key create[AccessKeyId]}", ONE),
    ("access-key enable", "{access-key create[AccessKeyId]}", ONE),
    ("access-key delete", "{access-key create[AccessKeyId]}", ONE),
    ("token create", "--user reader", ONE),
    ("token list", "", ONE),
    ("token revoke", "{token create[Accessor]}", ONE),
    # With a warning, which is JSON as well.
    ("policy create", "read --document {folder}/misspelt.json", ONE),
    ("policy update", "read --document {folder}/policy.json", ONE),
    ("policy attach", "read --user reader", ONE),
    ("policy show", "read", ONE),
    ("policy list", "", ONE),
    ("access simulate", "--user reader --action kms:GetSecretValue --resource secret/app/x", ONE),
    ("access who", "--action kms:GetSecretValue --resource secret/app/x", ONE),
    ("policy detach", "read --user reader", ONE),
    ("policy delete", "read", ONE),
    ("user delete", "reader", ONE),
    ("check", "", ONE),
    ("verify", "", ONE),
    ("migrate", "", ONE),
    ("level", "", ONE),
    ("clock accept", "", ONE),
    ("backup", "--to {folder}/backup", ONE),
    ("backup verify", "{folder}/backup", ONE),
    ("inventory", "", LINES),
    ("inventory", "--to {folder}/inventory", ONE),
    ("audit public-key", "", ONE),
    ("audit verify", "", ONE),
    ("audit search", "--action CreateUser", LINES),
    ("inventory verify", "{folder}/inventory --public-key {folder}/aud.pem", ONE),
    ("probe", "http://{dev[Endpoint]}/readyz", ""),
    ("completion", "bash", None),
]
# Without a server; on a copy, of which nothing but the token is left for the last two.
STOPPED = [("restore", "--from {folder}/backup", ONE), ("rekey", "", ONE), ("init", "", ONE), ("ceremony", "", ONE)]
# A week later; and before a server that waits for its PIN.
LATER = [("key rotate", "{key create[KeyId]}", ONE)]
LOCKED = [("unlock", "", ONE, "{pin}")]
SELF = {"dev", "serve"}


@pytest.mark.skipif(LIBRARY is None, reason="not on this machine: libfaketime")
def test_every_command_of_the_table_prints_json(managed, serving, env, tmp_path):
    tested = {step[0] for step in (*SERVING, *STOPPED, *LATER, *LOCKED)} | SELF
    assert tested == set(commands()), "the table has other commands than this test"

    data = tmp_path / "d"
    server = serving("dev", "--data", data, "--listen", "0", "--json", env=managed.setting)
    known = {"folder": tmp_path, "dev": one("dev", server.first_line())}
    (tmp_path / "policy.json").write_text(READ)
    (tmp_path / "misspelt.json").write_text(MISSPELT)
    (tmp_path / "agent.toml").write_text(f'[[file]]\nsecret = "w/env/A"\npath = "{tmp_path}/kept"\n')
    caller = Client(known["dev"]["AccessKeyId"], known["dev"]["AccessKeySecret"])
    assert caller.call(known["dev"]["Endpoint"], "CreateSecret", SecretName="managed", VersionId="v1", **managed.secret())[0] == 200
    env = env | {"HOME": str(tmp_path), "EDITOR": "sed -i s/2/3/", "VISUAL": ""}

    def walk(steps, data=data, more=None):
        for name, arguments, printed, *given in steps:
            root = name.split()[0]
            where = () if root in NOWHERE else ("--data", data) if root not in REMOTE else () if root == "login" else ("--profile", data)
            words = [*where, *shlex.split(arguments.format_map(known))]
            command = [BULLA, *name.split(), "--json", *map(str, words)]
            stdin = given[0].format_map(known).encode() if given else b""
            ended = subprocess.run(command, input=stdin, capture_output=True, env=env | (more or {}), timeout=120)
            out, said = ended.stdout.decode(), ended.stderr.decode()
            assert ended.returncode == 0, (name, out, said)
            for line in said.splitlines():
                assert json.loads(line).keys() == {"warning"}, (name, said)
            if printed is ONE:
                known.setdefault(name, one(name, out))
            elif printed is LINES:
                lines = out.splitlines()
                assert lines and all(isinstance(json.loads(line), dict) for line in lines), (name, out)
            elif printed is not None:
                assert out == printed, name
            if name == "audit public-key":
                (tmp_path / "aud.pem").write_text(known[name]["PublicKey"])

    walk(SERVING)
    assert server.stop() == 0 and server.process.stdout.read() == "", "`dev` says one thing"
    walk(STOPPED[:2])

    copy = tmp_path / "copy"
    shutil.copytree(data, copy, symlinks=True)
    for file in copy.glob("bulla.db*"):
        file.unlink()
    shutil.rmtree(copy / "audit")
    walk(STOPPED[2:], copy)
    settings = (copy / "bulla.toml").read_text()
    assert 'pin_file = "pin"\n' in settings
    (copy / "bulla.toml").write_text(settings.replace('pin_file = "pin"\n', 'unlock_socket = "unlock"\n') + '\n[server]\nlisten = "127.0.0.1:0"\n')
    locked = serving("serve", "--data", copy, "--json")
    locked.waits_for("unlock")
    known["pin"] = (copy / "pin").read_text()
    walk(LOCKED, copy)
    locked.waits_for("serving on ")
    assert locked.stop() == 0 and locked.process.stdout.read() == "", "`serve` prints nothing"

    week = shifted(8 * 86400)
    server = serving("dev", "--data", data, "--listen", "0", "--json", env=managed.setting | week)
    server.first_line()
    walk([("clock accept", "", ONE), *LATER], more=week)
    assert server.stop() == 0


def one(name, text):
    """One document, which is an object or a list."""
    assert text, f"{name} prints nothing"
    document = json.loads(text)
    assert isinstance(document, (dict, list)), (name, text)
    return document

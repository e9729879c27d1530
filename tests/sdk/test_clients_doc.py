"""The snippets of docs/clients.md, run as they stand: how a developer comes to the first secret from each language."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from clients import SDKS, Refused, Tea
from conftest import need
from tls import Authority
from test_cache_clients import client_key

HERE = pathlib.Path(__file__).parent
DOC = HERE.parent.parent / "docs/clients.md"
SNIPPETS = dict(re.findall(r"(?s)<!-- snippet: (\S+) -->\n```\w+\n(.*?)```\n", DOC.read_text()))

TYPED = ["python", "python-core", "java", "go", "node"]
CACHES = ["cache-python", "cache-python-v2", "cache-java", "cache-go"]
MADE_ELSEWHERE = {"aliyun", "terraform"}  # scripts/clients.sh


def java(folder, snippet):
    need(SDKS["java"].variable)
    name = re.search(r"public class (\w+)", snippet)[1]
    (folder / f"{name}.java").write_text(snippet)
    return [*SDKS["java"].command()[:-1], folder / f"{name}.java"]


def go(folder, snippet):
    need(SDKS["go"].variable)
    for file in ("go.mod", "go.sum"):
        shutil.copy(HERE / "go" / file, folder)
    (folder / "main.go").write_text(snippet)
    return ["go", "run", "-C", folder, "."]


def script(program, ending):
    def command(folder, snippet):
        (folder / f"app.{ending}").write_text(snippet)
        return [program, folder / f"app.{ending}"]

    return command


def node(folder, snippet):
    need("BULLA_NODE_MODULES")
    return script("node", "js")(folder, snippet)


def cached(folder, snippet):
    need("BULLA_CACHE_PYTHON")
    return script(os.environ["BULLA_CACHE_PYTHON"], "py")(folder, snippet)


HOW = {
    "python": script(sys.executable, "py"), "python-core": script(sys.executable, "py"), "java": java, "go": go, "node": node,
    "cache-python": cached, "cache-python-v2": cached, "cache-java": java, "cache-go": go,
}  # fmt: skip


def begin(kind, folder, target, more=None):
    """Runs the snippet to its end."""
    environment = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": target.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": target.access_key_secret,
        "BULLA_ENDPOINT": target.endpoint,
        "NODE_PATH": os.environ.get("BULLA_NODE_MODULES", ""),
    } | (more or {})
    if target.ca:
        environment |= {name: target.ca for name in ("BULLA_CA_FILE", "NODE_EXTRA_CA_CERTS")}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BULLA_")}
    command = HOW[kind](folder, SNIPPETS[kind])
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env=inherited | environment, cwd=folder
    )


def run(kind, folder, target, more=None):
    """The last line that the snippet prints."""
    done = begin(kind, folder, target, more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def forget(witness, secret):
    try:
        witness.call("DeleteSecret", SecretName=secret, ForceDeleteWithoutRecovery="true")
    except Refused as e:
        assert e.code == "Forbidden.ResourceNotFound"


def test_every_snippet_is_run():
    assert set(SNIPPETS) == {*TYPED, *CACHES, *MADE_ELSEWHERE}


def test_the_versions_are_those_that_are_tested():
    pinned = "".join((HERE / file).read_text() for file in ("requirements.txt", "requirements-cache.txt", "go/go.mod"))
    pinned += re.sub(r"</?\w+>\s*", " ", (HERE / "java/pom.xml").read_text())
    package = json.loads((HERE / "node/package.json").read_text())["dependencies"]
    text = DOC.read_text()
    told = re.findall(r"pip install (\S+)==([\w.]+)", text) + re.findall(r"go get (\S+)@(v[\w.]+)", text)
    assert len(told) == 6
    for name, version in told:
        assert re.search(rf"(?m)\b{re.escape(name)}(==|\s+){re.escape(version)}(\s|$)", pinned), name
    maven = re.findall(r"`(com\.aliyun):([\w-]+):([\d.]+)`", text)
    assert len(maven) == 3
    for group, artifact, version in maven:
        assert re.search(rf"{re.escape(group)}\s+{artifact}\s+{re.escape(version)}\s", pinned), artifact
    assert re.findall(r"npm install (\S+)@([\d.]+)", text) == [("@alicloud/kms20160120", package["@alicloud/kms20160120"])]


@pytest.mark.parametrize("kind", TYPED)
def test_first_secret(kind, tmp_path, target, secure, witness):
    for number, at in enumerate((target, secure)):
        forget(witness, f"app/{kind}")
        folder = tmp_path / str(number)
        folder.mkdir()
        assert run(kind, folder, at) == "s3cret"
    assert witness.call("GetSecretValue", SecretName=f"app/{kind}")["SecretData"] == "s3cret"


def said():
    """What docs/clients.md says that each client says: of TLS where plain HTTP is served, of an unknown authority, of the reverse."""
    table = DOC.read_text().split("<!-- table: what clients say -->")[1].split("\n\n")[0]
    rows = [[cell.strip(" `") for cell in row.strip("|").split(" | ")] for row in table.strip().splitlines()[2:]]
    names = {"Python": "python", "Python, the older SDK": "python-core", "Java": "java", "Go": "go", "Node": "node"}
    return {names[client]: told for client, *told in rows}


@pytest.mark.parametrize("kind", TYPED)
def test_what_a_client_says_of_the_wrong_protocol(kind, tmp_path, target, secure, authority):
    """Three settings that are wrong, and the words that docs/clients.md explains."""
    strange = Authority(tmp_path)
    https_to_plain = dataclasses.replace(target, ca=secure.ca)
    unknown = dataclasses.replace(secure, ca=str(strange.file))
    http_to_tls = dataclasses.replace(secure, ca=None)
    assert set(said()) == set(TYPED)
    for number, (at, told) in enumerate(zip((https_to_plain, unknown, http_to_tls), said()[kind], strict=True)):
        folder = tmp_path / str(number)
        folder.mkdir()
        done = begin(kind, folder, at)
        assert done.returncode != 0, done
        assert told in done.stdout + done.stderr, (told, done.stdout, done.stderr)


@pytest.mark.parametrize("kind", CACHES)
def test_caching_client(kind, tmp_path, secure, witness):
    """Over TLS, with an access key and, where the client takes one, a client key; both from the environment."""
    forget(witness, "app/db")
    witness.call("CreateSecret", SecretName="app/db", VersionId="v1", SecretData="s3cret")
    regions = json.dumps([{"regionId": "cn-hangzhou", "endpoint": secure.endpoint}])
    where = {"cache_client_region_id": regions}
    key = {"credentials_access_key_id": secure.access_key_id, "credentials_access_secret": secure.access_key_secret}
    if kind == "cache-python-v2":
        assert run(kind, tmp_path, secure) == "s3cret"
        return
    assert run(kind, tmp_path, secure, where | key | {"credentials_type": "ak"}) == "s3cret"
    stranger = dataclasses.replace(secure, access_key_id="none", access_key_secret="none")
    made = client_key(witness, tmp_path, "app/db", ["127.0.0.0/8", "::1"])
    assert run(kind, tmp_path, stranger, where | made | {"credentials_type": "client_key"}) == "s3cret"

"""The snippets of docs/clients.md, run as they stand: how a developer comes to the first secret from each language."""

import contextlib
import dataclasses
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import uuid

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
MADE_ELSEWHERE = {"aliyun", "terraform"}  # tools.py, by `make clients`


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


def example(name, *arguments):
    """An example of the Rust client, which docs/clients.md names, as `cargo test` has built it."""

    def command(folder, snippet):
        need("BULLA_RUST_EXAMPLES")
        return [*json.loads(os.environ["BULLA_RUST_EXAMPLES"])[name], *arguments]

    return command


HOW |= {"rust": example("first_secret"), "cache-rust": example("cached_secret", "app/rust")}


def start(kind, folder, target, more=None, snippet=None):
    """The snippet, or what was made of it, as a process."""
    environment = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": target.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": target.access_key_secret,
        "BULLA_ENDPOINT": target.endpoint,
        "NODE_PATH": os.environ.get("BULLA_NODE_MODULES", ""),
    } | (more or {})
    if target.ca:
        environment |= {name: target.ca for name in ("BULLA_CA_FILE", "NODE_EXTRA_CA_CERTS")}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BULLA_")}
    command = HOW[kind](folder, snippet or SNIPPETS.get(kind))
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=inherited | environment, cwd=folder,
        start_new_session=True,
    )


def end_group(process):
    """With what it started, as `go run` does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()


def begin(kind, folder, target, more=None, snippet=None):
    """Runs it to its end."""
    process = start(kind, folder, target, more, snippet)
    try:
        said = process.communicate(timeout=120)
    finally:
        end_group(process)
    return subprocess.CompletedProcess(process.args, process.returncode, *said)


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


def test_examples_in_rust(tmp_path, target, secure, witness):
    """The first secret and the cached one, which goes on until it is ended."""
    there = {path.name for path in (DOC.parent.parent / "client/examples").iterdir()}
    assert set(re.findall(r"client/examples/(\w+\.rs)", DOC.read_text())) == there
    for at in (target, secure):
        forget(witness, "app/rust")
        assert run("rust", tmp_path, at) == "s3cret of version v1"
        assert run("rust", tmp_path, at) == "s3cret of version v1", "a secret that exists is read"
        assert witness.call("GetSecretValue", SecretName="app/rust")["SecretData"] == "s3cret"
        process = start("cache-rust", tmp_path, at)
        try:
            assert process.stdout.readline() == "app/rust is of version v1, 6 bytes\n", process.poll()
        finally:
            _, errors = end_group(process)
        assert errors == ""


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

def raised():
    """What docs/clients.md says that each client raises: the first names and expressions of each cell, and what it repeats."""
    table = DOC.read_text().split("<!-- table: what clients raise -->")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.strip().splitlines()[2:]]
    return {client: (re.findall(r"`([^`]+)`", kind), re.findall(r"`([^`]+)`", fields), repeats) for client, kind, fields, repeats in rows}


NAMED = {
    "python": "Python, `alibabacloud-kms20160120`", "python-core": "Python, `aliyun-python-sdk-kms`", "java": "Java", "go": "Go", "node": "Node",
}  # fmt: skip


def catching(kind, snippet, error, code, data):
    """The snippet, which now prints the error that ends it as docs/clients.md says that it is read: its code, then where the request id is."""
    if kind in ("python", "python-core"):
        body = "\n".join(f"    {line}" for line in snippet.splitlines())
        return (f"try:\n{body}\nexcept Exception as e:\n    assert {error!r} in [c.__name__ for c in type(e).__mro__], type(e).__mro__\n"
                f"    print({code})\n    print({data})\n")
    if kind == "java":
        main = ("    public static void main(String[] arguments) throws Exception {\n        try {\n            first(arguments);\n"
                f"        }} catch (com.aliyun.tea.{error} e) {{\n            System.out.println({code});\n            System.out.println({data});\n"
                "        }\n    }\n\n")
        begin = "    public static void main("
        return snippet.replace(begin, main + begin.replace("main", "first"))
    if kind == "go":
        told = (f"\nfunc told(err error) {{\n\te, is := err.({error})\n\tif !is {{\n\t\tlog.Fatal(err)\n\t}}\n\tfmt.Println({code})\n"
                f"\tfmt.Println({data})\n\tos.Exit(0)\n}}\n")
        return snippet.replace("log.Fatal(err)", "told(err)") + told
    shown = f"console.log({code});\n  console.log(JSON.stringify({data}));"
    return snippet.replace("\nmain();", f"\nmain().catch((e) => {{\n  if (!(e instanceof {error})) throw e;\n  {shown}\n}});")


@pytest.mark.parametrize("kind", TYPED)
def test_what_a_client_raises(kind, tmp_path, target, witness):
    """By the class and the expressions of docs/clients.md: the code, and the request id that the audit log has."""
    (error, *_), (code, *ending), _ = (raised()[NAMED[kind]])
    data = ending[-1]
    forget(witness, f"app/{kind}")
    witness.call("CreateSecret", SecretName=f"app/{kind}", VersionId="v1", SecretData="s3cret")
    done = begin(kind, tmp_path, target, snippet=catching(kind, SNIPPETS[kind], error, code, data))
    assert done.returncode == 0, done.stdout + done.stderr
    said, where = done.stdout.strip().splitlines()
    assert said == "Rejected.ResourceExist" + ("Error" if kind == "node" else "")
    request = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", where)
    assert request, done.stdout


BUSY = "There is no room for this request."


class Busy(http.server.ThreadingHTTPServer):
    """Answers everything as a server without room; keeps what was asked."""

    daemon_threads = True

    def __init__(self):
        asked = self.asked = []

        class Answer(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked.append((time.monotonic(), self.path, body))
                text = json.dumps({"Code": "ServiceUnavailableTemporary", "Message": BUSY, "RequestId": str(uuid.uuid4()), "HostId": "x"})
                self.send_response(503)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.mark.parametrize("kind", CACHES)
def test_what_a_caching_client_repeats_by_itself(kind, tmp_path, target, authority):
    """Nothing, or so far apart as docs/clients.md says, and farther each time: the first two repetitions are waited for."""
    said = raised()["caching client of Python" if kind == "cache-python" else "the other caching clients"][2]
    with Busy() as busy:
        scheme = "http://"
        if kind in ("cache-java", "cache-go"):
            certificate, key = authority.issue(tmp_path)
            context, scheme = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ""
            context.load_cert_chain(certificate, key)
            busy.socket = context.wrap_socket(busy.socket, server_side=True)
        at = dataclasses.replace(target, endpoint=f"127.0.0.1:{busy.server_port}")
        region = json.dumps([{"regionId": "cn-hangzhou", "endpoint": f"{scheme}{at.endpoint}"}])
        key = {"credentials_type": "ak", "credentials_access_key_id": at.access_key_id, "credentials_access_secret": at.access_key_secret}
        process = start(kind, tmp_path, at, key | {"cache_client_region_id": region})
        # Some ask twice at a time.
        apart = lambda: [ours for before, (ours, *_) in zip([(0,), *busy.asked], busy.asked) if ours - before[0] > 1]  # noqa: E731
        try:
            ends = time.monotonic() + 120
            while len(apart()) < 3 and process.poll() is None:
                assert time.monotonic() < ends, busy.asked
                time.sleep(0.1)
        finally:
            end_group(process)
        busy.shutdown()
    if said.startswith("no"):
        assert len(busy.asked) == 1, busy.asked
        return
    least = int(re.search(r"(\d+) s apart and longer each time", said)[1])
    first, second, third = apart()
    assert second - first > 0.9 * least and third - second > 1.5 * least, busy.asked


@pytest.mark.parametrize("kind", TYPED)
def test_what_a_client_repeats_by_itself(kind, tmp_path, target):
    """`no`, or how often more."""
    said = raised()[NAMED[kind]][2]
    more = 0 if said == "no" else int(re.search(r"(\d+) times", said)[1])
    with Busy() as busy:
        done = begin(kind, tmp_path, dataclasses.replace(target, endpoint=f"127.0.0.1:{busy.server_port}"))
        busy.shutdown()
    assert done.returncode != 0 and BUSY in done.stdout + done.stderr, done
    assert len(busy.asked) == 1 + more, [path for _, path, _ in busy.asked]


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

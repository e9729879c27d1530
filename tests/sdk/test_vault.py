"""The second door: Vault's API, with its own clients, and beside the first."""

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import time
import uuid

import hvac
import hvac.exceptions
import pytest
import requests

from run import free_port
from tls import Authority
from vault import Api, bao


@pytest.fixture(scope="module")
def address(target):
    return f"http://{target.endpoint}"


@pytest.fixture(scope="module")
def api(target, address):
    return Api(address).login(target.access_key_id, target.access_key_secret)


@pytest.fixture
def user_may(new_user, address):
    """Makes a user who may do one thing, and logs it in; gives its name, access key id and API."""

    def make(action, resource):
        statement = {"Effect": "Allow", "Action": action, "Resource": f"acs:kms:*:*:{resource}" if resource != "*" else "*"}
        user, key = new_user({"Version": "1", "Statement": [statement]})
        return user, key.access_key_id, Api(address).login(key.access_key_id, key.access_key_secret)

    return make


@pytest.fixture
def audit_lines():
    flag, _, data = os.environ.get("BULLA_ADMIN_ARGS", "").partition(" ")
    if flag != "--data":
        pytest.skip("BULLA_ADMIN_ARGS names no data folder")
    return lambda: (pathlib.Path(data) / "audit/audit.jsonl").read_text()


@pytest.fixture
def path():
    return f"vault/{uuid.uuid4().hex}"


@pytest.fixture
def client(target, address):
    client = hvac.Client(url=address)
    client.auth.approle.login(target.access_key_id, target.access_key_secret)
    return client


def test_hvac(client, path):
    kv = client.secrets.kv.v2
    assert client.is_authenticated()
    assert client.sys.read_health_status(method="GET")["sealed"] is False
    assert client.sys.read_health_status().status_code == 200, "HEAD"
    for n in range(1, 4):
        made = kv.create_or_update_secret(path, {"n": n, "text": "schön"}, cas=n - 1)
        assert made["data"]["version"] == n
    with pytest.raises(hvac.exceptions.InvalidRequest, match="check-and-set parameter did not match the current version"):
        kv.create_or_update_secret(path, {"n": 9}, cas=1)
    read = kv.read_secret_version(path, raise_on_deleted_version=True)["data"]
    assert read["data"] == {"n": 3, "text": "schön"} and read["metadata"]["version"] == 3
    assert kv.read_secret_version(path, version=1, raise_on_deleted_version=True)["data"]["data"]["n"] == 1
    assert kv.patch(path, {"more": [1, None, {"x": True}]})["data"]["version"] == 4
    assert kv.read_secret_version(path, raise_on_deleted_version=True)["data"]["data"] == {
        "n": 3, "text": "schön", "more": [1, None, {"x": True}],
    }  # fmt: skip
    folder, leaf = path.split("/")
    assert leaf in kv.list_secrets(folder)["data"]["keys"]
    kv.update_metadata(path, custom_metadata={"team": "blue"})
    metadata = kv.read_secret_metadata(path)["data"]
    assert metadata["custom_metadata"] == {"team": "blue"} and metadata["current_version"] == 4
    kv.delete_latest_version_of_secret(path)
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_version(path, raise_on_deleted_version=True)
    assert kv.read_secret_version(path, version=3, raise_on_deleted_version=True)["data"]["data"]["n"] == 3, "the others stay"
    kv.undelete_secret_versions(path, [4])
    assert kv.read_secret_version(path, raise_on_deleted_version=True)["data"]["metadata"]["version"] == 4
    kv.destroy_secret_versions(path, [4, 1])
    with pytest.raises(hvac.exceptions.InvalidPath, match='"destroyed":true'):
        kv.read_secret_version(path, raise_on_deleted_version=True)
    kv.delete_secret_versions(path, [3])
    gone = kv.read_secret_version(path, version=3, raise_on_deleted_version=False)
    assert gone["data"]["data"] is None and gone["data"]["metadata"]["deletion_time"]
    assert kv.create_or_update_secret(path, {"again": True})["data"]["version"] == 5
    kv.delete_metadata_and_all_versions(path)
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_metadata(path)
    client.auth.token.renew_self()
    client.auth.token.revoke_self()
    assert not client.is_authenticated()


def test_bao(api, address, path):
    token = api.token
    assert "Sealed" in bao(address, "status")
    assert "token" in bao(address, "login", "-no-store", token)
    bao(address, "kv", "put", f"secret/{path}", "user=root", "password=-", token=token, stdin="hunter 2")
    assert bao(address, "kv", "get", "-field=password", f"secret/{path}", token=token) == "hunter 2"
    bao(address, "kv", "patch", f"secret/{path}", "user=admin", token=token)
    bao(address, "kv", "patch", "-method=rw", f"secret/{path}", "more=1", token=token)
    told = json.loads(bao(address, "kv", "get", "-format=json", "-mount=secret", path, token=token))
    assert told["data"]["data"] == {"user": "admin", "password": "hunter 2", "more": "1"}
    bao(address, "kv", "put", "-cas=1", f"secret/{path}", "a=b", token=token, expected=2)
    assert path.split("/")[1] in bao(address, "kv", "list", "secret/vault", token=token)
    bao(address, "kv", "metadata", "put", "-custom-metadata=team=blue", f"secret/{path}", token=token)
    assert "blue" in bao(address, "kv", "metadata", "get", f"secret/{path}", token=token)
    bao(address, "kv", "rollback", "-version=1", f"secret/{path}", token=token)
    assert bao(address, "kv", "get", "-field=user", f"secret/{path}", token=token) == "root"
    bao(address, "kv", "delete", f"secret/{path}", token=token)
    bao(address, "kv", "undelete", "-versions=4", f"secret/{path}", token=token)
    bao(address, "kv", "destroy", "-versions=1,2", f"secret/{path}", token=token)
    assert re.search(r"destroyed\s+true", bao(address, "kv", "get", "-version=1", f"secret/{path}", token=token))
    bao(address, "kv", "metadata", "delete", f"secret/{path}", token=token)
    assert "preflight" in bao(address, "kv", "get", "nope/x", token=token, expected=2)
    assert "secret/" in bao(address, "secrets", "list", token=token)
    assert "root" in bao(address, "token", "capabilities", f"secret/data/{path}", token=token)
    child = json.loads(bao(address, "token", "create", "-ttl=10m", "-format=json", token=token))["auth"]["client_token"]
    assert "auth/token/create" in bao(address, "token", "lookup", token=child)
    bao(address, "token", "renew", token=child)
    bao(address, "token", "revoke", "-self", token=child)
    bao(address, "token", "lookup", token=child, expected=2)
    assert api.ask("GET", "auth/token/lookup-self")[0] == 200, "the parent lives"


def test_both_doors_see_one_history(api, witness, path):
    name = path
    witness.call("CreateSecret", SecretName=name, VersionId="v1", SecretData='{"a":1}')
    assert api.ask("GET", f"secret/data/{name}")[2]["data"]["data"] == {"a": 1}
    assert api.ask("POST", f"secret/data/{name}", {"data": {"b": 2}})[2]["data"]["version"] == 2
    assert json.loads(witness.call("GetSecretValue", SecretName=name)["SecretData"]) == {"b": 2}
    witness.call("PutSecretValue", SecretName=name, VersionId="plain", SecretData="no \"object\"")
    assert api.ask("GET", f"secret/data/{name}")[2]["data"]["data"] == {"value": "no \"object\""}
    assert api.ask("GET", f"secret/metadata/{name}")[2]["data"]["current_version"] == 3
    witness.call("DeleteSecret", SecretName=name, RecoveryWindowInDays="7")
    status, _, answer = api.ask("GET", f"secret/data/{name}")
    assert status == 404 and answer["data"]["data"] is None and answer["data"]["metadata"]["deletion_time"]
    assert api.ask("POST", f"secret/data/{name}", {"data": {"c": 3}, "options": {"cas": 3}})[0] == 200
    assert json.loads(witness.call("GetSecretValue", SecretName=name)["SecretData"]) == {"c": 3}, "restored and put"
    assert api.ask("POST", f"secret/destroy/{name}", {"versions": [4]})[0] == 204
    with pytest.raises(Exception, match="ResourceNotFound"):
        witness.call("GetSecretValue", SecretName=name)
    assert api.ask("DELETE", f"secret/metadata/{name}")[0] == 204


def test_what_is_refused(api, address, path):
    status, headers, answer = Api(address).ask("GET", f"secret/data/{path}")
    assert (status, answer) == (403, {"errors": ["permission denied"]})
    assert headers["cache-control"] == "no-store" and headers["content-type"] == "application/json"
    assert Api(address, "s.nope").ask("GET", f"secret/data/{path}")[0] == 403
    wrong = Api(address).ask("POST", "auth/approle/login", {"role_id": "BLLAX", "secret_id": "y"})
    assert (wrong[0], wrong[2]) == (400, {"errors": ["invalid role or secret ID"]})
    assert api.ask("GET", "nope/x")[2] == {"errors": ['no handler for route "nope/x". route entry not found.']}
    assert api.ask("GET", f"secret/data/{path}", headers={"X-Vault-Wrap-TTL": "60"})[0] == 400
    for odd in ("m%C3%BCnchen", "with%20space", "x" * 193, "acs/x"):
        status, _, answer = api.ask("POST", f"secret/data/{odd}", {"data": {"a": 1}})
        assert status == 400 and "letters, digits" in answer["errors"][0], odd
    for half in (b'{"data": {"a": "\\ud800"}}', b'{"data": {"a": ["x\\uDC00y"]}}', b'{"data": {"\\ud800": 1}}'):
        status, _, answer = api.ask("POST", f"secret/data/{path}", raw=half)
        assert status == 400 and "surrogate" in answer["errors"][0], half
    status, _, answer = api.ask("GET", "secret/metadata/?scan=true")
    assert status == 405, answer
    status, _, answer = api.ask("POST", f"secret/data/{path}", {"data": {"a": "x" * 40_000}})
    assert status == 400 and "30720" in answer["errors"][0]
    status, _, answer = api.ask("POST", f"secret/data/{path}", raw=b'{"data": {"password": "hunter2"')
    assert status == 400 and answer["errors"] == ["failed to decode JSON input: unexpected EOF"]


def test_metadata_first(api, path):
    """As External Secrets' PushSecret does: metadata before there is a value."""
    assert api.ask("GET", f"secret/data/{path}")[0] == 404
    assert api.ask("PUT", f"secret/metadata/{path}", {"custom_metadata": {"managed-by": "external-secrets"}})[0] == 204
    metadata = api.ask("GET", f"secret/metadata/{path}")[2]["data"]
    assert metadata["current_version"] == 0 and metadata["versions"] == {}
    assert api.ask("GET", f"secret/data/{path}")[0] == 404
    assert api.ask("PUT", f"secret/data/{path}", {"data": {"a": 1}, "options": {"cas": 0}})[2]["data"]["version"] == 1
    read = api.ask("GET", f"secret/data/{path}")[2]["data"]
    assert read["data"] == {"a": 1} and read["metadata"]["custom_metadata"] == {"managed-by": "external-secrets"}


def test_a_user_has_what_its_policies_give(user_may, path):
    """A user may read under vault/ and nothing else."""
    _, _, user = user_may("kms:GetSecretValue", "secret/vault/*")
    assert user.ask("GET", f"secret/data/{path}")[0] == 404
    denied = (403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]})
    for method, where, body in (
        ("GET", "secret/data/other/x", None),
        ("POST", f"secret/data/{path}", {"data": {"a": 1}}),
        ("PATCH", f"secret/data/{path}", {"data": {"a": 1}}),
        ("DELETE", f"secret/data/{path}", None),
        ("GET", f"secret/metadata/{path}", None),
        ("GET", "secret/metadata/?list=true", None),
        ("PUT", f"secret/metadata/{path}", {"custom_metadata": {"a": "b"}}),
        ("DELETE", f"secret/metadata/{path}", None),
        ("PUT", f"secret/delete/{path}", {"versions": [1]}),
        ("PUT", f"secret/undelete/{path}", {"versions": [1]}),
        ("PUT", f"secret/destroy/{path}", {"versions": [1]}),
    ):
        headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else None
        status, _, answer = user.ask(method, where, body, headers)
        assert (status, answer) == denied, (method, where)
    may = user.ask("POST", "sys/capabilities-self", {"paths": [f"secret/data/{path}", "secret/data/other/x"]})[2]
    assert may["data"] == {f"secret/data/{path}": ["read"], "secret/data/other/x": ["deny"]}


@pytest.mark.parametrize("of", ["access-key", "user"])
def test_a_token_ends_with_its_access_key_and_its_user(user_may, admin, of):
    name, key_id, user = user_may("kms:*", "*")
    assert user.ask("GET", "auth/token/lookup-self")[0] == 200
    admin(of, "disable", key_id if of == "access-key" else name)
    deadline = time.monotonic() + 30
    while user.ask("GET", "auth/token/lookup-self")[0] != 403:
        assert time.monotonic() < deadline, "still believed"
        time.sleep(0.1)


def test_pages_of_names(api):
    base = f"tree{uuid.uuid4().hex[:8]}"
    for name in ("a", "a-b", "a/x", "a/y/z", "b", *(f"many/n{n:03}" for n in range(120))):
        assert api.ask("POST", f"secret/data/{base}/{name}", {"data": {"a": 1}})[0] == 200
    keys = lambda where: api.ask("LIST", f"secret/metadata/{where}")[2]["data"]["keys"]  # noqa: E731
    assert keys(base) == ["a", "a-b", "a/", "b", "many/"]
    assert keys(f"{base}/a/") == ["x", "y/"]
    assert len(keys(f"{base}/many")) == 120
    assert f"{base}/" in keys("")


def test_the_log_tells_no_effect_that_there_was_none_of(api, admin, path):
    """What is done to what is not there leaves its mark too: commands compare the audit log with the database."""
    for method, where, body in (
        ("DELETE", f"secret/data/{path}", None),
        ("DELETE", f"secret/metadata/{path}", None),
        ("PUT", f"secret/delete/{path}", {"versions": [1]}),
        ("PUT", f"secret/undelete/{path}", {"versions": [1]}),
        ("PUT", f"secret/destroy/{path}", {"versions": [1]}),
        ("POST", f"secret/metadata/{path}", {}),
        ("PUT", f"secret/metadata/{path}", {"max_versions": 0, "cas_required": False}),
    ):
        assert api.ask(method, where, body)[0] == 204, (method, where)
        admin("account", "list")


def test_a_form_is_taken_as_json_is(target, address, path):
    """`curl -d role_id=… -d secret_id=…`, and requests.post(url, data=…)."""
    form = {"role_id": target.access_key_id, "secret_id": target.access_key_secret}
    answer = requests.post(f"{address}/v1/auth/approle/login", data=form, timeout=60)
    assert answer.status_code == 200, answer.text
    api = Api(address, answer.json()["auth"]["client_token"])
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert api.ask("POST", f"secret/data/{path}", {"data": {"k": "v"}}, headers=kind)[0] == 200, "what begins as JSON is JSON"
    assert api.ask("POST", f"secret/destroy/{path}", raw=b"versions=1&versions=2", headers=kind)[0] == 204
    assert api.ask("GET", f"secret/metadata/{path}")[2]["data"]["versions"]["1"]["destroyed"] is True
    for wrong in (b"ttl=%4", b"ttl=%ff"):
        status, _, answer = api.ask("POST", "auth/token/create", raw=wrong, headers=kind)
        assert status == 400 and "form" in answer["errors"][0], answer
    made = api.ask("POST", "auth/token/create", raw=b"ttl=5h&policies=", headers=kind)[2]["auth"]
    told = Api(address, made["client_token"]).ask("GET", "auth/token/lookup-self")[2]["data"]
    assert told["creation_ttl"] in (made["lease_duration"], made["lease_duration"] - 1), "less than it asked for, as it was given"


def test_tokens_of_the_host(admin, address, new_user):
    user, _ = new_user({"Version": "1", "Statement": [{"Effect": "Allow", "Action": "kms:ListSecrets", "Resource": "*"}]})
    made = admin("token", "create", "--user", user, "--ttl", "30d")
    shown = Api(address, made["Token"])
    told = shown.ask("GET", "auth/token/lookup-self")[2]["data"]
    assert told["display_name"] == f"user/{user}" and told["ttl"] > 29 * 86_400 and told["renewable"] is False
    assert made["Accessor"] in [token["Accessor"] for token in admin("token", "list")]
    assert shown.ask("POST", "auth/token/renew-self", {})[2] == {"errors": ["lease is not renewable"]}
    admin("token", "revoke", made["Accessor"])
    deadline = time.monotonic() + 30
    while shown.ask("GET", "auth/token/lookup-self")[0] != 403:
        assert time.monotonic() < deadline, "still believed"
        time.sleep(0.1)


def test_the_audit_log_has_no_token(api, audit_lines, path):
    api.ask("POST", f"secret/data/{path}", {"data": {"password": "correct horse"}})
    api.ask("GET", f"secret/data/{path}")
    text = audit_lines()
    assert api.token not in text and "correct horse" not in text
    lines = [json.loads(line) for line in text.splitlines() if f"secret/{path}" in line]
    read = [line for line in lines if line.get("action") == "GetSecretValue" and line.get("code") == "OK"]
    assert read and read[-1]["via"] == "vault" and re.fullmatch(r"[\w.]{24}", read[-1]["token"])


def test_two_nodes_one_of_them_under_tls(secure, target, address, path):
    """Own authority, one deployment behind both, and a token that ends on both."""
    client = hvac.Client(url=f"https://{secure.endpoint}", verify=secure.ca)
    client.auth.approle.login(target.access_key_id, target.access_key_secret)
    client.secrets.kv.v2.create_or_update_secret(path, {"user": "root"}, cas=0)
    here = Api(address, client.token)
    status, _, answer = here.ask("GET", f"secret/data/{path}")
    assert (status, answer["data"]["data"]) == (200, {"user": "root"})
    status, _, answer = here.ask("POST", f"secret/data/{path}", {"data": {"user": "app"}, "options": {"cas": 1}})
    assert (status, answer["data"]["version"]) == (200, 2)
    read = client.secrets.kv.v2.read_secret_version(path, raise_on_deleted_version=True)
    assert read["data"]["data"] == {"user": "app"}
    assert here.ask("POST", "auth/token/revoke-self")[0] == 204
    assert here.ask("GET", f"secret/data/{path}")[0] == 403
    deadline = time.monotonic() + 30
    while client.is_authenticated():
        assert time.monotonic() < deadline, "the other node does not hear of it"
        time.sleep(0.05)


def test_a_server_of_another_authority_gets_no_secret_id(secure, target, tmp_path):
    client = hvac.Client(url=f"https://{secure.endpoint}", verify=str(Authority(tmp_path).file))
    with pytest.raises(requests.exceptions.SSLError):
        client.auth.approle.login(target.access_key_id, target.access_key_secret)


def test_plain_http_beyond_loopback_gets_no_token(tmp_path):
    """Whatever the listener allows: a token that was seen could be shown again."""
    if "BULLA_PROGRAM" not in os.environ:
        pytest.skip("BULLA_PROGRAM is not set")
    host = "127.0.0.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("198.51.100.1", 9))
        host = probe.getsockname()[0]
    if host.startswith(("127.", "0.")):
        pytest.skip("no address of this machine but loopback")
    port = free_port()
    command = [os.environ["BULLA_PROGRAM"], "dev", "--data", tmp_path / "d", "--listen", f"0.0.0.0:{port}", "--listen-to-everyone"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BULLA_")}
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
    try:
        near, far = Api(f"http://127.0.0.1:{port}"), Api(f"http://{host}:{port}")
        deadline = time.monotonic() + 60
        while True:
            assert server.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
            with contextlib.suppress(OSError):
                if near.ask("GET", "sys/health")[0] == 200 and (tmp_path / "d/access-key-secret").exists():
                    break
            time.sleep(0.1)
        variables = dict(re.findall(r"(?m)^export (\w+)='(.*)'$", (tmp_path / "d/env.sh").read_text()))
        credentials = [variables["ALIBABA_CLOUD_ACCESS_KEY_ID"], variables["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]]
        token = near.login(*credentials).token
        login = {"role_id": credentials[0], "secret_id": credentials[1]}
        shown = {"X-Vault-Token": token}
        for method, path, body in [("POST", "auth/approle/login", login), ("GET", "secret/data/x", None), ("GET", "sys/health", None)]:
            status, _, answer = far.ask(method, path, body, headers=shown)
            assert status == 400 and "TLS" in answer["errors"][0], (path, status, answer)
    finally:
        server.kill()
        server.wait(timeout=60)

"""Logins of the second door with the proofs of others: JWTs as Kubernetes and GitLab sign them, client certificates."""

import json
import os
import pathlib
import signal
import ssl
import subprocess
import time
import urllib.request
import uuid

import hvac
import hvac.exceptions
import pytest

from issuer import Issuer
from tls import Authority
from vault import Api, bao, bao_server


@pytest.fixture
def path(witness):
    """A secret that the logins' user may read."""
    name = f"logins/{uuid.uuid4().hex}"
    witness.call("CreateSecret", SecretName=name, VersionId="v1", SecretData='{"password":"correct horse"}')
    return name


def ask(logins, path, body, certificate=None):
    """Status and body of a POST, with a client certificate where one is given."""
    context = ssl.create_default_context(cafile=logins.authority.file)
    if certificate:
        context.load_cert_chain(*certificate)
    request = urllib.request.Request(f"{logins.address}/v1/{path}", data=json.dumps(body).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


def reads(logins, token, path):
    return hvac.Client(url=logins.address, verify=str(logins.authority.file), token=token).secrets.kv.v2.read_secret_version(
        path, raise_on_deleted_version=True
    )["data"]["data"]


def test_a_service_account_of_kubernetes(logins, path):
    client = hvac.Client(url=logins.address, verify=str(logins.authority.file))
    login = hvac.api.auth_methods.Kubernetes(client.adapter).login("app", logins.service_account())
    assert login["auth"]["metadata"]["role_name"] == f"user/{logins.user}" and login["auth"]["renewable"]
    assert client.secrets.kv.v2.read_secret_version(path, raise_on_deleted_version=True)["data"]["data"] == {"password": "correct horse"}
    with pytest.raises(hvac.exceptions.Forbidden):
        client.secrets.kv.v2.read_secret_version("elsewhere/x", raise_on_deleted_version=True)
    told = client.auth.token.lookup_self()["data"]
    assert told["path"] == "auth/kubernetes/login" and told["orphan"] and told["type"] == "service"
    assert client.auth.token.renew_self()["auth"]["lease_duration"] > 3500
    client.auth.token.revoke_self()
    assert not client.is_authenticated()


def test_a_pipeline_through_the_program_bao(logins, path):
    jwt = logins.pipeline.token(project_path="bank/app", ref_protected="true", aud=["x", "https://bulla"])
    ca = {"BAO_CACERT": str(logins.authority.file), "VAULT_CACERT": str(logins.authority.file)}
    token = bao(logins.address, "write", "-field=token", "auth/jwt/login", "role=deploy", "jwt=-", stdin=jwt, environment=ca)
    assert bao(logins.address, "kv", "get", "-field=password", f"secret/{path}", token=token, environment=ca) == "correct horse"


def test_a_client_certificate(logins, path, tmp_path):
    certificate, key = logins.certificate
    ca = {"BAO_CACERT": str(logins.authority.file), "VAULT_CACERT": str(logins.authority.file)}
    told = bao(
        logins.address, "login", "-method=cert", "-no-store", "-format=json", f"-client-cert={certificate}", f"-client-key={key}",
        environment=ca,
    )  # fmt: skip
    auth = json.loads(told)["auth"]
    assert reads(logins, auth["client_token"], path) == {"password": "correct horse"}
    status, answer = ask(logins, "auth/cert/login", {"name": "web"}, logins.certificate)
    assert status == 200 and answer["auth"]["metadata"]["role_name"] == f"user/{logins.user}"
    other = logins.authority.client(tmp_path, "other", dns=["web.example"])
    invalid = "invalid certificate or no client certificate supplied"
    for body, shown, why in (
        ({}, None, "no client certificate found"),
        ({}, other, "no chain matching all constraints could be found for this login certificate"),
        ({"name": "api"}, logins.certificate, invalid),
    ):
        assert ask(logins, "auth/cert/login", body, shown) == (400, {"errors": [why]})
    stranger = Authority(tmp_path).client(tmp_path, "web", dns=["web.example"], uris=["spiffe://bank/web"])
    with pytest.raises((OSError, ssl.SSLError)):
        ask(logins, "auth/cert/login", {}, stranger)


def test_an_issuer_has_a_new_key(logins, path):
    old = logins.service_account()
    logins.cluster.rotate()
    deadline = time.monotonic() + 60
    while ask(logins, "auth/kubernetes/login", {"role": "app", "jwt": logins.service_account()})[0] != 200:
        # An issuer is asked every five seconds at most.
        assert time.monotonic() < deadline
        time.sleep(0.5)
    status, answer = ask(logins, "auth/kubernetes/login", {"role": "app", "jwt": old})
    assert status == 200 and reads(logins, answer["auth"]["client_token"], path) == {"password": "correct horse"}


def test_what_is_refused_in_the_words_of_openbao(logins, tmp_path):
    """The same tokens to an OpenBao server, but for those that it takes."""
    issuer, role = logins.pipeline, {"project_path": "bank/app", "ref_protected": "true"}
    now, stranger = int(time.time()), Issuer(logins.pipeline.name)
    login = lambda **claims: {"role": "deploy", "jwt": issuer.token(**{**role, **claims})}  # noqa: E731
    table = [
        login(),
        {"role": "deploy"},
        {"jwt": issuer.token(**role)},
        {},
        {"role": "absent", "jwt": issuer.token(**role)},
        {"role": "deploy", "jwt": "a.b"},
        {"role": "deploy", "jwt": stranger.token(**role)},
        {"role": "deploy", "jwt": issuer.token(header={"alg": "none"}, **role)},
        {"role": "deploy", "jwt": issuer.token(header={"alg": "HS256"}, **role)},
        {"role": "deploy", "jwt": issuer.token(header={"crit": ["x"], "x": 1}, **role)},
        login(iss="https://other"),
        login(iss=None),
        login(aud="other"),
        login(aud=None),
        login(exp=now - 600),
        login(nbf=now + 600),
        login(project_path="bank/other"),
        login(project_path=None),
        login(ref_protected=["false"]),
        login(ref_protected=["false", "true"]),
    ]
    ours = [ask(logins, "auth/jwt/login", body) for body in table]
    with bao_server(tmp_path, "-dev", "-dev-root-token-id=root", "-dev-no-store-token") as (address, _):
        root = Api(address, "root")
        assert root.ask("POST", "sys/auth/jwt", {"type": "jwt"})[0] == 204
        config = {"jwt_validation_pubkeys": [issuer.pem()], "bound_issuer": issuer.name, "jwt_supported_algs": ["ES256"]}
        assert root.ask("POST", "auth/jwt/config", config)[0] == 204
        bound = {name: [value] for name, value in role.items()}
        of = {"role_type": "jwt", "user_claim": "iss", "bound_audiences": ["bulla"], "bound_claims": bound}
        assert root.ask("POST", "auth/jwt/role/deploy", of)[0] == 204
        for body, (status, told) in zip(table, ours, strict=True):
            their_status, _, their = Api(address).ask("POST", "auth/jwt/login", body)
            if their_status != 200:
                # What stands behind this of a token that is no token is Go's.
                words = lambda answer: answer["errors"][0].replace("go-jose/go-jose: ", "")  # noqa: E731
                assert (status, words(told)) == (their_status, words(their)), body
            else:
                assert status == 200, (told, body)
                assert told["auth"].keys() == their["auth"].keys() and told["data"] is their["data"] is None
    assert ask(logins, "auth/jwt/login", login(exp=None))[1]["errors"] == [
        "error validating token: no expiration time (exp) claim in token"
    ], "taken there"


def test_a_login_ends_with_its_user_and_tells_nothing(logins, path, tmp_path):
    jwt = logins.service_account(jti=uuid.uuid4().hex)
    status, answer = ask(logins, "auth/kubernetes/login", {"role": "app", "jwt": jwt})
    assert status == 200
    token = answer["auth"]["client_token"]
    assert ask(logins, "auth/kubernetes/login", {"role": "app", "jwt": jwt[:-2]})[0] == 400
    logins.admin("user", "disable", logins.user)
    try:
        deadline = time.monotonic() + 30
        while hvac.Client(url=logins.address, verify=str(logins.authority.file), token=token).is_authenticated():
            assert time.monotonic() < deadline, "still believed"
            time.sleep(0.1)
        status, answer = ask(logins, "auth/kubernetes/login", {"role": "app", "jwt": jwt})
        assert (status, answer) == (400, {"errors": ["the user of this login is not there, or disabled"]})
    finally:
        logins.admin("user", "enable", logins.user)
    folder = pathlib.Path(os.environ["BULLA_ADMIN_ARGS"].partition(" ")[2])
    log = (logins.node.folder / "log").read_text()
    audit = "".join(file.read_text() for file in (logins.node.folder / "audit").glob("*.jsonl"))
    signature, body = jwt.rsplit(".", 1)[1], jwt.split(".")[1]
    for text in (log, audit, (folder / "audit/audit.jsonl").read_text()):
        assert token not in text and signature not in text and body not in text
    lines = [json.loads(line) for line in audit.splitlines()]
    issued = [line for line in lines if line.get("action") == "IssueToken" and line.get("kind") == "outcome"]
    assert issued and all(line["principal"] == f"user/{logins.user}" and line["via"] == "vault" for line in issued[-1:]), issued
    refused = [line for line in lines if line.get("action") == "IssueToken" and line.get("code") == "Forbidden.Login"]
    assert refused and "principal" not in refused[-1]


def test_other_roles_without_a_restart(logins):
    """SIGHUP reads the logins again; what does not fit leaves those before."""
    body = lambda role: {"role": role, "jwt": logins.service_account()}  # noqa: E731
    status = lambda role: ask(logins, "auth/kubernetes/login", body(role))[0]  # noqa: E731
    assert (status("app"), status("other")) == (200, 400)
    before = logins.node.more
    try:
        for more, expected in (
            (logins.sections(logins.url, ("other",)), (400, 200)),
            (before.replace("gitlab.pem", "nowhere.pem"), (400, 200)),
            (before, (200, 400)),
        ):
            logins.node.more = more
            logins.node.configure()
            logins.node.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 60
            log = lambda: (logins.node.folder / "log").read_text()  # noqa: E731
            seen = "logins: cannot be read again" if "nowhere" in more else None
            while (status("app"), status("other")) != expected or (seen and seen not in log()):
                assert time.monotonic() < deadline, log()[-2000:]
                time.sleep(0.1)
    finally:
        logins.node.more = before


def test_check_asks_issuers_and_looks_for_users(logins, admin):
    command = [*os.environ["BULLA_PROGRAM"].split(), "check", "--config", logins.node.configure()]
    told = logins_check(command)
    assert "auth/jwt: 1 keys; auth/kubernetes: " in told, told
    logins.node.more = logins.node.more.replace(logins.user, "nobody")
    try:
        assert "speaks for user nobody" in logins_check([*command[:-1], logins.node.configure()])
    finally:
        logins.node.more = logins.node.more.replace("nobody", logins.user)
        logins.node.configure()


def logins_check(command):
    folder = os.environ["BULLA_ADMIN_ARGS"].partition(" ")[2]
    environment = {**os.environ, "SOFTHSM2_CONF": f"{folder}/softhsm2.conf"}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env=environment)
    return done.stdout + done.stderr

"""Clients of the second door in the order in which they call, and the recipes of packaging/vault, each as it is shipped.

What cannot run here (External Secrets Operator, the CSI driver, Terraform's provider, GitLab's runner, Spring) is replayed: their requests, made
from what the recipe says, with HashiCorp's Go client where they use it.
"""

import json
import os
import pathlib
import re
import subprocess
import time

import hvac
import pytest
import yaml

from conftest import need
from vault import BAO, Api

HERE = pathlib.Path(__file__).parent
RECIPES = HERE.parent.parent / "packaging/vault"
VALUE = {"user": "app", "password": "correct horse"}


@pytest.fixture(scope="module", autouse=True)
def secret(target):
    """What all recipes read; gives the API of the account's root."""
    root = Api(f"http://{target.endpoint}").login(target.access_key_id, target.access_key_secret)
    assert root.ask("POST", "secret/data/app/db", {"data": VALUE})[0] == 200
    yield root
    root.ask("DELETE", "secret/metadata/app/db")


def recipe(name):
    return (RECIPES / name).read_text()


def run(command, logins, said=None, **environment):
    own = {"PATH": os.environ["PATH"], "HOME": str(logins.folder), "VAULT_ADDR": logins.address, "VAULT_CACERT": str(logins.authority.file)}
    done = subprocess.run(
        command, input=None if said is None else json.dumps(said), env=own | environment, capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL if said is None else None,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def go(logins):
    need("BULLA_GO_VAULT")
    return lambda sequence, **said: json.loads(run([*json.loads(os.environ["BULLA_GO_VAULT"]), sequence], logins, said))


def kinds(name):
    return {document["kind"]: document for document in yaml.safe_load_all(recipe(name))}


def test_external_secrets_operator(go, logins):
    found = kinds("eso.yaml")
    store, auth = found["SecretStore"]["spec"]["provider"]["vault"], found["SecretStore"]["spec"]["provider"]["vault"]["auth"]["kubernetes"]
    assert store["version"] == "v2"
    jwt = logins.service_account(aud=auth["serviceAccountRef"]["audiences"])
    [wanted], [pushed] = found["ExternalSecret"]["spec"]["data"], found["PushSecret"]["spec"]["data"]
    read = go(
        "eso", mount=auth["mountPath"], role=auth["role"], jwt=jwt, kv=store["path"], key=wanted["remoteRef"]["key"],
        push=pushed["match"]["remoteRef"]["remoteKey"],
    )  # fmt: skip
    assert read[wanted["remoteRef"]["property"]] == VALUE["password"]


def test_the_csi_driver(go, logins):
    said = kinds("csi.yaml")["SecretProviderClass"]["spec"]["parameters"]
    [wanted] = yaml.safe_load(said["objects"])
    jwt = logins.service_account(aud=said["audience"])
    read = go("csi", mount=said["vaultAuthMountPath"], role=said["roleName"], jwt=jwt, path=wanted["secretPath"])
    assert read[wanted["secretKey"]] == VALUE["password"]


def test_gitlab(go, logins):
    job = yaml.safe_load(recipe("gitlab-ci.yml"))["deploy"]
    variables, wanted = job["variables"], job["secrets"]["DB_PASSWORD"]["vault"]
    audience = job["id_tokens"]["VAULT_ID_TOKEN"]["aud"]
    jwt = logins.pipeline.token(aud=audience, project_path="bank/app", ref_protected="true")
    read = go(
        "gitlab", mount=variables["VAULT_AUTH_PATH"], role=variables["VAULT_AUTH_ROLE"], jwt=jwt, kv=wanted["engine"]["path"],
        key=wanted["path"],
    )  # fmt: skip
    assert read[wanted["field"]] == VALUE["password"]


def test_terraform(go, target):
    text = recipe("terraform.tf")
    path, mount, name = (re.search(rf'(?m)^\s+{word}\s+= "(.*)"$', text)[1] for word in ("path", "mount", "name"))
    members = re.search(r"parameters = \{ (\w+) = var.access_key_id, (\w+) = var.access_key_secret \}", text).groups()
    parameters = dict(zip(members, (target.access_key_id, target.access_key_secret), strict=True))
    assert go("terraform", path=path, parameters=parameters, kv=mount, key=name) == VALUE


def test_the_go_client(go, logins):
    assert go("kv", mount="kubernetes", role="app", jwt=logins.service_account(), kv="secret", push="app/pushed-by-go") == {"n": "1"}


def test_spring(logins):
    """As spring-cloud-vault asks: login, the application with and without its profile, then its own token."""
    said = yaml.safe_load(recipe("spring.yml"))["spring"]
    vault, name, profile = said["cloud.vault"], said["application.name"], said["profiles.active"]
    client = hvac.Client(url=logins.address, verify=str(logins.authority.file)).adapter
    body = {"role": vault["kubernetes"]["role"], "jwt": logins.service_account()}
    login = client.post(f"/v1/auth/{vault['kubernetes']['kubernetes-path']}/login", json=body)
    client.token = login["auth"]["client_token"]
    backend, separator = vault["kv"]["backend"], vault["kv"]["profile-separator"]
    asked = [f"/v1/{backend}/data/{context}" for context in (f"{name}{separator}{profile}", name, f"{name}/db")]
    told = [client.get(path, raise_exception=False) for path in asked]
    assert [answer.status_code if hasattr(answer, "status_code") else answer["data"]["data"] for answer in told] == [404, 404, VALUE]
    assert client.get("/v1/auth/token/lookup-self")["data"]["renewable"] is True
    assert client.post("/v1/auth/token/renew-self")["auth"]["lease_duration"] > 3000
    assert client.post("/v1/auth/token/revoke-self").status_code == 204


def test_curl(logins, target, tmp_path):
    (tmp_path / "secret").write_text(target.access_key_secret)
    text = recipe("curl.sh").replace("/etc/bulla/ca.crt", str(logins.authority.file)).replace("https://bulla:8443", logins.address)
    told = run(["sh", "-c", text], logins, BULLA_ID=target.access_key_id, BULLA_SECRET_FILE=str(tmp_path / "secret"))
    assert told == f"{VALUE['password']}\n"


def test_node_vault(logins, target):
    need("BULLA_NODE_MODULES")
    said = {
        "role_id": target.access_key_id, "secret_id": target.access_key_secret, "role": "app", "jwt": logins.service_account(),
        "path": "app/node-vault/one",
    }  # fmt: skip
    environment = {"NODE_PATH": os.environ["BULLA_NODE_MODULES"], "NODE_EXTRA_CA_CERTS": str(logins.authority.file)}
    assert json.loads(run(["node", HERE / "node/vault.js"], logins, said, **environment)) == {"n": 2, "more": {"x": [1, None]}}


def test_an_agent_follows_a_rotation(logins, target, secret, tmp_path):
    text = recipe("agent.hcl").replace("https://bulla:8443", logins.address).replace("/etc/bulla/ca.crt", str(logins.authority.file))
    text = text.replace('"30s"', '"1s"')
    assert all(f'"{folder}/' in text for folder in ("/run/bulla-agent", "/etc/app", "/run/app"))
    for folder in ("/run/bulla-agent", "/etc/app", "/run/app"):
        (tmp_path / folder[1:]).mkdir(parents=True)
        text = text.replace(f'"{folder}/', f'"{tmp_path}{folder}/')
    (tmp_path / "etc/app/access-key-id").write_text(target.access_key_id)
    (tmp_path / "etc/app/access-key-secret").write_text(target.access_key_secret)
    config, rendered, log = tmp_path / "agent.hcl", tmp_path / "run/app/db.env", tmp_path / "log"
    config.write_text(text)

    def comes(value):
        deadline = time.monotonic() + 60
        while not rendered.exists() or rendered.read_text() != f"password={value}\n":
            assert agent.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    with open(log, "wb") as out:
        command = ["setpriv", "--pdeathsig", "KILL", "--", BAO, "agent", f"-config={config}"]
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        agent = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)
    try:
        comes(VALUE["password"])
        assert rendered.stat().st_mode & 0o777 == 0o600
        assert secret.ask("POST", "secret/data/app/db", {"data": {**VALUE, "password": "rotated"}})[0] == 200
        comes("rotated")
    finally:
        agent.kill()
        agent.wait(timeout=60)
        assert secret.ask("POST", "secret/data/app/db", {"data": VALUE})[0] == 200
    assert target.access_key_secret not in log.read_text()


def test_every_recipe_is_named_in_the_documentation():
    text = (RECIPES.parent.parent / "docs/vault.md").read_text()
    missing = [file.name for file in RECIPES.iterdir() if f"packaging/vault/{file.name}" not in text]
    assert not missing

"""Clients of the second door that take long to install, to build or to run. `make vault-clients` runs this; CI does not."""

import json
import os
import pathlib
import uuid

from conftest import need
from test_vault_clients import recipe, run
from test_vault_transit import make_key, unplugged, unseals  # noqa: F401 (a fixture)
from vault import Api


def test_ansible(logins, target, tmp_path):
    need("BULLA_ANSIBLE")
    place, out = pathlib.Path(os.environ["BULLA_ANSIBLE"]), tmp_path / "db.env"
    playbook = tmp_path / "ansible.yml"
    text = recipe("ansible.yml").replace("https://bulla:8443", logins.address).replace("/etc/bulla/ca.crt", str(logins.authority.file))
    playbook.write_text(text)
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(place / "collections"), "ANSIBLE_LOCALHOST_WARNING": "false", "LC_ALL": "C.UTF-8",
        "BULLA_ID": target.access_key_id, "BULLA_SECRET": target.access_key_secret,
    }  # fmt: skip
    command = [place / "bin/ansible-playbook", "-e", f"out={out}", "-e", f"ansible_python_interpreter={place}/bin/python", playbook]
    for version in (1, 2):
        run(command, logins, **environment)
        assert out.read_text().startswith("password=") and out.read_text().endswith(f"\nversion={version}\n")
    assert Api(f"http://{target.endpoint}").login(target.access_key_id, target.access_key_secret).ask("DELETE", "secret/metadata/app/ansible")[0] == 204


def test_openbao_unseals_itself_twenty_times(target, make_key, tmp_path):
    unseals(target, make_key()[0], tmp_path, 20)


def test_openbao_unseals_itself_twenty_times_when_the_token_is_back(target, make_key, tmp_path):
    unseals(target, make_key()[0], tmp_path, 20, before=unplugged)


def test_vaultrs(logins, target, witness):
    need("BULLA_VAULTRS")
    key = f"vaultrs-{uuid.uuid4().hex[:12]}"
    witness.call("CreateAlias", KeyId=witness.call("CreateKey")["KeyMetadata"]["KeyId"], AliasName=f"alias/{key}")
    said = {"role_id": target.access_key_id, "secret_id": target.access_key_secret, "path": f"vaultrs/{key}", "key": key}
    assert json.loads(run(json.loads(os.environ["BULLA_VAULTRS"]), logins, said)) == {"n": "2"}

"""`aliyun` and Terraform against Bulla: the last two snippets of docs/clients.md. `make clients` runs this; CI does not.

run.py --tools finds or builds the programs and names them in BULLA_ALIYUN, BULLA_TERRAFORM (terraform or tofu) and
BULLA_TERRAFORM_PROVIDER, or says why it could not.
"""

import json
import os
import shutil
import subprocess

import pytest

from conftest import need
from test_clients_doc import SNIPPETS, forget


@pytest.fixture
def environment(secure, tmp_path):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BULLA_")}
    key = (secure.access_key_id, secure.access_key_secret)
    return inherited | {
        "HOME": str(tmp_path),
        "ALIBABA_CLOUD_ACCESS_KEY_ID": key[0], "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key[1],
        "ALICLOUD_ACCESS_KEY": key[0], "ALICLOUD_SECRET_KEY": key[1],
        "BULLA_ENDPOINT": secure.endpoint, "BULLA_CA_FILE": secure.ca, "SSL_CERT_FILE": secure.ca,
    }  # fmt: skip


def run(command, environment, folder):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, env=environment, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_aliyun(witness, environment, tmp_path):
    need("BULLA_ALIYUN")
    forget(witness, "app/cli")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/aliyun").symlink_to(os.environ["BULLA_ALIYUN"])
    environment["PATH"] = f"{tmp_path}/bin:{environment['PATH']}"
    told = run(["sh", "-e", "-c", SNIPPETS["aliyun"]], environment, tmp_path)
    answers, decoder = [], json.JSONDecoder()
    while told := told.lstrip():
        answer, end = decoder.raw_decode(told)
        answers.append(answer)
        told = told[end:]
    assert [answer.get("SecretData") for answer in answers] == [None, "s3cret", None, "rotated", None]
    absent = "aliyun kms DescribeSecret --region cn-hangzhou --endpoint $BULLA_ENDPOINT --SecretName app/cli"
    done = subprocess.run(["sh", "-c", absent], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode != 0 and "Forbidden.ResourceNotFound" in done.stdout + done.stderr


def test_terraform(secure, witness, environment, tmp_path):
    need("BULLA_TERRAFORM_PROVIDER")
    need("BULLA_TERRAFORM")
    forget(witness, "app/terraform")
    (tmp_path / "plugins").mkdir()
    shutil.copy(os.environ["BULLA_TERRAFORM_PROVIDER"], tmp_path / "plugins/terraform-provider-alicloud")
    settings = tmp_path / "terraformrc"
    override = f'provider_installation {{\n dev_overrides {{ "aliyun/alicloud" = "{tmp_path}/plugins" }}\n direct {{}}\n}}\n'
    settings.write_text(override)
    environment |= {"TF_CLI_CONFIG_FILE": str(settings), "TF_VAR_endpoint": secure.endpoint}
    (tmp_path / "main.tf").write_text(SNIPPETS["terraform"])

    def terraform(*arguments, value="one"):
        command = [os.environ["BULLA_TERRAFORM"], *arguments, "-no-color"]
        return run(command, environment | {"TF_VAR_value": value}, tmp_path)

    def read():
        return witness.call("GetSecretValue", SecretName="app/terraform")["SecretData"]

    terraform("apply", "-auto-approve")
    assert read() == "one"
    assert "No changes" in terraform("plan")
    (tmp_path / "main.tf").write_text(SNIPPETS["terraform"].replace('"v1"', '"v2"'))
    terraform("apply", "-auto-approve", value="two")
    assert read() == "two"
    terraform("destroy", "-auto-approve", value="two")
    assert witness.call("ListSecrets", Filters='[{"Key":"SecretName","Values":["app/terraform"]}]')["TotalCount"] == 0

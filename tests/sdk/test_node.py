"""The main flow through Alibaba's Node SDK; node/flow.js does the work, this reads the result with another SDK."""

import json
import os
import pathlib
import subprocess

import pytest

from test_secrets import BINARY, CHINESE

FLOW = pathlib.Path(__file__).parent / "node/flow.js"


@pytest.mark.parametrize(("kind", "value"), [("text", CHINESE), ("binary", BINARY)])
def test_main_flow(witness, name, kind, value):
    if "BULLA_NODE_MODULES" not in os.environ:
        pytest.skip("BULLA_NODE_MODULES is not set")
    tags = [{"TagKey": "env/stage", "TagValue": "prod a+b"}]
    wanted = {"secretName": name, "secretData": value, "secretDataType": kind, "tags": tags}
    environment = {**os.environ, "NODE_PATH": os.environ["BULLA_NODE_MODULES"]}
    done = subprocess.run(
        ["node", FLOW], input=json.dumps(wanted), env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["secretData"] == value
    assert witness.call("GetSecretValue", SecretName=name)["SecretData"] == value

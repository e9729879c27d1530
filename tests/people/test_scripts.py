"""Scripts with secrets (scripts.bats), on SQLite, and on PostgreSQL over TLS with an authority of its own."""

import contextlib
import json
import shutil
import subprocess

import pytest
from conftest import BULLA, HERE
from test_client import postgresql


@pytest.mark.parametrize("place", ["sqlite", "postgresql-tls"])
def test_scripts(serving, env, tmp_path, place):
    if not shutil.which("bats"):
        pytest.skip("there is no bats")
    with contextlib.ExitStack() as stack:
        more = [] if place == "sqlite" else ["--tls", "--database", stack.enter_context(postgresql())]
        data = tmp_path / "d"
        server = serving("dev", "--data", data, "--listen", "0", "--json", *more)
        ready = json.loads(server.first_line())
        endpoint = ready["Endpoint"] if "://" in ready["Endpoint"] else f"{'http' if place == 'sqlite' else 'https'}://{ready['Endpoint']}"
        said = {"BULLA": BULLA, "BULLA_PROFILE": str(data), "ENDPOINT": endpoint, "CA": ready.get("CaFile") or ""}
        ended = subprocess.run(
            ["bats", "--tap", HERE / "scripts.bats"], env=env | said, capture_output=True, text=True, timeout=300, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert server.stop() == 0

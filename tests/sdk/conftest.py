"""Fixtures of the suite. Which Bulla it speaks to, and as whom, comes from the environment; run.py sets it:

BULLA_ENDPOINT            host:port or http://host:port
BULLA_REGION, BULLA_ACCOUNT, BULLA_ACCESS_KEY_ID, BULLA_ACCESS_KEY_SECRET
BULLA_PROGRAM             the program, for tests that need the administrator's commands (skipped without it)
BULLA_ADMIN_ARGS          what these commands need to find the data, e.g. "--data DIR" or "--config FILE"
BULLA_NODE_MODULES        where the Node SDK is (its tests are skipped without it)
BULLA_CACHE_PYTHON        the Python that has the caching clients (their tests are skipped without it)
BULLA_GO_VAULT            the command of the program in go-vault/, likewise
BULLA_RUST_EXAMPLES       the commands of client/examples, an object of JSON lists, likewise
BULLA_JAVA, BULLA_GO      the commands of the programs in java/ and go/, as JSON lists; where one is missing its tests are skipped,
                          with the reason from BULLA_JAVA_MISSING or BULLA_GO_MISSING
"""

import dataclasses
import json
import os
import subprocess
import uuid

import pytest

from clients import SDKS, Elsewhere, Target, Tea
from logins import Logins
from tls import Authority, Node


@pytest.fixture(scope="session")
def target():
    missing = [name for name in ("ENDPOINT", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET") if f"BULLA_{name}" not in os.environ]
    if missing:
        pytest.exit(f"set BULLA_{', BULLA_'.join(missing)} (or start the suite with tests/sdk/run.py)", returncode=2)
    return Target(
        endpoint=os.environ["BULLA_ENDPOINT"].removeprefix("http://").rstrip("/"),
        region=os.environ.get("BULLA_REGION", "cn-hangzhou"),
        account=os.environ.get("BULLA_ACCOUNT", ""),
        access_key_id=os.environ["BULLA_ACCESS_KEY_ID"],
        access_key_secret=os.environ["BULLA_ACCESS_KEY_SECRET"],
    )


def need(variable):
    """Skips the test where the environment does not name this; run.py says why."""
    if variable not in os.environ:
        pytest.skip(os.environ.get(f"{variable}_MISSING", f"{variable} is not set"))


def chosen(kind):
    """An SDK of these; skips the test where it is not here."""
    if issubclass(SDKS[kind], Elsewhere):
        need(SDKS[kind].variable)
    return SDKS[kind]


@pytest.fixture(params=SDKS)
def sdk_class(request):
    """Each SDK in turn."""
    return chosen(request.param)


@pytest.fixture
def sdk(sdk_class, target):
    """Each SDK in turn, as the root of the account."""
    return sdk_class(target)


@pytest.fixture(scope="session")
def witness(target):
    """A second client that looks at what another one has done."""
    return Tea(target)


@pytest.fixture
def name():
    """A secret name that nobody else uses; with characters that the two signatures escape."""
    return f"sdk/{uuid.uuid4()}_a+b=c.d@e-f"


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def new_node(authority, tmp_path_factory):
    """Makes nodes under TLS, not started; they end with the suite."""
    nodes = []

    def make(**settings):
        folder = tmp_path_factory.mktemp("node")
        nodes.append(Node(folder, *authority.issue(folder), **settings))
        return nodes[-1]

    yield make
    for node in nodes:
        node.stop()


@pytest.fixture(scope="session")
def start(target, authority, new_node):
    """Starts nodes under TLS; gives the target of the suite through each."""
    return lambda: dataclasses.replace(target, endpoint=new_node().start(), ca=str(authority.file))


@pytest.fixture(scope="session")
def secure(start):
    """The target of the suite through one node under TLS."""
    return start()


@pytest.fixture(scope="session")
def admin():
    """The administrator's commands: admin("user", "create", "NAME") gives what they print, parsed."""
    if "BULLA_PROGRAM" not in os.environ:
        pytest.skip("BULLA_PROGRAM is not set")

    def run(*arguments):
        command = [os.environ["BULLA_PROGRAM"], *arguments, *os.environ.get("BULLA_ADMIN_ARGS", "").split(), "--json"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


@pytest.fixture(scope="session")
def logins(admin, target, authority, tmp_path_factory, new_node):
    """A node under TLS where JWTs and client certificates log in."""
    with Logins(admin, target.account, authority, tmp_path_factory.mktemp("logins")).served(new_node) as served:
        yield served


@pytest.fixture
def new_user(admin, target, tmp_path):
    """Makes a user with one policy document attached; gives its name and a target with its access key."""

    def make(document):
        user = f"sdk-{uuid.uuid4()}"
        file = tmp_path / f"{user}.json"
        file.write_text(json.dumps(document))
        admin("user", "create", user)
        key = admin("access-key", "create", "--user", user)
        admin("policy", "create", user, "--document", str(file))
        admin("policy", "attach", user, "--user", user)
        return user, dataclasses.replace(
            target, access_key_id=key["AccessKeyId"], access_key_secret=key["AccessKeySecret"]
        )

    return make

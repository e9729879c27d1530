"""Bulla beside an OpenBao development server: every question of vault_oracle.py to both, and what differs.

The differences that remain are the table of docs/vault.md.
"""

import pytest

from vault import Api, bao_server
from vault_oracle import Server, lines

# Lines where the answers may differ, and why; of all others status, headers and every member are the same.
DIFFERENT = {
    # another program, its mounts, its token
    "health", "health codes", "seal status", "mount", "mount of a path", "mounts", "self", "bearer", "renew root", "create", "create seconds", "form of one",
    # words of Go's decoders behind Vault's own
    "data list", "bad json", "json and more", "json list", "json text", "form body", "versions bad",
    # what is refused here and taken there, or the other way round
    "data null", "read numbers", "wrong approle", "half approle", "empty approle", "odd path", "unicode path", "control", "wrap",
    "read with a slash", "not under v1", "list bad",
    # nothing there, or metadata of the version that is deleted
    "patch absent", "metadata patch absent", "patch deleted",
    # a hint for users of the program `bao`, and pages for browsers
    "unsupported path", "mount alone", "mount alone/", "dots", "double",
    # other secrets of the account
    "list root", "list root/",
    # 10 versions
    "config",
}  # fmt: skip
# Members that are not compared anywhere: metadata have no versions here.
FORGOTTEN = {"current_metadata_version"}
# What was made by lines that differ.
UNSHARED_KEYS = {"b", "münchen", "with space"}


def shared(value):
    if isinstance(value, dict):
        kept = {key: shared(member) for key, member in value.items() if key not in FORGOTTEN}
        if isinstance(kept.get("keys"), list):
            kept["keys"] = [key for key in kept["keys"] if key not in UNSHARED_KEYS]
        return kept
    return [shared(item) for item in value] if isinstance(value, list) else value


def test_every_line(target, tmp_path):
    api = Api(f"http://{target.endpoint}").login(target.access_key_id, target.access_key_secret)
    assert api.ask("GET", "secret/metadata/o/?list=true")[0] == 404, "a folder of the test's own"
    with bao_server(tmp_path, "-dev", "-dev-root-token-id=root", "-dev-no-store-token") as (address, _):
        theirs = lines(Server(address, "root"))
    ours = lines(Server(api.address, api.token))
    assert len(ours) == len(theirs) > 150
    differing = []
    for (title, *their), (_, *our) in zip(theirs, ours, strict=True):
        if title.split(":")[0] not in DIFFERENT and shared(their) != shared(our):
            differing.append(f"{title}\n  theirs {their}\n  ours   {our}")
    assert not differing, "\n".join(differing)


@pytest.fixture(autouse=True)
def folder_of_its_own(target):
    """The lines are about what stands under `o/`."""
    api = Api(f"http://{target.endpoint}").login(target.access_key_id, target.access_key_secret)

    def clear(where):
        status, _, answer = api.ask("LIST", f"secret/metadata/{where}")
        for key in answer["data"]["keys"] if status == 200 else ():
            clear(where + key) if key.endswith("/") else api.ask("DELETE", f"secret/metadata/{where}{key}")

    clear("o/")
    yield
    clear("o/")

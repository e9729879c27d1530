"""A managed secret as a person sees it: `bulla secret rotate` makes a password that logs in."""

import json

from client import Client
from conftest import refused


def test_a_managed_secret_gets_a_new_password(managed, serving, asks, tmp_path):
    data = tmp_path / "d"
    server = serving("dev", "--data", data, "--listen", "0", "--json", env=managed.setting)
    ready = json.loads(server.first_line())
    client = Client(ready["AccessKeyId"], ready["AccessKeySecret"])
    status, made = client.call(ready["Endpoint"], "CreateSecret", SecretName="db/app", VersionId="v1", **managed.secret())
    assert status == 200, made

    def gives(*words):
        ended = asks(*words, profile=data)
        assert (ended.returncode, ended.stderr) == (0, b""), ended
        return ended.stdout

    account = lambda: json.loads(gives("secret", "get", "db/app"))  # noqa: E731
    before = account()
    assert managed.logs_in(before)
    told = json.loads(gives("secret", "rotate", "db/app", "--json"))
    assert told["SecretName"] == "db/app" and told["VersionId"] not in ("", "v1"), told
    after = account()
    assert after["AccountName"] == before["AccountName"] and after["AccountPassword"] != before["AccountPassword"]
    assert managed.logs_in(after) and not managed.logs_in(before)
    versions = {row["VersionId"]: row["VersionStages"] for row in json.loads(gives("secret", "versions", "db/app", "--json"))}
    assert versions == {"v1": ["ACSPrevious"], told["VersionId"]: ["ACSCurrent"]}
    shown = json.loads(gives("secret", "show", "db/app", "--json"))
    assert shown["SecretType"] == "Rds" and shown["CurrentVersionId"] == told["VersionId"], shown
    # For people it says the same; a value that the database has not heard of is not taken.
    assert told["VersionId"] not in gives("secret", "rotate", "db/app").decode()
    assert managed.logs_in(account()) and not managed.logs_in(after)
    refused(asks("secret", "put", "db/app", stdin=b"another", profile=data), 1, "UnsupportedOperation")

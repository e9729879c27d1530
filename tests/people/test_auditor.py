"""The auditor: from a question to its proof, over folders of several nodes, and what a changed file looks like."""

import csv
import io
import json
import re
import shutil

import pytest
from client import Client
from conftest import bulla, done, golden, masked, transcript, typed


@pytest.fixture(scope="module")
def evidence(dev, tmp_path_factory):
    """A folder with what was shipped: the logs of a node, and the public key."""
    folder = tmp_path_factory.mktemp("evidence")
    data = ("--data", dev["data"])
    done("user", "create", "somebody", *data)
    key = typed("access-key", "create", "--user", "somebody", *data)
    assert bulla("user", "create", "somebody", *data).returncode == 5
    done("user", "delete", "somebody", *data)
    (folder / "aud.pem").write_text(done("audit", "public-key", *data))
    import time
    time.sleep(1.5)  # a checkpoint is written every second
    shutil.copytree(dev["data"] / "audit", folder / "node-a")
    return folder


def test_from_a_question_to_its_proof(evidence):
    key = ("--public-key", evidence / "aud.pem")
    offline = {"BULLA_CONFIG": "/absent"}
    found = done("audit", "search", evidence / "node-a", *key, "--action", "CreateUser", "--format", "csv", env=offline)
    rows = list(csv.DictReader(line for line in io.StringIO(found) if not line.startswith("#")))
    assert rows and all(row["action"] == "CreateUser" and row["principal"].startswith("host/uid=") for row in rows)
    assert [row["code"] for row in rows] == ["OK", "Failed"], "of each command its outcome alone"
    assert "of node" in found.splitlines()[-1] and "proved" in found.splitlines()[-1]
    lines = done("audit", "search", evidence / "node-a", *key, "--action", "CreateUser", "--json", env=offline).splitlines()
    records, proofs = [json.loads(x) for x in lines if '"Proof"' not in x], [json.loads(x) for x in lines if '"Proof"' in x]
    assert len(records) == len(rows) and {proof["Proof"]["Log"] for proof in proofs} == {"admin", "audit"}
    assert all(proof["Proof"]["Complete"] is True for proof in proofs)
    table = done("audit", "search", evidence / "node-a", *key, "--action", "DeleteUser", "--since", "1h", env=offline)
    assert table.splitlines()[0].startswith("Time") and "DeleteUser" in table
    none = done("audit", "search", evidence / "node-a", *key, "--who", "nobody", env=offline)
    assert none.startswith("0 records")


def test_conditions_that_nothing_can_meet_are_refused(evidence):
    search = ("audit", "search", evidence / "node-a", "--public-key", evidence / "aud.pem")
    asked = done(*search, "--action", "kms:deleteuser", env={"BULLA_CONFIG": "/nonexistent"})
    assert "DeleteUser" in asked
    for more, code, word in (
        (("--who", ""), 2, "empty"),
        (("--secret", ""), 2, "empty"),
        (("--account", "dev"), 2, "is no account's id"),
        (("--account", "1"), 2, "is no account's id"),
        (("--request-id", "x"), 2, "is no request's id"),
        (("--since=-7d",), 2, "is no time"),
        (("--since", "2026-11-28", "--until", "2026-11-27"), 2, "--since is not before --until"),
        (("--action", "GetSecretValu"), 3, "did you mean GetSecretValue?"),
    ):
        ended = bulla(*search, *more)
        assert ended.returncode == code and word in ended.stderr, ended


def test_a_file_without_a_key_is_no_tampering(evidence, tmp_path):
    (tmp_path / "notapem").write_text("no key")
    for command in ("verify", "search"):
        ended = bulla("audit", command, evidence / "node-a", "--public-key", tmp_path / "notapem")
        assert ended.returncode == 7 and "notapem: no public key" in ended.stderr, ended


def test_reports_name_node_deployment_range_and_key(evidence, dev):
    report = done("audit", "verify", evidence / "node-a", "--public-key", evidence / "aud.pem")
    assert "KeyFingerprint" in report and "proved" in report and "from its first line on" in report
    reports = typed("audit", "verify", evidence / "node-a", "--public-key", evidence / "aud.pem")
    assert {r["Log"] for r in reports} == {"admin", "audit"} and all(isinstance(r["Lines"], int) for r in reports)
    fingerprint = (evidence / "aud.pem").read_text().rsplit("fingerprint: ", 1)[1].strip()
    assert {r["KeyFingerprint"] for r in reports} == {fingerprint}
    # The line of `init`, in the log of commands, says whose key it is that proves both; without it nothing does.
    checked = typed("check", "--data", dev["data"])
    assert {r["Log"]: r["Deployment"] for r in reports} == dict.fromkeys(("admin", "audit"), checked["Deployment"])
    [alone] = typed("audit", "verify", *(evidence / "node-a").glob("audit*.jsonl"), "--public-key", evidence / "aud.pem")
    assert (alone["Log"], alone["Deployment"]) == ("audit", None)
    assert re.search(rf"^Deployment +{checked['Deployment']}$", report, re.M), report


def test_two_nodes_in_one_call(evidence, tmp_path):
    """Files of different logs, in any order, are told apart."""
    files = sorted((evidence / "node-a").glob("*.jsonl"), reverse=True)
    reports = typed("audit", "verify", *files, "--public-key", evidence / "aud.pem")
    assert len(reports) == 2


def test_a_changed_line_is_found_and_nothing_behind_it_is_told(evidence, tmp_path):
    shutil.copytree(evidence / "node-a", tmp_path / "changed")
    file = tmp_path / "changed/admin.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if '"CreateUser"' in line)
    lines[at] = lines[at].replace("CreateUser", "ListUsers")
    file.write_text("".join(lines))
    key = ("--public-key", evidence / "aud.pem")
    verify = bulla("audit", "verify", tmp_path / "changed", *key)
    assert verify.returncode == 1 and f"line {at + 2}" in verify.stderr and "hint: " in verify.stderr, verify
    search = bulla("audit", "search", tmp_path / "changed", *key, "--action", "DeleteUser")
    assert search.returncode == 1 and "DeleteUser" not in search.stdout, search
    for wrong in ([tmp_path / "absent"], [evidence / "aud.pem"]):
        refused = bulla("audit", "verify", *wrong, *key)
        assert refused.returncode == 7 and refused.stderr.startswith("error: "), refused


def test_a_first_line_that_is_changed_hides_no_other_log(evidence, tmp_path):
    shutil.copytree(evidence / "node-a", tmp_path / "changed")
    file = tmp_path / "changed/admin.jsonl"
    file.write_text("x" + file.read_text())
    key = ("--public-key", evidence / "aud.pem")
    verify = bulla("audit", "verify", tmp_path / "changed", *key, "--json")
    assert verify.returncode == 1 and [report["Log"] for report in json.loads(verify.stdout)] == ["audit"], verify
    assert "admin.jsonl" in verify.stderr and "not a line of an audit log" in verify.stderr, verify


def test_lines_are_shipped_and_a_receiver_that_is_away_costs_nothing(serving, tmp_path):
    import socket
    import time

    data = tmp_path / "d"
    server = serving("dev", "--data", data, "--listen", "0", "--json")
    server.first_line()
    server.stop()
    path = tmp_path / "collector.sock"
    configuration = data / "bulla.toml"
    configuration.write_text(configuration.read_text().replace("[audit]\n", f'[audit]\nship = "unix:{path}"\n'))
    server = serving("dev", "--data", data, "--listen", "0", "--json")  # nobody listens yet
    server.first_line()
    server.waits_for("lines cannot be sent on and wait")
    done("user", "create", "while-away", "--data", data)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(30)
        got, connections, until = {}, [], time.monotonic() + 30
        while not {"while-away", "after"} <= {record.get("resource") for record in got.values()}:
            assert time.monotonic() < until, sorted(got)
            if len(connections) < 2:
                connection, _ = listener.accept()
                connection.settimeout(1)
                connections.append(connection)
                done("user", "create", "after", "--data", data) if len(connections) == 2 else None
            for connection in connections:
                try:
                    text = connection.recv(1 << 20)
                except TimeoutError:
                    continue
                rest = getattr(test_lines_are_shipped_and_a_receiver_that_is_away_costs_nothing, str(connection.fileno()), b"")
                *lines, rest = (rest + text).split(b"\n")
                setattr(test_lines_are_shipped_and_a_receiver_that_is_away_costs_nothing, str(connection.fileno()), rest)
                for line in lines:
                    record = json.loads(line)
                    got[(record["kind"] == "admin" or record.get("log"), record["seq"], record["prev"])] = record
    files = "".join(file.read_text() for file in (data / "audit").glob("*.jsonl"))
    for record in got.values():
        assert f'"seq":{record["seq"]},' in files


def test_a_read_is_recorded_with_the_version_that_was_served(dev):
    """Whatever was asked for: the current one, an earlier one by its label, one by its id; alone or with others."""
    client = Client(dev["AccessKeyId"], dev["AccessKeySecret"])
    call = lambda action, **more: client.call(dev["Endpoint"], action, **{"SecretName": "audited/read", **more})  # noqa: E731
    assert call("CreateSecret", VersionId="first", SecretData="1")[0] == 200
    assert call("PutSecretValue", VersionId="second", SecretData="2")[0] == 200
    asked = [({}, "second"), ({"VersionStage": "ACSPrevious"}, "first"), ({"VersionId": "first"}, "first"), ({"VersionId": "second"}, "second")]
    wanted = {}
    for more, served in asked:
        status, answer = call("GetSecretValue", **more)
        assert (status, answer["VersionId"]) == (200, served)
        wanted[answer["RequestId"]] = served
    # What a shell is given is read with others, by another operation; of each there is a record.
    assert call("CreateSecret", VersionId="v1", SecretData="3", SecretName="audited/beside")[0] == 200
    references = ("A=audited/read", "B=audited/read@first", "C=audited/read@ACSPrevious", "D=audited/beside")
    words = [word for reference in references for word in ("-e", reference)]
    profile = ("--profile", dev["data"])
    assert done(*profile, "run", *words, "--", "sh", "-c", "echo $A $B $C $D") == "2 1 1 3\n"
    assert done(*profile, "inject", stdin="{{ bulla://audited/read }}{{ bulla://audited/read@second }}") == "22"

    def records(action):
        lines = done("audit", "search", "--secret", "audited/read", "--action", action, "--json", "--data", dev["data"]).splitlines()
        return [json.loads(line) for line in lines if '"Proof"' not in line]

    assert {record["request_id"]: record["version_id"] for record in records("GetSecretValue")} == wanted
    read = sorted((record["version"], record["version_id"]) for record in records("BatchGetSecretValue"))
    assert read == [("ACSCurrent", "second"), ("ACSCurrent", "second"), ("ACSPrevious", "first"), ("first", "first"), ("second", "second")]

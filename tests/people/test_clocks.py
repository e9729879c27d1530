"""What time has a part in: a clock that is wrong, what may be done after days, and what is said of work that takes long."""

import json
import re
import subprocess

import pexpect
import pytest
from clocks import LIBRARY, faster, shifted, swept  # noqa: F401
from conftest import BULLA, CLEAN, bulla, done, refused

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="not on this machine: libfaketime")

DAY = 86400


@pytest.mark.parametrize("seconds, told", [(3 * 3600 + 30, "3 h 0 min ahead of"), (-3630, "1 h 0 min behind")])
def test_a_clock_that_is_wrong_is_exit_code_4(gives, asks, seconds, told):
    gives("secret", "put", "clock/x", stdin=b"v")
    text = refused(asks("secret", "get", "clock/x", more=shifted(seconds)), 4, "900 are allowed", "(InvalidTimeStamp", "request ID: ")
    assert f"hint: this clock is {told} the server's" in text, text
    error = json.loads(asks("--json", "secret", "get", "clock/x", more=shifted(seconds)).stderr)["error"]
    assert error["code"].startswith("InvalidTimeStamp") and told in error["hint"], error
    # A few minutes are nobody's mistake, and `status` says them.
    assert asks("secret", "get", "clock/x", more=shifted(300)).stdout == b"v"
    assert json.loads(gives("status", "--json", more=shifted(300)))["ClockAheadSeconds"] in range(298, 303)


def test_a_key_is_rotated_after_seven_days(serving, asks, tmp_path):
    data = tmp_path / "d"
    first = serving("dev", "--data", data, "--listen", "0", "--json")
    first.first_line()

    def gives(*words, more=None, stdin=b""):
        ended = asks(*words, profile=data, more=more, stdin=stdin)
        assert (ended.returncode, ended.stderr) == (0, b""), ended
        return ended.stdout

    key = json.loads(gives("key", "create", "--alias", "turns", "--json"))["KeyId"]
    before = gives("key", "encrypt", "alias/turns", stdin=b"before")
    refused(asks("key", "rotate", key, profile=data), 1, "7 days")
    assert first.stop() == 0

    later = shifted(7 * DAY + 3600)
    second = serving("dev", "--data", data, "--listen", "0", "--json", env=later)
    second.first_line()
    done("clock", "accept", "--data", data, env=later)
    rotated = json.loads(gives("key", "rotate", "alias/turns", "--json", more=later))
    versions = json.loads(gives("key", "versions", key, "--json", more=later))
    assert len(versions) == 2 and rotated["KeyVersionId"] == versions[-1]["KeyVersionId"], (rotated, versions)
    after = gives("key", "encrypt", key, stdin=b"after", more=later)
    for blob, text in ((before, b"before"), (after, b"after")):
        assert gives("key", "decrypt", stdin=blob, more=later) == text
    refused(asks("key", "rotate", key, profile=data, more=later), 1, "7 days")
    assert second.stop() == 0


LINE = r"{} \d+ of \d+, \d+ a second, (\d+ min )?\d+ s left"


def test_long_work_says_how_far_it_is(serving, asks, tmp_path):
    """Without a terminal a line every thirty seconds on standard error, on one a line that changes and goes. For who has a fast clock
    thirty seconds pass soon."""
    data, secrets, count = tmp_path / "d", tmp_path / "many.json", 1000
    secrets.write_text(json.dumps({f"n{i:03}": "x" for i in range(count)}))
    server = serving("dev", "--data", data, "--listen", "0", "--json")
    server.first_line()
    # A proof has its first word after 4,096 rows; tags are rows too.
    tags = [word for i in range(12) for word in ("--tag", f"t{i}=x")]
    assert asks("secret", "import", secrets, *tags, profile=data).returncode == 0

    def told(word, run):
        # What waits for a server or a database waits less long too: the first speed counts at which the machine is neither too slow
        # for it nor done before the first line.
        for speed in (400, 200, 100, 800, 50, 401, 201, 101, 51):
            ended = run(speed)
            if ended.returncode == 0 and word in ended.stderr:
                break
        assert ended.returncode == 0, ended
        return ended.stderr

    def export(speed):
        # A server takes clocks that are fifteen minutes apart.
        ended = asks("secret", "export", "--prefix", "n", "--format", "json", profile=data, more=faster(speed, -800))
        assert ended.returncode != 0 or len(json.loads(ended.stdout)) == count
        return subprocess.CompletedProcess(ended.args, ended.returncode, stderr=ended.stderr.decode())

    said = {"read by export": told("read", export)}
    assert server.stop() == 0
    # What takes less than half a minute says nothing.
    done("backup", "--to", tmp_path / "made", "--data", data)
    for word, command in [
        ("proved", "verify"),
        ("opened", "verify --open-data-keys"),
        ("proved", "backup --to {folder}/at-{speed}"),
        ("proved", "backup verify {folder}/made"),
    ]:
        words = lambda speed: command.format(folder=tmp_path, speed=speed).split()  # noqa: E731
        said[f"{word} by {command}"] = told(word, lambda speed: bulla(*words(speed), "--data", data, env=faster(speed)))
    for what, text in said.items():
        lines = text.splitlines()
        assert any(line.startswith(what.split()[0]) for line in lines), (what, text)
        assert all(re.fullmatch(LINE.format(r"(read|proved|opened)"), line) for line in lines), (what, text)
    env = CLEAN | {"TERM": "xterm"} | faster(10)
    child = pexpect.spawn(BULLA, ["verify", "--open-data-keys", "--data", str(data)], env=env, timeout=120, encoding="utf-8", dimensions=(24, 200))
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before
    for word in ("proved", "opened"):
        assert re.search(rf"\r\x1b\[K{LINE.format(word)}\r\x1b\[K", child.before), child.before
    # Nothing is left of it but the result.
    assert re.search(r"\r\x1b\[KRows +\d+\r\n", child.before), child.before

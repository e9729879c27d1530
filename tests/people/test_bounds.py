"""How soon programs have their secrets (docs/cli.md has the figures). The best of several attempts counts: others may be compiling here."""

import contextlib
import json
import pathlib
import statistics
import subprocess
import time

from client import Client
from conftest import BULLA
from traces import Door

MANY, BATCH = 100, 20
# Fifty milliseconds are promised of what is shipped. They are what debug builds reach on a machine that has time; beside a build on two cores
# they may not. So after some seconds twice as much will do for these, and a minute is given to either.
AIM_S, AIMED_FOR_S = 0.05, 10
DEBUG = pathlib.Path(BULLA).resolve().parent.name == "debug"
BOUND_S, PATIENCE_S = 0.1 if DEBUG else AIM_S, 60


def test_a_program_with_a_hundred_secrets_starts_a_batch_later(gives, dev, env, tmp_path, capsys):
    """Twenty secrets are one request, five requests go abreast: a hundred take hardly longer than twenty."""
    gives("secret", "import", "-", "--format", "json", "--prefix", "bound/", stdin=json.dumps({f"n{i:02}": f"v{i}" for i in range(MANY)}).encode())
    references = [word for i in range(MANY) for word in ("-e", f"V{i}=bound/n{i:02}")]

    with contextlib.closing(Door(dev["Endpoint"])) as door:
        profile = door.profile(tmp_path / "counted", dev)
        out = gives("run", *references, "--", "sh", "-c", "echo $V0 $V99", profile=profile)
        assert out == b"v0 v99\n"
        assert door.actions == {"BatchGetSecretValue": MANY // BATCH}, door.actions

    client = Client(dev["AccessKeyId"], dev["AccessKeySecret"])
    wanted = json.dumps([{"SecretName": f"bound/n{i:02}"} for i in range(BATCH)])

    def batch():
        begun = time.monotonic()
        status, answer = client.call(dev["Endpoint"], "BatchGetSecretValue", SecretsList=wanted)
        took = time.monotonic() - begun
        assert status == 200 and not answer.get("Errors"), answer
        return took

    def start():
        # From before there is a process of `bulla` to the first line of the program's own.
        begun = time.time()
        command = [BULLA, "--profile", dev["data"], "run", *references, "--", "date", "+%s.%N"]
        out = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, timeout=60).stdout
        return float(out) - begun

    # In turns, so that both meet the same machine.
    starts, batches, begun = [], [], time.monotonic()
    apart = lambda: min(starts) - statistics.median(batches)  # noqa: E731
    while len(starts) < 5 or (apart() > AIM_S and time.monotonic() < begun + (AIMED_FOR_S if apart() <= BOUND_S else PATIENCE_S)):
        starts.append(start())
        batches += [batch() for _ in range(3)]
    with capsys.disabled():
        ms = [round(seconds * 1000) for seconds in (min(starts), statistics.median(starts), min(batches), statistics.median(batches))]
        print(f" started in {ms[0]} ms, median {ms[1]}; a batch in {ms[2]} ms, median {ms[3]}; {len(starts)} attempts;", end="")
        print(f" {apart() * 1000:.1f} ms apart, {BOUND_S * 1000:.0f} are allowed", end="")
    assert apart() <= BOUND_S, (starts, batches)

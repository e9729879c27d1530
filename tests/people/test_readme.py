"""What a newcomer types: the three lines of README.md, README.zh-CN.md and docs/cli.md, from nothing to a value in a shell."""

import contextlib
import os
import re
import shutil
import socket
import subprocess

import pexpect
import pytest
from conftest import BULLA, READY_S, ROOT

TYPED = "s3cret-of-the-readme"
PROMPT = "ready> "


def lines(name):
    """The commands of the block that begins with `bulla dev`."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    block = next(block for block in blocks if block.startswith("bulla dev"))
    return [re.sub(r"\s+# .*", "", line) for line in block.splitlines()]


@contextlib.contextmanager
def network():
    """What goes before a shell's command, so that it has loopback for itself: the lines name no port, and the one they get may be taken."""
    if subprocess.run(["unshare", "-n", "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0:
        holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up; echo; exec sleep 3600"], stdout=subprocess.PIPE)
        holder.stdout.readline()
        yield ["nsenter", "-t", str(holder.pid), "-n"]
        holder.kill()
        holder.wait()
        return
    with socket.socket() as s:
        if s.connect_ex(("127.0.0.1", 8080)) == 0:
            pytest.skip("port 8080 is taken, and there is no right to a network of its own")
    yield []


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "docs/cli.md"])
def test_the_three_lines_lead_to_a_value(name, tmp_path):
    serve, put, get = lines(name)
    assert (serve, "secret put" in put, "secret get" in get) == ("bulla dev --data d", True, True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/bulla").symlink_to(shutil.which(BULLA))
    env = {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "TERM": "dumb",
        "PS1": PROMPT, "HISTFILE": str(tmp_path / "history"),
    }  # fmt: skip

    with network() as within:

        def terminal():
            words = [*within, "bash", "--noprofile", "--norc", "-i"]
            shell = pexpect.spawn(words[0], words[1:], env=env, cwd=tmp_path, timeout=READY_S, encoding="utf-8")
            shell.expect_exact(PROMPT)
            return shell

        first, second = terminal(), terminal()
        first.sendline(serve)
        first.expect_exact("Stop with Ctrl-C.")
        second.sendline(put)
        second.expect_exact("(not shown): ")
        second.sendline(TYPED)
        second.expect_exact(PROMPT)
        said = second.before
        second.sendline(get)
        second.expect_exact(PROMPT)
        assert second.before.replace("\r", "").split("\n")[1:] == [TYPED, ""], second.before
        # Neither on the screen nor among the lines that the shell keeps.
        assert TYPED not in said, said
        second.sendline("exit")
        second.expect(pexpect.EOF)
        kept = (tmp_path / "history").read_text()
        assert put in kept and TYPED not in kept, kept
        first.sendintr()
        first.expect_exact(PROMPT)
        first.close()

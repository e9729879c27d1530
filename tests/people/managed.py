"""A throw-away MariaDB whose accounts Bulla manages, as tests/support/mariadb.rs makes one."""

import contextlib
import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests/sdk"))
from run import die_with_parent, free_port  # noqa: E402

START_S = 120
ADMINISTRATOR, PASSWORD, FIRST = "bulla_rotation", "admin", "first of all"
ACCOUNTS = ("a", "b", "c", "d")
STATEMENTS = "\n".join([
    f"CREATE USER {ADMINISTRATOR}@'%' IDENTIFIED BY '{PASSWORD}';",
    f"GRANT CREATE USER ON *.* TO {ADMINISTRATOR}@'%';",
    *(f"CREATE USER {name}@'%' IDENTIFIED BY '{FIRST}';" for name in ACCOUNTS),
])  # fmt: skip


class MariaDb:
    def __init__(self, folder, port):
        self.port = port
        (folder / "password").write_text(PASSWORD)
        instance = f'id="maria",engine="mariadb",host="127.0.0.1",port={port},administrator="{ADMINISTRATOR}"'
        # What a server is told of it.
        self.setting = {"BULLA_ROTATION__INSTANCE": f'[{{{instance},password_file="{folder / "password"}",tls=false}}]'}
        self.accounts = iter(ACCOUNTS)

    def secret(self):
        """What a secret is made of that manages one of its accounts: each time another, which has its first password."""
        return {
            "SecretType": "Rds", "ExtendedConfig": json.dumps({"SecretSubType": "SingleUser", "DBInstanceId": "maria"}),
            "SecretData": json.dumps({"Accounts": [{"AccountName": next(self.accounts), "AccountPassword": FIRST}]}),
        }  # fmt: skip

    def logs_in(self, account):
        command = ["mariadb", "--no-defaults", "--protocol=tcp", "-h127.0.0.1", f"-P{self.port}", f"-u{account['AccountName']}", "-e", "SELECT 1"]
        ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MYSQL_PWD": account["AccountPassword"]}, timeout=60)
        assert ended.returncode == 0 or "Access denied" in ended.stderr, ended
        return ended.returncode == 0


@contextlib.contextmanager
def mariadb():
    """A server with an administrator for Bulla and some accounts; none where its package is not installed."""
    if not shutil.which("mariadbd", path="/usr/sbin:/usr/bin") or not shutil.which("mariadb"):
        yield None
        return
    user = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        nobody = pwd.getpwnam("nobody")
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="bulla-mariadb-") as name:
        folder = pathlib.Path(name)
        (folder / "init.sql").write_text(STATEMENTS)
        database = MariaDb(folder, free_port())
        if user:
            for path in (folder, folder / "init.sql"):
                os.chown(path, user["user"], user["group"])
        install = ["/usr/bin/mariadb-install-db", "--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal", f"--datadir={folder}/data"]
        subprocess.run(install, check=True, capture_output=True, cwd=folder, **user)
        files = [f"--datadir={folder}/data", f"--socket={folder}/socket", f"--pid-file={folder}/pid", f"--init-file={folder}/init.sql"]
        command = ["/usr/sbin/mariadbd", "--no-defaults", "--bind-address=127.0.0.1", f"--port={database.port}", "--skip-name-resolve", *files]
        with open(folder / "log", "wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder, preexec_fn=die_with_parent, **user)
        try:
            # It takes connections once the statements have run.
            ends = time.monotonic() + START_S
            while socket.socket().connect_ex(("127.0.0.1", database.port)) != 0:
                assert server.poll() is None and time.monotonic() < ends, (folder / "log").read_text()
                time.sleep(0.05)
            yield database
        finally:
            server.kill()
            server.wait()

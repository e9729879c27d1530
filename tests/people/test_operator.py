"""The operator: what a start refuses is what `check` finds; reload, a folder that moves, a key that is lost, two nodes."""

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path

import pytest
from client import Client
from conftest import BULLA, CLEAN, bulla, done, golden, transcript, typed


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A deployment that was made and does not run."""
    folder = tmp_path_factory.mktemp("made") / "d"
    from conftest import Serving

    server = Serving("dev", "--data", folder, "--listen", "0", "--json", log=folder.parent / "log")
    server.first_line()
    assert server.stop() == 0
    return folder


@pytest.fixture
def copy(made, tmp_path):
    folder = tmp_path / "d"
    shutil.copytree(made, folder, symlinks=True)
    return folder


def configured(folder, old, new, more=""):
    file = folder / "bulla.toml"
    text = file.read_text()
    assert old in text, text
    file.write_text(text.replace(old, new) + more)


def certificate(folder, name, days=365):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(days),
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / f"{name}.key",
         "-out", folder / f"{name}.crt"],
        check=True, capture_output=True,
    )
    (folder / f"{name}.key").chmod(0o600)


TLS = '\n[server]\nlisten = "127.0.0.1:0"\n[server.tls]\ncertificate_file = "{}.crt"\nkey_file = "{}.key"\n'
QUIET = '\n[server]\nlisten = "127.0.0.1:0"\n'


def no_certificate(folder):
    configured(folder, "region", "region", TLS.format("absent", "absent"))


def key_of_another(folder):
    certificate(folder, "a")
    certificate(folder, "b")
    configured(folder, "region", "region", TLS.format("a", "b"))


def open_folder(folder):
    configured(folder, "region", "region", QUIET)
    (folder / "audit").chmod(0o777)


def empty_pin(folder):
    configured(folder, "region", "region", QUIET)
    (folder / "pin").write_text("")


def no_pin(folder):
    configured(folder, "region", "region", QUIET)
    (folder / "pin").unlink()


def no_module(folder):
    configured(folder, "libsofthsm2.so", "libnope.so", QUIET)


def wrong_label(folder):
    configured(folder, "bulla-dev", "another", QUIET)


def wrong_pin(folder):
    configured(folder, "region", "region", QUIET)
    (folder / "pin").write_text("0000\n")


def empty_database(folder):
    configured(folder, "sqlite:bulla.db", "sqlite:other.db", QUIET)


def no_database_folder(folder):
    configured(folder, "sqlite:bulla.db", "sqlite:absent/bulla.db", QUIET)


def other_region(folder):
    configured(folder, "cn-hangzhou", "cn-beijing", QUIET)


def foreign_address(folder):
    configured(folder, "region", "region", '\n[server]\nlisten = "127.0.0.1:0"\nadmin_listen = "192.0.2.1:9"\n'
               "admin_plain_http_beyond_loopback = true\n")


def taken_address(folder):
    taken_address.socket = socket.create_server(("127.0.0.1", 0))
    port = taken_address.socket.getsockname()[1]
    configured(folder, "region", "region", f"\n[server]\nlisten = {port}\n")


def no_rotation_password(folder):
    configured(folder, "region", "region", QUIET + '[[rotation.instance]]\nid = "orders"\nengine = "postgresql"\n'
               'host = "127.0.0.1"\nadministrator = "a"\npassword_credential = "absent"\ntls = false\n')


def on_token(folder, line):
    configured(folder, 'label = "bulla-dev"', f'label = "bulla-dev"\n{line}', QUIET)


def unlock_socket_in_the_way(folder):
    on_token(folder, 'unlock_socket = "bulla.db"')


def unlock_socket_nowhere(folder):
    on_token(folder, 'unlock_socket = "absent/unlock"')


def unlock_socket_too_long(folder):
    on_token(folder, f'unlock_socket = "/tmp/{"x" * 110}"')


def password_not_encoded(folder):
    configured(folder, "sqlite:bulla.db", "postgresql://bulla:HUN@TER2pw@127.0.0.1:1/x", QUIET)


def database_url_misspelt(folder):
    configured(folder, "sqlite:bulla.db", "postgresql://127.0.0.1:1/x?sslmode=nope", QUIET)


FAULTS = [no_certificate, key_of_another, open_folder, empty_pin, no_pin, no_module, wrong_label, wrong_pin, empty_database,
          no_database_folder, other_region, foreign_address, taken_address, no_rotation_password, unlock_socket_in_the_way,
          unlock_socket_nowhere, unlock_socket_too_long, password_not_encoded, database_url_misspelt]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_check_finds_what_serve_refuses(copy, fault):
    fault(copy)
    env = {"SOFTHSM2_CONF": str(copy / "softhsm2.conf")}
    shutil.copytree(copy / "tokens", copy / "tokens.kept")  # `enter` writes softhsm2.conf for this folder
    check = bulla("check", "--data", copy)
    serve = bulla("serve", "--data", copy, env=env, timeout=60)
    assert check.returncode == 1, check.stdout
    assert serve.returncode not in (0, -9), serve.stderr
    wrong = [line for line in check.stdout.splitlines() if line.startswith("FAIL")]
    assert wrong, check.stdout
    reason = next(line for line in serve.stderr.splitlines() if line.startswith("error: ")).removeprefix("error: ")
    assert any(reason in line for line in wrong), f"serve says {reason!r}, check says {wrong}"
    assert "TER2" not in check.stdout + check.stderr + serve.stderr
    assert (copy / "bulla.db").read_bytes().startswith(b"SQLite format 3")
    golden(f"check/{fault.__name__}", f"{check.stdout}{check.stderr}\n--- serve\n" + "\n".join(
        line for line in serve.stderr.splitlines() if line.startswith(("error: ", "hint: "))))


def test_check_of_a_sound_deployment(copy):
    configured(copy, "region", "region", QUIET)
    golden("check/sound", done("check", "--data", copy))
    report = typed("check", "--data", copy)
    assert report["Passed"] is True and report["VersionsWithoutObject"] == []
    assert {check["Verdict"] for check in report["Checks"]} <= {"ok", "warn"}


def test_a_copy_is_a_deployment_of_its_own(made, tmp_path):
    copied = tmp_path / "moved"
    shutil.copytree(made, copied, symlinks=True)
    done("user", "create", "only-in-the-copy", "--data", copied)
    names = [user["UserName"] for user in typed("user", "list", "--data", made)]
    assert "only-in-the-copy" not in names


def test_a_copy_that_is_named_by_its_files_uses_its_own_token(made, tmp_path):
    """As who wrote the variable into a script: SoftHSM's configuration came along, with the place of the folder before."""
    shutil.copytree(made, tmp_path / "moved", symlinks=True)
    conf = tmp_path / "moved/softhsm2.conf"
    assert str(made) in conf.read_text()
    done("user", "list", "--config", "moved/bulla.toml", cwd=tmp_path, env={"SOFTHSM2_CONF": "moved/softhsm2.conf"})
    assert f"directories.tokendir = {tmp_path}/moved/tokens\n" in conf.read_text()


def test_a_lost_key_fails_the_check(serving, tmp_path):
    """A token older than its database: the key is made after the token's backup."""
    data = tmp_path / "d"
    server = serving("dev", "--data", data, "--listen", "0", "--json")
    server.first_line()
    server.stop()
    shutil.copytree(data / "tokens", tmp_path / "backup")
    seed = tmp_path / "seed.env"
    seed.write_text("app/db=x\n")
    server = serving("dev", "--data", data, "--listen", "0", "--json", "--seed", seed)
    server.first_line()
    server.stop()
    shutil.rmtree(data / "tokens")
    shutil.copytree(tmp_path / "backup", data / "tokens")
    check = bulla("check", "--data", data)
    assert check.returncode == 1
    golden("check/lost_key", check.stdout + check.stderr)


def test_reload_and_certificates_without_an_end(copy, serving):
    certificate(copy, "a")
    configured(copy, "region", "region", TLS.format("a", "a") + '[log]\nlevel = "warn"\n')
    server = serving("serve", "--data", copy)
    configuration = copy / "bulla.toml"
    configuration.write_text(configuration.read_text().replace('level = "warn"', 'level = "info"\nformat = "json"'))
    time.sleep(3)
    server.send(signal.SIGHUP)
    server.waits_for('"message":"log: read again"', 30)
    assert "take a restart" not in server.log()
    configuration.write_text(configuration.read_text().replace("[server]", "[server]\nthreads = 32"))
    server.send(signal.SIGHUP)
    server.waits_for('"message":"settings that take a restart have changed: server"', 30)
    server.send(signal.SIGHUP)
    server.waits_for('"message":"certificates: read again"', 30)
    for line in server.log().splitlines():
        if line.startswith("{"):
            assert set(json.loads(line)) >= {"time", "level", "target", "message"}
    assert server.stop() == 0


def test_access_lines_of_json_have_their_fields(copy, serving):
    configured(copy, "region", "region", QUIET + '[log]\nformat = "json"\n')
    server = serving("serve", "--data", copy)
    server.waits_for("serving")
    port = next(int(line.split("127.0.0.1:")[1].split('"')[0].split()[0]) for line in server.log().splitlines() if "serving" in line)
    subprocess.run(["curl", "-s", "-m", "10", f"http://127.0.0.1:{port}/?Action=ListSecrets"], capture_output=True, check=True)
    server.waits_for('"target":"bulla::access"')
    line = next(json.loads(line) for line in server.log().splitlines() if '"bulla::access"' in line)
    assert isinstance(line["status"], int) and isinstance(line["bytes"], int) and isinstance(line["duration_ms"], float), line
    assert line["peer"] == "127.0.0.1" and line["method"] == "GET" and line["code"] == "MissingVersion", line
    assert line["request_id"] in line["message"], line
    assert server.stop() == 0


@pytest.mark.parametrize("umask", ["000", "002", "077"])
def test_the_umask_of_a_shell_is_not_in_the_way(tmp_path, serving, umask):
    before = os.umask(int(umask, 8))
    try:
        server = serving("dev", "--data", tmp_path / "d", "--listen", "0", "--json")
    finally:
        os.umask(before)
    server.first_line()
    assert server.stop() == 0
    for path in [tmp_path / "d", *(tmp_path / "d").rglob("*")]:
        assert path.is_symlink() or path.stat().st_mode & 0o022 == 0, path
    assert (tmp_path / "d/audit").stat().st_mode & 0o777 == 0o700


def test_systemd_hears_that_it_serves_and_lives(copy, serving, tmp_path):
    configured(copy, "region", "region", QUIET)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = tmp_path / "notify"
        manager.bind(str(path))
        manager.settimeout(60)
        server = serving("serve", "--data", copy, env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "2000000"})
        heard = ""
        while "READY=1" not in heard or heard.count("WATCHDOG=1") < 2:
            heard += manager.recv(4096).decode() + "\n"
        assert "STATUS=serving" in heard
        server.process.terminate()
        while "STOPPING=1" not in heard:
            heard += manager.recv(4096).decode() + "\n"
        assert server.process.wait(30) == 0


def unmade(folder):
    """Without database and audit log: of what is on the token nothing is known any more."""
    for file in folder.glob("bulla.db*"):
        file.unlink()
    shutil.rmtree(folder / "audit")


def started(*arguments):
    return subprocess.Popen([BULLA, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            stdin=subprocess.DEVNULL, text=True, env=CLEAN)


def test_of_inits_at_once_one_wins(copy):
    configured(copy, "region", "region", QUIET)
    unmade(copy)
    ended = [(process.communicate(timeout=120), process.returncode) for process in [started("init", "--data", copy) for _ in range(3)]]
    assert sorted(code for _, code in ended) == [0, 5, 5], ended
    for (_, said), code in ended:
        assert "destroyed" not in said, said
        assert code == 0 or "the deployment is initialised already" in said, said
    done("check", "--data", copy)
    assert len(typed("account", "list", "--data", copy)) == 1


def test_an_init_beside_the_logs_of_another_deployment_is_refused(copy):
    """A path of the database that was mistyped, or a disk that is not mounted."""
    for file in copy.glob("bulla.db*"):
        file.unlink()
    refused = bulla("init", "--data", copy)
    assert refused.returncode == 5 and "of another deployment, and the database is empty" in refused.stderr, refused
    assert "an empty folder" in refused.stderr
    shutil.rmtree(copy / "audit")
    done("init", "--data", copy)


def test_an_init_that_was_killed_while_it_made_a_pair_is_finished(copy):
    """Half of AUD is there, and a file without content where the other half was to be."""
    configured(copy, "region", "region", QUIET)
    with sqlite3.connect(copy / "bulla.db") as database:
        database.row_factory = sqlite3.Row
        row = dict(database.execute("SELECT * FROM deployment").fetchone())
    unmade(copy)
    done("migrate", "--data", copy)
    row |= {"ready": 0, "mac": b""}
    with sqlite3.connect(copy / "bulla.db") as database:
        database.execute(f"INSERT INTO deployment ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
    aud = row["aud_key"]
    halves = [file for file in (copy / "tokens").rglob("*.object") if aud in file.read_bytes()]
    assert halves, "the public half says its id in the clear"
    halves[0].write_bytes(b"")
    init = bulla("init", "--data", copy)
    assert init.returncode == 0 and "is no whole AUD (1 of 2 objects)" in init.stderr, init
    done("check", "--data", copy)
    # What is left of it is for a person to take away.
    verify = bulla("verify", "--data", copy)
    left = str(uuid.UUID(bytes=aud))
    assert verify.returncode == 1 and f"{left}" in verify.stdout, verify


def test_of_devs_at_once_on_a_new_folder_one_serves(tmp_path):
    processes = [started("dev", "--data", tmp_path / "d", "--listen", "0", "--json") for _ in range(3)]
    ends = time.monotonic() + 90
    while sum(process.poll() is None for process in processes) > 1:
        assert time.monotonic() < ends
        time.sleep(0.05)
    serves = next(process for process in processes if process.poll() is None)
    assert json.loads(serves.stdout.readline())["AccessKeyId"]
    for process in processes:
        if process is not serves:
            said = process.communicate()[1]
            assert process.returncode == 5 and "another `bulla dev` (process " in said, said
    serves.terminate()
    assert serves.wait(30) == 0
    done("check", "--data", tmp_path / "d", env={"BULLA_SERVER__LISTEN": "127.0.0.1:0"})


def test_a_dev_that_ended_while_it_made_its_token_starts(copy, serving):
    unmade(copy)
    for file in (copy / "tokens").rglob("*"):
        if file.name.startswith("token.object"):
            file.write_bytes(b"") if file.name == "token.object" else file.unlink()
        elif file.suffix == ".object":
            file.unlink()
    server = serving("dev", "--data", copy, "--listen", "0", "--json")
    server.first_line()
    assert server.stop() == 0


def test_who_finds_dev_ready_finds_its_profile_too(tmp_path, serving):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    data = tmp_path / "d"
    serving("dev", "--data", data, "--listen", port, "--json")
    ends = time.monotonic() + 90
    while subprocess.run(["curl", "-sf", "-m", "5", f"http://127.0.0.1:{port}/readyz"], capture_output=True).returncode != 0:
        assert time.monotonic() < ends
    assert f"127.0.0.1:{port}" in (data / "profile.toml").read_text() and (data / "env.sh").is_file()


def as_nobody(*arguments, folder, timeout=30):
    """A command of a user for whom modes count; the folder is given to that user."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 65534, 65534, follow_symlinks=False)
    return subprocess.run([BULLA, *map(str, arguments)], capture_output=True, text=True, env=CLEAN | {"SOFTHSM2_CONF": str(folder / "softhsm2.conf")},
                          stdin=subprocess.DEVNULL, timeout=timeout, user=65534, group=65534, extra_groups=[])


def test_a_file_that_may_not_be_written_is_no_outage(copy):
    if os.geteuid() != 0:
        pytest.skip("runs commands as another user: needs root")
    configured(copy, "region", "region", QUIET)
    with tempfile.TemporaryDirectory(prefix="bulla-modes-") as top:
        os.chmod(top, 0o711)
        if subprocess.run([BULLA, "--version"], capture_output=True, user=65534, group=65534, extra_groups=[]).returncode != 0:
            pytest.skip("another user may not run the program")
        for name, mode, hint in (("bulla.db", 0o400, "chmod u+rw"), ("bulla.db-shm", 0o400, "chmod u+rw"), (".", 0o500, "chmod u+rwx"),
                                 ("audit/audit.lock", 0o400, "chmod u+rw"), ("audit", 0o500, "chmod u+rwx")):
            folder = Path(top) / "d"
            shutil.copytree(copy, folder, symlinks=True)
            ended = []
            for command in ("check", "serve"):
                # The last who closes a database takes this file away.
                (folder / "bulla.db-shm").touch()
                (folder / name).chmod(mode)
                ended.append(as_nobody(command, "--config", folder / "bulla.toml", folder=folder))
            check, serve = ended
            fails = [line for line in check.stdout.splitlines() if line.startswith("FAIL")]
            reason = next(line for line in serve.stderr.splitlines() if line.startswith("error: ")).removeprefix("error: ")
            assert check.returncode == 1 and serve.returncode == 7, (name, check, serve)
            assert "Permission denied" in reason and any(reason in line for line in fails), (reason, fails)
            assert hint in serve.stderr and hint in check.stdout, serve
            shutil.rmtree(folder)


def test_what_is_no_folder_is_not_to_be_changed(copy):
    configured(copy, 'directory = "audit"', 'directory = "/dev/null"', QUIET)
    check = bulla("check", "--data", copy)
    assert check.returncode == 1 and "/dev/null: it is no folder" in check.stdout and "chmod" not in check.stdout, check


def test_certificate_and_key_may_be_one_file_and_all_that_is_odd_is_told(copy):
    certificate(copy, "a", days=5)
    (copy / "a.crt").write_text((copy / "a.crt").read_text() + (copy / "a.key").read_text())
    (copy / "a.key").chmod(0o644)
    configured(copy, "region", "region", TLS.format("a", "a") + 'client_ca_file = "a.crt"\n')
    odd = next(line for line in done("check", "--data", copy).splitlines() if " certificates " in line)
    for told in ("the certificate ends", "a root of client_ca_file ends", "others may read"):
        assert told in odd, odd


def test_a_receiver_that_is_not_there_is_told(copy):
    configured(copy, 'directory = "audit"', 'directory = "audit"\nship = "unix:/nope"', QUIET)
    assert "audit.ship: /nope: No such file" in done("check", "--data", copy)


def test_documents_of_policies_have_an_end(copy):
    document = copy / "policy.json"
    document.write_bytes(b"\xef\xbb\xbf" + b'{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}')
    done("policy", "create", "marked", "--document", document, "--data", copy)
    refused = bulla("policy", "create", "endless", "--document", "/dev/zero", "--data", copy, timeout=30)
    assert refused.returncode == 7 and "longer than 32768 bytes" in refused.stderr, refused


def test_a_backup_makes_its_own_folder(copy):
    refused = bulla("backup", "--to", copy / "audit", "--data", copy)
    assert refused.returncode == 5 and "is there already" in refused.stderr, refused


def test_without_a_terminal_a_pin_that_is_named_nowhere_is_a_setting(copy):
    configured(copy, 'pin_file = "pin"\n', "", QUIET)
    refused = bulla("user", "list", "--data", copy)
    assert refused.returncode == 7 and "no pin_file" in refused.stderr, refused


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    for command in ("check", "serve", "init"):
        ended = bulla(command, "--data", tmp_path / "typo")
        assert ended.returncode == 7 and "typo/bulla.toml: No such file" in ended.stderr, ended
        assert list(tmp_path.iterdir()) == []


def test_a_seed_that_cannot_be_is_refused_at_once(tmp_path):
    seed = tmp_path / "seed"
    for text, reason in (("A=\n", "A: the value has 0 bytes"), ("A=" + "x" * 30721, "A: the value has 30721 bytes")):
        seed.write_text(text)
        ended = bulla("dev", "--data", tmp_path / "d", "--listen", "0", "--seed", seed)
        assert (ended.returncode, ended.stdout) == (7, "") and reason in ended.stderr, ended
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("folder", [(), ("--data", "d")])
def test_a_seed_from_a_pipe_is_read_by_whoever_makes_its_secrets(serving, tmp_path, folder, monkeypatch):
    """`dev` becomes itself again, once or twice, before it serves."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "seed")
    threading.Thread(target=(tmp_path / "seed").write_text, args=("app/db=x\n",), daemon=True).start()
    server = serving("dev", *folder, "--listen", "0", "--json", "--seed", tmp_path / "seed")
    ready = json.loads(server.first_line())
    client = Client(ready["AccessKeyId"], ready["AccessKeySecret"])
    assert client.call(ready["Endpoint"], "GetSecretValue", SecretName="app/db")[1]["SecretData"] == "x"


def test_dev_ends_where_it_cannot_say_that_it_is_ready(tmp_path):
    (tmp_path / "d/profile.toml").mkdir(parents=True)
    ended = bulla("dev", "--data", tmp_path / "d", "--listen", "0", "--json")
    assert ended.returncode not in (0, -9) and '"error"' in ended.stderr, ended


def test_dev_for_teams(serving, tmp_path):
    """--tls with its own authority, a chosen access key, a seed, beyond loopback in as many words."""
    (tmp_path / "key").write_text("a-secret-of-the-compose-file\n")
    (tmp_path / "seed.json").write_text(json.dumps({"app/db": "postgresql://x", "app/token": {"a": 1}}))
    refused = bulla("dev", "--listen", "0.0.0.0:0")
    assert refused.returncode == 2 and "--listen-to-everyone" in refused.stderr
    server = serving("dev", "--data", tmp_path / "d", "--listen", "0.0.0.0:0", "--listen-to-everyone", "--tls", "--json",
                     "--access-key-id", "BLLADEVDEVDEVDEVDEVDEV22", "--access-key-secret-file", tmp_path / "key",
                     "--seed", tmp_path / "seed.json")
    ready = json.loads(server.first_line())
    assert ready["AccessKeyId"] == "BLLADEVDEVDEVDEVDEVDEV22" and ready["AccessKeySecret"] == "a-secret-of-the-compose-file"
    assert ready["Scheme"] == "https"
    page = subprocess.run(["curl", "-s", "--cacert", ready["CaFile"], f"https://{ready['Endpoint']}/readyz"],
                          capture_output=True, text=True)
    assert page.returncode == 0 and "ok" in page.stdout, page
    profile = (tmp_path / "d/profile.toml").read_text()
    assert 'ca_file = "tls/ca.crt"' in profile and "a-secret" not in profile
    environment = subprocess.run(["sh", "-c", f". {tmp_path}/d/env.sh; env"], capture_output=True, text=True).stdout
    assert "ALIBABA_CLOUD_ACCESS_KEY_SECRET=a-secret-of-the-compose-file" in environment
    # The seed stays as it is when it is sown again.
    server.stop()
    server = serving("dev", "--data", tmp_path / "d", "--listen", "0", "--json", "--seed", tmp_path / "seed.json")
    server.first_line()
    found = [line for line in done("audit", "search", "--action", "CreateSecret", "--format", "csv", "--data", tmp_path / "d")
             .splitlines() if "secret/app/" in line]
    assert len(found) == 4, found  # two that were made, two that existed


def test_who_speaks_the_other_protocol_is_told(copy, serving, dev, tmp_path):
    """http to the https port and https to the http port: an answer where one can be read, and one line in the log."""
    certificate(copy, "a")
    configured(copy, "region", "region", TLS.format("a", "a"))
    secure = serving("serve", "--data", copy)
    secure.waits_for("serving")
    port = next(int(line.rsplit(":", 1)[1]) for line in secure.log().splitlines() if "serving" in line)
    for path in ("/", "/readyz", "/?Action=ListSecrets"):
        answer = subprocess.run(["curl", "-s", "-m", "10", "-w", "\n%{http_code}", f"http://127.0.0.1:{port}{path}"],
                                capture_output=True, text=True)
        body, status = answer.stdout.rsplit("\n", 1)
        assert status == "400" and "Use https." in json.loads(body)["Message"], answer
    assert subprocess.run(["curl", "-sk", "-m", "10", f"https://127.0.0.1:{port}/readyz"], capture_output=True).returncode == 0
    assert secure.log().count("plain HTTP on the TLS listener: the client uses http, from 127.0.0.1") == 1
    plain = serving("dev", "--data", tmp_path / "plain", "--listen", "0", "--json")
    endpoint = json.loads(plain.first_line())["Endpoint"]
    for _ in range(3):
        assert subprocess.run(["curl", "-sk", "-m", "10", f"https://{endpoint}/"], capture_output=True).returncode != 0
    assert plain.log().count("a TLS handshake on the plain HTTP listener: the client uses https, from 127.0.0.1") == 1


def test_another_users_command_leaves_nothing_in_the_audit_folder(copy):
    """What root makes there the service could not open: refused before anything is written, with what to type instead."""
    if os.geteuid() != 0:
        pytest.skip("gives a folder to another user: needs root")
    for entry in (copy / "audit", *(copy / "audit").iterdir()):
        os.chown(entry, 65534, 65534)
    before = sorted((copy / "audit").iterdir())
    for command in (["user", "create", "x"], ["user", "list"], ["init"]):
        refused = bulla(*command, "--data", copy)
        assert refused.returncode == 7 and "belongs to uid 65534, and this is uid 0" in refused.stderr, refused
        assert "sudo -u '#65534' bulla" in refused.stderr
    assert sorted((copy / "audit").iterdir()) == before
    assert "sudo -u bulla" in done("check", "--data", copy)


def test_configuration_errors_name_file_and_key(copy):
    """One place and one reason each, from the file as from the environment."""
    faults = [
        (QUIET.replace('"127.0.0.1:0"', '"8080x"'), {}, "bulla.toml: server.listen: "),
        ("[server]\nlisten_on = 1\n", {}, "bulla.toml: server.listen_on: unknown field"),
        ("[limits]\nrequests_per_second = 0\n", {}, "bulla.toml: limits.requests_per_second: "),
        ("[token\n", {}, "bulla.toml: "),
        ("", {"BULLA_SERVER__LISTEN": "x"}, "$BULLA_SERVER__LISTEN: "),
        ("", {"BULLA_AUDIT__DIRECTORY": ""}, "$BULLA_AUDIT__DIRECTORY: audit.directory is empty"),
        ("", {"BULLA_SERVER__THREADS": "0"}, "$BULLA_SERVER__THREADS: server.threads is 0, and 1 at least"),
        ("[server]\nthreads = 0\n", {"BULLA_SERVER__MAX_CONCURRENT": "9"}, "bulla.toml: server.threads is 0, and 1 at least"),
        ("[server]\nlisten = \"0127.0.0.1:0\"\n", {}, "bulla.toml: server.listen: "),
    ]
    text = (copy / "bulla.toml").read_text()
    for more, env, place in faults:
        (copy / "bulla.toml").write_text(text + more)
        refused = bulla("check", "--data", copy, env=env)
        assert refused.returncode == 7 and place in refused.stderr, refused
        assert "default." not in refused.stderr and "TOML file" not in refused.stderr, refused
    (copy / "bulla.toml").write_text(text)


def test_a_serial_number_of_digits_is_a_text(copy):
    ended = bulla("check", "--data", copy, env={"BULLA_TOKEN__SERIAL": "0012"})
    assert ended.returncode != 0 and "unsigned int" not in ended.stderr and "0012" in ended.stdout + ended.stderr, ended


def test_dev_says_the_way_out_where_its_access_key_is_disabled(copy, serving):
    data = ("--data", copy)
    key = typed("access-key", "list", *data)[0]["AccessKeyId"]
    done("access-key", "disable", key, *data)
    refused = bulla("dev", *data, "--listen", "0", timeout=60)
    assert refused.returncode == 3 and refused.stdout == "", refused
    assert "the account's root has no enabled access key" in refused.stderr and f"bulla access-key create --data {copy}" in refused.stderr
    # What it says helps, either way.
    made = typed("access-key", "create", *data)["AccessKeyId"]
    server = serving("dev", *data, "--listen", "0", "--json")
    assert json.loads(server.first_line())["AccessKeyId"] == made
    assert server.stop() == 0
    done("access-key", "disable", made, *data)
    done("access-key", "enable", key, *data)
    server = serving("dev", *data, "--listen", "0", "--json")
    assert json.loads(server.first_line())["AccessKeyId"] == key
    assert server.stop() == 0


def with_a_key(folder, serving, *more):
    """The id of a key that is made while the folder is served."""
    server = serving("dev", "--data", folder, "--listen", "0", "--json")
    server.first_line()
    key = json.loads(done("--profile", folder, "key", "create", *more, "--json"))["KeyId"]
    assert server.stop() == 0
    return key


def test_objects_on_the_token_without_a_row_are_told(copy, serving, tmp_path):
    """Of another deployment on the same token, or of a database that is newer than this one."""
    other = tmp_path / "other"
    shutil.copytree(copy, other, symlinks=True)
    with_a_key(other, serving)
    listed, _signature = done("inventory", "--data", other, "--json").splitlines()
    theirs = {row["KeyVersionId"] for row in json.loads(listed)["KeyVersions"]}
    known = {file.name for file in (copy / "tokens").rglob("*.object")}
    [token] = [file.parent for file in (copy / "tokens").glob("*/token.object")]
    for file in (other / "tokens").rglob("*.object"):
        if file.name not in known:
            shutil.copy(file, token)
    configured(copy, "region", "region", QUIET)
    odd = done("check", "--data", copy)
    told = re.search(r"(?m)^warn +keys +(.*)\n +-> (.*)$", odd)
    assert told and told[1] == f"{len(theirs)} objects on the token have no row" and "they are not touched" in told[2], odd
    assert set(typed("check", "--data", copy)["ObjectsWithoutRow"]) == theirs
    verify = bulla("verify", "--data", copy)
    for id in theirs:
        assert f"token: object {id} looks like ours and has no row" in verify.stdout, verify
    server = serving("serve", "--data", copy)
    for id in theirs:
        server.waits_for(f"token: object {id} looks like ours and has no row; it is not used, and not touched")
    assert server.stop() == 0
    assert all((token / file.name).is_file() for file in (other / "tokens").rglob("*.object"))


def test_a_lost_key_is_named_by_its_aliases(copy, serving, tmp_path):
    configured(copy, "region", "region", QUIET)
    shutil.copytree(copy / "tokens", tmp_path / "backup")
    key = with_a_key(copy, serving, "--alias", "app/orders")
    shutil.rmtree(copy / "tokens")
    shutil.copytree(tmp_path / "backup", copy / "tokens")
    check = bulla("check", "--data", copy)
    assert check.returncode == 1 and f"key {key} (alias/app/orders), version " in check.stdout, check


def test_a_wrong_token_label_is_told_once(copy):
    wrong_label(copy)
    serve = bulla("serve", "--data", copy, env={"SOFTHSM2_CONF": str(copy / "softhsm2.conf")}, timeout=60)
    assert serve.returncode not in (0, -9), serve
    reason = 'the token was not found: no token labelled "another"; there are: ["bulla-dev" (serial '
    told = [line for line in serve.stderr.splitlines() if reason in line]
    # It is tried for two seconds: one line in the log, and the error that the program ends with.
    assert len(told) == 2 and told[0].startswith("[") and told[1].startswith("error: "), serve.stderr


def test_the_first_line_of_the_log_binds_it_to_the_key_that_proves_it(copy):
    configured(copy, "region", "region", QUIET)
    unmade(copy)
    shown = typed("init", "--data", copy)["AuditKeyFingerprint"]
    lines = [json.loads(line) for line in (copy / "audit/admin.jsonl").read_text().splitlines()]
    # Before it, what the log says of itself.
    first = next(line for line in lines if "action" in line)
    assert first["action"] == "InitialiseDeployment" and first["resource"].endswith(f" audit-key/sha256:{shown}"), first
    assert f"fingerprint: {shown}" in done("audit", "public-key", "--data", copy)

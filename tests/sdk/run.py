#!/usr/bin/env python3
"""Runs the SDK suite against Bulla on SQLite and on PostgreSQL.

    tests/sdk/run.py [--bulla PROGRAM] [--only sqlite|postgresql] [-- PYTEST ARGUMENTS]
    tests/sdk/run.py --tools         runs tools.py instead: the aliyun CLI and Terraform, as far as they can be had here
    tests/sdk/run.py --vault-tools   runs vault_tools.py instead: clients of Vault's API that take long to install or build
    tests/sdk/run.py --prepare       only installs the SDKs (and the tools of scripts/test.sh) under target/sdk

The SDKs go into virtual environments and a node_modules folder under target/sdk; they are installed again only when the
pinned lists change. Each database gets its own `bulla dev` on a free port and a data folder of its own; PostgreSQL is a
throw-away cluster, run as user postgres where this runs as root. Whatever was started ends with this program, also by SIGKILL.

To run the suite against another Bulla, set the BULLA_… variables of conftest.py and call pytest on this folder.
"""

import argparse
import concurrent.futures
import contextlib
import ctypes
import hashlib
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Tests read English, whatever this machine speaks.
os.environ["LC_ALL"] = "C.UTF-8"

PLACE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "sdk"
VENV = PLACE / "venv"
CACHE = PLACE / "cache-clients"
NODE = PLACE / "node"
JAVA = PLACE / "java"
GO = PLACE / "go"

READY_S = 60  # `bulla dev` makes a token and a database first; seconds


def die(reason):
    sys.exit(f"tests/sdk: {reason}")


# --- what the suite needs ------------------------------------------------------------------------------------------------


def unless_done(folder, inputs, install):
    """Runs `install` unless it succeeded in this folder with these very input files (and this Python) before."""
    digest = hashlib.sha256(sys.version.encode())
    for path in inputs:
        digest.update(path.read_bytes())
    stamp = folder / "installed.sha256"
    if stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    install()
    stamp.write_text(digest.hexdigest())


def attempt(what, command, tries=3, **options):
    """Runs a command that uses the network, a few times."""
    for number in range(1, tries + 1):
        if subprocess.run(command, stdin=subprocess.DEVNULL, **options).returncode == 0:
            return
        print(f"tests/sdk: {what} failed (try {number} of {tries})", file=sys.stderr, flush=True)
        time.sleep(3 * number)
    die(f"{what} failed; its reason is above")


def prepare():
    sdks, tools, caches = (HERE / f"requirements{of}.txt" for of in ("", "-tools", "-cache"))
    package, lock = HERE / "node/package.json", HERE / "node/package-lock.json"

    def python():
        print("tests/sdk: installing the Python SDKs into", VENV, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        pip = [VENV / "bin/pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
        attempt("pip install", [*pip, "-r", sdks])
        attempt("pip install", [*pip, "--no-deps", "--require-hashes", "-r", tools])

    def caching_clients():
        print("tests/sdk: installing the caching clients into", CACHE, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", CACHE], check=True)
        attempt("pip install", [CACHE / "bin/pip", "install", "-qq", "--disable-pip-version-check", "--no-input", "-r", caches])

    def node():
        print("tests/sdk: installing the Node SDK into", NODE, flush=True)
        for path in (package, lock):
            shutil.copy(path, NODE)
        attempt("npm ci", ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=NODE)

    unless_done(VENV, [sdks, tools], python)
    unless_done(CACHE, [caches], caching_clients)
    unless_done(NODE, [package, lock], node)


# --- languages that need not be here ---------------------------------------------------------------------------------------


# What mvn and go say of a registry that does not answer or does not serve.
UNREACHABLE = ("Could not resolve", "Could not transfer", "failed to download", "failed to get", "no such host", "connection refused", "i/o timeout", "403 Forbidden")


class Missing(Exception):
    """Why the SDKs of a language cannot be tested here."""


def build(language, tools, command, **options):
    """Runs a command that builds a language's program, its dependencies from a registry included; gives what it prints."""
    for tool in tools:
        if not shutil.which(tool):
            raise Missing(f"{language}: no {tool} on this machine")
    print(f"tests/sdk: building the {language} program", flush=True)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if done.returncode != 0:
        reason = (done.stdout + done.stderr)[-2000:]
        # Could not fetch, rather than sources of ours that are wrong.
        if not any(sign in reason for sign in UNREACHABLE):
            die(f"the {language} program was not built:\n{reason}")
        raise Missing(f"{language}: its registry cannot be reached from this machine")
    return done.stdout


def java():
    """The command of java/, with its jars fetched and its classes compiled."""
    sources = sorted((HERE / "java").glob("*.java"))
    classes, jars = JAVA / "classes", JAVA / "jars"

    def make():
        quiet = ["mvn", "-q", "-B", "-f", HERE / "java/pom.xml"]
        build("Java", ["java", "javac", "mvn"], [*quiet, "dependency:copy-dependencies", f"-DoutputDirectory={jars}"])
        build("Java", ["javac"], ["javac", "--release", "8", "-nowarn", "-cp", f"{jars}/*", "-d", classes, *sources])

    unless_done(JAVA, [HERE / "java/pom.xml", *sources], make)
    return ["java", "-XX:+UseSerialGC", "-Xmx256m", "-cp", f"{classes}:{jars}/*", "Clients"]


def go():
    """The command of go/, built."""
    sources = sorted((HERE / "go").iterdir())
    unless_done(GO, sources, lambda: build("Go", ["go"], ["go", "build", "-o", GO / "clients", "."], cwd=HERE / "go"))
    return [str(GO / "clients")]


def rust():
    """The commands of client/examples, by name. They are built by `cargo test` and by `cargo build -p bulla-client --examples`."""
    names = sorted(path.stem for path in (ROOT / "client/examples").glob("*.rs"))
    commands = {name: [str(PLACE.parent / "debug/examples" / name)] for name in names}
    if not all(pathlib.Path(program).is_file() for program, in commands.values()):
        raise Missing("Rust: the examples of client/ are not built; cargo build -p bulla-client --examples")
    return commands


def go_vault():
    """The command of go-vault/, built."""
    sources, folder = sorted((HERE / "go-vault").iterdir()), PLACE / "go-vault"
    unless_done(folder, sources, lambda: build("Go", ["go"], ["go", "build", "-o", folder / "vault", "."], cwd=HERE / "go-vault"))
    return [str(folder / "vault")]


SDKS = {"BULLA_JAVA": java, "BULLA_GO": go, "BULLA_GO_VAULT": go_vault}


def elsewhere(programs):
    """What the suite is told of programs in other languages: their commands, or why they are not here."""
    told = {}
    for variable, make in programs.items():
        try:
            told[variable] = json.dumps(make())
        except Missing as reason:
            print(f"tests/sdk: skipped: {reason}", flush=True)
            told[f"{variable}_MISSING"] = str(reason)
    return told


# What is built from its Go module where it is not on this machine, and by which variable an own one is named: the program's name, its
# module and version, and the folder of its main package. Versions are named because a proxy need not list what it serves.
MODULES = {
    "BULLA_ALIYUN": ("aliyun", "github.com/aliyun/aliyun-cli/v3@latest", "./main"),
    "BULLA_TERRAFORM_PROVIDER": ("terraform-provider-alicloud", "github.com/aliyun/terraform-provider-alicloud@v1.240.0", "."),
    "BULLA_TERRAFORM": ("terraform", "github.com/opentofu/opentofu@v1.12.6", "./cmd/tofu"),
}


def go_program(program, module, package):
    """A program of a Go module, built as it is published: with the versions that its go.sum names, whatever it vendors."""
    folder = PLACE / "tools" / module.replace("/", "_")
    made = folder / program

    def make():
        fetched = build(program, ["go"], ["go", "mod", "download", "-json", module], cwd=folder)
        source = json.loads(fetched)["Dir"]
        build(program, ["go"], ["go", "build", "-mod=readonly", "-trimpath", "-o", made, package], cwd=source)

    unless_done(folder, [], make)
    return made


def tools():
    """What tools.py is told: programs that the environment names or the PATH has, else built; or why one is not here."""
    told = {}
    for variable, (program, module, package) in MODULES.items():
        found = os.environ.get(variable) or shutil.which(program)
        if variable == "BULLA_TERRAFORM" and "BULLA_TERRAFORM_PROVIDER" not in told:
            continue  # of no use, and minutes to build
        try:
            told[variable] = str(found or go_program(program, module, package))
        except Missing as reason:
            told[f"{variable}_MISSING"] = str(reason)
    return told


def vault_tools():
    """What vault_tools.py is told: Ansible with its collection, and the program in rust/; or why one is not here."""
    told, wanted = {}, HERE / "requirements-vault.txt"

    def ansible():
        print("tests/sdk: installing Ansible into", PLACE / "ansible", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", PLACE / "ansible"], check=True)
        pip = [PLACE / "ansible/bin/pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
        attempt("pip install", [*pip, "-r", wanted])
        # Of 54 MB one collection is wanted.
        with tempfile.TemporaryDirectory() as folder:
            attempt("pip download", [pip[0], "download", "-q", "--no-deps", "-d", folder, "ansible==12.3.0"])
            with zipfile.ZipFile(next(pathlib.Path(folder).iterdir())) as wheel:
                names = [name for name in wheel.namelist() if name.startswith("ansible_collections/community/hashi_vault/")]
                wheel.extractall(PLACE / "ansible/collections", names)

    unless_done(PLACE / "ansible", [wanted], ansible)
    told["BULLA_ANSIBLE"] = str(PLACE / "ansible")
    try:
        sources, folder = sorted((HERE / "rust").rglob("*.*")), PLACE / "rust"
        command = ["cargo", "build", "-q", "--locked", "--manifest-path", HERE / "rust/Cargo.toml", "--target-dir", folder]
        unless_done(folder, [source for source in sources if source.is_file()], lambda: build("Rust", ["cargo"], command))
        told["BULLA_VAULTRS"] = json.dumps([str(folder / "debug/bulla-vaultrs-test")])
    except Missing as reason:
        told["BULLA_VAULTRS_MISSING"] = str(reason)
    return told


# --- processes that end with this one --------------------------------------------------------------------------------------


def die_with_parent():
    """In a child: the kernel kills it when this program is gone."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def stop(process, how):
    """Asks a child to end and makes sure that it does."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    """A port that nothing listens on, below those that the system takes for connections to others: one of these could take it before its
    server listens, or while that is away."""
    for port in random.sample(range(10_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port
    die("no free port among a hundred")


# --- databases -----------------------------------------------------------------------------------------------------------


def postgresql_program(name):
    """Debian keeps the server's programs out of PATH, one folder per version; the newest is taken."""
    versions = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: float(p.parts[4]))
    found = str(versions[-1]) if versions else shutil.which(name)
    return found or die(f"PostgreSQL's {name} not found; scripts/setup.sh test installs it")


@contextlib.contextmanager
def postgresql():
    """A throw-away cluster; gives the URL of an empty database in it."""
    as_user = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        account = pwd.getpwnam("postgres")
        as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="bulla-sdk-pg-") as folder:
        if as_user:
            os.chown(folder, as_user["user"], as_user["group"])
        data, log = pathlib.Path(folder, "data"), pathlib.Path(folder, "log")
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "cwd": folder}
        initdb = [postgresql_program("initdb"), "-D", data, "-U", "bulla", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(initdb, check=True, **quiet, **as_user)
        port = free_port()
        with open(log, "wb") as out:
            server = subprocess.Popen(
                [postgresql_program("postgres"), "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder, preexec_fn=die_with_parent, **as_user,
            )
        try:
            createdb = [postgresql_program("createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "bulla", "bulla"]
            deadline = time.monotonic() + READY_S
            while subprocess.run(createdb, stderr=subprocess.DEVNULL, **quiet).returncode != 0:
                if server.poll() is not None or time.monotonic() > deadline:
                    die("PostgreSQL did not start:\n" + log.read_text())
                time.sleep(0.1)
            yield f"postgres://bulla@127.0.0.1:{port}/bulla"
        finally:
            stop(server, signal.SIGINT)  # "fast" shutdown


@contextlib.contextmanager
def sqlite():
    yield None  # what `bulla dev` takes by itself


DATABASES = {"sqlite": sqlite, "postgresql": postgresql}


# --- Bulla and the suite ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def bulla(program, database):
    """Starts `bulla dev`; gives the environment in which the suite finds it."""
    with tempfile.TemporaryDirectory(prefix="bulla-sdk-") as folder:
        data, log = pathlib.Path(folder, "data"), pathlib.Path(folder, "log")
        command = [program, "dev", "--data", data, "--listen", "127.0.0.1:0", "--json"]
        if database:
            command += ["--database", database]
        with open(log, "wb") as out:
            server = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=out, preexec_fn=die_with_parent
            )
        try:
            line = server.stdout.readline()
            try:
                ready = json.loads(line)
            except ValueError:
                stop(server, signal.SIGTERM)
                die(f"`bulla dev` did not become ready (exit {server.returncode}); it said {line!r} and logged:\n{log.read_text()}")
            yield {
                "BULLA_ENDPOINT": ready["Endpoint"],
                "BULLA_REGION": ready["RegionId"],
                "BULLA_ACCOUNT": ready["AccountId"],
                "BULLA_ACCESS_KEY_ID": ready["AccessKeyId"],
                "BULLA_ACCESS_KEY_SECRET": ready["AccessKeySecret"],
                "BULLA_PROGRAM": str(program),
                "BULLA_ADMIN_ARGS": f"--data {data}",
                "BULLA_NODE_MODULES": str(NODE / "node_modules"),
                "BULLA_CACHE_PYTHON": str(CACHE / "bin/python"),
            }
            if server.poll() is not None:
                die(f"`bulla dev` ended during the suite (exit {server.returncode}); its log:\n{log.read_text()}")
        except BaseException:
            print(f"--- the end of Bulla's log\n{log.read_text()[-4000:]}", file=sys.stderr)
            raise
        finally:
            stop(server, signal.SIGTERM)
            if server.stdout:
                server.stdout.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--tools", action="store_true")
    parser.add_argument("--vault-tools", action="store_true")
    parser.add_argument("--bulla", type=pathlib.Path, default=PLACE.parent / "debug/bulla")
    parser.add_argument("--only", choices=DATABASES)
    parser.add_argument("pytest", nargs="*", help="passed on to pytest")
    options = parser.parse_args()

    prepare()
    others = elsewhere(SDKS)
    if options.prepare:
        return
    if not options.bulla.is_file():
        die(f"{options.bulla} not found; cargo build makes it")

    others |= elsewhere({"BULLA_RUST_EXAMPLES": rust})
    if options.tools:
        others |= tools()
    if options.vault_tools:
        others |= vault_tools()
    suite = HERE / "tools.py" if options.tools else HERE / "vault_tools.py" if options.vault_tools else HERE
    # Once more what failed: the summary (R) names it. A machine that was too slow for a moment fails no run.
    command = [VENV / "bin/python", "-m", "pytest", "-raR", "--tb=short", "-p", "no:cacheprovider", "--reruns=1", suite, *options.pytest]

    def passes(name, **output):
        with DATABASES[name]() as database, bulla(options.bulla.resolve(), database) as told:
            told = {**os.environ, **told, **others, "PYTHONDONTWRITEBYTECODE": "1"}
            return subprocess.run(command, stdin=subprocess.DEVNULL, cwd=ROOT, env=told, **output).returncode == 0

    def passes_aside(name):
        """Beside another run, so what it says is kept together until its end."""
        with tempfile.TemporaryFile("w+") as out:
            passed = passes(name, stdout=out, stderr=subprocess.STDOUT)
            out.seek(0)
            print(f"--- {name}\n{out.read()}", flush=True)
        return passed

    if options.only:
        print(f"--- {options.only}", flush=True)
        failed = [] if passes(options.only) else [options.only]
    else:
        # At once: each waits for its clients more than it works.
        with concurrent.futures.ThreadPoolExecutor() as threads:
            failed = [name for name, passed in zip(DATABASES, threads.map(passes_aside, DATABASES)) if not passed]
    if failed:
        die(f"failed on {', '.join(failed)}")


if __name__ == "__main__":
    main()

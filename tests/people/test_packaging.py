"""What is shipped, judged by the tools that meet it: systemd, dpkg, lintian, promtool, Kubernetes' schemas, buildah.

A tool that is not on this machine skips its test, with the reason.
"""

import contextlib
import importlib.util
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys

import pytest
from client import Client
from conftest import BULLA, ROOT, bulla, done, golden

sys.path.insert(0, str(ROOT / "tests/sdk"))
from run import free_port  # noqa: E402

PACKAGING = ROOT / "packaging"


def needs(*tools):
    absent = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(absent), reason=f"not on this machine: {', '.join(absent)}")


def run(*command, **more):
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    return ended.stdout + ended.stderr


UNITS = pytest.mark.parametrize("name", ["bulla.service", "bulla-agent.service"])


@needs("systemd-analyze")
@UNITS
def test_the_unit_is_hardened(name):
    unit = PACKAGING / "systemd" / name
    said = run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    assert "Overall exposure level" in said


@needs("systemd-analyze")
@UNITS
def test_the_unit_is_sound(name, tmp_path):
    unit = tmp_path / name
    unit.write_text((PACKAGING / "systemd" / name).read_text().replace("/usr/bin/bulla", BULLA))
    ended = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    ours = [line for line in ended.stderr.splitlines() if name in line and "not exist" not in line]
    assert ours == []


@needs("dpkg-deb", "lintian")
def test_lintian_has_nothing_to_say(package):
    said = subprocess.run(["lintian", "--allow-root", "--tag-display-limit", "0", "--fail-on", "error,warning", package],
                          capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


@contextlib.contextmanager
def files_at(folder):
    """This machine's files under a root of their own: what is changed there is gone afterwards."""
    if os.geteuid() != 0:
        pytest.skip("mounts a root and installs a package there: needs root")
    root, upper, work = folder / "root", folder / "upper", folder / "work"
    for made in (root, upper, work):
        made.mkdir(parents=True)
    mount = ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", root]
    if (done := subprocess.run(mount, capture_output=True, text=True)).returncode != 0:
        pytest.skip(f"no root of its own can be mounted here: {done.stderr.strip()}")
    # Seconds for each package that comes or goes: the index of all manual pages, made anew.
    (root / "var/lib/man-db/auto-update").unlink(missing_ok=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)


@contextlib.contextmanager
def machine_at(folder):
    """Such a root, and what runs commands in it."""
    with files_at(folder) as root:
        mounted = []
        try:
            for name in ("proc", "dev"):
                run("mount", "--rbind", f"/{name}", root / name)
                mounted.insert(0, root / name)
                run("mount", "--make-rslave", root / name)
            yield root, ["chroot", root]
        finally:
            for name in mounted:
                subprocess.run(["umount", "--lazy", name], check=True)


@pytest.fixture
def machine(tmp_path):
    with machine_at(tmp_path) as made:
        yield made


AS_BULLA = ["setpriv", "--reuid=bulla", "--regid=bulla", "--init-groups", "--"]
# Lines that are dpkg's own, or man-db's.
DPKG = re.compile(r"(?m)^(Selecting|\(Reading|Preparing|Unpacking|Setting up|Removing|Purging|Processing|Not building) .*\n")


@needs("dpkg", "setpriv", "adduser", "softhsm2-util")
def test_install_init_serve_read_upgrade_remove_purge(package, machine):
    """The package's whole life, as its user: what its own postinst says is done, word by word."""
    root, inside = machine
    environment = {**os.environ, "SOFTHSM2_CONF": "/etc/bulla/softhsm2.conf", "LC_ALL": "C"}
    environment.pop("BULLA_CONFIG", None)

    def at(*command, **more):
        return run(*inside, *command, env=environment, **more)

    told = []

    def dpkg(*words):
        told.append(f"$ dpkg {' '.join(words)}\n{DPKG.sub('', at('dpkg', *words))}")

    shutil.copy(package, root / "bulla.deb")
    dpkg("--install", "/bulla.deb")
    state = root / "var/lib/bulla"
    assert [(path.stat().st_mode & 0o777, path.stat().st_uid) for path in (state, state / "audit")] == [(0o700, owner_in(root))] * 2
    at("install", "-m", "0640", "-o", "root", "-g", "bulla", "/dev/stdin", "/etc/bulla/pin", input="12345678\n")
    at("install", "-d", "-o", "bulla", "-g", "bulla", "-m", "0700", "/var/lib/bulla/tokens")
    conf = root / "etc/bulla/softhsm2.conf"
    conf.write_text("directories.tokendir = /var/lib/bulla/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    at("chgrp", "bulla", "/etc/bulla/softhsm2.conf")
    numbers = "".join(random.sample("123456789", 6))
    settings = root / "etc/bulla/bulla.toml"
    port, admin = free_port(), free_port()
    settings.write_text(settings.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("127.0.0.1:9090", f"127.0.0.1:{admin}"))
    at(*AS_BULLA, "softhsm2-util", "--init-token", "--free", "--label", "bulla", "--so-pin", numbers, "--pin", "12345678")
    refused = subprocess.run([*map(str, inside), "bulla", "init"], env=environment, capture_output=True, text=True)
    assert refused.returncode == 7 and "sudo -u" in refused.stderr, refused
    key = json.loads(at(*AS_BULLA, "bulla", "init", "--json").splitlines()[-1])
    checks = json.loads(at(*AS_BULLA, "bulla", "check", "--json"))["Checks"]
    assert {check["Verdict"] for check in checks if check["Check"] != "memory"} == {"ok"}, checks
    client, endpoint = Client(key["AccessKeyId"], key["AccessKeySecret"]), f"127.0.0.1:{port}"
    for begin in ("make", "read"):
        server = subprocess.Popen([*map(str, inside), *AS_BULLA, "bulla", "serve"], env=environment, stderr=subprocess.DEVNULL)
        try:
            ready = f"for i in $(seq 100); do bulla probe http://127.0.0.1:{admin}/readyz >/dev/null 2>&1 && exit 0; sleep 0.2; done; exit 1"
            at("sh", "-c", ready)
            if begin == "make":
                made = client.call(endpoint, "CreateSecret", SecretName="app/db", VersionId="v1", SecretData="s3cret")
                assert made[0] == 200, made
            assert client.call(endpoint, "GetSecretValue", SecretName="app/db")[1]["SecretData"] == "s3cret"
            # The next version of the package comes while this one serves.
            dpkg("--install", "/bulla.deb")
            assert client.call(endpoint, "GetSecretValue", SecretName="app/db")[0] == 200
        finally:
            server.terminate()
            assert server.wait(30) == 0
    assert f"127.0.0.1:{port}" in settings.read_text(), "an upgrade keeps settings"
    # What comes with use; the links are those of `systemctl enable`, which need not be on this machine.
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    for unit in ("bulla.service", "bulla-agent.service"):
        (wants / unit).symlink_to(f"/lib/systemd/system/{unit}")
    for place in ("etc/bulla-agent/access-key", "etc/default/bulla-agent", "run/private/bulla-agent/app.env"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text("")
    (root / "run/bulla-agent").symlink_to("private/bulla-agent")
    dpkg("--remove", "bulla")
    assert (state / "bulla.db").is_file() and settings.is_file(), "removing keeps data and settings"
    assert not (root / "usr/bin/bulla").exists()
    dpkg("--purge", "bulla")
    (root / "bulla.deb").rename(root / "next.deb")
    tokens = state / "tokens"
    [token] = tokens.iterdir()
    assert left_in(root) == [state] and list(state.iterdir()) == [tokens] and list(token.glob("*.object")), "what is on the token stays"
    assert (state.stat().st_uid, tokens.stat().st_uid) == (owner_in(root),) * 2, "and who it belongs to"
    # Where no token is in it, nothing stays.
    dpkg("--install", "/next.deb")
    shutil.rmtree(token)
    dpkg("--purge", "bulla")
    assert left_in(root) == []
    for file in ("passwd", "shadow", "group", "gshadow"):
        assert "bulla" not in (root / "etc" / file).read_text(), file
    golden("package", "\n".join(told))


def left_in(root):
    """What is called after the package and is there since the machine has a root of its own, but for logs."""
    upper = root.with_name("upper")
    made = (root / path.relative_to(upper) for path in upper.rglob("*bulla*"))
    return [path for path in made if os.path.lexists(path) and root / "var/log" not in path.parents]


def owner_in(root):
    """The number of the package's user."""
    return next(int(line.split(":")[2]) for line in (root / "etc/passwd").read_text().splitlines() if line.startswith("bulla:"))


def test_a_supervisor_starts_nothing_again_that_a_person_must_mend():
    """Usage, a wrong setting, and above all a refused PIN: the third try would lock the token."""
    codes = dict(re.findall(r"(\w+) = (\d),", (ROOT / "src/base/failure.rs").read_text()))
    wanted = {codes["Usage"], codes["Local"]}
    for name, more in (("bulla.service", {codes["Pin"]}), ("bulla-agent.service", set())):
        unit = (PACKAGING / "systemd" / name).read_text()
        assert set(re.search(r"(?m)^RestartPreventExitStatus=(.*)$", unit)[1].split()) == wanted | more


RELEASE = ROOT / "target/release/bulla"


@needs("strip")
@pytest.mark.skipif(not RELEASE.is_file(), reason="no release build here: `make deb` makes one, and looks too")
def test_the_program_is_no_larger_than_it_may_be(tmp_path):
    run("strip", "--strip-unneeded", "-o", tmp_path / "bulla", RELEASE)
    assert (tmp_path / "bulla").stat().st_size <= 25_000_000


@needs("ldd")
def test_make_client_would_refuse_what_is_no_client():
    """The whole program is none, for every reason."""
    judge = ROOT / "scripts/client.sh"
    said = subprocess.run([judge, BULLA], capture_output=True, text=True)
    assert said.returncode == 1
    for reason in ("more than 8000000", "links libpq.so", "loads PKCS#11 modules"):
        assert reason in said.stderr, said
    assert "bytes" in run(judge, "/bin/true")


@needs("promtool")
def test_alert_rules():
    rules = PACKAGING / "prometheus"
    run("promtool", "check", "rules", rules / "bulla.rules.yml")
    run("promtool", "test", "rules", rules / "bulla.rules.test.yml")


def test_every_alert_has_a_case_that_it_tells_of_and_one_that_it_does_not():
    import yaml

    rules, cases = (yaml.safe_load((PACKAGING / "prometheus" / file).read_text()) for file in ("bulla.rules.yml", "bulla.rules.test.yml"))
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    tried = [(case["alertname"], bool(case["exp_alerts"])) for test in cases["tests"] for case in test["alert_rule_test"]]
    assert set(tried) == {(alert, told) for alert in alerts for told in (True, False)}


def test_rules_and_dashboard_name_figures_that_exist():
    """Every name that an alert or a panel asks for is in the table of docs (which a test holds against the program)."""
    named = re.compile(r"\b(?:bulla|process)_[a-z0-9_]+")
    known = set(named.findall((ROOT / "docs/metrics.md").read_text()))
    expressions = (PACKAGING / "prometheus/bulla.rules.yml").read_text()
    panels = json.loads((PACKAGING / "grafana/bulla.json").read_text())["panels"]
    expressions += "".join(target["expr"] for panel in panels for target in panel["targets"])
    for name in set(named.findall(expressions)):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert {name, base} & known, f"{name} is no figure of ours"
    ids = [panel["id"] for panel in panels]
    assert len(ids) == len(set(ids))


CHART = PACKAGING / "helm/bulla"
# Helm as a library, where its wheel is made for this machine (tests/sdk/requirements-tools.txt), or the program.
HELM = pathlib.Path(__file__).with_name("helm.py") if importlib.util.find_spec("helm_python") else shutil.which("helm")
HELMED = pytest.mark.skipif(HELM is None, reason="not on this machine: helm")
# The oldest that the chart takes, and the newest that the schemas know.
KUBERNETES = ["1.30", "1.37"]
# Everything that values.yaml leaves empty.
FULL = """
replicas: 3
image: { repository: registry.example/bulla, tag: "0.1.0" }
service: { type: LoadBalancer }
auditVolume: { size: 1Gi, storageClassName: fast }
extraVolumes:
  - name: hsm
    hostPath: { path: /opt/hsm }
extraVolumeMounts:
  - { name: hsm, mountPath: /opt/hsm, readOnly: true }
extraEnv:
  - { name: RUST_LOG, value: info }
nodeSelector: { disk: ssd }
tolerations:
  - { key: hsm, operator: Exists, effect: NoSchedule }
"""


def rendered(values, kubernetes):
    """What Helm makes of the chart, and its linter has nothing to say of: the manifests."""
    import yaml

    if HELM == shutil.which("helm"):
        options = ["--values", values, "--kube-version", f"{kubernetes}.0"]
        run(HELM, "lint", "--strict", CHART, *options)
        text = run(HELM, "template", "prod", CHART, *options)
    else:
        text = run(sys.executable, HELM, CHART, values, f"{kubernetes}.0")
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def test_the_chart_asks_for_the_oldest_kubernetes_that_it_is_tried_with():
    """Into an older one, which nothing here is rendered for, Helm does not install it."""
    asked = re.search(r'(?m)^kubeVersion: "(.*)"$', (CHART / "Chart.yaml").read_text())[1]
    assert asked == f">={KUBERNETES[0]}.0-0"


@HELMED
@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("values", ["", FULL], ids=["as it comes", "everything set"])
def test_the_chart_renders_manifests_that_kubernetes_takes(tmp_path, kubernetes, values):
    validate = pytest.importorskip("kubernetes_validate")
    (tmp_path / "values.yaml").write_text(values)
    manifests = rendered(tmp_path / "values.yaml", kubernetes)
    assert sorted(manifest["kind"] for manifest in manifests) == ["ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "StatefulSet"]
    for manifest in manifests:
        validate.validate(manifest, kubernetes, strict=True)
    by_kind = {manifest["kind"]: manifest for manifest in manifests}
    pod = by_kind["StatefulSet"]["spec"]["template"]
    labels = pod["metadata"]["labels"]
    for manifest in manifests:
        chosen = manifest.get("spec", {}).get("selector") or manifest.get("spec", {}).get("podSelector") or {}
        assert (chosen.get("matchLabels", chosen) or labels).items() <= labels.items(), f"{manifest['kind']} is not about these pods"
    assert {mount["name"] for mount in pod["spec"]["containers"][0]["volumeMounts"]} == (
        {volume["name"] for volume in pod["spec"]["volumes"]} | {claim["metadata"]["name"] for claim in by_kind["StatefulSet"]["spec"]["volumeClaimTemplates"]})
    # What is judged so strictly can fail.
    pod["spec"]["containers"][0]["livenesProbe"] = pod["spec"]["containers"][0].pop("livenessProbe")
    with pytest.raises(validate.ValidationError):
        validate.validate(by_kind["StatefulSet"], kubernetes, strict=True)


@HELMED
def test_the_chart_has_settings_that_the_program_knows(tmp_path):
    """What is missing here is the token and the files of the pod's secrets; no key and no value is unknown."""
    [written] = [manifest for manifest in rendered(CHART / "values.yaml", KUBERNETES[-1]) if manifest["kind"] == "ConfigMap"]
    settings = tmp_path / "bulla.toml"
    settings.write_text(written["data"]["bulla.toml"])
    check = bulla("check", "--config", settings)
    assert check.returncode == 1 and "FAIL" in check.stdout, check
    settings.write_text(settings.read_text().replace("pin_file", "pin_fil"))
    refused = bulla("check", "--config", settings)
    assert refused.returncode == 7 and "pin_fil" in refused.stderr, refused


@needs("buildah", "strip", "unshare")
@pytest.mark.skipif(os.geteuid() != 0, reason="runs in the image's root: needs root")
def test_the_image_is_built_from_nothing_and_serves_as_the_compose_file_says(tmp_path):
    """Unpacked as a runtime would: the image's user, the file's command, and nothing of this machine but what the file mounts."""
    import yaml

    out, root, tools = tmp_path / "bulla.tar", tmp_path / "root", tmp_path / "tools"
    # As on a machine of many libraries, whose list is more than fits into a pipe that nobody reads to its end.
    tools.mkdir()
    (tools / "ldconfig").write_text(f'#!/bin/sh\n{shutil.which("ldconfig") or "/sbin/ldconfig"} "$@" && seq 100000\n')
    (tools / "ldconfig").chmod(0o755)
    run(PACKAGING / "oci/build.sh", BULLA, out, env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"})
    layout = tmp_path / "layout"
    for folder in (layout, root):
        folder.mkdir()
    run("tar", "-C", layout, "-xf", out)
    blob = lambda digest: layout / "blobs/sha256" / digest.removeprefix("sha256:")  # noqa: E731
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(blob(index["manifests"][0]["digest"]).read_text())
    config = json.loads(blob(manifest["config"]["digest"]).read_text())["config"]
    for layer in manifest["layers"]:
        run("tar", "-C", root, "--numeric-owner", "-xpf", blob(layer["digest"]))
    assert not (root / "bin").exists(), "no shell"

    folder, composed = PACKAGING / "compose", yaml.safe_load((PACKAGING / "compose/compose.yaml").read_text())
    service = composed["services"]["bulla"]
    assert service["read_only"] and service["tmpfs"] == ["/tmp"]
    mounts = [("/proc", "/proc"), ("/dev", "/dev"), *(volume.split(":")[:2] for volume in service["volumes"])]
    mounts += [(composed["secrets"][name]["file"], f"/run/secrets/{name}") for name in service["secrets"]]
    lines = [f"mount --bind {root} {root}"]
    for source, target in mounts:
        place, source = root / target[1:], source if source.startswith("/") else folder / source
        if target == config["WorkingDir"]:
            # A new volume has what the image has in its place.
            run("cp", "-a", place, source := tmp_path / "volume")
        place.parent.mkdir(parents=True, exist_ok=True)
        if pathlib.Path(source).is_dir():
            place.mkdir(exist_ok=True)
        else:
            place.touch()
        lines.append(f"mount --rbind {source} {place}")
    lines += [f"mount -t tmpfs none {root}/tmp", f"mount -o remount,bind,ro {root}"]
    command = [*config["Entrypoint"], *service["command"], "--json"]
    command[command.index("0.0.0.0:8080")] = "0.0.0.0:0"
    environment = " ".join(config["Env"])
    lines.append(f"exec env -i {environment} {shutil.which('chroot')} --userspec={config['User']} {root} {' '.join(command)}")
    server = subprocess.Popen(["unshare", "--mount", "sh", "-ec", "\n".join(lines)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        assert line, server.stderr.read()
        ready = json.loads(line)
        endpoint = f"127.0.0.1:{ready['Endpoint'].rpartition(':')[2]}"
        client = Client(ready["AccessKeyId"], (folder / "access-key").read_text().strip())
        for name, value in (entry.split("=", 1) for entry in (folder / "seed.env").read_text().splitlines() if entry[:1] not in ("", "#")):
            status, answer = client.call(endpoint, "GetSecretValue", SecretName=name)
            assert (status, answer["SecretData"]) == (200, value.strip("'\"")), answer
    finally:
        server.terminate()
        assert server.wait(30) == 0


def test_the_chart_makes_the_audit_folder_inside_its_volume():
    """A volume's own folder belongs to root and its group may write to it (fsGroup), which the audit log refuses."""
    chart = PACKAGING / "helm/bulla"
    folder = pathlib.Path(re.search(r'directory = "(.*)"', (chart / "values.yaml").read_text())[1])
    mounts = re.findall(r"name: state, mountPath: (\S+) }", (chart / "templates/statefulset.yaml").read_text())
    assert [pathlib.Path(mount) for mount in mounts] == [folder.parent]


def test_compose_file_names_options_that_exist():
    page = done("dev", "--help")
    for line in (PACKAGING / "compose/compose.yaml").read_text().splitlines():
        word = line.strip().removeprefix("- ")
        if word.startswith("--"):
            assert word in page, word


def test_the_compose_file_is_one_by_the_schema_of_compose():
    found = importlib.util.find_spec("compose")
    if found is None:
        pytest.skip("not on this machine: docker-compose's schema (tests/sdk/requirements-tools.txt)")
    import jsonschema
    import yaml

    schema = json.loads((pathlib.Path(found.submodule_search_locations[0]) / "config/compose_spec.json").read_text())
    judge = jsonschema.Draft201909Validator(schema)
    composed = yaml.safe_load((PACKAGING / "compose/compose.yaml").read_text())
    judge.validate(composed)
    for file in [secret["file"] for secret in composed["secrets"].values()] + ["./seed.env"]:
        assert (PACKAGING / "compose" / file).is_file(), file
    composed["services"]["bulla"]["healthchek"] = composed["services"]["bulla"].pop("healthcheck")
    assert [error.json_path for error in judge.iter_errors(composed)] == ["$.services.bulla"]

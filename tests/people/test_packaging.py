"""What is shipped, judged by the tools that meet it: systemd, dpkg, lintian, promtool, Kubernetes' schemas, buildah.

A tool that is not on this machine skips its test, with the reason.
"""

import json
import os
import pathlib
import shutil
import subprocess

import pytest
from conftest import BULLA, ROOT, done

PACKAGING = ROOT / "packaging"


def needs(*tools):
    absent = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(absent), reason=f"not on this machine: {', '.join(absent)}")


def run(*command, **more):
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True, **more)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    out = tmp_path_factory.mktemp("deb") / "bulla.deb"
    run(PACKAGING / "build-deb.sh", BULLA, out, env={**os.environ, "BULLA_DEB_FAST": "1"})
    return out


@needs("systemd-analyze")
def test_the_unit_is_hardened():
    unit = PACKAGING / "systemd/bulla.service"
    said = run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    assert "Overall exposure level" in said


@needs("systemd-analyze")
def test_the_unit_is_sound(tmp_path):
    unit = tmp_path / "bulla.service"
    unit.write_text((PACKAGING / "systemd/bulla.service").read_text().replace("/usr/bin/bulla", BULLA))
    ended = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    ours = [line for line in ended.stderr.splitlines() if "bulla.service" in line and "not exist" not in line]
    assert ours == []


@needs("dpkg-deb", "lintian")
def test_lintian_has_nothing_to_say(package):
    said = subprocess.run(["lintian", "--allow-root", "--tag-display-limit", "0", "--fail-on", "error,warning", package],
                          capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


@needs("dpkg", "setpriv")
@pytest.mark.skipif(os.geteuid() != 0, reason="installs a package: needs root")
@pytest.mark.skipif(os.environ.get("BULLA_PACKAGE_ON_THIS_MACHINE") != "1",
                    reason="installs on this machine: set BULLA_PACKAGE_ON_THIS_MACHINE=1 in a container of its own")
def test_install_init_serve_read_remove_purge(package, tmp_path):
    """The package's whole life, as its user."""
    try:
        run("dpkg", "--install", package)
        assert (pathlib.Path("/var/lib/bulla/audit").stat().st_mode & 0o777) == 0o700
        tokens = pathlib.Path("/var/lib/bulla/tokens")
        run("install", "-d", "-o", "bulla", "-g", "bulla", "-m", "0700", tokens)
        conf = pathlib.Path("/etc/bulla/softhsm2.conf")
        conf.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        run("install", "-m", "0640", "-o", "root", "-g", "bulla", "/dev/stdin", "/etc/bulla/pin", input="12345678\n")
        env = {**os.environ, "SOFTHSM2_CONF": str(conf)}
        run("chgrp", "bulla", conf)
        as_bulla = ["setpriv", "--reuid=bulla", "--regid=bulla", "--init-groups", "--"]
        run(*as_bulla, "softhsm2-util", "--init-token", "--free", "--label", "bulla", "--so-pin", "12345678", "--pin",
            "12345678", env=env)
        first = run(*as_bulla, "bulla", "init", "--json", env=env)
        root = json.loads(first.splitlines()[-1])
        run(*as_bulla, "bulla", "check", env=env)
        server = subprocess.Popen([*as_bulla, "bulla", "serve"], env=env, stderr=subprocess.DEVNULL)
        try:
            run("sh", "-c", "for i in $(seq 100); do bulla probe http://127.0.0.1:9090/readyz && exit 0; sleep 0.1; done; exit 1")
            assert root["AccessKeyId"].startswith("BLLA")
        finally:
            server.terminate()
            assert server.wait(30) == 0
        run("dpkg", "--remove", "bulla")
        assert pathlib.Path("/var/lib/bulla/bulla.db").is_file(), "removing keeps the data"
    finally:
        subprocess.run(["dpkg", "--purge", "bulla"], capture_output=True)
    assert not pathlib.Path("/var/lib/bulla").exists() and not pathlib.Path("/etc/bulla").exists()


@needs("promtool")
def test_alert_rules():
    rules = PACKAGING / "prometheus"
    run("promtool", "check", "rules", rules / "bulla.rules.yml")
    run("promtool", "test", "rules", rules / "bulla.rules.test.yml")


def test_rules_and_dashboard_name_figures_that_exist():
    """Every name that an alert or a panel asks for is in the table of docs (which a test holds against the program)."""
    import re

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


@needs("helm")
def test_the_chart_renders_manifests_that_kubernetes_takes(tmp_path):
    chart = PACKAGING / "helm/bulla"
    run("helm", "lint", chart)
    manifests = run("helm", "template", "bulla", chart)
    validate = pytest.importorskip("kubernetes_validate")
    import yaml

    for manifest in filter(None, yaml.safe_load_all(manifests)):
        validate.validate(manifest, "1.31", strict=True)


@needs("buildah", "strip")
@pytest.mark.skipif(os.environ.get("BULLA_OCI") != "1", reason="takes a minute and needs rights to mount: set BULLA_OCI=1")
def test_the_image_is_built_from_nothing(tmp_path):
    out = tmp_path / "bulla.tar"
    run(PACKAGING / "oci/build.sh", BULLA, out)
    index = json.loads(run("tar", "-xOf", out, "index.json"))
    assert index["manifests"]


def test_compose_file_names_options_that_exist():
    page = done("dev", "--help")
    for line in (PACKAGING / "compose/compose.yaml").read_text().splitlines():
        word = line.strip().removeprefix("- ")
        if word.startswith("--"):
            assert word in page, word

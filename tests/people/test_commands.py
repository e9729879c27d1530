"""Every command on SoftHSM: nothing on standard error when it succeeds, typed JSON, reasons with hints, exit codes by class."""

import json

import pytest
from conftest import bulla, done, golden, masked, transcript, typed

READ = '{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:GetSecretValue","Resource":"acs:kms:*:*:secret/app/*"}]}'
MISSPELT = READ.replace("GetSecretValue", "GetSecretValu")


def help_pages():
    """Each command's help, found by walking."""
    pending, pages = [()], {}
    while pending:
        path = pending.pop(0)
        page = pages[path] = done(*path, "--help")
        commands = page.split("\nCommands:\n")[1].split("\n\n")[0].splitlines() if "\nCommands:\n" in page else []
        names = [line.split()[0] for line in commands if line.startswith("  ") and line[2] != " "]
        pending += [(*path, name) for name in names if name != "help"]
    return pages


def commands():
    """The commands of the table, but those that want another word behind them."""
    usage = {path: page.split("\nUsage: ")[1].splitlines()[0] for path, page in help_pages().items()}
    return [" ".join(path) for path, line in usage.items() if not line.endswith("[OPTIONS] <COMMAND>")]


def test_help_of_every_command():
    golden("help", "\n".join(f"$ bulla {' '.join([*path, '--help'])}\n{page}" for path, page in help_pages().items()))


def test_every_command_succeeds_in_silence(dev, tmp_path):
    data = ("--data", dev["data"])
    policy, wrong = tmp_path / "policy.json", tmp_path / "misspelt.json"
    policy.write_text(READ)
    wrong.write_text(MISSPELT)
    user = "reader"
    for command in [
        ("account", "list"),
        ("account", "create", "second"),
        ("account", "disable", "second"),
        ("account", "enable", "second"),
        ("account", "delete", "second"),
        ("user", "create", user),
        ("user", "list"),
        ("policy", "create", "read-app", "--document", policy),
        ("policy", "attach", "read-app", "--user", user),
        ("policy", "attach", "AliyunKMSReadOnlyAccess", "--user", user),
        ("policy", "show", "read-app"),
        ("policy", "list"),
        ("policy", "list", "--user", user),
        ("user", "show", user),
        ("access-key", "create", "--user", user),
        ("access-key", "list", "--user", user),
        ("access-key", "list"),
        ("access", "simulate", "--user", user, "--action", "kms:GetSecretValue", "--resource", "secret/app/db"),
        ("access", "who", "--action", "kms:GetSecretValue", "--resource", "secret/app/db"),
        ("policy", "update", "read-app", "--document", wrong),
        ("access", "simulate", "--user", user, "--action", "GetSecretValue", "--resource", "secret/app/db"),
        ("policy", "update", "read-app", "--document", policy),
        ("policy", "detach", "AliyunKMSReadOnlyAccess", "--user", user),
        ("user", "disable", user),
        ("user", "enable", user),
        ("check",),
        ("migrate",),
        ("audit", "public-key"),
        ("audit", "verify"),
        ("audit", "search", "--action", "CreateUser"),
    ]:
        done(*command, *data)
        json_text = done(*command, *data, "--json") if command[1:2] in (("list",), ("show",), ("who",)) else None
        if json_text is not None:
            json.loads(json_text)
    key = typed("access-key", "list", "--user", user, *data)[0]
    assert key["Enabled"] is True
    for action in ("disable", "enable", "delete"):
        done("access-key", action, key["AccessKeyId"], *data)
    done("policy", "detach", "read-app", "--user", user, *data)
    done("policy", "delete", "read-app", *data)
    done("user", "delete", user, *data)
    done("completion", "bash")
    done("completion", "zsh")
    done("completion", "fish")
    done("man", tmp_path / "man")
    assert (tmp_path / "man/bulla-policy-update.1").is_file()
    done("probe", f"http://{dev['Endpoint']}/readyz")


def test_a_policy_is_shown_changed_and_tried(dev, tmp_path):
    data = ("--data", dev["data"])
    (tmp_path / "policy.json").write_text(READ)
    (tmp_path / "misspelt.json").write_text(MISSPELT)
    steps = [
        ("user", "create", "auditor"),
        ("policy", "create", "p", "--document", "misspelt.json"),
        ("policy", "attach", "p", "--user", "auditor"),
        ("policy", "show", "p"),
        ("access", "simulate", "--user", "auditor", "--action", "kms:GetSecretValue", "--resource", "secret/app/db"),
        ("policy", "delete", "p"),
        ("policy", "update", "p", "--document", "policy.json"),
        ("access", "simulate", "--user", "auditor", "--action", "kms:GetSecretValue", "--resource", "secret/app/db"),
        ("access", "simulate", "--user", "auditor", "--action", "kms:GetSecretValue", "--resource", "secret/other"),
        ("access", "who", "--action", "kms:GetSecretValue", "--resource", "secret/app/db"),
        ("user", "show", "auditor"),
        ("policy", "list", "--user", "auditor"),
        ("policy", "detach", "p", "--user", "auditor"),
        ("policy", "delete", "p"),
        ("user", "delete", "auditor"),
    ]
    golden("policies", transcript(*[(*step, *data) for step in steps], cwd=tmp_path))


def test_refusals_say_what_to_do(dev, tmp_path):
    data = ("--data", dev["data"])
    (tmp_path / "broken.json").write_text('{"Version":"1"}')
    steps = [
        ("user", "enable", "nobody", *data),
        ("user", "enable", "nobody", *data, "--json"),
        ("account", "create", "dev", *data),
        ("policy", "show", "nothing", *data),
        ("policy", "create", "x", "--document", "broken.json", *data),
        ("policy", "create", "x", "--document", "absent.json", *data),
        ("policy", "create", "AliyunKMSFullAccess", "--document", "broken.json", *data),
        ("policy", "attach", "AliyunKMSFullAcess", "--user", "root", *data),
        ("access", "simulate", "--action", "kms:GetSecretValu", "--resource", "secret/a", *data),
        ("access", "simulate", "--action", "kms:GetSecretValue", "--resource", "a", *data),
        ("access-key", "delete", "BLLAAAAAAAAAAAAAAAAAAAAA", *data),
        ("secrte", "get", "x"),
        ("policy",),
        ("user", "create", "a b", *data),
        ("user", "list"),
        ("dev", "--listen", "0.0.0.0:0"),
        ("dev", "--listen", "nowhere"),
        ("serve", "--config", "absent.toml"),
        ("probe", "ftp://x"),
        ("init", *data),
    ]
    golden("refusals", transcript(*steps, cwd=tmp_path, env={"BULLA_CONFIG": str(tmp_path / "none.toml")}))


@pytest.mark.parametrize(
    ("code", "command"),
    [
        (2, ["user", "creat"]),
        (3, ["user", "show", "nobody"]),
        (5, ["account", "create", "dev"]),
        (5, ["policy", "delete", "AliyunKMSFullAccess"]),
        (6, ["probe", "http://127.0.0.1:1/readyz"]),
        (7, ["policy", "create", "x", "--document", "/absent"]),
    ],
)
def test_exit_codes_are_classes(dev, code, command):
    where = [] if command[0] == "probe" else ["--data", dev["data"]]
    plain, as_json = bulla(*command, *where), bulla(*command, *where, "--json")
    assert (plain.returncode, as_json.returncode) == (code, code)
    assert plain.stdout == as_json.stdout == ""
    assert plain.stderr.startswith("error: "), plain.stderr
    assert set(json.loads(as_json.stderr)["error"]) >= {"class", "message"}


@pytest.mark.parametrize("name", ["dev", "dev-tls"])
def test_what_dev_says(serving, tmp_path, name):
    seed = tmp_path / "seed.env"
    seed.write_text("app/db=s3cret\napp/token=t0ken\n")
    more, scheme = ((), "http") if name == "dev" else (("--tls", "--seed", seed), "https")
    server = serving("dev", "--data", tmp_path / "d", "--listen", "0", *more)
    said = ""
    while "Stop with Ctrl-C." not in said:
        said += server.first_line()
    golden(name, said.replace(str(tmp_path), "<tmp>"))
    refused = bulla("dev", "--data", tmp_path / "d")
    assert refused.returncode == 5 and "process" in refused.stderr and f"it answers at {scheme}://" in refused.stderr
    assert "ERROR" not in server.log(), masked(server.log())

"""What a person meets who has LANG=zh_CN.UTF-8: each text that is looked at here, in golden files, beside the English one; the same exit
codes as in English, and the same JSON.
"""

import json
import re
import subprocess

import pytest
from conftest import BULLA, CLEAN, ROOT, bulla, done, golden, typed
from test_client import terminal

CHINESE = {"LC_ALL": "zh_CN.UTF-8"}

HAN = re.compile(r"[\u4e00-\u9fff]")


def shown(call, ended):
    """A call and what it says, as a terminal shows them."""
    words = " ".join(str(word) if str(word).strip() else "''" for word in call)
    said = (ended.stdout + ended.stderr).decode()
    return f"$ bulla {words}\n{said}[exit {ended.returncode}]\n"


def unsigned(text):
    """Without what a signature was made of: it stands in the server's words, and differs each time."""
    return re.sub(r"(?s)(string to sign is:).*?( \(SignatureDoesNotMatch\))", r"\1…\2", text)


def test_help():
    pages = [
        (),
        ("secret",),
        ("secret", "put"),
        ("secret", "import"),
        ("secret", "export"),
        ("key",),
        ("key", "create"),
        ("key", "encrypt"),
        ("login",),
        ("run",),
        ("agent",),
        ("completion",),
        ("serve",),
    ]
    text = "\n".join(f"$ bulla {' '.join([*page, '--help'])}\n{done(*page, '--help', env=CHINESE)}" for page in pages)
    golden("zh/help", text)


def test_help_has_the_form_of_the_english_one():
    """The same commands and flags, line by line; clap's own words are all known."""
    pending = [()]
    while pending:
        path = pending.pop()
        english, chinese = (done(*path, "--help", env=env).splitlines() for env in ({}, CHINESE))
        assert len(english) == len(chinese), path
        begin = re.compile(r"^ {2,6}(?=\S)(-\w, )?[-<\[]?[-\w.]+")
        for theirs, ours in zip(english, chinese):
            assert bool(theirs) == bool(ours), (path, theirs, ours)
            if begin.match(theirs) and not HAN.search(ours[:6]):
                assert begin.match(theirs)[0] == begin.match(ours)[0], path
            left = re.search(r"Usage:|Options:|Commands:|Arguments:|Print |default: |ossible values:|see a summary", ours)
            assert not left, (path, ours)
        commands = "\n".join(english).split("\nCommands:\n")
        if len(commands) == 2:
            names = [line.split()[0] for line in commands[1].split("\n\n")[0].splitlines() if line[:2] == "  " and line[2:3] != " "]
            pending += [(*path, name) for name in names if name != "help"]


WRONG = [
    ("secrte", "get", "x"),
    ("secret", "gte", "x"),
    ("secret",),
    ("secret", "get"),
    ("secret", "get", ""),
    ("secret", "get", "a", "b"),
    ("secret", "get", "a", "--versoin", "v1"),
    ("secret", "get", "a", "--field"),
    ("secret", "get", "a", "--version", "1", "--version", "2"),
    ("secret", "get", "a", "--version", "1", "--stage", "ACSPrevious"),
    ("secret", "put", "a", "--generate", "200"),
    ("secret", "put", "a", "--generate", "many"),
    ("secret", "put", "a", "s3cret"),
    ("secret", "put", "a", "--tag", "team"),
    ("secret", "delete", "a", "--in", "3d"),
    ("secret", "delete", "a", "--in", "7d", "--now"),
    ("secret", "export", "a", "--format", "xml"),
    ("secret", "export", "a", "--name", "A_b"),
    ("secret", "import"),
    ("key", "alias", "--delete"),
    ("key", "delete", "k", "--in", "3d"),
    ("run",),
    ("run", "--watch=never", "true"),
    ("run", "--interval", "0", "true"),
    ("completion",),
    ("completion", "elvish", "--names"),
    ("completion", "bash", "--nmaes"),
    ("user", "creat", "x"),
]


def test_wrong_command_lines():
    told = []  # in both languages
    for call in WRONG:
        ended = [
            subprocess.run([BULLA, *call], env=CLEAN | more, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
            for more in (CHINESE, {})
        ]
        assert ended[0].returncode == ended[1].returncode == 2, (call, ended)
        assert HAN.search(ended[0].stderr.decode()) and not HAN.search(ended[1].stderr.decode())
        told.append([shown(call, one) for one in ended])
        as_json = [
            subprocess.run([BULLA, "--json", *call], env=CLEAN | more, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
            for more in (CHINESE, {})
        ]
        assert as_json[0].stderr == as_json[1].stderr, call
        json.loads(as_json[0].stderr)
    for name, said in zip(("zh/wrong", "wrong"), zip(*told)):
        golden(name, "\n".join(said))


@pytest.fixture(scope="module")
def told(asks):
    """Calls a command in Chinese, and again in English with a copy of what stands in its way; both end alike. Gives what both say."""

    def run(*call, code, **more):
        others = more.pop("more", {})
        chinese = asks(*call, more=CHINESE | others, **more)
        english = asks(*call, more=others, **more)
        assert chinese.returncode == english.returncode == code, (call, chinese, english)
        assert HAN.search((chinese.stdout + chinese.stderr).decode()), chinese
        assert not HAN.search((english.stdout + english.stderr).decode()), english
        if code:
            of = lambda env: asks("--json", *call, more=env | others, **more)  # noqa: E731
            errors = [json.loads(of(env).stderr)["error"] for env in (CHINESE, {})]
            for error in errors:
                error.pop("request_id", None)
                error["message"] = unsigned(error["message"])
            assert errors[0] == errors[1] and not HAN.search(json.dumps(errors[0], ensure_ascii=False)), call
        return shown(call, chinese), shown(call, english)

    return run


def test_what_a_server_and_this_host_refuse(gives, told, dev, tmp_path):
    data = ("--data", dev["data"])
    done("user", "create", "stranger", *data)
    key = typed("access-key", "create", "--user", "stranger", *data)
    stranger = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": key["AccessKeyId"],
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key["AccessKeySecret"],
        "BULLA_ENDPOINT": dev["Endpoint"],
    }
    gives("secret", "put", "zh/db", "--version-id", "one", stdin=b'{"user":"u","password":"p1"}')
    gives("secret", "put", "zh/db", "--version-id", "two", stdin=b'{"user":"u","password":"p2"}')
    gives("secret", "put", "zh/gone", stdin=b"x")
    gives("secret", "delete", "zh/gone", "--in", "7d", "--yes")
    gives("secret", "put", "zh/bytes", "--binary", stdin=b"\0\1")
    alone = {"profile": None}
    loose = tmp_path / "loose"
    loose.mkdir()
    (loose / "secret").write_text("s")
    (loose / "secret").chmod(0o644)
    (loose / "profile.toml").write_text('endpoint = "127.0.0.1:1"\naccess_key_id = "i"\nsecret_file = "secret"\n')
    (tmp_path / "wrong.tmpl").write_text("a\n{{ bulla://x")
    (tmp_path / "agent.toml").write_text('[[file]]\nsecret = "zh/db"\npath = "/run/x"\nmode = "0444"\n')
    (tmp_path / ".env").write_text("zh/db=other\nzh/gone=x\n")
    (tmp_path / "open.env").write_text("A='x\n")
    https = f"https://{dev['Endpoint']}"
    calls = [
        told("secret", "get", "zh/none", code=3),
        told("secret", "get", "zh/db", "--version", "three", code=3),
        told("secret", "get", "zh/db", "--field", "pasword", code=3),
        told("secret", "get", "zh/db", code=4, more=stranger, **alone),
        told("secret", "get", "zh/gone", code=5),
        told("secret", "put", "zh/db", "--create", code=5, stdin=b"x"),
        told("secret", "put", "zh/db", "--if-version", "one", code=5, stdin=b"x"),
        told("secret", "put", "zh/db", "--key", "alias/nosuch", code=3, stdin=b"x"),
        told("secret", "put", "zh/db", "--key", gives("key", "list", "-q").split()[0].decode(), code=5, stdin=b"x"),
        told("secret", "put", "zh/empty", code=2),
        told("secret", "put", "zh/absent", "--file", "/nosuch/file", code=7),
        told("secret", "get", "bad name", code=2),
        told("secret", "patch", "zh/db", "password=p", code=2),
        told("secret", "patch", "zh/bytes", "f!", code=1),
        told("secret", "rollback", "zh/db", "--version", "two", code=5),
        told("secret", "rollback", "zh/bytes", code=3),
        told("secret", "rotate", "zh/db", code=1),
        told("secret", "delete", "zh/db", code=2),
        told("secret", "tag", "zh/db", "team", code=2),
        told("secret", "diff", "zh/db", "one", "two", code=0),
        told("secret", "import", str(tmp_path / ".env"), code=5),
        told("secret", "import", str(tmp_path / "open.env"), code=2),
        told("secret", "export", "zh/bytes", "--format", "env", code=2),
        told("key", "show", "nosuch", code=3),
        told("key", "show", "alias/nosuch", code=3),
        told("key", "delete", "nosuch", code=2),
        told("key", "decrypt", code=2, stdin=b"\xff"),
        told("whoami", code=7, **alone),
        told("whoami", code=0, more=stranger, **alone),
        told("whoami", code=7, profile="nosuch"),
        told("whoami", code=7, profile="/nosuch"),
        told("whoami", code=7, profile=str(loose)),
        told("whoami", code=6, more=stranger | {"BULLA_ENDPOINT": "127.0.0.1:1"}, **alone),
        told("whoami", code=7, more=stranger | {"BULLA_ENDPOINT": https}, **alone),
        told("whoami", "--endpoint", "x://y", code=2),
        told("whoami", code=4, more=stranger | {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong"}, **alone),
        told("whoami", code=4, more=stranger | {"ALIBABA_CLOUD_ACCESS_KEY_ID": "BLLAnobody"}, **alone),
        told("run", "--env", "A=zh/none", "--env", "B=zh/db", "--", "true", code=3),
        told("run", "--env", "A=#f", "--", "true", code=2),
        told("run", "--", "/nosuch/program", code=127),
        told("run", "--", "/", code=126),
        told("inject", "-i", str(tmp_path / "wrong.tmpl"), code=2),
        told("agent", "--once", "--config", str(tmp_path / "agent.toml"), code=7),
        told("agent", "--config", "/nosuch/agent.toml", code=7),
    ]
    for name, said in zip(("zh/refused", "refused"), zip(*calls)):
        golden(name, unsigned("\n".join(said)))


def test_a_person_at_a_terminal_is_asked_in_chinese(gives, dev, env, tmp_path):
    at = env | CHINESE | {"HOME": str(tmp_path)}
    leading = ("--profile", dev["data"])
    gives("secret", "put", "zh/ask", stdin=b"x")
    child = terminal([*leading, "secret", "delete", "zh/ask", "--now"], at)
    child.expect_exact("立即删除 zh/ask 且不可恢复？输入 zh/ask 以继续：")
    child.sendline("no")
    child.expect_exact("错误：输入不符，没有进行任何操作")
    child.close()
    assert child.exitstatus == 2
    child = terminal([*leading, "secret", "put", "zh/ask"], at)
    child.expect_exact("zh/ask 的值（不回显）：")
    child.sendline("y")
    child.expect("VersionId")
    child = terminal(["login"], at)
    child.expect_exact("接入点（https://HOST:PORT）：")
    child.sendline(f"http://{dev['Endpoint']}")
    child.expect_exact("AccessKey ID：")
    child.sendline(dev["AccessKeyId"])
    child.expect_exact("AccessKey Secret（不回显）：")
    child.sendline(dev["AccessKeySecret"])
    child.expect("Profile +default")
    written = [tmp_path / ".config/bulla" / name for name in ("config.toml", "default.secret")]
    assert not any(HAN.search(file.read_text()) for file in written)


def test_what_packages_and_programs_read_is_english(gives, tmp_path):
    for shell in ("bash", "zsh", "fish"):
        assert done("completion", shell, env=CHINESE) == done("completion", shell)
    pages = []
    for name, more in (("zh", CHINESE), ("en", {})):
        done("man", tmp_path / name, env=more)
        pages.append({page.name: page.read_bytes() for page in (tmp_path / name).iterdir()})
    assert len(pages[0]) > 20 and pages[0] == pages[1]
    assert gives("secret", "list", "nosuch/", "--json", more=CHINESE) == gives("secret", "list", "nosuch/", "--json")


@pytest.mark.parametrize(
    "more, chinese",
    [
        ({"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, True),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_CN.UTF-8", "LANG": "C"}, True),
        ({"LC_ALL": "", "LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, True),
        ({"LC_ALL": "zh_CN.GBK"}, False),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8", "LANGUAGE": "zh_CN"}, False),
        ({"LC_ALL": "de_DE.UTF-8"}, False),
    ],
)
def test_the_locale_chooses(more, chinese):
    ended = bulla("secret", "get", env=more)
    assert ended.returncode == 2 and bool(HAN.search(ended.stderr)) == chinese, ended


def test_what_the_library_says_of_settings_has_a_translation():
    """Every reason that is a text of the library's own; what stands behind a colon may be a system's."""
    said = [text for file in (ROOT / "client/src").rglob("*.rs") for text in re.findall(r'Settings\(\s*(?:format!\(\s*)?"((?:[^"\\]|\\.)*)"', file.read_text())]
    known = (ROOT / "src/remote/said.rs").read_text()
    ends = {re.split(r"\{[^}]*\}", text)[-1] for text in said}
    assert len(ends) > 8, ends
    # Of files that hold no certificate the library names the file before it: two texts.
    missing = sorted(end for end in ends if end and f'"{end}"' not in known and end != ": no certificate in PEM")
    assert missing == [], missing


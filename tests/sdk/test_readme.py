"""README.md and README.zh-CN.md say the same: each heading, command, table and link of one is in the other, in the same place."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent.parent
ENGLISH, CHINESE = (ROOT / name for name in ("README.md", "README.zh-CN.md"))


def shape(text):
    """What does not change from language to language, in order."""
    found, block = [], None
    for line in text.splitlines():
        if fence := re.match(r"```(\w*)$", line):
            block = f"block {fence[1]}" if block is None else None
            found.append(block or "end")
        elif block:  # commands without their comments, and without the blanks in front of these
            found.append(re.sub(r"\s*(^|\s)# .*", "", line).rstrip())
        elif line.startswith("#"):
            found.append(f"heading {line.count('#')}")
        elif line.startswith("|"):
            found.append(f"row of {line.count('|')}")
        elif re.match(r"(-|\d+\.) ", line):
            found.append("item " + line.split()[0])
        if not block:
            found += [f"link {to}" for to in re.findall(r"\]\(([^)]+)\)", line) if not to.startswith("README")]
            found += [f"file {name}" for name in re.findall(r"(?<![\[(/\w])docs/\w+\.md", line)]
    return found


def test_both_languages_say_the_same():
    assert shape(CHINESE.read_text()) == shape(ENGLISH.read_text())


def test_each_names_the_other():
    assert "](README.zh-CN.md)" in ENGLISH.read_text() and "](README.md)" in CHINESE.read_text()

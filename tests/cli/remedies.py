"""The commands that messages name, found in the sources of the tool, the library and the Java classes.

In a message a command stands in backticks, so that a person sees where it ends; or it is the whole text.
"""

import collections
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SOURCES = [*sorted(ROOT.glob("rust/*/src/**/*.rs")), *sorted(ROOT.glob("java/src/main/java/**/*.java"))]
OF_TESTS = re.compile(r"/(?:bench|fuzz)/|(?:/|_)tests\.rs$|/tests/")
TESTS = re.compile(r"^#\[cfg\(test\)\]\n(?:#\[[^\n]*\n)*mod \w+ \{.*", re.DOTALL | re.MULTILINE)
TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|'(?:\\[^']+|[^\\'])'"""
    r"""|r(?P<hashes>\#+)"(?P<raw>.*?)"(?P=hashes)|"(?P<text>(?:\\.|[^"\\])*)"(?P<more>\s*\+\s*(?="))?""",
    re.DOTALL,
)
HELP = re.compile(r"(?:help|about)\s*=\s*$")
"""Before a text that is help: its examples are run by test_help.py."""
SUBCOMMANDS = sorted(set(re.findall(r"^## `emrkeys ([\w-]+)", (ROOT / "docs/cli.md").read_text(), re.MULTILINE)))
COMMAND = re.compile(
    rf"\b(?:emrkeys (?:{'|'.join(SUBCOMMANDS)}|wrap|unwrap)\b|openssl [a-z]|keytool -|aws (?:emr|iam|kms|s3|s3api) |"
    r"hadoop (?:credential|fs|jar)\b|hdfs dfs\b|chmod \d|chown [\d{])"
)


def _texts(path: pathlib.Path) -> list[str]:
    """The string literals that are no help, without escapes; those that a `+` joins are one."""
    source = TESTS.sub("", path.read_text())
    texts, joined, end = [], "", 0
    for token in TOKEN.finditer(source):
        text = token["raw"] if token["raw"] is not None else token["text"]
        if text is not None and not HELP.search(source, end, token.start()):
            joined += re.sub(r"\\(?:\n\s*|(.))", lambda found: found[1] or "", text)
            if not token["more"]:
                texts.append(joined)
                joined = ""
        end = token.end()
    return texts


def named() -> tuple[collections.Counter, list[str]]:
    """The commands with the number of messages that name each, `{}` where a value goes; and the texts that name one
    outside backticks."""
    commands, stray = collections.Counter(), []
    for path in SOURCES:
        if OF_TESTS.search(path.as_posix()):
            continue
        for text in _texts(path):
            if text.startswith("usage: "):
                continue
            if COMMAND.match(text) and "`" not in text:
                found, rest = [text], ""
            else:
                spans = re.findall(r"`([^`]+)`", text)
                found, rest = list(filter(COMMAND.match, spans)), re.sub(r"`[^`]+`", "", text)
            commands.update(re.sub(r"\{[^{}]*\}", "{}", command) for command in found)
            if COMMAND.search(rest):
                stray.append(f"{path.relative_to(ROOT)}: {text}")
    return commands, stray

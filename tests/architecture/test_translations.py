"""Every word that people read is in the catalogue, and the catalogue has every word in Chinese."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest

from script import messages
from tests.architecture.sources import ROOT, Module, modules

TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
# Left out: the catalogue itself, and requests as code, which are no one's language.
SCRIPTS = sorted(
    path for path in (ROOT / "static/js").rglob("*.js") if "locale" not in path.parts and path.name != "snippets.js"
)
IF_NOT = "If it is not: `.venv/bin/python -m script.messages`, then translate what it names."

# Parts of a template: a translated block, another Django tag, a comment, an element (whose attributes may hold tags).
BLOCK = r"\{%\s*blocktranslate.*?endblocktranslate\s*%\}"
DJANGO = r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}"
ELEMENT = rf'<(?:{BLOCK}|{DJANGO}|"(?:{BLOCK}|{DJANGO}|[^"])*"|[^>"])*>'
PART = re.compile(rf"{BLOCK}|<(?:code|pre|kbd)\b[^>]*>[^<]*</(?:code|pre|kbd)>|{DJANGO}|{ELEMENT}", re.DOTALL)
SPOKEN_ATTRIBUTE = re.compile(
    r'\s(?:title|aria-label|placeholder|alt|data-(?:confirm|words|go|label))="((?:[^"{]|\{\{.*?\}\}|\{%.*?%\})*)"'
)
WORD = re.compile(r"[A-Za-z]{2,}")
# Names, units and samples of what is typed: the same in every language.
SAME = {
    "curl",
    "tritonclient",
    "httpx",
    "JavaScript",
    "JSON",
    "CSV",
    "PNG",
    "digits",
    "ms",
    "MiB",
    "UTC",
    "SHA-256",
    "digits/2",
}
SAME |= {"user:ann, key:ci"}


def unwrapped(source: str) -> list[str]:
    """Texts and spoken attributes of a template that stand there as they are."""
    texts = [text.strip() for text in PART.split(source)]
    for part in PART.findall(source):
        if part.startswith("<"):
            inside = [
                re.sub(rf"{BLOCK}|{DJANGO}", "", found, flags=re.DOTALL) for found in SPOKEN_ATTRIBUTE.findall(part)
            ]
            texts += [text.strip() for text in inside]
    texts = [re.sub(r"&\w+;|^[\d., ]+(?=ms$)", "", text) for text in texts]
    return [text for text in texts if WORD.search(text) and text.strip(" ,.:/") not in SAME and not is_path(text)]


def is_path(text: str) -> bool:
    return text.startswith("/") or "://" in text


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_templates_words_are_wrapped_for_translation(path: Path) -> None:
    assert not unwrapped(path.read_text())


def test_the_scan_finds_what_is_not_wrapped() -> None:
    source = '<p title="Some words">{% translate "Known" %}</p><b>Loose words</b>{{ value }}<code>literal</code>'
    assert unwrapped(source) == ["Loose words", "Some words"]


# Words of scripts that nobody reads: keys of the keyboard, names of programs' things.
SILENT = {
    "Backspace",
    "Delete",
    "Enter",
    "Escape",
    "Accept",
    "Authorization",
    "Location",
    "Home",
    "End",
    "Tab",
    "Element",
}
SPOKEN = re.compile(r"""(?<![\w.])["'`]([A-Z][a-z]+(?:[ ,.:;]+[^"'`]*)?)["'`]""")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_scripts_words_are_wrapped_for_translation(path: Path) -> None:
    found = []
    for line in path.read_text().splitlines():
        code = line.partition("// ")[0]
        spoken = SPOKEN.finditer(code)
        found += [one[1] for one in spoken if not re.search(r"\btn?\((?:[^()]*, )?$", code[: one.start()])]
    assert not [text for text in found if text not in SILENT]


REFUSALS = {
    "Invalid",
    "Forbidden",
    "NotFound",
    "Conflict",
    "PreconditionFailed",
    "TooLarge",
    "Unprocessable",
    "NoSpace",
}


def loose(module: Module) -> Iterator[str]:
    """Refusals and messages of a module whose words are a plain string."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        of_messages = ast.unparse(node.func).startswith("messages.") and len(node.args) > 1
        words = node.args[0] if name in REFUSALS else node.args[1] if of_messages else None
        texts = [] if words is None or isinstance(words, ast.Call) else list(ast.walk(words))
        constants = [node.value for node in texts if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        if isinstance(words, ast.JoinedStr | ast.Constant) and any(map(WORD.search, constants)):
            yield f"{module.path}:{node.lineno}: {ast.unparse(words)[:60]}"


def test_refusals_and_messages_are_wrapped_for_translation() -> None:
    rooms = ("models_admin/services/", "models_admin/dashboard/")
    assert not [words for module in modules("models_admin") if module.path.startswith(rooms) for words in loose(module)]


@pytest.mark.parametrize(
    ("path", "source"), [(messages.SERVER_PO, messages.of_server), (messages.SCRIPTS_PO, messages.of_scripts)]
)
def test_the_catalogue_has_exactly_the_messages_of_the_source(path: Path, source: object) -> None:
    catalogue = {messages.Message(e.msgid, e.msgid_plural, e.msgctxt or "") for e in polib.pofile(str(path))}
    assert catalogue == set(source()), IF_NOT  # type: ignore[operator]


@pytest.mark.parametrize("path", [messages.SERVER_PO, messages.SCRIPTS_PO])
def test_every_message_is_translated_with_its_values(path: Path) -> None:
    catalogue = polib.pofile(str(path))
    assert not messages.missing(catalogue), IF_NOT
    values = re.compile(r"%\(\w+\)s|\{\w+\}|%%")
    wrong = [
        entry.msgid
        for entry in catalogue
        if set(values.findall(entry.msgid)) != set(values.findall(entry.msgstr or entry.msgstr_plural.get(0, "")))
    ]
    assert not wrong


def test_the_compiled_catalogues_are_those_of_the_texts() -> None:
    server, scripts = polib.pofile(str(messages.SERVER_PO)), polib.pofile(str(messages.SCRIPTS_PO))
    compiled = {(e.msgid, e.msgctxt or ""): e.msgstr or e.msgstr_plural for e in polib.mofile(str(messages.SERVER_MO))}
    said = {(e.msgid, e.msgctxt or ""): e.msgstr or e.msgstr_plural for e in server if e.translated()}
    assert compiled == said, IF_NOT
    assert messages.SCRIPTS_MODULE.read_text() == messages.as_module(scripts), IF_NOT

"""Keeps the Chinese catalogues in step with the text in the source; run it after a change of words.

    .venv/bin/python -m script.messages

Reads templates, Python and JavaScript, and writes locale/zh_Hans/LC_MESSAGES/{django,djangojs}.po (new words come in
empty, words that are gone go out), django.mo, and static/js/locale/zh-hans.js, which the pages' modules import. The
two compiled files are committed: a server is set up without gettext's tools. Exits 1 while a translation is missing.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import django
import polib
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(__file__).parents[1]
CATALOGUES = ROOT / "locale/zh_Hans/LC_MESSAGES"
SERVER_PO, SCRIPTS_PO = CATALOGUES / "django.po", CATALOGUES / "djangojs.po"
SERVER_MO = CATALOGUES / "django.mo"
SCRIPTS_MODULE = ROOT / "static/js/locale/zh-hans.js"
PYTHON_PACKAGES = ("models_admin", "dlproxy_site", "proxy")

SINGULAR = {"_", "gettext", "gettext_lazy", "gettext_noop", "say"}  # `say`: proxy/core/words.py
PLURAL = {"ngettext", "ngettext_lazy"}
WITH_CONTEXT = {"pgettext", "pgettext_lazy"}
_TEMPLATE_CALL = re.compile(r"\b(?:_|n?p?gettext)\(")
_JS_TEXT = r'"((?:[^"\\]|\\.)*)"'
_JS_ONE = re.compile(rf"(?<![\w.])t\(\s*{_JS_TEXT}")
_JS_MANY = re.compile(rf"(?<![\w.])tn\(\s*{_JS_TEXT},\s*{_JS_TEXT}")


@dataclass(frozen=True, order=True)
class Message:
    """One text of the source: its English words, the words of many, the context that tells equal words apart."""

    text: str
    plural: str = ""
    context: str = ""


def of_template(source: str) -> Iterator[Message]:
    """The messages of a Django template."""
    code = templatize(source)
    for found in _TEMPLATE_CALL.finditer(code):
        yield from of_python(f"{found[0]}{_arguments(code[found.end() :])})")


def _arguments(code: str) -> str:
    """The string literals at the head of `code`, up to the call's end; a count beyond them is left out."""
    literal = r"""u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    found = re.match(rf"\s*{literal}(?:\s*,\s*{literal})*", code)
    return found[0] if found else ""


def of_python(source: str) -> Iterator[Message]:
    """The messages of a Python module."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if name in SINGULAR and texts:
            yield Message(texts[0])
        elif name in PLURAL and len(texts) > 1:
            yield Message(texts[0], plural=texts[1])
        elif name in WITH_CONTEXT and len(texts) > 1:
            yield Message(texts[1], context=texts[0])


def of_script(source: str) -> Iterator[Message]:
    """The messages of one of our ES modules."""
    for found in _JS_ONE.finditer(source):
        yield Message(json.loads(f'"{found[1]}"'))
    for found in _JS_MANY.finditer(source):
        yield Message(json.loads(f'"{found[1]}"'), plural=json.loads(f'"{found[2]}"'))


def of_server() -> dict[Message, list[str]]:
    """Every message of templates and Python, with the files that have it."""
    paths = [*(ROOT / "templates").rglob("*.html")]
    found = _collect(paths, of_template)
    modules = [
        path for name in PYTHON_PACKAGES for path in (ROOT / name).rglob("*.py") if "migrations" not in path.parts
    ]
    for message, places in _collect(modules, of_python).items():
        found.setdefault(message, []).extend(places)
    return found


def of_scripts() -> dict[Message, list[str]]:
    """Every message of static/js, with the files that have it."""
    paths = [path for path in (ROOT / "static/js").rglob("*.js") if path != SCRIPTS_MODULE]
    return _collect(paths, of_script)


def _collect(paths: list[Path], read: object) -> dict[Message, list[str]]:
    found: dict[Message, list[str]] = {}
    for path in sorted(paths):
        for message in sorted(set(read(path.read_text()))):  # type: ignore[operator]
            found.setdefault(message, []).append(path.relative_to(ROOT).as_posix())
    return found


def merged(path: Path, messages: dict[Message, list[str]]) -> polib.POFile:
    """The catalogue at `path` with exactly these messages; translations that it has are kept."""
    before = polib.pofile(str(path)) if path.exists() else polib.POFile()
    known = {(entry.msgid, entry.msgctxt or ""): entry for entry in before}
    after = polib.POFile(wrapwidth=110)
    after.metadata = {
        "Language": "zh_Hans",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": "nplurals=1; plural=0;",
    }
    for message, places in sorted(messages.items()):
        old = known.get((message.text, message.context))
        text = (old.msgstr or old.msgstr_plural.get(0, "")) if old else ""
        entry = polib.POEntry(msgid=message.text, msgctxt=message.context or None)
        entry.occurrences = [(place, "") for place in sorted(places)]
        if message.plural:
            entry.msgid_plural, entry.msgstr_plural = message.plural, {0: text}
        else:
            entry.msgstr = text
        if "%(" in message.text:
            entry.flags.append("python-format")
        after.append(entry)
    return after


def missing(catalogue: polib.POFile) -> list[str]:
    """English texts without a translation, or with one that somebody still has to look at."""
    return [
        entry.msgid
        for entry in catalogue
        if entry.fuzzy or not (entry.msgstr or (entry.msgid_plural and entry.msgstr_plural.get(0)))
    ]


def as_module(catalogue: polib.POFile) -> str:
    """The scripts' catalogue as an ES module."""
    words = {entry.msgid: entry.msgstr or entry.msgstr_plural.get(0, "") for entry in catalogue}
    lines = json.dumps({text: word for text, word in words.items() if word}, ensure_ascii=False, indent=0)
    origin = "// Made by script/messages.py from locale/zh_Hans/LC_MESSAGES/djangojs.po; do not edit."
    return f"{origin}\nexport default {lines};\n"


def main() -> int:
    """Bring everything up to date and say what is missing."""
    settings.configure(USE_I18N=False)
    django.setup()
    CATALOGUES.mkdir(parents=True, exist_ok=True)
    SCRIPTS_MODULE.parent.mkdir(parents=True, exist_ok=True)
    server, scripts = merged(SERVER_PO, of_server()), merged(SCRIPTS_PO, of_scripts())
    server.save(str(SERVER_PO))
    scripts.save(str(SCRIPTS_PO))
    SERVER_MO.write_bytes(server.to_binary())
    SCRIPTS_MODULE.write_text(as_module(scripts))
    absent = [*missing(server), *missing(scripts)]
    for text in absent:
        sys.stdout.write(f"not translated: {text}\n")
    sys.stdout.write(f"{len(server)} texts of the server, {len(scripts)} of the scripts, {len(absent)} missing\n")
    return 1 if absent else 0


if __name__ == "__main__":
    sys.exit(main())

"""What validation says can be said in the reader's language: every sentence is `say`, and the server takes each."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

import polib

from models_admin.services.validation_report import StepReport, parse_line
from proxy.core.words import Words, say
from script import messages
from tests.architecture.sources import Module, modules

# Where the words of a step or of a version's failure come from.
PLACES = ("proxy/worker/", "proxy/frames/config.py", "models_admin/tasks/valid", "models_admin/services/validation")
# What carries them; the last is the task's way to fail a version.
CARRIERS = {"UnusableArtifact", "BadOutput", "StepFailed", "InvalidConfig", "LimitTooLow", "BrokenHeader"}
CARRIERS |= {"Unsupported", "Malformed", "ReportAbused", "_failure", "fail", "_end_as_failed"}


ANSWERS_CLIENTS = "proxy/worker/loop.py"


def sources() -> list[Module]:
    found = [module for module in modules("proxy", "models_admin") if module.path.startswith(PLACES)]
    return [module for module in found if module.path != ANSWERS_CLIENTS]


def loose(module: Module) -> Iterator[str]:
    """Sentences that are carried, or made a step's message, as plain text."""
    for node in ast.walk(module.tree):
        spoken: list[ast.expr] = []
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in CARRIERS:
            spoken = [*node.args, *(keyword.value for keyword in node.keywords)]
        elif isinstance(node, ast.Assign) and any(getattr(one, "attr", "") == "message" for one in node.targets):
            spoken = [node.value]
        for one in spoken:
            text = ast.unparse(one)
            if isinstance(one, ast.Constant | ast.JoinedStr | ast.BinOp) and " " in text.strip("'\""):
                yield f"{module.path}:{node.lineno}: {text[:60]}"


def templates() -> set[str]:
    return {message.text for module in sources() for message in messages.of_python(module.text)}


def test_every_sentence_of_validation_is_said_so_that_it_can_be_translated() -> None:
    assert not [words for module in sources() for words in loose(module)]


def test_the_scan_finds_loose_sentences() -> None:
    source = "raise BadOutput(f'It is {x}.')\nstep.message = 'Two words'\n_failure('load', say('Fine, so.'))"
    assert len(list(loose(Module("x.py", source, ast.parse(source))))) == 2


def test_the_server_takes_every_sentence_of_validation_and_has_it_in_chinese() -> None:
    chinese = {entry.msgid: entry.msgstr for entry in polib.pofile(str(messages.SERVER_PO))}
    assert len(templates()) > 100
    for template in templates():
        places = re.findall(r"%\((\w+)\)s", template)
        words = say(template, **dict.fromkeys(places, "x"))
        line = json.dumps({"step": "load", "status": "failed", "message": words, "said": words.parts}).encode()
        report = parse_line(line, ("load",))
        assert isinstance(report, StepReport)
        assert isinstance(report.message, Words), template
        assert sorted(re.findall(r"%\((\w+)\)s", chinese.get(template, ""))) == sorted(places), template
        assert chinese[template], template

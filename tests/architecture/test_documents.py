"""The documents and the code say the same: reasons, settings, glossary; and nothing names one machine."""

from __future__ import annotations

import ast
import re
from collections import Counter

from proxy.core.errors import Reason
from proxy.metrics.names import NAMES
from tests.architecture.sources import ROOT, modules, tracked_files

README = ROOT / "README.md"
TABLE_NAME = re.compile(r"^\| `([A-Z][A-Z0-9_]+)` \|", re.MULTILINE)
# Folders of people's machines; the repository must work anywhere.
MACHINE_PATHS = re.compile(
    r"/(?:work|home/[a-z]+|root)/[\w.]|pyenv|/opt/(?:wheels|pypi)|files\.pythonhosted|registry\.npmjs"
)
MAY_NAME_THEM = {"tests/architecture/test_documents.py"}
TEXT_ENDINGS = (
    ".py",
    ".md",
    ".txt",
    ".toml",
    ".sh",
    ".html",
    ".js",
    ".css",
    ".json",
    ".yml",
    ".yaml",
    ".conf",
    ".service",
)


def test_every_reason_of_a_refusal_is_documented_and_no_other() -> None:
    text = (ROOT / "docs/reference/reasons.md").read_text()
    documented = re.findall(r"^\| `([a-z_]+)` \|", text.split("## ")[1], re.MULTILINE)
    assert sorted(documented) == sorted(reason.value for reason in Reason)


def test_every_metric_is_documented_with_its_kind_and_no_other_is() -> None:
    text = (ROOT / "docs/reference/metrics.md").read_text()
    documented = re.findall(r"^\| `([a-z_]+)` \| (\w+) \|.*\| (.+) \|$", text, re.MULTILINE)
    assert documented == [(metric.name, metric.kind.value, metric.help) for metric in NAMES]


def environment_names() -> set[str]:
    """Names of environment variables that our settings read."""
    names: set[str] = set()
    for module in modules("dlproxy_site"):
        if module.path.endswith("settings/test.py"):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                names |= set(re.findall(r"^(DLPROXY_[A-Z_]+|DATABASE_URL|REDIS_URL)$", node.value))
    return names


def test_the_settings_table_of_the_readme_lists_exactly_what_the_settings_read() -> None:
    assert set(TABLE_NAME.findall(README.read_text())) == environment_names()


def test_the_settings_reference_lists_the_same_settings_as_the_readme() -> None:
    reference = (ROOT / "docs/reference/settings.md").read_text()
    assert set(TABLE_NAME.findall(reference)) == set(TABLE_NAME.findall(README.read_text()))


def test_the_glossary_exists_and_defines_the_words_that_the_code_uses() -> None:
    text = (ROOT / "docs/reference/glossary.md").read_text().lower()
    words = ("instance", "request", "inference", "batch", "execution", "deadline", "rejection", "expiry")
    missing = [w for w in (*words, "placement", "routing", "policy", "decision") if f"| {w} |" not in text]
    assert not missing


def test_every_package_of_the_requirements_is_pinned_and_says_why_it_is_there() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-nodeps.txt", "requirements-onnx.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-")):
                assert re.match(r"^[\w.\[\]-]+==\S+ +# .", line), f"{name}: {line}"


def prose(text: str) -> str:
    """The document without its blocks of code: a comment in a shell is no heading, a call in brackets no link."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The names under which a document's headings can be linked to, as GitHub makes them."""
    found: Counter[str] = Counter()
    names = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", prose(text), re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return names


def test_links_between_our_documents_lead_somewhere() -> None:
    broken = []
    for name in tracked_files():
        if name.endswith(".md"):
            page = ROOT / name
            for target in re.findall(r"\]\(([^)\s]+)", prose(page.read_text())):
                if "://" in target or target.startswith("mailto:"):
                    continue
                path, _, anchor = target.partition("#")
                there = (page.parent / path).resolve() if path else page
                is_there = there.exists() and there.is_relative_to(ROOT)
                if not is_there or (anchor and anchor not in anchors(there.read_text())):
                    broken.append(f"{name} → {target}")
    assert not broken


def test_headings_are_linked_to_by_the_names_that_github_gives_them() -> None:
    text = "# How it works, in ten lines\n## `a_b` & [c](d.md)\n```\n# no heading\n```\n## Same\n## Same\n"
    assert anchors(text) == {"how-it-works-in-ten-lines", "a_b--c", "same", "same-1"}


def test_no_committed_file_names_the_paths_of_one_machine_or_a_registry_host() -> None:
    found = []
    for name in tracked_files():
        if name.endswith(TEXT_ENDINGS) and name not in MAY_NAME_THEM and "/vendor/" not in name:
            match = MACHINE_PATHS.search((ROOT / name).read_text(errors="replace"))
            if match:
                found.append(f"{name}: {match[0]}")
    assert not found


def test_test_files_have_names_of_their_own_since_pytest_imports_them_by_name() -> None:
    names = Counter(name.rsplit("/", 1)[-1] for name in tracked_files() if re.search(r"^tests/.*test_\w+\.py$", name))
    assert not [name for name, count in names.items() if count > 1]

"""What the product imports is what its requirements install."""

from __future__ import annotations

import ast
import re
import sys

from tests.architecture.sources import ROOT, modules

# Modules that are named unlike the package that brings them.
PACKAGE_OF = {
    "csp": "django-csp",
    "dj_database_url": "dj-database-url",
    "django_filters": "django-filter",
    "django_htmx": "django-htmx",
    "drf_spectacular": "drf-spectacular",
    "kombu": "celery",
    "pynvml": "nvidia-ml-py",
    "rest_framework": "djangorestframework",
    "sklearn": "scikit-learn",
}
# Imported only where they are installed; their absence is stated where they are used.
OPTIONAL = {"onnx", "onnxruntime", "silero_vad"}


def imported() -> set[str]:
    found = set()
    for module in modules("proxy", "models_admin", "dlproxy_site"):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                found.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"proxy", "models_admin", "dlproxy_site"} - OPTIONAL


def test_every_import_of_the_product_is_pinned_in_its_requirements() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = {re.split(r"[\[=]", line)[0].lower() for line in lines if "==" in line}
    missing = {name for name in imported() if PACKAGE_OF.get(name, name).lower() not in pinned}
    assert not missing

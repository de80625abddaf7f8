"""Static files under names with their digest, ES modules' imports included, so that browsers may keep them for ever."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ModuleStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """As WhiteNoise's, with `import … from "./x.js"` rewritten too: a page never mixes modules of two releases."""

    support_js_module_import_aggregation = True
    # Only our own modules: other packages ship scripts whose imports name files that they do not ship.
    _js_module_import_aggregation_patterns = (
        "js/*.js",
        CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1],
    )

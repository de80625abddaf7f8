"""Static files under names with their digest, ES modules' imports included, so that browsers may keep them for ever."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from whitenoise.storage import CompressedManifestStaticFilesStorage

# A name with its content's digest: what stands under it never changes.
_HASHED = re.compile(r"\.[0-9a-f]{12}\.")


class StaticFilesMissing(ValueError):
    """A page names a file that was never built: no page can be made before the operator has built them."""


class ModuleStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """As WhiteNoise's, with `import … from "./x.js"` rewritten too: a page never mixes modules of two releases.

    Compresses what is new only: all of it takes half a processor minute, and each start of the server asks for it.
    """

    support_js_module_import_aggregation = True
    # Only our own modules: other packages ship scripts whose imports name files that they do not ship.
    _js_module_import_aggregation_patterns = (
        "js/*.js",
        CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1],
    )

    def stored_name(self, name: str) -> str:
        """The name with the digest; StaticFilesMissing says what to do where there is none."""
        try:
            return super().stored_name(name)
        except ValueError as error:
            raise StaticFilesMissing(
                f"the static file {name} is not in {self.location}: run script/server, or manage.py prepare, "
                "and start the server again"
            ) from error

    def compress_files(self, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Names with the names of what was made of them."""
        yield from super().compress_files([path for path in paths if not self._is_compressed(path)])

    def _is_compressed(self, path: str) -> bool:
        file = Path(self.path(path))
        compressed = file.with_name(f"{file.name}.gz")
        if not compressed.exists():
            return False
        return bool(_HASHED.search(file.name)) or compressed.stat().st_mtime >= file.stat().st_mtime

"""Settings of the test suite: as default, with a home of its own per process and cheap passwords.

`TEST_DATABASE_URL` runs the suite on PostgreSQL, `TEST_REDIS_URL` gives Celery and Channels a Redis.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_home = Path(tempfile.mkdtemp(prefix="dlproxy-test-"))
_owner = os.getpid()


def _remove_home() -> None:
    if os.getpid() == _owner:
        shutil.rmtree(_home, ignore_errors=True)


atexit.register(_remove_home)
for _name in [name for name in os.environ if name.startswith("DLPROXY_")]:
    del os.environ[_name]  # a developer's server settings must not steer the tests
os.environ["DLPROXY_HOME"] = str(_home)
os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL", "")
os.environ["REDIS_URL"] = os.environ.get("TEST_REDIS_URL", "")

from dlproxy_site.settings.default import *  # noqa: E402, F403
from dlproxy_site.settings.default import DATABASES, STORAGES  # noqa: E402

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {**STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
CELERY_TASK_ALWAYS_EAGER = False
CELERY_BROKER_URL = "memory://"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {}
ALLOWED_HOSTS = ["testserver", "127.0.0.1", "localhost"]
# A file, not memory: tests with threads open several connections.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": str(_home / "test.sqlite3")}
# whitenoise warns of a missing folder, and warnings are errors; tests need no built assets.
STATIC_ROOT = _home / "static_built"
STATIC_ROOT.mkdir()

"""Settings of a running server, from the environment. The table in README.md documents each variable.

Rules: production mode is the default and refuses debug output, a foreign-host wildcard and a weak signing key.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from dlproxy_site.settings import environment
from dlproxy_site.settings.base import *  # noqa: F403  the usual way of settings modules
from dlproxy_site.settings.base import BASE_DIR, INSTALLED_APPS

DLPROXY_HOME = Path(os.environ.get("DLPROXY_HOME") or BASE_DIR / "var").expanduser().resolve()
DLPROXY_HOST = os.environ.get("DLPROXY_HOST") or "127.0.0.1"
DLPROXY_PORT = environment.whole_number("DLPROXY_PORT", 8_000, 0, 65_535)
DLPROXY_INFERENCE_PORT = environment.whole_number("DLPROXY_INFERENCE_PORT", 8_001, 0, 65_535)
DLPROXY_MAX_UPLOAD_BYTES = environment.whole_number("DLPROXY_MAX_UPLOAD_BYTES", 4 * 1_024**3, 1, 2**50)
DLPROXY_MAX_STORAGE_BYTES = environment.whole_number("DLPROXY_MAX_STORAGE_BYTES", 0, 0, 2**60)
DLPROXY_MIN_FREE_BYTES = environment.whole_number("DLPROXY_MIN_FREE_BYTES", 32 * 1_024**2, 0, 2**50)
DLPROXY_MEMORY_BUDGET_MIB = environment.whole_number("DLPROXY_MEMORY_BUDGET_MIB", 0, 0, 2**30)
DLPROXY_STRICT_READINESS = environment.flag("DLPROXY_STRICT_READINESS")
DLPROXY_CACHE_MAX_MIB = environment.whole_number("DLPROXY_CACHE_MAX_MIB", 0, 0, 2**30)
DLPROXY_CACHE_REDIS_URL = environment.redis_address("DLPROXY_CACHE_REDIS_URL")
DLPROXY_KEEP_SECONDS_H = environment.whole_number("DLPROXY_KEEP_SECONDS_H", 2, 1, 168)
DLPROXY_KEEP_MINUTES_D = environment.whole_number("DLPROXY_KEEP_MINUTES_D", 14, 1, 400)
DLPROXY_KEEP_DECISIONS_D = environment.whole_number("DLPROXY_KEEP_DECISIONS_D", 90, 1, 4_000)
DLPROXY_KEEP_DELETED_H = environment.whole_number("DLPROXY_KEEP_DELETED_H", 24, 0, 9_000)
DLPROXY_ARTIFACTS_DIR = DLPROXY_HOME / "artifacts"
environment.make_home(DLPROXY_HOME)
FILE_UPLOAD_TEMP_DIR = DLPROXY_ARTIFACTS_DIR / "incoming"

# Read by the processes that run models (proxy/worker/device.py); a wrong word is refused here, before any starts.
if os.environ.get("DLPROXY_DEVICE", "") not in {"", "cpu", "cuda"}:
    raise ImproperlyConfigured(f"DLPROXY_DEVICE={os.environ['DLPROXY_DEVICE']!r}: use cpu or cuda.")

mode = os.environ.get("DLPROXY_MODE") or "production"
if mode not in {"production", "development"}:
    raise ImproperlyConfigured(f"DLPROXY_MODE={mode!r}: use production or development.")
DEBUG = environment.flag("DLPROXY_DEBUG")
if DEBUG and mode == "production":
    raise ImproperlyConfigured("DLPROXY_DEBUG shows secrets to visitors: it needs DLPROXY_MODE=development.")
if DEBUG and DLPROXY_HOST not in environment.LOOPBACK_HOSTS:
    raise ImproperlyConfigured("DLPROXY_DEBUG is refused while DLPROXY_HOST is not a loopback address.")

SECRET_KEY = environment.secret_key(DLPROXY_HOME)
ALLOWED_HOSTS = [*environment.LOOPBACK_HOSTS, *environment.words("DLPROXY_ALLOWED_HOSTS")]
if DLPROXY_HOST not in {"0.0.0.0", "::", *ALLOWED_HOSTS}:  # noqa: S104  compared, not bound
    ALLOWED_HOSTS.append(DLPROXY_HOST)
if any(host.strip(".") in {"", "*"} for host in ALLOWED_HOSTS):
    raise ImproperlyConfigured("DLPROXY_ALLOWED_HOSTS: name each host; the wildcard * is refused.")

# HTTPS in front (a reverse proxy that sets X-Forwarded-Proto): secure cookies and HSTS. Without it the server is
# meant for the loopback address, where browsers would drop secure cookies over plain http.
HTTPS = environment.flag("DLPROXY_HTTPS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SILENCED_SYSTEM_CHECKS: list[str] = []
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
    CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in environment.words("DLPROXY_ALLOWED_HOSTS")]
    SILENCED_SYSTEM_CHECKS += ["security.W008"]  # the proxy in front redirects http; health checks stay on http
else:
    SILENCED_SYSTEM_CHECKS += [
        "security.W004",  # HSTS would lock a browser out of a plain-http loopback address
        "security.W008",  # nothing here to redirect to
        "security.W012",  # secure session cookie: see above
        "security.W016",  # secure CSRF cookie: see above
    ]

DATABASES = {"default": environment.database(DLPROXY_HOME, os.environ.get("DATABASE_URL", ""))}
REDIS_URL = environment.redis_address("REDIS_URL")
broker = environment.broker(DLPROXY_HOME, REDIS_URL)
CELERY_BROKER_URL = broker["url"]
CELERY_BROKER_TRANSPORT_OPTIONS = broker["options"]
CELERY_BEAT_SCHEDULE_FILENAME = str(DLPROXY_HOME / "celery" / "beat-schedule")
if REDIS_URL:
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            # A login waits for this cache: one that hangs counts as away.
            "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

# daphne brings `runserver` for development; its reactor is not loaded in the other processes.
if "runserver" in sys.argv:
    INSTALLED_APPS = ["daphne", *INSTALLED_APPS]

"""Settings that every mode shares. What the environment may change is read in `environment.py` and `default.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from whitenoise.compress import Compressor

BASE_DIR = Path(__file__).resolve().parents[2]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "csp",
    "django_filters",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "models_admin",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "models_admin.dashboard.answers.Answers",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "dlproxy_site.urls"
ASGI_APPLICATION = "dlproxy_site.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ]
        },
    }
]

# Accounts: argon2 first, the others only to read older hashes.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/login/"

# Cookies and headers. Secure flags follow DLPROXY_HTTPS in default.py.
SESSION_COOKIE_NAME = "dlproxy_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3_600
CSRF_COOKIE_NAME = "dlproxy_csrf"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "models_admin.dashboard.failures.page_expired"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "media-src": [SELF, "blob:"],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}

# Languages: what a visitor chose (cookie), else what the browser asks for, else English. English stands in the source;
# the other's catalogue is locale/, kept complete by script/messages.py and a test.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = "dlproxy_language"
LANGUAGE_COOKIE_AGE = 365 * 86_400
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_HTTPONLY = True
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static_built"
STATICFILES_DIRS = [BASE_DIR / "static", BASE_DIR / "static_vendor"]  # the second is filled by script/assets
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "models_admin.dashboard.static_files.ModuleStaticFilesStorage"},
}
# Source maps are asked for by developer tools only, and are most of what there would be to compress.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = (*Compressor.SKIP_COMPRESS_EXTENSIONS, "map")

# Uploads: files always go to disk in chunks, whatever their size; other form data stays small.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
DATA_UPLOAD_MAX_MEMORY_SIZE = 80 * 1_048_576  # an inference body of 64 MiB through the API's infer route
DATA_UPLOAD_MAX_NUMBER_FIELDS = 100
DATA_UPLOAD_MAX_NUMBER_FILES = 2

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "models_admin.api.authentication.KeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["models_admin.api.permissions.ReadOrStaff"],
    "DEFAULT_PAGINATION_CLASS": "models_admin.api.pagination.Pages",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "models_admin.api.problems.exception_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Deep Learning Proxy",
    "DESCRIPTION": "Administration of models, versions, policies and keys; inference for integrators.",
    "VERSION": "1",
    "TAGS": [
        {"name": "models", "description": "Named things that clients call."},
        {"name": "versions", "description": "Uploads and what becomes of them."},
        {"name": "rollouts", "description": "New versions beside the default one, and the way back."},
        {"name": "policies", "description": "Operators' parameters of each model."},
        {"name": "inference", "description": "The Open Inference Protocol's body through this API."},
        {"name": "keys", "description": "API keys of integrators and machines."},
        {"name": "users", "description": "Accounts of people, for admins."},
        {"name": "instances", "description": "The processes that run models, as last reported."},
        {"name": "history", "description": "Measurements over time, as columns for charts."},
        {"name": "tuning", "description": "What tuning may do, what it is at, what a model could carry."},
        {"name": "decisions", "description": "What the control loop and operators changed, and why."},
        {"name": "audit", "description": "Who did what to which thing."},
        {"name": "nodes", "description": "The parts of the system and whether they are heard of."},
    ],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "models_admin.api.openapi.with_common_refusals",
    ],
    "ENUM_NAME_OVERRIDES": {
        "VersionStateEnum": "models_admin.models.registry.VersionState",
        "RolloutStateEnum": "models_admin.models.rollouts.RolloutState",
        "DecisionStatusEnum": "models_admin.models.control.DecisionStatus",
        "TuningModeEnum": "models_admin.api.tuning.MODES",
    },
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "ERROR"},
        # Two lines a task each few seconds would bury the rest.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}

# Celery: one worker of threads (tasks wait for children and the database), messages are bells that expire.
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = 6  # two validations may wait for their children; ticks need threads meanwhile
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "dlproxy"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SCHEDULER = "dlproxy_site.beat:Scheduler"

CELERY_BEAT_SCHEDULE = {
    "heartbeat": {"task": "models_admin.heartbeat", "schedule": 5.0, "options": {"expires": 5}},
    "scaling": {"task": "models_admin.scale", "schedule": 5.0, "options": {"expires": 5}},
    "tuning": {"task": "models_admin.tune", "schedule": 5.0, "options": {"expires": 5}},
    "rollouts": {"task": "models_admin.roll_out", "schedule": 2.0, "options": {"expires": 2}},
    "validations": {"task": "models_admin.resume_validations", "schedule": 15.0, "options": {"expires": 15}},
    "roll-up": {"task": "models_admin.roll_up", "schedule": 60.0, "options": {"expires": 60}},
    "retention": {"task": "models_admin.sweep", "schedule": 600.0, "options": {"expires": 600}},
}

"""One settings file for every process; what differs comes from the environment.

`IWRS_SIDE` says which side of the blind a process stands on:
`blinded` (portal, API, ordinary workers), `unblinded` (unblinded staff and worker) or
`owner` (migrations only). Each side has its own database login, secret key and cookie names.
"""

import os
from pathlib import Path

import structlog
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from iwrs import env
from iwrs.logs import without_secrets
from iwrs.processes import broker_transport_options

BASE_DIR = Path(__file__).resolve().parent.parent
SIDE = os.environ.get("IWRS_SIDE", "blinded")
if SIDE not in {"blinded", "unblinded", "owner"}:
    raise ImproperlyConfigured(f"IWRS_SIDE must be blinded, unblinded or owner, not {SIDE!r}.")

DEBUG = False
SECRET_KEY = env.required("IWRS_SECRET_KEY", "Give each side a long random text of its own.")
ALLOWED_HOSTS = os.environ.get("IWRS_ALLOWED_HOSTS", "localhost,127.0.0.1").split(",")
CSRF_TRUSTED_ORIGINS = [o for o in os.environ.get("IWRS_ORIGINS", "").split(",") if o]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "pghistory",
    "pgtrigger",
    "django_htmx",
    "csp",
    "django_structlog",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "oauth2_provider",
    "iwrs.accounts",
    # after our own, so that our templates stand before theirs
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "iwrs.audit_trail.apps.AuditTrailConfig",
    "iwrs.apps.IwrsConfig",
    "iwrs.signatures",
    "enrolment",
    "randomization",
    "dispensing",
    "assessments",
    "dsmb",
    "trial",
]

MIDDLEWARE = [
    "iwrs.middleware.OneRequest",
    # Then what has to be on every answer, files and refusals included.
    "iwrs.middleware.AnswerHeaders",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "iwrs.middleware.ReadableRequests",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "trial.middleware.SignedInPages",
    "trial.second_factor.SecondFactor",
    "trial.middleware.BusinessClock",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "trial.middleware.ProblemPages",
]

ROOT_URLCONF = "trial.urls_unblinded" if SIDE == "unblinded" else "trial.urls"
WSGI_APPLICATION = "iwrs.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "trial" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "trial.context.site",
            ],
        },
    },
]

# Accounts, sessions and sign-in records exist twice: in `public` for blinded people and in
# `unblinded` for unblinded staff. The search path chooses; no code has to remember.
SEARCH_PATH = "unblinded,public" if SIDE == "unblinded" else "public"
DATABASE_URL = env.required(
    "DATABASE_URL", "Give the PostgreSQL URL of this process's own login, or run `make demo`."
)
DATABASES = {"default": env.database(DATABASE_URL, search_path=SEARCH_PATH)}
if SIDE == "owner":
    DATABASES["accounts_unblinded"] = env.database(DATABASE_URL, search_path="unblinded")
elif env.flag("IWRS_POOL"):
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 2, "max_size": 12, "timeout": 10}
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 600
DATABASE_ROUTERS = ["iwrs.accounts.router.UnblindedAccountsRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["iwrs.accounts.backend.PasswordBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# django-allauth runs the sign-in; who may sign in is decided by our backend, with its lock.
ACCOUNT_ADAPTER = "iwrs.accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]  # nobody signs up: the adapter refuses it
ACCOUNT_EMAIL_VERIFICATION = "none"  # who looks after accounts types the address
ACCOUNT_SESSION_REMEMBER = False
# Its limits count in a cache, which may be wiped. Ours are rows: iwrs.accounts.services.
ACCOUNT_RATE_LIMITS = MFA_RATE_LIMITS = False
# The secrets of second factors are encrypted with this key. Another one makes them unreadable.
FACTOR_KEY = os.environ.get(f"IWRS_{SIDE.upper()}_FACTOR_KEY") or SECRET_KEY
MFA_ADAPTER = "iwrs.accounts.cipher.FactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_TOLERANCE = 1  # time steps of 30 seconds, for clocks that are a little wrong
MFA_RECOVERY_CODES_SHOW_ONCE = True
SECOND_FACTOR = os.environ.get("IWRS_SECOND_FACTOR", "required")
if SECOND_FACTOR not in {"required", "optional"}:
    raise ImproperlyConfigured(
        f"IWRS_SECOND_FACTOR must be required or optional, not {SECOND_FACTOR!r}."
    )
# A sponsor's own directory. It signs in people of the listed domains who have an account.
SOCIALACCOUNT_ADAPTER = "iwrs.accounts.directory.DirectoryRules"
SOCIALACCOUNT_LOGIN_ON_GET = True  # a link: the content policy lets no form lead elsewhere
DIRECTORY, DIRECTORY_DOMAINS, SOCIALACCOUNT_PROVIDERS = env.directory(f"IWRS_{SIDE.upper()}_OIDC")
# How many reverse proxies stand before the site: the address of a caller is what they say it is.
ALLAUTH_TRUSTED_PROXY_COUNT = int(os.environ.get("IWRS_PROXIES", "0"))
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "sign-in"

INSECURE_HTTP = env.flag("IWRS_INSECURE_HTTP")  # the demo on localhost has no TLS
# The two sites may share a host name: different cookie names keep their sessions apart. Browsers
# take a cookie named `__Host-` from this host over TLS only, never from a neighbouring host.
_COOKIE = f"iwrs_{SIDE}" if INSECURE_HTTP else f"__Host-iwrs_{SIDE}"
SESSION_COOKIE_NAME = f"{_COOKIE}_session"
CSRF_COOKIE_NAME = f"{_COOKIE}_csrf"
CSRF_COOKIE_HTTPONLY = True  # forms carry the token; no script needs it
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = not INSECURE_HTTP
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 0 if INSECURE_HTTP else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not INSECURE_HTTP
SECURE_REFERRER_POLICY = "same-origin"
SECURE_REDIRECT_EXEMPT = [r"^health/$"]  # probes ask the process itself, without TLS
CSRF_FAILURE_VIEW = "iwrs.views.csrf_refused"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}

LANGUAGE_CODE = "en-gb"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
DATE_FORMAT = "j F Y"
DATETIME_FORMAT = "j F Y H:i"

STATIC_URL = "static/"
STATIC_ROOT = Path(os.environ.get("IWRS_STATIC_ROOT", BASE_DIR / ".iwrs" / "static"))
STATICFILES_DIRS = [BASE_DIR / "trial" / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_ALLOW_ALL_ORIGINS = False  # files are for our own pages
# The largest request is a file of kits (8 MiB), and only the unblinded site takes one.
REQUEST_MAX_BYTES = (9 if SIDE == "unblinded" else 1) * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # of a body without its files
DATA_UPLOAD_MAX_NUMBER_FIELDS = 300
DATA_UPLOAD_MAX_NUMBER_FILES = 5

EMAIL_BACKEND = os.environ.get("IWRS_EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
EMAIL_FILE_PATH = os.environ.get("IWRS_EMAIL_DIR", str(BASE_DIR / ".iwrs" / "mail"))
EMAIL_HOST = os.environ.get("IWRS_EMAIL_HOST", "localhost")
EMAIL_TIMEOUT = 20  # seconds; a letter is sent within a transaction, which must not stay open
DEFAULT_FROM_EMAIL = os.environ.get("IWRS_EMAIL_FROM", "iwrs@localhost")
if SIDE == "unblinded":  # the address of the own site, which its letters link to
    PORTAL_URL = os.environ.get("IWRS_UNBLINDED_URL", "http://localhost:8001")
else:
    PORTAL_URL = os.environ.get("IWRS_PORTAL_URL", "http://localhost:8000")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "oauth2_provider.contrib.rest_framework.OAuth2Authentication"
    ],
    "DEFAULT_PERMISSION_CLASSES": ["iwrs.api.permissions.ClientWithScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "iwrs.api.pagination.ByNumber",
    "EXCEPTION_HANDLER": "iwrs.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "IWRS API",
    "DESCRIPTION": "Screening, randomization, dispensing and assessments for EDC systems.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "CentreStatus": "enrolment.models.Centre.Status",
        "SubjectStatus": "enrolment.models.Subject.Status",
        "DispensationStatus": "dispensing.models.Dispensation.Status",
        "VisitStatus": "assessments.models.Visit.Status",
        "TumourResponse": "assessments.models.TumourRead.Response",
    },
}
OAUTH2_PROVIDER_APPLICATION_MODEL = "iwrs.EdcClient"
OAUTH2_PROVIDER = {
    "SCOPES": {
        "subjects:read": "Read subjects of the study",
        "subjects:screen": "Register and screen subjects",
        "subjects:randomize": "Randomize subjects",
        "kits:dispense": "Assign and hand over kits",
        "assessments:report": "Report assessments and events",
    },
    "DEFAULT_SCOPES": [],
    "ACCESS_TOKEN_EXPIRE_SECONDS": 900,
    # Client credentials only: the general server also tries passwords of people.
    "OAUTH2_SERVER_CLASS": "oauthlib.oauth2.BackendApplicationServer",
    "SCOPES_BACKEND_CLASS": "iwrs.api.oauth.ClientScopes",
    "OAUTH2_VALIDATOR_CLASS": "iwrs.api.oauth.ClientValidator",
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,  # only the hash of a token is stored
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,  # in the header, never in an address
    # What follows is never offered; said all the same, so that no default opens it.
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN": True,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_SCHEME": True,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
}

REDIS_URL = os.environ.get("REDIS_URL", "")
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "blinded"
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = SIDE != "unblinded"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = broker_transport_options(SIDE) if SIDE != "owner" else {}
CELERY_TIMEZONE = "UTC"
CELERY_TASK_ROUTES = {"*.unblinded_*": {"queue": "unblinded"}}

PGHISTORY_CREATED_AT_FUNCTION = "clock_timestamp()"
PGHISTORY_APPEND_ONLY = True

SILENCED_SYSTEM_CHECKS: list[str] = []

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                without_secrets,
                structlog.processors.JSONRenderer(),
            ],
            "foreign_pre_chain": [
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "loggers": {"oauthlib": {"level": "INFO"}},  # its debug lines hold tokens
    "root": {"handlers": ["console"], "level": os.environ.get("IWRS_LOG_LEVEL", "INFO")},
}

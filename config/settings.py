"""Every setting; the only reader of the environment. Importing it starts nothing."""

import secrets
from pathlib import Path
from zoneinfo import ZoneInfo

from django.templatetags.static import static
from django.urls import reverse_lazy

from config import environment
from config.embedded import paths
from config.schedule import SCHEDULE
from config.sidebar import NAVIGATION

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Where data and servers are -------------------------------------------------------------

DATA_DIR = Path(environment.text("OFFERLAB_DATA_DIR") or BASE_DIR / ".data").absolute()
POSTGRES_BIN = (
    Path(environment.text("OFFERLAB_POSTGRES_BIN"))
    if environment.text("OFFERLAB_POSTGRES_BIN")
    else None
)
EMBEDDED_POSTGRES = not environment.text("DATABASE_URL")
EMBEDDED_VALKEY = not environment.text("REDIS_URL")
DATABASE_URL = environment.text("DATABASE_URL") or paths.database_url(DATA_DIR)
REDIS_URL = environment.text("REDIS_URL") or paths.redis_url(DATA_DIR)
SITE_URL = environment.text("OFFERLAB_SITE_URL", "http://127.0.0.1:8000")

DATABASES = {"default": {**environment.database(DATABASE_URL), "CONN_HEALTH_CHECKS": True}}
# A worker whose machine vanishes keeps its locks until the server notices that nobody is there.
DATABASES["default"]["OPTIONS"].setdefault(
    "options", "-c tcp_keepalives_idle=30 -c idle_in_transaction_session_timeout=10min"
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Security -------------------------------------------------------------------------------

DEBUG = environment.flag("DEBUG")
SECRET_KEY_IS_OURS = bool(environment.text("SECRET_KEY"))
# Without a key of its own a process makes one up: log-ins end with it, and nothing leaks.
SECRET_KEY = environment.text("SECRET_KEY") or secrets.token_urlsafe(64)
# With which the addresses are hashed that nothing is sent to any more. Give it a value of its own:
# it has to stay the same for ever, and a secret key is changed now and then.
SUPPRESSION_KEY = environment.text("OFFERLAB_SUPPRESSION_KEY") or f"suppression:{SECRET_KEY}"
ALLOWED_HOSTS = environment.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
HTTPS = environment.flag("HTTPS", default=True)
SECURE_SSL_REDIRECT = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "config.kept_entries.too_old"
SESSION_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- The site -------------------------------------------------------------------------------

INSTALLED_APPS = [
    "config",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django_htmx",
    "anymail",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "audience",
    "experiments",
    "recommender",
    "campaigns",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Django pads what it packs by a random length, which hides secrets in a page's size.
    "django.middleware.gzip.GZipMiddleware",
    "config.content_security.ContentSecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.audit.audit_middleware",
    "config.logging_in.login_middleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.worked.find_silence",
            ]
        },
    }
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("home")
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Serve straight from the packages, so that a fresh checkout needs no collectstatic.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

UNFOLD = {
    "SITE_TITLE": "OfferLab",
    "SITE_HEADER": "OfferLab",
    "SITE_SUBHEADER": "Offers whose lift is proven",
    "SITE_SYMBOL": "experiment",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("offerlab/icon.svg"),
        }
    ],
    "STYLES": [lambda request: static("offerlab/admin.css")],
    "SCRIPTS": [
        lambda request: static("offerlab/once.js"),
        lambda request: static("offerlab/fresh.js"),
        lambda request: static("offerlab/named.js"),
    ],
    "SIDEBAR": {
        "show_search": True,
        "navigation": NAVIGATION,
    },
}

# --- Work -----------------------------------------------------------------------------------

CELERY_BROKER_URL = environment.broker(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
# What takes minutes has a queue, and workers, of its own.
CELERY_TASK_ROUTES = {
    "recommender.train_rankers": {"queue": "training"},
    "recommender.check_rankings": {"queue": "training"},
}
# Work is claimed in PostgreSQL, so a lost message costs one beat, not an hour (ADR 0005).
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = TIME_ZONE
# LOGGING decides what a worker says, as everywhere else.
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE = SCHEDULE
# Whether an experiment starts only once somebody other than who asked has approved it.
REVIEW_IS_REQUIRED = (
    environment.choice("OFFERLAB_REVIEW", ("required", "optional"), "required") == "required"
)
# Who keeps an audience that is in use from being changed by one person alone.
AUDIENCE_GUARDS = ["campaigns.lifecycle.guarding.guard_audience"]
# What hears of events that are imported from files.
ON_IMPORT = [
    "recommender.rewards.reversals.note_imported",
    "campaigns.deciding.hearing_imports.count_imported",
]
# How often a running experiment is looked at without being asked.
ANALYSIS_INTERVAL_SECONDS = 300
# How old the stored members of an audience may become before they are looked up again.
AUDIENCE_REFRESH_SECONDS = 300
# Where events are analysed: in PostgreSQL, or in the lake of Parquet files by DuckDB or Spark.
ANALYTICS_ENGINE = environment.choice(
    "OFFERLAB_ANALYTICS_ENGINE", ("postgres", "duckdb", "spark"), "postgres"
)
# The lake's folder, of this database alone and seen by every worker. Without a name there is a
# lake only where an engine reads it.
LAKE_DIR = (
    Path(environment.text("OFFERLAB_LAKE_DIR") or DATA_DIR / "lake").absolute()
    if environment.text("OFFERLAB_LAKE_DIR") or ANALYTICS_ENGINE != "postgres"
    else None
)
# Where decisions wait on disk while the database cannot take them: kept over restarts, and of this
# machine alone.
SPOOL_DIR = Path(environment.text("OFFERLAB_SPOOL_DIR") or DATA_DIR / "spool").absolute()
LEARNING_DEVICE = environment.text("OFFERLAB_DEVICE", "cpu")
# Where trainings of networks write what TensorBoard shows; without a name they write nothing.
TENSORBOARD_DIR = (
    Path(environment.text("OFFERLAB_TENSORBOARD_DIR")).absolute()
    if environment.text("OFFERLAB_TENSORBOARD_DIR")
    else None
)
# The folder of the model by which rankings read descriptions; without it none does.
SENTENCE_MODEL = environment.text("OFFERLAB_SENTENCE_MODEL")
# For how many days what senders sent and we refused is kept, or "forever".
# Events and decisions go by whole months, and never while a live experiment needs them.
KEEP_EVENTS_DAYS = environment.days("OFFERLAB_KEEP_EVENTS_DAYS", default=None, least=1)
KEEP_DECISIONS_DAYS = environment.days("OFFERLAB_KEEP_DECISIONS_DAYS", default=None, least=1)
KEEP_REJECTED_DAYS = environment.days("OFFERLAB_KEEP_REJECTED_DAYS", default=90, least=1)
# The same of the ids of messages: who sends one again after that is counted twice.
KEEP_MESSAGE_IDS_DAYS = environment.days("OFFERLAB_KEEP_MESSAGE_IDS_DAYS", default=None, least=30)

# --- Mail and webhooks ----------------------------------------------------------------------

# Without a server mails are printed into the log of whoever sends them.
EMAIL_HOST = environment.text("EMAIL_HOST")
EMAIL_BACKEND = (
    environment.text("EMAIL_BACKEND")
    or f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
)
# What a mail service's backend needs, such as a key: every variable that begins with ANYMAIL_.
ANYMAIL = environment.beginning_with("ANYMAIL_")
EMAIL_PORT = int(environment.text("EMAIL_PORT") or 587)
EMAIL_HOST_USER = environment.text("EMAIL_USER")
EMAIL_HOST_PASSWORD = environment.text("EMAIL_PASSWORD")
EMAIL_USE_TLS = environment.flag("EMAIL_TLS", default=True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = environment.text("EMAIL_FROM", "OfferLab <offerlab@localhost>")
# Where unsubscribing by mail is read, if it is; the link in every mail works without it.
UNSUBSCRIBE_MAILBOX = environment.text("OFFERLAB_UNSUBSCRIBE_MAILBOX")
# Whether mails have a link that nobody sees, which only a machine follows.
MAIL_HAS_TRAP = environment.flag("OFFERLAB_MAIL_TRAP")
# How many messages leave in a second, by all workers together; 0 is no limit.
MESSAGES_PER_SECOND = {
    "email": float(environment.text("OFFERLAB_EMAILS_PER_SECOND") or 0),
    "webhook": float(environment.text("OFFERLAB_WEBHOOKS_PER_SECOND") or 0),
}
# How many connections each worker opens at most, to the mail server or receivers of webhooks.
SENDING_LINES = int(environment.text("OFFERLAB_SENDING_LINES") or 8)
# Whose clock counts where a customer's time zone is not known, and for limits of all together.
SITE_ZONE = ZoneInfo(environment.text("OFFERLAB_TIME_ZONE", "UTC"))
# Addresses that are sent each campaign's message as well, so that somebody sees what goes out.
SEED_ADDRESSES = environment.words("OFFERLAB_SEED_ADDRESSES")
# Whether webhooks may go to addresses of our own network.
WEBHOOKS_MAY_BE_PRIVATE = environment.flag("OFFERLAB_PRIVATE_WEBHOOKS")

# Whether the counters of this machine's processes are added up, as Prometheus' client does where it
# is given a directory for them.
METRICS_ADD_UP = bool(environment.text("PROMETHEUS_MULTIPROC_DIR"))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {"()": "config.logs.JsonFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": environment.choice("LOG_FORMAT", ("line", "json"), "line"),
        }
    },
    "root": {"handlers": ["console"], "level": environment.text("LOG_LEVEL", "INFO")},
    # A wake-up call every few seconds is no news; our tasks say so when they did something.
    "loggers": {"celery": {"level": environment.text("LOG_LEVEL", "WARNING")}},
}

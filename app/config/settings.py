"""Django's settings; what differs from place to place comes from the environment (app.config.environment)."""

from __future__ import annotations

import os
from pathlib import Path

from app.config import environment
from app.events.buckets import parse_lists

APP = Path(__file__).resolve().parents[1]
#: The shop's own folder: accounts, key, cached pictures.
HOME = environment.home()

SECRET_KEY = environment.secret_key(HOME)
DEBUG = False
ALLOWED_HOSTS = environment.words("ATELIER_SHOP_HOSTS", "127.0.0.1,localhost,[::1]")
CSRF_TRUSTED_ORIGINS = environment.words("ATELIER_SHOP_ORIGINS", "")

# The published tables, the retailer's pictures, and how prices are written.
SHOP_WAREHOUSE = os.environ.get("ATELIER_WAREHOUSE") or "warehouse"
SHOP_DATA = os.environ.get("ATELIER_DATA") or "data/sample"
SHOP_MAPPING = os.environ.get("ATELIER_MAPPING") or "hm"
SHOP_CURRENCY = os.environ.get("ATELIER_SHOP_CURRENCY", "€")
#: H&M's published prices are n/590.
SHOP_PRICE_SCALE = float(os.environ.get("ATELIER_SHOP_PRICE_SCALE") or (590 if SHOP_MAPPING == "hm" else 1))

#: Bytes that the cached thumbnails may take.
SHOP_THUMBNAIL_BYTES = environment.number("ATELIER_SHOP_THUMBNAIL_MB", 2048) * 2**20

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "app.catalog",
    "app.accounts",
    "app.events",
    "app.orders",
]
MIDDLEWARE = [
    "app.accounts.proxies.ClientAddress",
    "app.events.requests.Requests",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "app.config.headers.SecurityHeaders",
    "app.config.headers.BodyLimit",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "app.accounts.privacy.PrivatePages",
    "app.events.visitors.Visitors",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "app.config.urls"
WSGI_APPLICATION = "app.config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [APP / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "app.orders.context.basket",
                "app.catalog.context.shop",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": environment.database(HOME)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Accounts: see app.accounts.
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = ["app.accounts.hashers.Argon2"]
PASSWORD_RESET_TIMEOUT = 3600
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "catalog:home"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {}),
        ("MinimumLengthValidator", {"min_length": 10}),
        ("CommonPasswordValidator", {}),
        ("NumericPasswordValidator", {}),
    )
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # else others could keep an account locked
AXES_USERNAME_FORM_FIELD = "username"
AXES_LOCKOUT_TEMPLATE = "accounts/too_many.html"
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False  # its messages name addresses

# Mails: into files, unless the environment names a server.
vars().update(environment.mail(HOME))

# Events: see app.events.
SHOP_EVENTS = environment.events_folder()
SHOP_EVENT_SECONDS = environment.number("ATELIER_SHOP_EVENT_SECONDS", 300)
SHOP_WEEK = environment.day("ATELIER_SHOP_WEEK")
SHOP_LISTS = parse_lists(os.environ.get("ATELIER_SHOP_LISTS", ""))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "app.events.logs.JsonLines"}},
    "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}},
    "root": {"handlers": ["out"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO"},
        "django.request": {"level": "ERROR"},  # app.events.requests says what was not found
        "axes": {"level": "ERROR"},
        "py4j": {"level": "ERROR"},
    },
}

# Cookies and headers; the content security policy is in app.config.headers.
IS_HTTPS = os.environ.get("ATELIER_SHOP_HTTPS") == "1"
SESSION_COOKIE_NAME = "__Host-session" if IS_HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if IS_HTTPS else "csrf"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_REDIRECT_EXEMPT = ["^health$", "^metrics$"]
#: Proxies in front; their headers name the client, and whether it came by TLS.
SHOP_PROXIES = int(environment.number("ATELIER_SHOP_PROXIES", 1)) if os.environ.get("ATELIER_SHOP_PROXIES") else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SHOP_PROXIES else None
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if IS_HTTPS else 0
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
#: Bytes of a request, a picture to search by included; a larger one is not read at all.
SHOP_MAX_BODY = 10 * 2**20
DATA_UPLOAD_MAX_MEMORY_SIZE = 2**20
FILE_UPLOAD_MAX_MEMORY_SIZE = SHOP_MAX_BODY
DATA_UPLOAD_MAX_NUMBER_FILES = 1

LANGUAGE_CODE = "en"
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATICFILES_DIRS = [APP / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 3600
WHITENOISE_ALLOW_ALL_ORIGINS = False

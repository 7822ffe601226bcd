"""Settings of a site without a database."""

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "pages.urls"
STATIC_URL = "static/"
STATICFILES_DIRS = ["static"]
WHITENOISE_USE_FINDERS = True
INSTALLED_APPS = ["django.contrib.staticfiles"]
MIDDLEWARE = ["whitenoise.middleware.WhiteNoiseMiddleware"]

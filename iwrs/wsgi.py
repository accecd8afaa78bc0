"""WSGI entry point for both web processes; `IWRS_SIDE` chooses the site."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "iwrs.settings")
application = get_wsgi_application()

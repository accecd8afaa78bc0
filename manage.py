#!/usr/bin/env python
"""Django's command line for this project."""

import os
import secrets
import sys

# Members of a committee run these without a database, and without the settings of a site.
WITHOUT_A_SITE = (["unseal"], ["dsmb_key", "new"])

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "iwrs.settings")
    if any(sys.argv[1 : 1 + len(words)] == words for words in WITHOUT_A_SITE):
        os.environ.setdefault("DATABASE_URL", "postgresql:///none")
        os.environ.setdefault("IWRS_SECRET_KEY", secrets.token_urlsafe(48))
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)

#!/usr/bin/env python
"""Django's command line for this project."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlproxy_site.settings.default")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        print(f"manage.py: {error}", file=sys.stderr)
        sys.exit(os.EX_CONFIG)  # as the server itself: no later start goes better
    except KeyboardInterrupt:
        sys.exit(130)  # Ctrl-C while a first start trains and validates: what a shell would say, without a trace

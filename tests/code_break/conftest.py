"""People of a small study, as on the portal's own tests."""

from tests.portal.conftest import committed_site, signed_in, site  # noqa: F401

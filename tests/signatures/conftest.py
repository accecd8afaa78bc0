"""The people and browsers of the portal's tests."""

from tests.portal.conftest import committed_site, signed_in, site

__all__ = ["committed_site", "signed_in", "site"]

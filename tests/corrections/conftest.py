"""A subject in treatment, with facts of each kind recorded, and the people of the study."""

from tests.portal.conftest import signed_in, site

__all__ = ["signed_in", "site"]

"""The shipped study, read once for each file of tests."""

import pytest

from iwrs.definition import StudyDefinition, load_definition
from tests.iwrs.definitions import BOLERO2


@pytest.fixture(scope="module")
def bolero2() -> StudyDefinition:
    return load_definition(BOLERO2).definition

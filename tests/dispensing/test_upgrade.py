"""A migration that fills a new column runs on tables with rows, history included."""

from importlib import import_module

import pytest
from django.db import DatabaseError, connection, transaction

from tests import factories as make
from tests.dsmb.rows import as_owner

pytestmark = pytest.mark.django_db


def test_the_lot_of_kits_that_are_there_already_is_filled_in() -> None:
    sql = import_module("dispensing.migrations.0003_kit_content_lot").LOT_OF_KIT
    make.a_centre(make.a_study())
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SELECT count(*) FROM unblinded.kit_content_event")
        assert cursor.fetchone()[0] > 0
        cursor.execute(sql)
        with pytest.raises(DatabaseError, match="Cannot update or delete"), transaction.atomic():
            cursor.execute("UPDATE unblinded.kit_content_event SET rank = 0")

"""Install the gates again: one that asks for a place on paper knows numbers that were accepted, and
one that assigns a kit knows the kit that was told.

Reversing keeps them: they read what is there, and without an accepted number they are as before.
"""

from pathlib import Path

from django.db import migrations

GATES = Path(__file__).resolve().parent.parent.parent / "iwrs" / "sql" / "gates"
CHANGED = ("0_open_calls.sql", "1_allocate.sql", "2_assign_kit.sql", "5_paper.sql")
SQL = "\n".join(
    [
        "DROP FUNCTION IF EXISTS gate.allocate(bigint);",  # it has one more argument now
        *((GATES / name).read_text(encoding="utf-8") for name in CHANGED),
    ]
)


class Migration(migrations.Migration):
    dependencies = [
        ("trial", "0007_next_on_paper"),
        ("randomization", "0018_told_on_paper"),
        ("dispensing", "0008_paper_kit"),
        ("dsmb", "0007_paper_codes"),
    ]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]

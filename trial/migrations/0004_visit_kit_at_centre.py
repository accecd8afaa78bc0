"""Install the kit gate again: a visit gets a kit that is at its centre, not a retired one.

Reversing keeps it: the older text is not needed by any older table.
"""

from pathlib import Path

from django.db import migrations

GATES = Path(__file__).resolve().parent.parent.parent / "iwrs" / "sql" / "gates"
SQL = (GATES / "2_assign_kit.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("trial", "0003_code_break_counts")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]

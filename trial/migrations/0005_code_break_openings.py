"""Install the code break gates again: an opening of a sealed pack is recorded, outside the budget.

Reversing keeps them: the older text is not needed by any older table.
"""

from pathlib import Path

from django.db import migrations

GATES = Path(__file__).resolve().parent.parent.parent / "iwrs" / "sql" / "gates"
SQL = (GATES / "3_code_break.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [
        ("trial", "0004_visit_kit_at_centre"),
        ("randomization", "0005_code_break_opened_by"),
    ]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]

"""Install the code break gates again: the first unblinding stays, and openings have bounds in time.

Reversing keeps them: the older text is not needed by any older table.
"""

from pathlib import Path

from django.db import migrations

GATES = Path(__file__).resolve().parent.parent.parent / "iwrs" / "sql" / "gates"
SQL = (GATES / "3_code_break.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("trial", "0005_code_break_openings")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]

"""Install the code break gate again: a request is answered within fifteen minutes only.

Reversing keeps it: the older text is not needed by any older table.
"""

from pathlib import Path

from django.db import migrations

GATES = Path(__file__).resolve().parent.parent.parent / "iwrs" / "sql" / "gates"
SQL = (GATES / "3_code_break.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("trial", "0001_gates")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]

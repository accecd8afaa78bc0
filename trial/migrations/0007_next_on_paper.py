"""Install the gate that compares a place on paper with the next one.

Reversing keeps it: it is granted with its schema, and nothing else asks it.
"""

from pathlib import Path

from django.db import migrations

GATES = Path(__file__).resolve().parent.parent.parent / "iwrs" / "sql" / "gates"
SQL = (GATES / "5_paper.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("trial", "0006_first_unblinding_stays"), ("dsmb", "0006_paper_packs")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]

"""Install two gates anew: what the paper gave is kept for the subject after an abandoned call."""

from pathlib import Path

from django.db import migrations

GATES = Path(__file__).resolve().parent.parent.parent / "iwrs" / "sql" / "gates"
SQL = "\n".join(
    (GATES / name).read_text(encoding="utf-8") for name in ("2_assign_kit.sql", "5_paper.sql")
)


class Migration(migrations.Migration):
    dependencies = [("trial", "0007_next_on_paper"), ("dsmb", "0007_paper_use")]
    operations = [migrations.RunSQL(SQL, migrations.RunSQL.noop)]

"""Make the schemas of the blind and the default privileges, before any table exists.

Default privileges apply to tables made later, so that a table added next year is already on the
right side of the blind.
"""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    initial = True
    dependencies: list[tuple[str, str]] = []
    run_before = [
        ("accounts", "0001_initial"),
        ("contenttypes", "0001_initial"),
        ("pghistory", "0001_initial"),
        ("sessions", "0001_initial"),
    ]
    operations = [
        migrations.RunSQL(
            (SQL / "schemas.sql").read_text(encoding="utf-8"),
            (SQL / "schemas_reverse.sql").read_text(encoding="utf-8"),
        )
    ]

"""Install the gate functions: the only way from the blinded side to what knows the arm.

Their SQL is in one folder, `iwrs/sql/gates/`, so that the whole blind is reviewed in one sitting.
They are installed by the last room because they touch the tables of all rooms before it.
"""

from pathlib import Path

from django.db import migrations

GATES = Path(__file__).resolve().parent.parent.parent / "iwrs" / "sql" / "gates"
SQL = "\n".join(path.read_text(encoding="utf-8") for path in sorted(GATES.glob("*.sql")))
REVERSE = """
DROP SCHEMA gate CASCADE;
CREATE SCHEMA gate;
GRANT USAGE ON SCHEMA gate TO iwrs_blinded;
DROP FUNCTION unblinded.take_cover_kit(unblinded.centre_calls, text, date);
DROP FUNCTION unblinded.next_position(unblinded.stratum_cursor);
DROP FUNCTION unblinded.settle_places(bigint);
DROP FUNCTION unblinded.use_up_cover(bigint, bigint);
DROP FUNCTION unblinded.draw_call(text, bigint);
DROP FUNCTION unblinded.calls_made(text, bigint);
DROP FUNCTION unblinded.open_calls(text, bigint);
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("iwrs", "0002_initial"),
        ("randomization", "0001_initial"),
        ("dispensing", "0001_initial"),
        ("assessments", "0001_initial"),
        ("dsmb", "0001_initial"),
    ]
    operations = [migrations.RunSQL(SQL, REVERSE)]

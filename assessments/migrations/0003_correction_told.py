import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('assessments', '0002_corrections'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='correction',
            name='insert_insert',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='correction',
            name='update_update',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='correction',
            name='delete_delete',
        ),
        migrations.AddField(
            model_name='correction',
            name='told',
            field=models.JSONField(default=list, help_text='What stood there: question and answer.'),
        ),
        migrations.AddField(
            model_name='correctionevent',
            name='told',
            field=models.JSONField(default=list, help_text='What stood there: question and answer.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='correction',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assessments_correctionevent" ("corrected_at", "corrected_by", "fact", "id", "in_error", "name", "now", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "record", "recorded_at", "subject_id", "told", "was") VALUES (NEW."corrected_at", NEW."corrected_by", NEW."fact", NEW."id", NEW."in_error", NEW."name", NEW."now", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'insert\', NEW."id", NEW."reason", NEW."record", NEW."recorded_at", NEW."subject_id", NEW."told", NEW."was"); RETURN NULL;', hash='559c608ba0a84f5d1ab163a2a99a3aec8404ea7d', operation='INSERT', pgid='pgtrigger_insert_insert_d14b6', table='assessments_correction', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='correction',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "assessments_correctionevent" ("corrected_at", "corrected_by", "fact", "id", "in_error", "name", "now", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "record", "recorded_at", "subject_id", "told", "was") VALUES (NEW."corrected_at", NEW."corrected_by", NEW."fact", NEW."id", NEW."in_error", NEW."name", NEW."now", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'update\', NEW."id", NEW."reason", NEW."record", NEW."recorded_at", NEW."subject_id", NEW."told", NEW."was"); RETURN NULL;', hash='67e35f16a19b0a8c9ad8678a5e5b5638e7727711', operation='UPDATE', pgid='pgtrigger_update_update_26fde', table='assessments_correction', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='correction',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assessments_correctionevent" ("corrected_at", "corrected_by", "fact", "id", "in_error", "name", "now", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "record", "recorded_at", "subject_id", "told", "was") VALUES (OLD."corrected_at", OLD."corrected_by", OLD."fact", OLD."id", OLD."in_error", OLD."name", OLD."now", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'delete\', OLD."id", OLD."reason", OLD."record", OLD."recorded_at", OLD."subject_id", OLD."told", OLD."was"); RETURN NULL;', hash='2a038cd0a37a6b76813b4c0cbae5d2127f81dc68', operation='DELETE', pgid='pgtrigger_delete_delete_bbb5c', table='assessments_correction', when='AFTER')),
        ),
    ]

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dispensing', '0003_kit_content_lot'),
        ('enrolment', '0005_access_review'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='drugstop',
            name='insert_insert',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='drugstop',
            name='update_update',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='drugstop',
            name='delete_delete',
        ),
        migrations.RemoveConstraint(
            model_name='drugstop',
            name='one_stop_per_drug',
        ),
        migrations.AddField(
            model_name='drugstop',
            name='in_error',
            field=models.BooleanField(default=False, help_text='Taken back by a signed correction.'),
        ),
        migrations.AddField(
            model_name='drugstopevent',
            name='in_error',
            field=models.BooleanField(default=False, help_text='Taken back by a signed correction.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='drugstop',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "dispensing_drugstopevent" ("drug", "id", "in_error", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "recorded_by", "stopped_on", "subject_id") VALUES (NEW."drug", NEW."id", NEW."in_error", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'insert\', NEW."id", NEW."reason", NEW."recorded_by", NEW."stopped_on", NEW."subject_id"); RETURN NULL;', hash='4cac392b17d7753565410f3977497bd349f8a919', operation='INSERT', pgid='pgtrigger_insert_insert_15b96', table='dispensing_drugstop', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='drugstop',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "dispensing_drugstopevent" ("drug", "id", "in_error", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "recorded_by", "stopped_on", "subject_id") VALUES (NEW."drug", NEW."id", NEW."in_error", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'update\', NEW."id", NEW."reason", NEW."recorded_by", NEW."stopped_on", NEW."subject_id"); RETURN NULL;', hash='994fe1e933a768532765535b6d74892508d2a823', operation='UPDATE', pgid='pgtrigger_update_update_d4739', table='dispensing_drugstop', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='drugstop',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "dispensing_drugstopevent" ("drug", "id", "in_error", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "recorded_by", "stopped_on", "subject_id") VALUES (OLD."drug", OLD."id", OLD."in_error", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'delete\', OLD."id", OLD."reason", OLD."recorded_by", OLD."stopped_on", OLD."subject_id"); RETURN NULL;', hash='e1225dce6a486fc7bd0faaaa952ac600eee64743', operation='DELETE', pgid='pgtrigger_delete_delete_152e8', table='dispensing_drugstop', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='drugstop',
            constraint=models.UniqueConstraint(condition=models.Q(('in_error', False)), fields=('subject', 'drug'), name='one_stop_per_drug'),
        ),
    ]

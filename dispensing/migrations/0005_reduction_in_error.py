import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dispensing', '0004_corrections'),
        ('enrolment', '0005_access_review'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='dosereduction',
            name='insert_insert',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='dosereduction',
            name='update_update',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='dosereduction',
            name='delete_delete',
        ),
        migrations.RemoveConstraint(
            model_name='dosereduction',
            name='one_reduction_per_level',
        ),
        migrations.AddField(
            model_name='dosereduction',
            name='in_error',
            field=models.BooleanField(default=False, help_text='Taken back by a signed correction.'),
        ),
        migrations.AddField(
            model_name='dosereductionevent',
            name='in_error',
            field=models.BooleanField(default=False, help_text='Taken back by a signed correction.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='dosereduction',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "dispensing_dosereductionevent" ("drug", "id", "in_error", "level", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "recorded_at", "recorded_by", "reduced_on", "subject_id") VALUES (NEW."drug", NEW."id", NEW."in_error", NEW."level", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'insert\', NEW."id", NEW."reason", NEW."recorded_at", NEW."recorded_by", NEW."reduced_on", NEW."subject_id"); RETURN NULL;', hash='c6f2fdd5813a12551f556def950cabed4950b327', operation='INSERT', pgid='pgtrigger_insert_insert_bede0', table='dispensing_dosereduction', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='dosereduction',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "dispensing_dosereductionevent" ("drug", "id", "in_error", "level", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "recorded_at", "recorded_by", "reduced_on", "subject_id") VALUES (NEW."drug", NEW."id", NEW."in_error", NEW."level", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'update\', NEW."id", NEW."reason", NEW."recorded_at", NEW."recorded_by", NEW."reduced_on", NEW."subject_id"); RETURN NULL;', hash='e068cd485521511422c98e40f4221005e17be1ab', operation='UPDATE', pgid='pgtrigger_update_update_d4a7f', table='dispensing_dosereduction', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='dosereduction',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "dispensing_dosereductionevent" ("drug", "id", "in_error", "level", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "recorded_at", "recorded_by", "reduced_on", "subject_id") VALUES (OLD."drug", OLD."id", OLD."in_error", OLD."level", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'delete\', OLD."id", OLD."reason", OLD."recorded_at", OLD."recorded_by", OLD."reduced_on", OLD."subject_id"); RETURN NULL;', hash='37c172852c1ee1bb5b871e849bdd9ac527ec6f93', operation='DELETE', pgid='pgtrigger_delete_delete_1ce6f', table='dispensing_dosereduction', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='dosereduction',
            constraint=models.UniqueConstraint(condition=models.Q(('in_error', False)), fields=('subject', 'drug', 'level'), name='one_reduction_per_level'),
        ),
    ]

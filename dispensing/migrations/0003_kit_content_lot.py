"""A kit's lot beside its content, so that the depot finds its next places in one index."""

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

LOT_OF_KIT = """
    UPDATE unblinded.kit_content c SET lot_id = k.lot_id
      FROM public.dispensing_kit k WHERE k.id = c.kit_id;
    -- History refuses every change, so its own guard steps aside for the new column alone.
    ALTER TABLE unblinded.kit_content_event DISABLE TRIGGER USER;
    UPDATE unblinded.kit_content_event e SET lot_id = k.lot_id
      FROM public.dispensing_kit k WHERE k.id = e.kit_id;
    ALTER TABLE unblinded.kit_content_event ENABLE TRIGGER USER;
    SET CONSTRAINTS ALL IMMEDIATE;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('dispensing', '0002_dose_reduction'),
        ('iwrs', '0003_definition_in_force'),
    ]

    operations = [
        pgtrigger.migrations.RemoveTrigger(
            model_name='kitcontent',
            name='insert_insert',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='kitcontent',
            name='update_update',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='kitcontent',
            name='delete_delete',
        ),
        migrations.RemoveIndex(
            model_name='kitcontent',
            name='kit_content_pick',
        ),
        # Django drops an index by its bare name, which is not found outside the search path.
        migrations.RunSQL('DROP INDEX unblinded.kit_content_pick', migrations.RunSQL.noop),
        migrations.AddField(
            model_name='kitcontent',
            name='lot',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='dispensing.lot'),
        ),
        migrations.AddField(
            model_name='kitcontentevent',
            name='lot',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='dispensing.lot'),
        ),
        # Copied from the kit, whose lot never changes; the triggers are off, since no fact changes.
        migrations.RunSQL(LOT_OF_KIT, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name='kitcontent',
            name='lot',
            field=models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='dispensing.lot'),
        ),
        migrations.AlterField(
            model_name='kitcontentevent',
            name='lot',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='dispensing.lot'),
        ),
        migrations.AddIndex(
            model_name='kitcontent',
            index=models.Index(condition=models.Q(('sent', False)), fields=['lot', 'rank'], include=('arm', 'kit'), name='kit_content_place'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='kitcontent',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "unblinded"."kit_content_event" ("arm", "kit_id", "lot_id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "rank", "sent", "study_id") VALUES (NEW."arm", NEW."kit_id", NEW."lot_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'insert\', NEW."kit_id", NEW."rank", NEW."sent", NEW."study_id"); RETURN NULL;', hash='85f22f715926b537836f22bd8b12eea32b6a8928', operation='INSERT', pgid='pgtrigger_insert_insert_c1542', table='unblinded"."kit_content', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='kitcontent',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "unblinded"."kit_content_event" ("arm", "kit_id", "lot_id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "rank", "sent", "study_id") VALUES (NEW."arm", NEW."kit_id", NEW."lot_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'update\', NEW."kit_id", NEW."rank", NEW."sent", NEW."study_id"); RETURN NULL;', hash='12b70dbaadea346a86eb8c05ff1a11be991a5ca0', operation='UPDATE', pgid='pgtrigger_update_update_caf04', table='unblinded"."kit_content', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='kitcontent',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "unblinded"."kit_content_event" ("arm", "kit_id", "lot_id", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "rank", "sent", "study_id") VALUES (OLD."arm", OLD."kit_id", OLD."lot_id", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'delete\', OLD."kit_id", OLD."rank", OLD."sent", OLD."study_id"); RETURN NULL;', hash='533fbf4b7bc68e49119a191e5a13e8ce2f5a236c', operation='DELETE', pgid='pgtrigger_delete_delete_01216', table='unblinded"."kit_content', when='AFTER')),
        ),
    ]

import django.db.models.deletion
import django.db.models.functions.datetime
import pghistory.utils
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('assessments', '0001_initial'),
        ('enrolment', '0005_access_review'),
    ]

    operations = [
        migrations.CreateModel(
            name='Correction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fact', models.CharField(help_text='Key in assessments.corrections.facts.', max_length=20)),
                ('record', models.PositiveBigIntegerField(help_text='Key of the row that was corrected.')),
                ('name', models.CharField(help_text='What the fact is called, as it was.', max_length=120)),
                ('was', models.JSONField()),
                ('now', models.JSONField()),
                ('in_error', models.BooleanField(default=False, help_text='The fact was taken back.')),
                ('reason', models.TextField()),
                ('corrected_by', models.CharField(max_length=200)),
                ('corrected_at', models.DateTimeField(help_text='Business time.')),
                ('recorded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='CorrectionEvent',
            fields=[
                ('pgh_id', models.AutoField(primary_key=True, serialize=False)),
                ('pgh_created_at', models.DateTimeField(auto_now_add=True)),
                ('pgh_label', models.TextField(help_text='The event label.')),
                ('pgh_context', pghistory.utils.JSONField(null=True)),
                ('pgh_context_id', models.UUIDField(null=True)),
                ('id', models.BigIntegerField()),
                ('fact', models.CharField(help_text='Key in assessments.corrections.facts.', max_length=20)),
                ('record', models.PositiveBigIntegerField(help_text='Key of the row that was corrected.')),
                ('name', models.CharField(help_text='What the fact is called, as it was.', max_length=120)),
                ('was', models.JSONField()),
                ('now', models.JSONField()),
                ('in_error', models.BooleanField(default=False, help_text='The fact was taken back.')),
                ('reason', models.TextField()),
                ('corrected_by', models.CharField(max_length=200)),
                ('corrected_at', models.DateTimeField(help_text='Business time.')),
                ('recorded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'abstract': False,
            },
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='contact',
            name='insert_insert',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='contact',
            name='update_update',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='contact',
            name='delete_delete',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='subjectevent',
            name='insert_insert',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='subjectevent',
            name='update_update',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='subjectevent',
            name='delete_delete',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='tumourread',
            name='insert_insert',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='tumourread',
            name='update_update',
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name='tumourread',
            name='delete_delete',
        ),
        migrations.RemoveConstraint(
            model_name='contact',
            name='contact_day_once',
        ),
        migrations.RemoveConstraint(
            model_name='subjectevent',
            name='event_kind_once',
        ),
        migrations.RemoveConstraint(
            model_name='tumourread',
            name='one_read_per_scan_and_reader',
        ),
        migrations.AddField(
            model_name='contact',
            name='in_error',
            field=models.BooleanField(default=False, help_text='Taken back by a signed correction.'),
        ),
        migrations.AddField(
            model_name='contactevent',
            name='in_error',
            field=models.BooleanField(default=False, help_text='Taken back by a signed correction.'),
        ),
        migrations.AddField(
            model_name='subjectevent',
            name='in_error',
            field=models.BooleanField(default=False, help_text='Taken back by a signed correction.'),
        ),
        migrations.AddField(
            model_name='subjecteventevent',
            name='in_error',
            field=models.BooleanField(default=False, help_text='Taken back by a signed correction.'),
        ),
        migrations.AddField(
            model_name='tumourread',
            name='in_error',
            field=models.BooleanField(default=False, help_text='Taken back by a signed correction.'),
        ),
        migrations.AddField(
            model_name='tumourreadevent',
            name='in_error',
            field=models.BooleanField(default=False, help_text='Taken back by a signed correction.'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contact',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assessments_contactevent" ("contact_on", "id", "in_error", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "recorded_by", "subject_id") VALUES (NEW."contact_on", NEW."id", NEW."in_error", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'insert\', NEW."id", NEW."recorded_by", NEW."subject_id"); RETURN NULL;', hash='6aa64b67e2cb2ba93ef430002a5f0a27ad6f2121', operation='INSERT', pgid='pgtrigger_insert_insert_e8f45', table='assessments_contact', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contact',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "assessments_contactevent" ("contact_on", "id", "in_error", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "recorded_by", "subject_id") VALUES (NEW."contact_on", NEW."id", NEW."in_error", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'update\', NEW."id", NEW."recorded_by", NEW."subject_id"); RETURN NULL;', hash='ff8ab64ff4249f0386a811f33842d88572b65b88', operation='UPDATE', pgid='pgtrigger_update_update_557a6', table='assessments_contact', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='contact',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assessments_contactevent" ("contact_on", "id", "in_error", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "recorded_by", "subject_id") VALUES (OLD."contact_on", OLD."id", OLD."in_error", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'delete\', OLD."id", OLD."recorded_by", OLD."subject_id"); RETURN NULL;', hash='3c78333f0de1fa065a0febbeec8fd7b257c65d5c', operation='DELETE', pgid='pgtrigger_delete_delete_aa38d', table='assessments_contact', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='subjectevent',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assessments_subjecteventevent" ("detail", "id", "in_error", "kind", "occurred_on", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "recorded_at", "recorded_by", "subject_id") VALUES (NEW."detail", NEW."id", NEW."in_error", NEW."kind", NEW."occurred_on", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'insert\', NEW."id", NEW."recorded_at", NEW."recorded_by", NEW."subject_id"); RETURN NULL;', hash='7c5a25ec3b2864002b570446d522a4020f844dc6', operation='INSERT', pgid='pgtrigger_insert_insert_ea8f8', table='assessments_subjectevent', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='subjectevent',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "assessments_subjecteventevent" ("detail", "id", "in_error", "kind", "occurred_on", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "recorded_at", "recorded_by", "subject_id") VALUES (NEW."detail", NEW."id", NEW."in_error", NEW."kind", NEW."occurred_on", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'update\', NEW."id", NEW."recorded_at", NEW."recorded_by", NEW."subject_id"); RETURN NULL;', hash='7afb2e2bd75e4c60651fd4f3ecfda5847e44e5bc', operation='UPDATE', pgid='pgtrigger_update_update_36d73', table='assessments_subjectevent', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='subjectevent',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assessments_subjecteventevent" ("detail", "id", "in_error", "kind", "occurred_on", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "recorded_at", "recorded_by", "subject_id") VALUES (OLD."detail", OLD."id", OLD."in_error", OLD."kind", OLD."occurred_on", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'delete\', OLD."id", OLD."recorded_at", OLD."recorded_by", OLD."subject_id"); RETURN NULL;', hash='de3a55e662f8aa8a90744f843119f7527a1ce8b7', operation='DELETE', pgid='pgtrigger_delete_delete_64ffe', table='assessments_subjectevent', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='tumourread',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assessments_tumourreadevent" ("assessed_on", "id", "in_error", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "read_on", "reader", "recorded_at", "recorded_by", "response", "subject_id", "visit_id") VALUES (NEW."assessed_on", NEW."id", NEW."in_error", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'insert\', NEW."id", NEW."read_on", NEW."reader", NEW."recorded_at", NEW."recorded_by", NEW."response", NEW."subject_id", NEW."visit_id"); RETURN NULL;', hash='c62b6a22c9ebf430c5dbdc7d236fa7d51725bd2a', operation='INSERT', pgid='pgtrigger_insert_insert_ee476', table='assessments_tumourread', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='tumourread',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "assessments_tumourreadevent" ("assessed_on", "id", "in_error", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "read_on", "reader", "recorded_at", "recorded_by", "response", "subject_id", "visit_id") VALUES (NEW."assessed_on", NEW."id", NEW."in_error", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'update\', NEW."id", NEW."read_on", NEW."reader", NEW."recorded_at", NEW."recorded_by", NEW."response", NEW."subject_id", NEW."visit_id"); RETURN NULL;', hash='920b338436740eeed2ecb106e9c757dfc11b022e', operation='UPDATE', pgid='pgtrigger_update_update_fc2c6', table='assessments_tumourread', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='tumourread',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assessments_tumourreadevent" ("assessed_on", "id", "in_error", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "read_on", "reader", "recorded_at", "recorded_by", "response", "subject_id", "visit_id") VALUES (OLD."assessed_on", OLD."id", OLD."in_error", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'delete\', OLD."id", OLD."read_on", OLD."reader", OLD."recorded_at", OLD."recorded_by", OLD."response", OLD."subject_id", OLD."visit_id"); RETURN NULL;', hash='18e2f749da5bbff380241db261e23e71388f3de7', operation='DELETE', pgid='pgtrigger_delete_delete_713ec', table='assessments_tumourread', when='AFTER')),
        ),
        migrations.AddConstraint(
            model_name='contact',
            constraint=models.UniqueConstraint(condition=models.Q(('in_error', False)), fields=('subject', 'contact_on'), name='contact_day_once'),
        ),
        migrations.AddConstraint(
            model_name='subjectevent',
            constraint=models.UniqueConstraint(condition=models.Q(('in_error', False)), fields=('subject', 'kind'), name='event_kind_once'),
        ),
        migrations.AddConstraint(
            model_name='tumourread',
            constraint=models.UniqueConstraint(condition=models.Q(('in_error', False)), fields=('subject', 'reader', 'assessed_on'), name='one_read_per_scan_and_reader'),
        ),
        migrations.AddField(
            model_name='correction',
            name='subject',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='corrections', to='enrolment.subject'),
        ),
        migrations.AddField(
            model_name='correctionevent',
            name='pgh_obj',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='assessments.correction'),
        ),
        migrations.AddField(
            model_name='correctionevent',
            name='subject',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', related_query_name='+', to='enrolment.subject'),
        ),
        migrations.AddIndex(
            model_name='correction',
            index=models.Index(models.F('subject'), models.F('fact'), models.F('record'), name='correction_of_fact'),
        ),
        migrations.AddConstraint(
            model_name='correction',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='correction_has_reason'),
        ),
        migrations.AddConstraint(
            model_name='correction',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('in_error', True), ('now', {})), models.Q(('in_error', False), models.Q(('now', {}), _negated=True)), _connector='OR'), name='correction_changes_or_takes_back'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='correction',
            trigger=pgtrigger.compiler.Trigger(name='insert_insert', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assessments_correctionevent" ("corrected_at", "corrected_by", "fact", "id", "in_error", "name", "now", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "record", "recorded_at", "subject_id", "was") VALUES (NEW."corrected_at", NEW."corrected_by", NEW."fact", NEW."id", NEW."in_error", NEW."name", NEW."now", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'insert\', NEW."id", NEW."reason", NEW."record", NEW."recorded_at", NEW."subject_id", NEW."was"); RETURN NULL;', hash='335b2765b6841b4fbe3aa69e0e6e275f7e236c79', operation='INSERT', pgid='pgtrigger_insert_insert_d14b6', table='assessments_correction', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='correction',
            trigger=pgtrigger.compiler.Trigger(name='update_update', sql=pgtrigger.compiler.UpsertTriggerSql(condition='WHEN (OLD.* IS DISTINCT FROM NEW.*)', func='INSERT INTO "assessments_correctionevent" ("corrected_at", "corrected_by", "fact", "id", "in_error", "name", "now", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "record", "recorded_at", "subject_id", "was") VALUES (NEW."corrected_at", NEW."corrected_by", NEW."fact", NEW."id", NEW."in_error", NEW."name", NEW."now", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'update\', NEW."id", NEW."reason", NEW."record", NEW."recorded_at", NEW."subject_id", NEW."was"); RETURN NULL;', hash='86c4dcc0ed08cb229baa6c26885e98482f6d24fb', operation='UPDATE', pgid='pgtrigger_update_update_26fde', table='assessments_correction', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='correction',
            trigger=pgtrigger.compiler.Trigger(name='delete_delete', sql=pgtrigger.compiler.UpsertTriggerSql(func='INSERT INTO "assessments_correctionevent" ("corrected_at", "corrected_by", "fact", "id", "in_error", "name", "now", "pgh_context", "pgh_context_id", "pgh_created_at", "pgh_label", "pgh_obj_id", "reason", "record", "recorded_at", "subject_id", "was") VALUES (OLD."corrected_at", OLD."corrected_by", OLD."fact", OLD."id", OLD."in_error", OLD."name", OLD."now", COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_metadata\', TRUE), \'\'), NULL)::JSONB, COALESCE(NULLIF(CURRENT_SETTING(\'pghistory.context_id\', TRUE), \'\'), NULL)::UUID, clock_timestamp(), \'delete\', OLD."id", OLD."reason", OLD."record", OLD."recorded_at", OLD."subject_id", OLD."was"); RETURN NULL;', hash='c5c48644eec4a5951fd13c40d4f716b4942fef03', operation='DELETE', pgid='pgtrigger_delete_delete_bbb5c', table='assessments_correction', when='AFTER')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='correctionevent',
            trigger=pgtrigger.compiler.Trigger(name='append_only', sql=pgtrigger.compiler.UpsertTriggerSql(func="RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;", hash='e54291a4446842be1440f097d99a4e9e1f49263d', operation='UPDATE OR DELETE', pgid='pgtrigger_append_only_7bb9f', table='assessments_correctionevent', when='BEFORE')),
        ),
    ]

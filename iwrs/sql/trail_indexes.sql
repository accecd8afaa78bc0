-- The audit trail is read newest first, table by table: each history table has an index on its time.
-- Run as owner after every migrate, so that a table added later has one too; running it again
-- changes nothing.
DO $$
DECLARE
    v_table record;
BEGIN
    FOR v_table IN
        SELECT c.oid::regclass AS name,
               left(c.relname, 48) || '_' || left(md5(c.relname), 6) || '_trail' AS index
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'pgh_label'
         WHERE c.relnamespace IN ('public'::regnamespace, 'unblinded'::regnamespace)
           AND c.relkind = 'r'
    LOOP
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %s (pgh_created_at, pgh_id)',
                       v_table.index, v_table.name);
    END LOOP;
END $$;

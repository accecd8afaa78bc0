-- Seals what is new in the history of one schema: run as owner after every migrate, once for
-- `public` and once for `unblinded` (SCHEMA is filled in by iwrs/hardening.py).
--
-- Both functions use what PostgreSQL has built in. `seal_history` runs as the owner and takes no
-- text from its caller, so that a login can have rows sealed but can neither write a seal nor
-- change one. docs/algorithms/audit-seal.md describes what is hashed.

-- Merkle root (RFC 6962, 2.1) over leaves of 32 bytes each, one after the other.
CREATE OR REPLACE FUNCTION SCHEMA.merkle_root(p_leaves bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_level bytea := p_leaves;
BEGIN
    WHILE length(v_level) > 32 LOOP
        SELECT string_agg(CASE length(pair) WHEN 64 THEN sha256('\x01'::bytea || pair)
                                            ELSE pair END, ''::bytea ORDER BY place)
          INTO v_level
          FROM (SELECT place, substring(v_level FROM place * 64 + 1 FOR 64) AS pair
                  FROM generate_series(0, (length(v_level) - 1) / 64) AS place) AS pairs;
    END LOOP;
    RETURN v_level;
END $$;

-- Seals at most p_most rows in one batch and returns how many; 0 makes no batch.
CREATE OR REPLACE FUNCTION SCHEMA.seal_history(p_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'postgres'
SET bytea_output = 'hex'
SET extra_float_digits = 1
SET enable_seqscan = off  -- each look is for a few rows at the end of an index
AS $$
DECLARE
    v_most constant integer := least(greatest(p_most, 1), 20000);
    v_before SCHEMA.audit_batch%ROWTYPE;
    v_number bigint;
    v_sealed_at timestamptz;
    v_table record;
    v_mark SCHEMA.audit_mark%ROWTYPE;
    v_now pg_snapshot;
    v_ended boolean;
    v_prefix bytea;
    v_known bigint[];
    v_ids bigint[];
    v_leaves bytea;
    v_asked integer;
    v_count integer;
    v_to bigint;
    v_root bytea;
    v_rows integer := 0;
    v_place integer := 0;
    v_complete boolean := true;
    v_segments bytea := '';
BEGIN
    -- One sealing at a time; readers go on. A login without UPDATE on the table cannot hold this.
    LOCK TABLE SCHEMA.audit_batch IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO v_before FROM SCHEMA.audit_batch ORDER BY number DESC LIMIT 1;
    -- A number is never given twice: when batches are cut off the end, their numbers stay missing.
    SELECT 1 + greatest(coalesce(v_before.number, 0), coalesce(max(m.batch), 0)) INTO v_number
      FROM SCHEMA.audit_mark m;
    v_sealed_at := clock_timestamp();
    v_now := pg_current_snapshot();

    FOR v_table IN
        SELECT c.relname::text AS name, k.attname::text AS key,
               h.attname IS NOT NULL AS is_history,
               (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
          FROM pg_class c
          JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary AND i.indnkeyatts = 1
          JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = i.indkey[0]
          LEFT JOIN pg_attribute h ON h.attrelid = c.oid AND h.attname = 'pgh_label'
         WHERE c.relnamespace = 'SCHEMA'::regnamespace AND c.relkind = 'r'
           -- Besides history: tables whose rows are written once and are their own record.
           AND (h.attname IS NOT NULL OR c.relname = ANY (ARRAY[RECORDS]::name[]))
         ORDER BY c.relname
    LOOP
        v_asked := v_most - v_rows;
        IF v_asked = 0 THEN
            v_complete := false;
            EXIT;
        END IF;
        SELECT * INTO v_mark FROM SCHEMA.audit_mark WHERE table_name = v_table.name;
        IF NOT FOUND THEN
            v_mark := (v_table.name, 0, 0, 0, v_sealed_at, 0);
        END IF;
        -- All transactions that could still add a row up to `seen` have ended. (A database that was
        -- restored into a new server counts transactions anew: none of the old ones lives.)
        -- In a history table the key is taken after the transaction has its number; in others it
        -- may be taken a moment before, so they wait a minute more.
        v_ended := (pg_snapshot_xmin(v_now)::text::bigint >= v_mark.seen_before
                    OR pg_snapshot_xmax(v_now)::text::bigint < v_mark.seen_before)
                   AND (v_table.is_history OR v_mark.seen_at < v_sealed_at - interval '1 minute');
        SELECT array_agg(u.id) INTO v_known
          FROM SCHEMA.audit_segment s, unnest(s.ids) AS u (id)
         WHERE s.table_name = v_table.name AND s.last_id > v_mark.complete_to;
        v_prefix := convert_to(v_table.name || E'\n' || array_to_string(v_table.columns, ',')
                               || E'\n', 'UTF8');
        EXECUTE format(
            'SELECT array_agg(id ORDER BY id), string_agg(leaf, ''''::bytea ORDER BY id), count(*)
               FROM (SELECT e.%1$I::bigint AS id,
                            sha256(''\x00''::bytea || $1 || convert_to(ROW(%2$s)::text, ''UTF8'')) AS leaf
                       FROM SCHEMA.%3$I e
                      WHERE e.%1$I > $2 AND e.%1$I <> ALL ($3) ORDER BY e.%1$I LIMIT $4) new',
            v_table.key,
            (SELECT string_agg(format('e.%I', name), ', ' ORDER BY at)
               FROM unnest(v_table.columns) WITH ORDINALITY AS c (name, at)),
            v_table.name)
          INTO v_ids, v_leaves, v_count
         USING v_prefix, v_mark.complete_to, coalesce(v_known, '{}'), v_asked;

        v_to := v_mark.complete_to;
        IF v_ended THEN
            v_to := CASE WHEN v_count < v_asked THEN v_mark.seen
                         ELSE least(v_mark.seen, v_ids[v_count]) END;
        END IF;
        IF v_count = v_asked THEN
            v_complete := false;
        END IF;
        IF v_count > 0 THEN
            v_root := SCHEMA.merkle_root(v_leaves);
            INSERT INTO SCHEMA.audit_segment (batch_id, place, table_name, columns, ids, leaves,
                                              root, last_id, complete_to)
            VALUES (v_number, v_place, v_table.name, v_table.columns, v_ids, v_leaves,
                    v_root, v_ids[v_count], v_to);
            v_segments := v_segments || sha256('\x00'::bytea || convert_to(concat_ws(E'\n',
                v_table.name, array_to_string(v_table.columns, ','),
                array_to_string(v_ids, ','), v_to, encode(v_root, 'hex')), 'UTF8'));
            v_mark.batch := v_number;
            v_place := v_place + 1;
            v_rows := v_rows + v_count;
        END IF;

        IF v_ended AND v_to = v_mark.seen THEN
            -- The next point to wait for. The snapshot is asked after the key, in this order.
            EXECUTE format('SELECT max(%I) FROM SCHEMA.%I', v_table.key, v_table.name)
               INTO v_mark.seen;
            v_mark.seen := greatest(v_mark.seen, v_to);
            v_mark.seen_before := pg_snapshot_xmax(pg_current_snapshot())::text::bigint;
            v_mark.seen_at := clock_timestamp();
        END IF;
        INSERT INTO SCHEMA.audit_mark AS m
               (table_name, complete_to, seen, seen_before, seen_at, batch)
        VALUES (v_table.name, v_to, v_mark.seen, v_mark.seen_before, v_mark.seen_at, v_mark.batch)
            ON CONFLICT (table_name) DO UPDATE
           SET complete_to = excluded.complete_to, seen = excluded.seen,
               seen_before = excluded.seen_before, seen_at = excluded.seen_at,
               batch = excluded.batch
         WHERE (m.complete_to, m.seen, m.batch)
            <> (excluded.complete_to, excluded.seen, excluded.batch);
    END LOOP;

    IF v_rows > 0 THEN
        v_root := SCHEMA.merkle_root(v_segments);
        INSERT INTO SCHEMA.audit_batch (number, sealed_at, complete, rows, root, chain)
        VALUES (v_number, v_sealed_at, v_complete, v_rows, v_root, sha256(convert_to(concat_ws(E'\n',
            'iwrs audit seal/1', 'SIDE', v_number,
            to_char(v_sealed_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), v_complete, v_rows,
            coalesce(encode(v_before.chain, 'hex'), ''), encode(v_root, 'hex')), 'UTF8')));
    END IF;
    RETURN v_rows;
END $$;

REVOKE ALL ON FUNCTION SCHEMA.seal_history(integer), SCHEMA.merkle_root(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION SCHEMA.seal_history(integer) TO iwrs_SIDE;
REVOKE UPDATE ON SCHEMA.audit_access, SCHEMA.audit_review FROM iwrs_blinded, iwrs_unblinded;
CREATE OR REPLACE TRIGGER own_time BEFORE INSERT ON SCHEMA.audit_access
    FOR EACH ROW EXECUTE FUNCTION public.own_record_time('at');
CREATE OR REPLACE TRIGGER own_time BEFORE INSERT ON SCHEMA.audit_review
    FOR EACH ROW EXECUTE FUNCTION public.own_record_time('at');
REVOKE INSERT, UPDATE ON SCHEMA.audit_batch, SCHEMA.audit_segment, SCHEMA.audit_mark
    FROM iwrs_blinded, iwrs_unblinded;

-- Give a subject the next place of its stratum's list. Returns nothing.
--
-- IW001 the subject is not eligible, or its levels are not those of the list and the centre
-- IW002 there is no active list, it has no such stratum, or the stratum's part is used up
-- IW009 too many calls were abandoned (see 0_open_calls.sql)
-- IW500 anything else, without a detail
-- The place is locked, then read, then taken: no SKIP LOCKED, so a rollback leaves no gap.
--
-- Settings that a caller could turn, of every gate: the path on which names are found; messages
-- and plans sent to the client; plans, which must be the same whichever the arm (a generic plan
-- never sees the values, and an index finds one row without touching its neighbours).
-- READ COMMITTED only: the others count in an old snapshot, and SERIALIZABLE shows in pg_locks
-- which row of which table was read.
CREATE OR REPLACE FUNCTION gate.allocate(p_subject bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET client_min_messages = error
SET debug_print_parse = off
SET debug_print_rewritten = off
SET debug_print_plan = off
SET plpgsql.print_strict_params = off
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_indexonlyscan = off
SET enable_indexscan = on
AS $$
DECLARE
    v_study bigint;
    v_stratum text;
    v_status text;
    v_cursor unblinded.stratum_cursor;
    v_entry unblinded.list_entry;
    v_arm text;
    v_country text;
    v_centre text;
    v_list unblinded.list;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'IW500';
    END IF;
    SELECT s.study_id, s.stratum_key, s.status, c.country_code, c.number
      INTO v_study, v_stratum, v_status, v_country, v_centre
      FROM public.enrolment_subject s
      JOIN public.enrolment_centre c ON c.id = s.centre_id AND c.study_id = s.study_id
     WHERE s.id = p_subject;
    IF NOT FOUND OR v_status <> 'eligible' THEN
        RAISE EXCEPTION USING ERRCODE = 'IW001';
    END IF;

    SELECT c.* INTO v_cursor
      FROM unblinded.stratum_cursor c JOIN unblinded.list l ON l.id = c.list_id
     WHERE l.study_id = v_study AND l.status = 'active'
       AND c.stratum_key = CASE WHEN l.dynamic THEN 'all' ELSE v_stratum END
       FOR UPDATE OF c;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'IW002';
    END IF;
    -- Whoever closes a list holds its cursors. A call that waited for them saw the list as it was
    -- before; it looks again, and the caller tries again.
    SELECT l.* INTO v_list FROM unblinded.list l
     WHERE l.id = v_cursor.list_id AND l.status = 'active';
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '40001';
    END IF;
    -- A level that nobody has would have margins of the caller's own making.
    IF v_list.dynamic
       AND NOT unblinded.levels_known(v_list.design, v_stratum, v_country, v_centre) THEN
        RAISE EXCEPTION USING ERRCODE = 'IW001';
    END IF;
    IF v_cursor.used >= v_cursor.length THEN
        RAISE EXCEPTION USING ERRCODE = 'IW002';
    END IF;

    -- Compared before it is drawn: a call that is refused shows nothing and is not counted.
    IF unblinded.calls_made('stratum', v_cursor.id) - v_cursor.used - v_cursor.released_calls >= 8
    THEN
        RAISE EXCEPTION USING ERRCODE = 'IW009';
    END IF;
    PERFORM unblinded.draw_call('stratum', v_cursor.id);

    SELECT e.* INTO STRICT v_entry FROM unblinded.list_entry e
     WHERE e.list_id = v_cursor.list_id AND e.stratum_key = v_cursor.stratum_key
       AND e.position = v_cursor.used + 1;
    -- A place without an arm holds a draw: the list's method is a dynamic one. An arm that was
    -- named for the subject beforehand, or told on paper, comes first; the place is used up all the same.
    SELECT f.arm INTO v_arm FROM unblinded.forced_allocation f WHERE f.subject_id = p_subject;
    v_arm := coalesce(v_arm, nullif(v_entry.arm, ''), unblinded.minimize(v_entry, v_stratum));
    INSERT INTO unblinded.allocation (subject_id, entry_id, arm, allocated_at)
    VALUES (p_subject, v_entry.id, v_arm, clock_timestamp());
    UPDATE unblinded.stratum_cursor c SET used = c.used + 1 WHERE c.id = v_cursor.id;
EXCEPTION
    -- One place raises every refusal: neither a text nor a line number tells more than its code.
    -- A cancelled call too: PostgreSQL would name the row on which it waited.
    WHEN OTHERS OR query_canceled THEN
        RAISE EXCEPTION USING MESSAGE = 'refused', ERRCODE = CASE
            WHEN SQLSTATE IN ('IW001', 'IW002', 'IW009', '55P03', '57014', '40001', '40P01')
            THEN SQLSTATE ELSE 'IW500' END;
END $$;

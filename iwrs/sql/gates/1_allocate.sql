-- Give a subject the next place of its stratum's list. Returns nothing.
--
-- A subject whose paper number unblinded staff accepted gets the place that was told, if it is free
-- in this list and stratum, and else the arm of it on the next place. p_paper must be that number.
-- A place that was told so serves nobody else: who came to it would have the arm of the subject who
-- was told it, for certain, and could be known beforehand by counting.
--
-- IW001 the subject is not eligible, or its levels are not those of the list and the centre
-- IW002 there is no active list, it has no such stratum, or the stratum's part is used up
-- IW009 too many calls were abandoned (see 0_open_calls.sql)
-- IW011 a paper number was accepted for the subject, and p_paper is another
-- IW500 anything else, without a detail
-- The place is locked, then read, then taken: no SKIP LOCKED, so a rollback leaves no gap.
--
-- Settings that a caller could turn, of every gate: the path on which names are found; messages
-- and plans sent to the client; plans, which must be the same whichever the arm (a generic plan
-- never sees the values, and an index finds one row without touching its neighbours).
-- READ COMMITTED only: the others count in an old snapshot, and SERIALIZABLE shows in pg_locks
-- which row of which table was read.
CREATE OR REPLACE FUNCTION gate.allocate(p_subject bigint, p_paper text DEFAULT '') RETURNS void
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
    v_told bigint;
    v_paper text;
    v_position integer;
    v_keeps boolean;
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
    SELECT f.arm, f.told_entry_id, f.paper_number INTO v_arm, v_told, v_paper
      FROM unblinded.forced_allocation f WHERE f.subject_id = p_subject;
    IF v_paper <> '' AND v_paper IS DISTINCT FROM p_paper THEN
        RAISE EXCEPTION USING ERRCODE = 'IW011';
    END IF;
    SELECT e.* INTO v_entry FROM unblinded.list_entry e
     WHERE e.id = v_told AND e.list_id = v_cursor.list_id AND e.stratum_key = v_cursor.stratum_key
       AND NOT EXISTS (SELECT 1 FROM unblinded.allocation a WHERE a.entry_id = e.id);
    v_keeps := FOUND;
    v_position := unblinded.next_position(v_cursor);
    IF v_position > v_cursor.length AND NOT v_keeps THEN
        RAISE EXCEPTION USING ERRCODE = 'IW002';
    END IF;

    -- Compared before it is drawn: a call that is refused shows nothing and is not counted.
    IF unblinded.calls_made('stratum', v_cursor.id)
       - v_cursor.used - v_cursor.apart - v_cursor.released_calls >= 8 THEN
        RAISE EXCEPTION USING ERRCODE = 'IW009';
    END IF;
    PERFORM unblinded.draw_call('stratum', v_cursor.id);

    IF NOT v_keeps THEN
        SELECT e.* INTO STRICT v_entry FROM unblinded.list_entry e
         WHERE e.list_id = v_cursor.list_id AND e.stratum_key = v_cursor.stratum_key
           AND e.position = v_position;
    END IF;
    -- A place without an arm holds a draw: the list's method is a dynamic one. An arm that was
    -- named for the subject beforehand, or told on paper, comes first; the place is used up all the
    -- same.
    v_arm := coalesce(v_arm, nullif(v_entry.arm, ''), unblinded.minimize(v_entry, v_stratum));
    INSERT INTO unblinded.allocation (subject_id, entry_id, arm, allocated_at)
    VALUES (p_subject, v_entry.id, v_arm, clock_timestamp());
    -- `apart` keeps the number of subjects: used + apart.
    UPDATE unblinded.stratum_cursor c
       SET used = CASE WHEN v_keeps THEN c.used ELSE v_position END,
           apart = c.apart + CASE WHEN v_keeps THEN 1 ELSE c.used + 1 - v_position END
     WHERE c.id = v_cursor.id;
EXCEPTION
    -- One place raises every refusal: neither a text nor a line number tells more than its code.
    -- A cancelled call too: PostgreSQL would name the row on which it waited.
    WHEN OTHERS OR query_canceled THEN
        RAISE EXCEPTION USING MESSAGE = 'refused', ERRCODE = CASE
            WHEN SQLSTATE IN ('IW001', 'IW002', 'IW009', 'IW011', '55P03', '57014', '40001', '40P01')
            THEN SQLSTATE ELSE 'IW500' END;
END $$;

-- The next place of a stratum in turn: places that were told on paper and accepted are passed over.
CREATE OR REPLACE FUNCTION unblinded.next_position(p_cursor unblinded.stratum_cursor)
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_position integer := p_cursor.used + 1;
BEGIN
    WHILE EXISTS (
        SELECT 1 FROM unblinded.list_entry e
          JOIN unblinded.forced_allocation f ON f.told_entry_id = e.id
         WHERE e.list_id = p_cursor.list_id AND e.stratum_key = p_cursor.stratum_key
           AND e.position = v_position
    ) LOOP
        v_position := v_position + 1;
    END LOOP;
    RETURN v_position;
END $$;

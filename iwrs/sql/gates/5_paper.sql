-- Whether a place on paper is the very next one: '' when it is, else 'unknown', 'stratum' or 'centre'.
--
-- While the system was down an emergency holder gave the place, out of a sealed pack of the next
-- ones; a late entry repeats its two codes. Asked just before gate.allocate in the same
-- transaction. It compares, locks what the next two gates lock, and writes nothing.
-- The codes are random and hang on no arm. What the answer tells is order: whether the places
-- before this one are used, of the stratum first, then of the centre's cover. It says so of two codes
-- that packs have for the stratum and the centre; of anything else 'unknown', so that the answers do not
-- let one code be guessed after the other (who writes SQL may count rows that were looked at).
-- A number that unblinded staff accepted for this subject is right whatever place is next: what it gives
-- is bound to the subject already, and no other number of the subject is.
--
-- IW001 the subject is not eligible; IW002 there is no active list or no such stratum
-- IW003 the kit of an accepted number is too old, or it has none and the centre's cover is used up
-- IW500 anything else, without a detail
CREATE OR REPLACE FUNCTION gate.next_on_paper(
    p_subject bigint, p_place text, p_cover text, p_use_until date
) RETURNS text
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
    v_centre bigint;
    v_stratum text;
    v_status text;
    v_cursor unblinded.stratum_cursor;
    v_position integer;
    v_place text;
    v_cover text;
    v_known boolean;
    v_both boolean;
    v_accepted text;
    v_expires date;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'IW500';
    END IF;
    SELECT s.study_id, s.centre_id, s.stratum_key, s.status
      INTO v_study, v_centre, v_stratum, v_status
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
    -- As in gate.allocate: a call that waited for a list's end looks again.
    PERFORM 1 FROM unblinded.list l WHERE l.id = v_cursor.list_id AND l.status = 'active';
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '40001';
    END IF;
    PERFORM 1 FROM unblinded.centre_calls c WHERE c.centre_id = v_centre FOR UPDATE;

    v_position := unblinded.next_position(v_cursor);
    SELECT p.code INTO v_place
      FROM unblinded.list_entry e JOIN unblinded.paper_place p ON p.entry_id = e.id
     WHERE e.list_id = v_cursor.list_id AND e.stratum_key = v_cursor.stratum_key
       AND e.position = v_position;
    -- The place that unblinded.take_cover_kit would take, cohorts that are used up left out.
    SELECT p.code INTO v_cover
      FROM (SELECT c.id, unblinded.calls_made('cohort', c.id) + 1 AS place
              FROM public.dispensing_cohort c JOIN public.dispensing_lot l ON l.id = c.lot_id
             WHERE c.centre_id = v_centre AND c.served < c.size AND l.expires_on >= p_use_until
               AND unblinded.calls_made('cohort', c.id) < c.size
             ORDER BY c.received_at, c.id LIMIT 1) following
      JOIN unblinded.paper_cover p ON p.cohort_id = following.id AND p.position = following.place;
    -- Both are looked up, whatever the first gives.
    v_known := EXISTS (
        SELECT 1 FROM unblinded.paper_place p JOIN unblinded.list_entry e ON e.id = p.entry_id
         WHERE p.code = p_place AND e.list_id = v_cursor.list_id
           AND e.stratum_key = v_cursor.stratum_key);
    v_both := EXISTS (
        SELECT 1 FROM unblinded.paper_cover p JOIN public.dispensing_cohort c ON c.id = p.cohort_id
         WHERE p.code = p_cover AND c.centre_id = v_centre);
    v_known := v_known AND v_both;

    SELECT f.paper_number INTO v_accepted FROM unblinded.forced_allocation f
     WHERE f.subject_id = p_subject AND f.paper_number <> '';
    IF FOUND THEN
        IF v_accepted IS DISTINCT FROM p_place || '-' || p_cover THEN
            RETURN 'unknown';
        END IF;
        SELECT l.expires_on INTO v_expires
          FROM unblinded.paper_kit p JOIN public.dispensing_kit k ON k.id = p.kit_id
          JOIN public.dispensing_lot l ON l.id = k.lot_id
         WHERE p.subject_id = p_subject;
        IF NOT coalesce(v_expires >= p_use_until, gate.has_cover(v_centre, p_use_until)) THEN
            RAISE EXCEPTION USING ERRCODE = 'IW003';
        END IF;
        RETURN '';
    END IF;
    -- A place without a code is on no paper.
    RETURN CASE WHEN NOT v_known THEN 'unknown'
                WHEN NOT coalesce(v_place = p_place, false) THEN 'stratum'
                WHEN NOT coalesce(v_cover = p_cover, false) THEN 'centre'
                ELSE '' END;
EXCEPTION
    WHEN OTHERS OR query_canceled THEN
        RAISE EXCEPTION USING MESSAGE = 'refused', ERRCODE = CASE
            WHEN SQLSTATE IN ('IW001', 'IW002', 'IW003', '55P03', '57014', '40001', '40P01')
            THEN SQLSTATE ELSE 'IW500' END;
END $$;

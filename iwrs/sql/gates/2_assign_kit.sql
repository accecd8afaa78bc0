-- Assign one kit to one planned dispensation and return the kit's key.
--
-- p_on is the business day, p_use_until the last day on which the kit would be used, p_at the
-- business moment.
--
-- Dispensation 0 is served from the centre's cover: its places in order of the cohorts' arrival,
-- of cohorts that do not expire. The call takes the kit of the subject's arm at its place, so which
-- place serves depends on blinded counts only. A call takes its place for good, even when it is
-- rolled back: two subjects tried on one place would show by the same or another kit whether
-- they have the same arm. A place that a rolled-back call saw serves nobody, but for the one subject
-- to whom unblinded staff gave its kit beforehand, because that subject was told it on paper.
-- Later dispensations take the kit that was sent for them, the same one however often it is asked
-- for, so those calls are not counted; nor is the call for a kit that was told on paper.
-- Of a kit's own row one thing is asked, and only for a visit: that it is still at its centre. That
-- is safe because the caller cannot change it: iwrs_blinded has no right to write kits, and they
-- are sent, retired and assigned by supply runs and gates, by blinded facts alone. A caller who could
-- write it would make an assignment fail for one arm's subjects only.
--
-- IW003 not planned, not yet due, already served in this act, or no kit (one identical refusal)
-- IW009 too many calls were abandoned; IW500 anything else, without a detail
CREATE OR REPLACE FUNCTION gate.assign_kit(
    p_dispensation bigint, p_on date, p_use_until date, p_at timestamptz
) RETURNS bigint
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
    v_subject bigint;
    v_centre bigint;
    v_number integer;
    v_status text;
    v_earliest date;
    v_calls unblinded.centre_calls;
    v_arm text;
    v_kit bigint;
    v_expires date;
    v_xact bigint := pg_current_xact_id()::text::bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'IW500';
    END IF;
    SELECT d.subject_id, s.centre_id, d.number, d.status, d.earliest_on
      INTO v_subject, v_centre, v_number, v_status, v_earliest
      FROM public.dispensing_dispensation d
      JOIN public.enrolment_subject s ON s.id = d.subject_id
     WHERE d.id = p_dispensation FOR UPDATE OF d;
    IF NOT FOUND OR v_status <> 'planned' OR p_on < v_earliest OR p_use_until < p_on THEN
        RAISE EXCEPTION USING ERRCODE = 'IW003';
    END IF;
    SELECT c.* INTO v_calls FROM unblinded.centre_calls c
     WHERE c.centre_id = v_centre FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'IW003';
    END IF;
    IF EXISTS (SELECT 1 FROM unblinded.kit_assignment a
                WHERE a.subject_id = v_subject AND a.transaction = v_xact) THEN
        RAISE EXCEPTION USING ERRCODE = 'IW003';
    END IF;
    SELECT a.arm INTO v_arm FROM unblinded.allocation a WHERE a.subject_id = v_subject;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'IW003';
    END IF;

    IF v_number = 0 THEN
        SELECT p.kit_id, l.expires_on INTO v_kit, v_expires
          FROM unblinded.paper_kit p JOIN public.dispensing_kit k ON k.id = p.kit_id
          JOIN public.dispensing_lot l ON l.id = k.lot_id
         WHERE p.subject_id = v_subject;
        IF NOT FOUND THEN
            v_kit := unblinded.take_cover_kit(v_calls, v_arm, p_use_until);
        ELSIF v_expires < p_use_until THEN
            v_kit := NULL;
        END IF;
    ELSE
        SELECT k.kit_id INTO v_kit
          FROM unblinded.visit_kit k JOIN public.dispensing_kit p ON p.id = k.kit_id
          JOIN public.dispensing_lot l ON l.id = p.lot_id
         WHERE k.dispensation_id = p_dispensation AND l.expires_on >= p_use_until
           AND p.status = 'at_centre';
    END IF;
    IF v_kit IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'IW003';
    END IF;
    -- The last barrier: a kit of the other arm is never assigned, whatever came before.
    PERFORM 1 FROM unblinded.kit_content c WHERE c.kit_id = v_kit AND c.arm = v_arm;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'IW500';
    END IF;
    INSERT INTO unblinded.kit_assignment (dispensation_id, subject_id, kit_id, transaction)
    VALUES (p_dispensation, v_subject, v_kit, v_xact);
    UPDATE public.dispensing_kit k SET status = 'assigned'
     WHERE k.id = v_kit AND k.centre_id = v_centre;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'IW500';
    END IF;
    UPDATE public.dispensing_dispensation d
       SET kit_id = v_kit, status = 'assigned', assigned_at = p_at WHERE d.id = p_dispensation;
    RETURN v_kit;
EXCEPTION
    WHEN OTHERS OR query_canceled THEN
        RAISE EXCEPTION USING MESSAGE = 'refused', ERRCODE = CASE
            WHEN SQLSTATE IN ('IW003', 'IW009', '55P03', '57014', '40001', '40P01')
            THEN SQLSTATE ELSE 'IW500' END;
END $$;

-- The kit of an arm at the next place of a centre's cover; null when no place is left, which is
-- not counted as a call. A part of gate.assign_kit, which has locked the centre's row p_calls.
--
-- The place is the cohort's own counter, so a place that a rolled-back call saw is gone from the very
-- cohort that showed it, whichever cohort the caller steers to by p_use_until.
CREATE OR REPLACE FUNCTION unblinded.take_cover_kit(
    p_calls unblinded.centre_calls, p_arm text, p_use_until date
) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_cohort bigint;
    v_position bigint;
    v_kit bigint;
BEGIN
    UPDATE public.dispensing_cohort c SET served = c.size
     WHERE c.centre_id = p_calls.centre_id AND c.served < c.size
       AND unblinded.calls_made('cohort', c.id) >= c.size;
    SELECT c.id, unblinded.calls_made('cohort', c.id) + 1 INTO v_cohort, v_position
      FROM public.dispensing_cohort c JOIN public.dispensing_lot l ON l.id = c.lot_id
     WHERE c.centre_id = p_calls.centre_id AND c.served < c.size AND l.expires_on >= p_use_until
     ORDER BY c.received_at, c.id LIMIT 1 FOR UPDATE OF c;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF unblinded.calls_made('centre', p_calls.centre_id)
       - p_calls.completed - p_calls.released_calls >= 8 THEN
        RAISE EXCEPTION USING ERRCODE = 'IW009';
    END IF;
    PERFORM unblinded.draw_call('centre', p_calls.centre_id);
    PERFORM unblinded.draw_call('cohort', v_cohort);
    -- Every arm's kit of the place is read: where a page of the index ends between two of them, one
    -- would cost a page more than the other.
    SELECT max(k.kit_id) FILTER (WHERE k.arm = p_arm) INTO v_kit FROM unblinded.cover_kit k
     WHERE k.cohort_id = v_cohort AND k.position = v_position;
    IF v_kit IS NULL THEN
        RAISE no_data_found;
    END IF;
    UPDATE public.dispensing_cohort c SET served = v_position WHERE c.id = v_cohort;
    UPDATE unblinded.centre_calls c SET completed = c.completed + 1
     WHERE c.centre_id = p_calls.centre_id;
    RETURN v_kit;
END $$;

-- Whether a centre's cover has a place for one more randomization, used until this day. It counts
-- blinded acts and abandoned calls, and is asked before a place in the list is taken, so that an
-- ordinary stock-out is not counted as an abandoned call of the stratum.
CREATE OR REPLACE FUNCTION gate.has_cover(p_centre bigint, p_use_until date) RETURNS boolean
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
BEGIN
    RETURN EXISTS (
        SELECT 1 FROM public.dispensing_cohort c JOIN public.dispensing_lot l ON l.id = c.lot_id
         WHERE c.centre_id = p_centre AND c.served < c.size AND l.expires_on >= p_use_until
           AND unblinded.calls_made('cohort', c.id) < c.size);
EXCEPTION
    WHEN OTHERS OR query_canceled THEN
        RAISE EXCEPTION USING MESSAGE = 'refused', ERRCODE = 'IW500';
END $$;

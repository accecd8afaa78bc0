-- Assign one kit to one planned dispensation and return the kit's key.
--
-- p_on is the business day, p_use_until the last day on which the kit would be used, p_at the
-- business moment. Dispensation 0 is served from the centre's cover: the first cohort in order of
-- arrival that has a place left and does not expire; the j-th randomization of a cohort takes the
-- kit of its arm at position j, so which cohort and position serve depends on blinded counts only.
-- Later dispensations take the kit that was sent for them. Whether a kit's own row says anything
-- is never asked: a caller who changed it must not learn which arm would have needed it.
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
    v_cohort bigint;
    v_position integer;
    v_calls unblinded.centre_calls;
    v_arm text;
    v_kit bigint;
    v_expires date;
    v_xact bigint := pg_current_xact_id()::text::bigint;
BEGIN
    SELECT d.subject_id, s.centre_id, d.number, d.status, d.earliest_on
      INTO v_subject, v_centre, v_number, v_status, v_earliest
      FROM public.dispensing_dispensation d
      JOIN public.enrolment_subject s ON s.id = d.subject_id
     WHERE d.id = p_dispensation FOR UPDATE OF d;
    IF NOT FOUND OR v_status <> 'planned' OR p_on < v_earliest OR p_use_until < p_on THEN
        RAISE EXCEPTION USING ERRCODE = 'IW003', MESSAGE = 'refused';
    END IF;
    SELECT c.* INTO v_calls FROM unblinded.centre_calls c
     WHERE c.centre_id = v_centre FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'IW003', MESSAGE = 'refused';
    END IF;
    IF EXISTS (SELECT 1 FROM unblinded.kit_assignment a
                WHERE a.subject_id = v_subject AND a.transaction = v_xact) THEN
        RAISE EXCEPTION USING ERRCODE = 'IW003', MESSAGE = 'refused';
    END IF;

    IF v_number = 0 THEN
        SELECT c.id, c.served + 1 INTO v_cohort, v_position
          FROM public.dispensing_cohort c JOIN public.dispensing_lot l ON l.id = c.lot_id
         WHERE c.centre_id = v_centre AND c.served < c.size AND l.expires_on >= p_use_until
         ORDER BY c.received_at, c.id LIMIT 1 FOR UPDATE OF c;
    ELSE
        SELECT k.kit_id, l.expires_on INTO v_kit, v_expires
          FROM unblinded.visit_kit k JOIN public.dispensing_kit p ON p.id = k.kit_id
          JOIN public.dispensing_lot l ON l.id = p.lot_id
         WHERE k.dispensation_id = p_dispensation AND l.expires_on >= p_use_until;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'IW003', MESSAGE = 'refused';
    END IF;

    IF nextval(('unblinded.calls_centre_' || v_centre)::regclass)
       - v_calls.completed - v_calls.released_calls > 8 THEN
        RAISE EXCEPTION USING ERRCODE = 'IW009', MESSAGE = 'refused';
    END IF;

    SELECT a.arm INTO STRICT v_arm FROM unblinded.allocation a WHERE a.subject_id = v_subject;
    IF v_number = 0 THEN
        SELECT k.kit_id INTO STRICT v_kit FROM unblinded.cover_kit k
         WHERE k.cohort_id = v_cohort AND k.position = v_position AND k.arm = v_arm;
        UPDATE public.dispensing_cohort c SET served = v_position WHERE c.id = v_cohort;
    END IF;
    -- The last barrier: a kit of the other arm is never assigned, whatever came before.
    PERFORM 1 FROM unblinded.kit_content c WHERE c.kit_id = v_kit AND c.arm = v_arm;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'IW500', MESSAGE = 'refused';
    END IF;
    INSERT INTO unblinded.kit_assignment (dispensation_id, subject_id, kit_id, transaction)
    VALUES (p_dispensation, v_subject, v_kit, v_xact);
    UPDATE public.dispensing_kit k SET status = 'assigned'
     WHERE k.id = v_kit AND k.centre_id = v_centre;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'IW500', MESSAGE = 'refused';
    END IF;
    UPDATE public.dispensing_dispensation d
       SET kit_id = v_kit, status = 'assigned', assigned_at = p_at WHERE d.id = p_dispensation;
    UPDATE unblinded.centre_calls c SET completed = c.completed + 1 WHERE c.centre_id = v_centre;
    RETURN v_kit;
EXCEPTION
    WHEN SQLSTATE 'IW003' OR SQLSTATE 'IW009' THEN
        RAISE;
    WHEN lock_not_available OR serialization_failure OR deadlock_detected THEN
        RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = 'busy';
    WHEN OTHERS THEN
        RAISE EXCEPTION USING ERRCODE = 'IW500', MESSAGE = 'refused';
END $$;

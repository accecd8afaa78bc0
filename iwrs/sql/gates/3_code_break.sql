-- The first of the two doors: one subject's treatment, in two transactions.
--
-- A request is counted against the study's hourly budget by the database's clock and must be
-- committed before it can be answered, so a caller cannot look and roll back.

-- IW001 the subject was not randomized, or the request is incomplete; IW004 the budget is used up
CREATE OR REPLACE FUNCTION gate.code_break_request(
    p_subject bigint, p_by text, p_reason text, p_explanation text
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
    v_study bigint;
    v_per_hour integer;
    v_recent bigint;
    v_request bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'IW500';
    END IF;
    -- The study as its list says, not the subject's own row, which a caller may write.
    SELECT l.study_id INTO v_study
      FROM unblinded.allocation a JOIN unblinded.list_entry e ON e.id = a.entry_id
      JOIN unblinded.list l ON l.id = e.list_id
     WHERE a.subject_id = p_subject;
    IF NOT FOUND OR coalesce(btrim(p_by), '') = '' OR coalesce(btrim(p_reason), '') = ''
       OR coalesce(btrim(p_explanation), '') = '' THEN
        RAISE EXCEPTION USING ERRCODE = 'IW001';
    END IF;
    -- Locked by writing: a second caller waits here, then counts in a snapshot that shows the first.
    UPDATE unblinded.code_break_budget b SET requests = b.requests + 1
     WHERE b.study_id = v_study RETURNING b.per_hour INTO v_per_hour;
    SELECT count(*) INTO v_recent FROM public.randomization_codebreakrequest r
     WHERE r.study_id = v_study AND r.requested_at > clock_timestamp() - interval '1 hour'
       AND r.opened_by = '';
    IF v_recent >= coalesce(v_per_hour, 0) THEN
        RAISE EXCEPTION USING ERRCODE = 'IW004';
    END IF;
    INSERT INTO public.randomization_codebreakrequest
        (subject_id, study_id, requested_by, reason, explanation, requested_at, transaction)
    VALUES (p_subject, v_study, p_by, p_reason, p_explanation, clock_timestamp(),
            pg_current_xact_id()::text::bigint)
    RETURNING id INTO v_request;
    RETURN v_request;
EXCEPTION
    WHEN OTHERS OR query_canceled THEN
        RAISE EXCEPTION USING MESSAGE = 'refused', ERRCODE = CASE
            WHEN SQLSTATE IN ('IW001', 'IW004', '55P03', '57014', '40001', '40P01')
            THEN SQLSTATE ELSE 'IW500' END;
END $$;

-- The treatment of the subject of one committed request, once.
-- IW005 unknown, already shown, of this same transaction, or not committed; IW006 asked for more
-- than fifteen minutes ago: who finds an old request open on a screen cannot use it
CREATE OR REPLACE FUNCTION gate.code_break_reveal(p_request bigint, p_at timestamptz) RETURNS text
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
    v_study bigint;
    v_xact bigint;
    v_asked timestamptz;
    v_arm text;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'IW500';
    END IF;
    SELECT r.subject_id, r.study_id, r.transaction, r.requested_at
      INTO v_subject, v_study, v_xact, v_asked
      FROM public.randomization_codebreakrequest r
     WHERE r.id = p_request AND r.revealed_at IS NULL FOR UPDATE;
    IF NOT FOUND OR v_xact = pg_current_xact_id()::text::bigint
       OR pg_xact_status(v_xact::text::xid8) IS DISTINCT FROM 'committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'IW005';
    END IF;
    IF v_asked < clock_timestamp() - interval '15 minutes' THEN
        RAISE EXCEPTION USING ERRCODE = 'IW006';
    END IF;
    SELECT a.arm INTO STRICT v_arm FROM unblinded.allocation a WHERE a.subject_id = v_subject;
    UPDATE public.randomization_codebreakrequest r SET revealed_at = clock_timestamp()
     WHERE r.id = p_request;
    UPDATE unblinded.code_break_budget b SET reveals = b.reveals + 1 WHERE b.study_id = v_study;
    -- The first unblinding stays, and none is before the randomization: the column is frozen, so
    -- what is written here is for good. least and greatest pass over nulls.
    UPDATE public.enrolment_subject s
       SET unblinded_at = least(s.unblinded_at,
                                greatest(s.randomized_at, coalesce(p_at, clock_timestamp())))
     WHERE s.id = v_subject;
    RETURN v_arm;
EXCEPTION
    WHEN OTHERS OR query_canceled THEN
        RAISE EXCEPTION USING MESSAGE = 'refused', ERRCODE = CASE
            WHEN SQLSTATE IN ('IW005', 'IW006', '55P03', '57014', '40001', '40P01')
            THEN SQLSTATE ELSE 'IW500' END;
END $$;

-- A treatment that an emergency holder read in a sealed pack while the system was down. It is
-- recorded afterwards, shows nothing, and takes nothing from the budget: it says when (`p_at`), by
-- whom and why, and marks the subject.
-- IW001 the subject was not randomized, or the record is incomplete
CREATE OR REPLACE FUNCTION gate.code_break_opening(
    p_subject bigint, p_by text, p_opened_by text, p_reason text, p_explanation text,
    p_at timestamptz
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
    v_study bigint;
    v_since timestamptz;
    v_request bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'IW500';
    END IF;
    SELECT l.study_id, s.randomized_at INTO v_study, v_since
      FROM unblinded.allocation a JOIN unblinded.list_entry e ON e.id = a.entry_id
      JOIN unblinded.list l ON l.id = e.list_id
      JOIN public.enrolment_subject s ON s.id = a.subject_id
     WHERE a.subject_id = p_subject;
    IF NOT FOUND OR coalesce(btrim(p_by), '') = '' OR coalesce(btrim(p_opened_by), '') = ''
       OR coalesce(btrim(p_reason), '') = '' OR coalesce(btrim(p_explanation), '') = ''
       OR (v_since <= p_at AND p_at <= clock_timestamp() + interval '5 minutes') IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'IW001';
    END IF;
    INSERT INTO public.randomization_codebreakrequest
        (subject_id, study_id, requested_by, opened_by, reason, explanation, requested_at,
         transaction, revealed_at)
    VALUES (p_subject, v_study, p_by, p_opened_by, p_reason, p_explanation, clock_timestamp(),
            pg_current_xact_id()::text::bigint, p_at)
    RETURNING id INTO v_request;
    UPDATE public.enrolment_subject s
       SET unblinded_at = least(coalesce(s.unblinded_at, p_at), p_at)
     WHERE s.id = p_subject;
    RETURN v_request;
EXCEPTION
    WHEN OTHERS OR query_canceled THEN
        RAISE EXCEPTION USING MESSAGE = 'refused', ERRCODE = CASE
            WHEN SQLSTATE IN ('IW001', '55P03', '57014', '40001', '40P01')
            THEN SQLSTATE ELSE 'IW500' END;
END $$;

-- How many requests and answers of a study were counted, beside the rows that record them: a row
-- that somebody removed shows as a difference. Both numbers are blinded facts.
CREATE OR REPLACE FUNCTION gate.code_break_counts(p_study bigint) RETURNS bigint[]
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
    v_counts bigint[];
BEGIN
    SELECT ARRAY[b.requests, b.reveals] INTO v_counts FROM unblinded.code_break_budget b
     WHERE b.study_id = p_study;
    RETURN coalesce(v_counts, ARRAY[0, 0]);
EXCEPTION
    WHEN OTHERS OR query_canceled THEN
        RAISE EXCEPTION USING MESSAGE = 'refused', ERRCODE = CASE
            WHEN SQLSTATE = '57014' THEN SQLSTATE ELSE 'IW500' END;
END $$;

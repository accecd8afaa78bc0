-- A counter that a ROLLBACK cannot turn back, one for each stratum and each centre.
--
-- Whoever may call a gate may also roll it back, and learn from many such attempts which kits go
-- together. A sequence is not undone by ROLLBACK: attempts minus completed acts is the number of
-- abandoned calls, and a gate refuses when there are more than a few.
-- Not in schema `gate`: only the unblinded side opens counters (when a list becomes active, when
-- a centre gets its first kits).
CREATE OR REPLACE FUNCTION unblinded.open_calls(p_kind text, p_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_kind NOT IN ('stratum', 'centre') THEN
        RAISE EXCEPTION 'a counter is for a stratum or a centre';
    END IF;
    EXECUTE format('CREATE SEQUENCE IF NOT EXISTS unblinded.calls_%s_%s CACHE 1', p_kind, p_id);
    EXECUTE format('GRANT SELECT ON SEQUENCE unblinded.calls_%s_%s TO iwrs_unblinded', p_kind, p_id);
END $$;
GRANT EXECUTE ON FUNCTION unblinded.open_calls(text, bigint) TO iwrs_unblinded;

-- Places of a centre's cover that abandoned calls have used up, not yet counted as served.
-- Each call takes a place for good (see 2_assign_kit.sql), so calls minus places served is what
-- the next call leaves out. Ask it with the centre's row in centre_calls locked.
CREATE OR REPLACE FUNCTION unblinded.spoilt_places(p_centre bigint) RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(pg_sequence_last_value(('unblinded.calls_centre_' || p_centre)::regclass), 0)
           - (SELECT coalesce(sum(c.served), 0) FROM public.dispensing_cohort c
               WHERE c.centre_id = p_centre)
$$;
GRANT EXECUTE ON FUNCTION unblinded.spoilt_places(bigint) TO iwrs_unblinded;

-- Count spoilt places as served, cohort by cohort in the gate's order, so that re-supply sees what
-- is really left. A supply run asks it first; how many calls were abandoned is a blinded count.
CREATE OR REPLACE FUNCTION unblinded.settle_places(p_study bigint, p_use_until date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_centre bigint;
    v_spoilt bigint;
    v_cohort record;
BEGIN
    FOR v_centre IN SELECT k.centre_id FROM unblinded.centre_calls k
                      JOIN public.enrolment_centre c ON c.id = k.centre_id
                     WHERE c.study_id = p_study AND unblinded.spoilt_places(k.centre_id) > 0
                     ORDER BY k.centre_id FOR UPDATE OF k LOOP
        v_spoilt := unblinded.spoilt_places(v_centre);
        FOR v_cohort IN SELECT c.id, c.size - c.served AS places
                          FROM public.dispensing_cohort c
                          JOIN public.dispensing_lot l ON l.id = c.lot_id
                         WHERE c.centre_id = v_centre AND c.served < c.size
                           AND l.expires_on >= p_use_until
                         ORDER BY c.received_at, c.id LOOP
            EXIT WHEN v_spoilt <= 0;
            UPDATE public.dispensing_cohort c
               SET served = c.served + least(v_spoilt, v_cohort.places) WHERE c.id = v_cohort.id;
            v_spoilt := v_spoilt - v_cohort.places;
        END LOOP;
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION unblinded.settle_places(bigint, date) TO iwrs_unblinded;

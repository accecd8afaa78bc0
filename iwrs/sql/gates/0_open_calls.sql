-- A counter that a ROLLBACK cannot turn back, one for each stratum, centre and cover cohort.
--
-- Whoever may call a gate may also roll it back, and learn from many such attempts which kits go
-- together. A sequence is not undone by ROLLBACK: attempts minus completed acts is the number of
-- abandoned calls, and a gate refuses when there are more than a few.
-- Not in schema `gate`: only the unblinded side opens counters (when a list becomes active, when
-- a centre gets kits).
CREATE OR REPLACE FUNCTION unblinded.open_calls(p_kind text, p_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_kind NOT IN ('stratum', 'centre', 'cohort') THEN
        RAISE EXCEPTION 'a counter is for a stratum, a centre or a cohort';
    END IF;
    EXECUTE format('CREATE SEQUENCE IF NOT EXISTS unblinded.calls_%s_%s CACHE 1', p_kind, p_id);
    EXECUTE format('GRANT SELECT ON SEQUENCE unblinded.calls_%s_%s TO iwrs_unblinded', p_kind, p_id);
END $$;
GRANT EXECUTE ON FUNCTION unblinded.open_calls(text, bigint) TO iwrs_unblinded;

-- How often a counter was drawn.
CREATE OR REPLACE FUNCTION unblinded.calls_made(p_kind text, p_id bigint) RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(pg_sequence_last_value(
        ('unblinded.calls_' || p_kind || '_' || p_id)::regclass), 0)
$$;

-- Draw a counter and return its new value. Ask it with the row that it belongs to locked.
-- Not nextval: that is logged 32 values ahead, so that a crash of the server would jump, count calls
-- that nobody made, and use up places that nobody saw. setval is logged exactly.
CREATE OR REPLACE FUNCTION unblinded.draw_call(p_kind text, p_id bigint) RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT setval(('unblinded.calls_' || p_kind || '_' || p_id)::regclass,
                  unblinded.calls_made(p_kind, p_id) + 1)
$$;

-- Count places that abandoned calls have used up as served, so that re-supply sees what is really
-- left. A supply run asks it first; how many calls were abandoned is a blinded count.
CREATE OR REPLACE FUNCTION unblinded.settle_places(p_study bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_cohort bigint;
BEGIN
    FOR v_cohort IN SELECT h.id FROM public.dispensing_cohort h
                      JOIN public.enrolment_centre c ON c.id = h.centre_id
                     WHERE c.study_id = p_study AND h.served < h.size
                       AND h.served < unblinded.calls_made('cohort', h.id)
                     ORDER BY h.id LOOP
        UPDATE public.dispensing_cohort h
           SET served = least(h.size, unblinded.calls_made('cohort', h.id))
         WHERE h.id = v_cohort AND h.served < least(h.size, unblinded.calls_made('cohort', h.id));
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION unblinded.settle_places(bigint) TO iwrs_unblinded;

-- Use up a cohort's places up to a position, as abandoned calls would: no call comes upon them any
-- more. Unblinded staff ask it for a place that somebody was told on paper, with the row of the
-- centre's calls locked. Like every call it cannot be turned back.
CREATE OR REPLACE FUNCTION unblinded.use_up_cover(p_cohort bigint, p_position bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM 1 FROM public.dispensing_cohort h
      WHERE h.id = p_cohort AND p_position BETWEEN 1 AND h.size;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such place of cover';
    END IF;
    IF unblinded.calls_made('cohort', p_cohort) < p_position THEN
        PERFORM setval(('unblinded.calls_cohort_' || p_cohort)::regclass, p_position);
    END IF;
END $$;
GRANT EXECUTE ON FUNCTION unblinded.use_up_cover(bigint, bigint) TO iwrs_unblinded;

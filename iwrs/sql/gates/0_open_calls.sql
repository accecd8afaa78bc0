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

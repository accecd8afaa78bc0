-- Whether a recipient has a key, without showing it: the SHA-256 of the public key, or null.
-- The blinded side refuses a request for an extract that nobody could open.
CREATE OR REPLACE FUNCTION gate.recipient_fingerprint(p_study bigint, p_recipient text)
RETURNS text
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
    v_key text;
BEGIN
    SELECT k.public_key INTO v_key FROM unblinded.recipient_key k
     WHERE k.study_id = p_study AND k.recipient = p_recipient;
    RETURN encode(sha256(convert_to(v_key, 'UTF8')), 'hex');
EXCEPTION
    WHEN OTHERS OR query_canceled THEN
        RAISE EXCEPTION USING MESSAGE = 'refused', ERRCODE = CASE
            WHEN SQLSTATE = '57014' THEN SQLSTATE ELSE 'IW500' END;
END $$;

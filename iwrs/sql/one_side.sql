-- A person holds roles of one side of a study, never of both (ICH E6(R3) 4.1.2, 4.3.8): run as owner
-- after every migrate.
--
-- The two sides' accounts stand in two schemas, and neither login reads the other's. So the owner
-- compares, by e-mail address without regard to case. A role counts although it has ended: who saw
-- the list does not forget it. Whoever is refused learns that the address belongs to the other side
-- of this study, and nothing else: one text, no detail.
CREATE OR REPLACE FUNCTION unblinded.refuse_both_sides() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET client_min_messages = error
SET debug_print_parse = off
SET debug_print_rewritten = off
SET debug_print_plan = off
SET plpgsql.print_strict_params = off
AS $$
DECLARE
    v_person bigint;
    v_address text;
    v_studies text[];
    v_both boolean;
BEGIN
    -- An older snapshot would not show what another connection has just committed.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'IW500', MESSAGE = 'refused';
    END IF;

    IF TG_TABLE_NAME = 'accounts_user' THEN
        v_person := NEW.id;
        v_address := NEW.email;
    ELSE
        v_person := NEW.user_id;
        IF TG_TABLE_SCHEMA = 'public' THEN
            SELECT u.email INTO v_address FROM public.accounts_user u
             WHERE u.id = v_person FOR KEY SHARE;
        ELSE
            SELECT u.email INTO v_address FROM unblinded.accounts_user u
             WHERE u.id = v_person FOR KEY SHARE;
        END IF;
    END IF;
    v_address := lower(btrim(v_address));
    -- One at a time for each address, on whichever side: two who look at once both find nothing.
    PERFORM pg_advisory_xact_lock(2, hashtext(v_address));

    IF TG_TABLE_NAME = 'accounts_studyrole' THEN
        v_studies := ARRAY[NEW.study_code::text];
    ELSIF TG_TABLE_NAME = 'enrolment_centrerole' THEN
        SELECT ARRAY[s.code::text] INTO v_studies
          FROM public.enrolment_centre c JOIN public.iwrs_study s ON s.id = c.study_id
         WHERE c.id = NEW.centre_id;
    ELSIF TG_TABLE_SCHEMA = 'public' THEN
        SELECT array_agg(held.code) INTO v_studies FROM (
            SELECT r.study_code::text AS code FROM public.accounts_studyrole r
             WHERE r.user_id = v_person
             UNION SELECT s.code FROM public.enrolment_centrerole r
              JOIN public.enrolment_centre c ON c.id = r.centre_id
              JOIN public.iwrs_study s ON s.id = c.study_id WHERE r.user_id = v_person) held;
    ELSE
        SELECT array_agg(r.study_code::text) INTO v_studies
          FROM unblinded.accounts_studyrole r WHERE r.user_id = v_person;
    END IF;

    IF TG_TABLE_SCHEMA = 'public' THEN
        SELECT EXISTS (
            SELECT FROM unblinded.accounts_studyrole r
              JOIN unblinded.accounts_user u ON u.id = r.user_id
             WHERE lower(btrim(u.email)) = v_address AND r.study_code = ANY (v_studies))
          INTO v_both;
    ELSE
        SELECT EXISTS (
            SELECT FROM public.accounts_studyrole r JOIN public.accounts_user u ON u.id = r.user_id
             WHERE lower(btrim(u.email)) = v_address AND r.study_code = ANY (v_studies))
            OR EXISTS (
            SELECT FROM public.enrolment_centrerole r
              JOIN public.accounts_user u ON u.id = r.user_id
              JOIN public.enrolment_centre c ON c.id = r.centre_id
              JOIN public.iwrs_study s ON s.id = c.study_id
             WHERE lower(btrim(u.email)) = v_address AND s.code = ANY (v_studies))
          INTO v_both;
    END IF;
    IF v_both THEN
        RAISE EXCEPTION USING ERRCODE = 'IW010', MESSAGE = 'refused';
    END IF;
    RETURN NULL;
EXCEPTION
    WHEN OTHERS OR query_canceled THEN
        RAISE EXCEPTION USING MESSAGE = 'refused', ERRCODE = CASE
            WHEN SQLSTATE IN ('IW010', '55P03', '40001', '40P01', '57014') THEN SQLSTATE
            ELSE 'IW500' END;
END $$;

DO $$
DECLARE
    v_table record;
BEGIN
    FOR v_table IN
        SELECT * FROM (VALUES
            ('public.accounts_studyrole', 'INSERT OR UPDATE OF user_id, study_code'),
            ('unblinded.accounts_studyrole', 'INSERT OR UPDATE OF user_id, study_code'),
            ('public.enrolment_centrerole', 'INSERT OR UPDATE OF user_id, centre_id'),
            ('public.accounts_user', 'UPDATE OF email'),
            ('unblinded.accounts_user', 'UPDATE OF email')
        ) AS listed (name, event)
    LOOP
        -- After, so that a trigger before it cannot change what was compared.
        EXECUTE format('CREATE OR REPLACE TRIGGER one_side AFTER %s ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION unblinded.refuse_both_sides()',
                       v_table.event, v_table.name);
    END LOOP;
END $$;

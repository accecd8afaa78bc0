-- Columns that say which row this is, or that only a gate may write: stated once, never changed.
-- Run as owner after every migrate; running it again changes nothing.
--
-- The gates read public rows, which their callers may write. A caller who could give a dispensation
-- another subject, or a subject another centre, would turn a gate's answer into a comparison of
-- two arms; one who could clear `unblinded_at` would hide a code break.

-- The owner, which the gates run as, may change a frozen column; nobody else.
CREATE OR REPLACE FUNCTION public.refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_column text;
BEGIN
    IF current_user <> 'iwrs_owner' THEN
        FOREACH v_column IN ARRAY TG_ARGV LOOP
            IF to_jsonb(NEW) -> v_column IS DISTINCT FROM to_jsonb(OLD) -> v_column THEN
                RAISE EXCEPTION USING ERRCODE = '42501',
                    MESSAGE = format('column %I of %I is never changed', v_column, TG_TABLE_NAME);
            END IF;
        END LOOP;
    END IF;
    RETURN NEW;
END $$;

DO $$
DECLARE
    v_table record;
BEGIN
    -- The key of every table: references stay true, and no foreign key's error names its table.
    FOR v_table IN
        SELECT c.oid::regclass AS name, string_agg(quote_ident(a.attname), ', ') AS columns,
               string_agg(quote_literal(a.attname), ', ') AS arguments
          FROM pg_constraint p JOIN pg_class c ON c.oid = p.conrelid
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (p.conkey)
         WHERE p.contype = 'p' AND c.relnamespace IN ('public'::regnamespace, 'unblinded'::regnamespace)
         GROUP BY c.oid
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER frozen_key BEFORE UPDATE OF %s ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION public.refuse_change(%s)',
                       v_table.columns, v_table.name, v_table.arguments);
    END LOOP;

    FOR v_table IN
        SELECT listed.name::regclass AS name, string_agg(quote_ident(col), ', ') AS columns,
               string_agg(quote_literal(col), ', ') AS arguments
          FROM (VALUES
            ('public.iwrs_study', 'code training created_at'),
            ('public.enrolment_centre', 'study_id number country_code'),
            ('public.enrolment_countryaccrual', 'study_id country_code'),
            ('public.enrolment_subject', 'study_id centre_id number recorded_at unblinded_at rescreen_of_id rescreening'),
            ('public.dispensing_dispensation',
             'subject_id number due_on earliest_on kit_id assigned_at'),
            ('public.dispensing_kit', 'study_id number lot_id'),
            ('public.dispensing_cohort', 'centre_id lot_id size served received_at'),
            ('public.randomization_listcommitment',
             'study_id list_number part algorithm merkle_root approved_at'),
            ('public.dsmb_extract', 'study_id cut_id recipient reason requested_by requested_at'),
            ('unblinded.emergency_holder',
             'study_id name who public_key registered_by registered_at'),
            ('unblinded.list',
             'study_id number algorithm design seed merkle_root generated_by generated_at'),
            ('unblinded.split_seed', 'study_id number begun_by begun_at'),
            ('unblinded.seed_share', 'split_id place by commitment committed_at'),
            ('unblinded.list_extension',
             'list_id part length strata before merkle_root generated_by generated_at'),
            ('unblinded.unblinding',
             'study_id cut_on endpoint events_needed events_counted first_by first_at'),
            ('unblinded.stratum_cursor', 'list_id stratum_key used apart'),
            ('unblinded.centre_calls', 'completed'),
            ('unblinded.list_notice', 'list_id stratum_key length noticed_at'),
            ('unblinded.simulation_chunk', 'run_id number')
          ) AS listed (name, columns), unnest(string_to_array(listed.columns, ' ')) AS col
         GROUP BY listed.name
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER frozen_facts BEFORE UPDATE OF %s ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION public.refuse_change(%s)',
                       v_table.columns, v_table.name, v_table.arguments);
    END LOOP;

    -- Written once, and from then on never changed: what a subject was allocated by, who set an
    -- eligibility question aside, and when somebody signed what an EDC system recorded.
    FOR v_table IN
        SELECT listed.name::regclass AS name, listed.since,
               string_agg(quote_ident(col), ', ') AS columns,
               string_agg(quote_literal(col), ', ') AS arguments
          FROM (VALUES
            ('public.enrolment_subject', 'randomized_at', 'strata stratum_key randomized_at'),
            ('public.randomization_randomization', 'confirmed_at', 'confirmed_at'),
            ('public.dispensing_dosereduction', 'confirmed_at', 'confirmed_at'),
            ('unblinded.seed_share', 'opened_at', 'share opened_at'),
            ('unblinded.unblinding', 'second_at', 'second_by second_at'),
            ('unblinded.list', 'second_approved_at',
             'dynamic first_approved_by first_approved_at second_approved_by second_approved_at'),
            ('unblinded.list_extension', 'second_approved_at',
             'first_approved_by first_approved_at second_approved_by second_approved_at'),
            ('unblinded.split_seed', 'ended_at', 'ended_by ended_at ended_why used_at'),
            ('unblinded.split_seed', 'used_at', 'ended_by ended_at ended_why used_at'),
            ('unblinded.simulation_chunk', 'made_at', 'status made_at results'),
            ('public.enrolment_deviation', 'approved_at',
             'subject_id question reason requested_by requested_at approved_by approved_at')
          ) AS listed (name, since, columns), unnest(string_to_array(listed.columns, ' ')) AS col
         GROUP BY listed.name, listed.since
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER frozen_once_%s BEFORE UPDATE OF %s ON %s '
                       'FOR EACH ROW WHEN (OLD.%I IS NOT NULL) '
                       'EXECUTE FUNCTION public.refuse_change(%s)',
                       v_table.since, v_table.columns, v_table.name, v_table.since,
                       v_table.arguments);
    END LOOP;
END $$;

-- A list that was closed stays so.
CREATE OR REPLACE TRIGGER closed_for_good BEFORE UPDATE OF status ON unblinded.list
    FOR EACH ROW WHEN (OLD.status = 'closed') EXECUTE FUNCTION public.refuse_change('status');

-- A stratum's list only becomes longer, and only as far as it has places.
CREATE OR REPLACE FUNCTION public.length_grows() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.length < OLD.length OR (NEW.length > OLD.length AND NOT EXISTS (
        SELECT 1 FROM unblinded.list_entry e
         WHERE e.list_id = NEW.list_id AND e.stratum_key = NEW.stratum_key
           AND e.position = NEW.length)) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a list only grows, and with its places';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER length_grows BEFORE UPDATE OF length ON unblinded.stratum_cursor
    FOR EACH ROW EXECUTE FUNCTION public.length_grows();

-- When something was recorded is the database's own time, whatever the caller says. The argument
-- names the column.
CREATE OR REPLACE FUNCTION public.own_record_time() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_populate_record(NEW, jsonb_build_object(TG_ARGV[0], clock_timestamp()));
END $$;

DO $$
DECLARE v_table record;
BEGIN
    FOR v_table IN
        SELECT to_regclass(listed.name) AS name, listed.col
          FROM (VALUES
            ('public.accounts_signinevent', 'at'),
            ('unblinded.accounts_signinevent', 'at'),
            ('public.randomization_lateentry', 'recorded_at'),
            ('public.randomization_randomizedinerror', 'recorded_at'),
            ('public.randomization_verifiedstratum', 'recorded_at'),
            ('public.assessments_correction', 'recorded_at')
          ) AS listed (name, col)
    LOOP
        IF v_table.name IS NOT NULL THEN  -- some are made by the second alias, which comes last
            EXECUTE format('CREATE OR REPLACE TRIGGER own_time BEFORE INSERT ON %s '
                           'FOR EACH ROW EXECUTE FUNCTION public.own_record_time(%L)',
                           v_table.name, v_table.col);
        END IF;
    END LOOP;
END $$;

-- How many subjects are counted towards a limit is written by the trigger of subjects alone: who could
-- lower it would lift the limit.
CREATE OR REPLACE FUNCTION public.by_trigger_only() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_trigger_depth() < 2 AND current_user <> 'iwrs_owner' THEN
        RAISE EXCEPTION USING ERRCODE = '42501',
            MESSAGE = format('%I is written by a trigger alone', TG_TABLE_NAME);
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER by_trigger_only BEFORE INSERT OR UPDATE ON public.enrolment_tally
    FOR EACH ROW EXECUTE FUNCTION public.by_trigger_only();

-- The file of a pack that nobody needs any more is emptied, and never replaced by another.
CREATE OR REPLACE FUNCTION public.only_emptied() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.sealed NOT IN ('', OLD.sealed) THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a sealed file is never replaced';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER only_emptied BEFORE UPDATE OF sealed ON public.dsmb_paperpack
    FOR EACH ROW EXECUTE FUNCTION public.only_emptied();

-- A signature: stamped by the database's clock, true to the record it names, and never changed,
-- by the owner neither (21 CFR 11.50, 11.70). The table exists on both sides.
CREATE OR REPLACE FUNCTION public.sign_once() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'a signature is never changed';
    END IF;
    IF NEW.sha256 IS DISTINCT FROM encode(sha256(convert_to(NEW.canonical, 'UTF8')), 'hex')
       OR NEW.canonical::jsonb ->> 'kind' IS DISTINCT FROM NEW.record_kind
       OR NEW.canonical::jsonb ->> 'id' IS DISTINCT FROM NEW.record_pk::text
       OR NEW.shown_sha256 !~ '^([0-9a-f]{64})?$' THEN
        RAISE EXCEPTION USING ERRCODE = '23514', MESSAGE = 'a signature is true to its record';
    END IF;
    NEW.signed_at := clock_timestamp();
    RETURN NEW;
END $$;

DO $$
DECLARE
    v_table regclass;
BEGIN
    FOREACH v_table IN ARRAY ARRAY[to_regclass('public.signatures_signedrecord'),
                                   to_regclass('unblinded.signatures_signedrecord')] LOOP
        IF v_table IS NOT NULL THEN  -- the second is made by the second alias, which comes last
            EXECUTE format('CREATE OR REPLACE TRIGGER sign_once BEFORE INSERT OR UPDATE OR DELETE '
                           'ON %s FOR EACH ROW EXECUTE FUNCTION public.sign_once()', v_table);
        END IF;
    END LOOP;
END $$;

-- Where a table differs from the defaults of schemas.sql, and why. Run as owner after every
-- migrate; running it again changes nothing.

-- History is written by triggers that run as the owner; no application role writes it.
DO $$
DECLARE t regclass;
BEGIN
    FOR t IN SELECT c.oid FROM pg_class c
             WHERE c.relnamespace IN ('public'::regnamespace, 'unblinded'::regnamespace)
               AND c.relkind = 'r'
               AND (EXISTS (SELECT 1 FROM pg_attribute a
                             WHERE a.attrelid = c.oid AND a.attname = 'pgh_label')
                    OR c.relname IN ('django_migrations', 'pghistory_context')) LOOP
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %s FROM iwrs_blinded, iwrs_unblinded', t);
    END LOOP;
END $$;

-- What happened at the door is written once, and removed factors and sessions are gone. Each side
-- for its own accounts: the copies in `unblinded` are made by the second alias, which migrates last.
DO $$
DECLARE v_side record;
BEGIN
    FOR v_side IN SELECT * FROM (VALUES ('public', 'iwrs_blinded'), ('unblinded', 'iwrs_unblinded'))
                  AS s (schema, login) LOOP
        IF to_regclass(v_side.schema || '.accounts_signinevent') IS NOT NULL THEN
            EXECUTE format('REVOKE UPDATE ON %I.accounts_signinevent FROM %I',
                           v_side.schema, v_side.login);
            EXECUTE format('GRANT DELETE ON %I.mfa_authenticator TO %I',
                           v_side.schema, v_side.login);
        END IF;
    END LOOP;
END $$;

-- Both sides end sessions; the blinded side also forgets expired tokens of EDC clients.
GRANT DELETE ON public.django_session TO iwrs_blinded;
DO $$
BEGIN
    -- Made by the second alias, which migrates last.
    IF to_regclass('unblinded.django_session') IS NOT NULL THEN
        GRANT DELETE ON unblinded.django_session TO iwrs_unblinded;
    END IF;
    IF to_regclass('unblinded.signatures_signedrecord') IS NOT NULL THEN
        REVOKE UPDATE ON unblinded.signatures_signedrecord FROM iwrs_unblinded;
    END IF;
END $$;
GRANT DELETE ON public.oauth2_provider_accesstoken, public.oauth2_provider_refreshtoken,
    public.oauth2_provider_grant, public.oauth2_provider_idtoken TO iwrs_blinded;

-- Blinded people's accounts, sessions and client secrets are nothing to the unblinded side.
REVOKE ALL ON public.accounts_user, public.accounts_studyrole, public.accounts_userevent,
    public.accounts_studyroleevent, public.accounts_signinevent,
    public.django_session, public.mfa_authenticator, public.account_emailaddress,
    public.account_emailconfirmation, public.socialaccount_socialaccount,
    public.socialaccount_socialapp, public.socialaccount_socialtoken,
    public.oauth2_provider_accesstoken, public.oauth2_provider_refreshtoken,
    public.oauth2_provider_grant, public.oauth2_provider_idtoken, public.iwrs_edcclient,
    public.iwrs_edcclientevent, public.iwrs_idempotencyrecord FROM iwrs_unblinded;

-- A signature is never edited; who mistyped when signing is nothing to the unblinded side.
REVOKE UPDATE ON public.signatures_signedrecord FROM iwrs_blinded;
REVOKE ALL ON public.signatures_signingstate FROM iwrs_unblinded;

-- A loaded definition is never edited.
REVOKE UPDATE ON public.iwrs_studyversion FROM iwrs_blinded;

-- A version that was announced for the next list comes into force with it, on the unblinded side.
GRANT UPDATE (definition_sha256) ON public.iwrs_study TO iwrs_unblinded;

-- Lists are published by the unblinded side.
REVOKE INSERT, UPDATE ON public.randomization_listcommitment FROM iwrs_blinded;
GRANT INSERT, UPDATE ON public.randomization_listcommitment TO iwrs_unblinded;

-- The treatments of an unblinded study are written by the unblinded side, once.
REVOKE INSERT, UPDATE ON public.randomization_openedstudy, public.randomization_openedallocation
    FROM iwrs_blinded;
GRANT INSERT ON public.randomization_openedstudy, public.randomization_openedallocation
    TO iwrs_unblinded;

-- A code break is requested and shown through the gate only, which counts it.
REVOKE INSERT, UPDATE ON public.randomization_codebreakrequest FROM iwrs_blinded;

-- A refused code break, and the assessment of one that was not, are written once.
REVOKE UPDATE ON public.randomization_codebreakrefusal, public.randomization_codebreakassessment FROM iwrs_blinded;

-- Kits, lots and cohorts arrive from the unblinded side and change through the gate: a blinded
-- caller who could edit a kit's row could make an assignment fail for one arm only.
REVOKE INSERT, UPDATE ON public.dispensing_kit, public.dispensing_lot, public.dispensing_cohort
    FROM iwrs_blinded;
GRANT INSERT, UPDATE ON public.dispensing_kit, public.dispensing_lot, public.dispensing_cohort
    TO iwrs_unblinded;

-- Sealed packs are made by the unblinded side, once; a holder's key is replaced by
-- another row.
REVOKE INSERT, UPDATE ON public.dsmb_sealedpack, public.dsmb_paperpack FROM iwrs_blinded;
GRANT INSERT ON public.dsmb_sealedpack, public.dsmb_paperpack TO iwrs_unblinded;
GRANT UPDATE (sealed) ON public.dsmb_paperpack TO iwrs_unblinded;

-- Work for the unblinded worker: asked for by the blinded side, answered by the other.
REVOKE UPDATE ON public.dispensing_supplyrun, public.dsmb_extract FROM iwrs_blinded;
GRANT UPDATE ON public.dispensing_supplyrun, public.dsmb_extract TO iwrs_unblinded;
GRANT UPDATE (status) ON public.dsmb_extract TO iwrs_blinded;

-- Facts once stated are not edited; a correction is a new act of its own.
REVOKE UPDATE ON public.randomization_randomization, public.randomization_randomizedinerror,
    public.randomization_verifiedstratum, public.randomization_lateentry, public.dsmb_datacut,
    public.dsmb_interimnotice, public.enrolment_accessreview, public.assessments_correction
    FROM iwrs_blinded;
-- What an EDC system recorded is confirmed by an investigator.
GRANT UPDATE (confirmed_at) ON public.randomization_randomization TO iwrs_blinded;
-- A dose reduction is corrected like other facts: its days and its reason, never its level.
REVOKE UPDATE ON public.dispensing_dosereduction FROM iwrs_blinded;
GRANT UPDATE (reduced_on, reason, in_error, confirmed_at) ON public.dispensing_dosereduction
    TO iwrs_blinded;

-- The list and who got what are written once: entries by the unblinded side, the rest by gates.
REVOKE UPDATE ON unblinded.simulation_run FROM iwrs_unblinded;
REVOKE UPDATE ON unblinded.kit_import, unblinded.list_entry, unblinded.list_origin, unblinded.imported_file, unblinded.cover_kit,
    unblinded.call_release, unblinded.forced_allocation, unblinded.paper_place,
    unblinded.paper_cover, unblinded.paper_kit, unblinded.access_review
    FROM iwrs_unblinded;
REVOKE INSERT, UPDATE ON unblinded.allocation, unblinded.kit_assignment, unblinded.decision,
    unblinded.margin FROM iwrs_unblinded;

-- Django's own lists of tables and permissions are written by migrations.
REVOKE INSERT, UPDATE ON public.django_content_type, public.auth_permission
    FROM iwrs_blinded, iwrs_unblinded;

-- The gate functions.
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA gate TO iwrs_blinded;

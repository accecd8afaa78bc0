-- Two more schemas, and what a new object may be used for before anyone thinks of it.
-- `unblinded` holds whatever tells an arm; `gate` holds the few functions that may ask it.
CREATE SCHEMA IF NOT EXISTS unblinded;
CREATE SCHEMA IF NOT EXISTS gate;

REVOKE ALL ON SCHEMA public, unblinded, gate FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO iwrs_blinded, iwrs_unblinded;
GRANT USAGE ON SCHEMA gate TO iwrs_blinded;
GRANT USAGE ON SCHEMA unblinded TO iwrs_unblinded;

-- PostgreSQL lets everybody run a new function. Revoked for all schemas: a revoke for one schema
-- does not take the global default away.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- A new table in `public` is the blinded side's to use; the unblinded side may read it.
-- Identity columns need no privilege on their sequence, so none is given: no currval, no nextval.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE ON TABLES TO iwrs_blinded;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO iwrs_unblinded;

-- A new table in `unblinded` is the unblinded side's alone.
ALTER DEFAULT PRIVILEGES IN SCHEMA unblinded
    GRANT SELECT, INSERT, UPDATE ON TABLES TO iwrs_unblinded;
ALTER DEFAULT PRIVILEGES IN SCHEMA unblinded GRANT SELECT ON SEQUENCES TO iwrs_unblinded;

-- Decide the arm of one place by minimization (docs/algorithms/methods.md), and record how.
--
-- Does in SQL what `randomization/methods/minimization.py` does in Python; a test compares them.
-- For gate.allocate only: nobody else may execute it. The cursor's row is locked by then, so places
-- are decided one after the other. Rows are only ever inserted, and as many, as wide, whichever the
-- arm: the size of an update's log record would tell which of the counts was raised.
CREATE OR REPLACE FUNCTION unblinded.minimize(p_place unblinded.list_entry, p_stratum text)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_method jsonb;
    v_tracks text[];
    v_levels text[] := string_to_array(p_stratum, '|');
    v_level text;
    v_before integer[];
    v_after integer[];
    v_weight bigint;
    v_least bigint;
    v_scores bigint[];
    v_weights integer[];
    v_favour integer;
    v_against integer;
    v_point bigint;
    v_chosen integer;
BEGIN
    SELECT l.design INTO STRICT v_method FROM unblinded.list l
     WHERE l.id = p_place.list_id AND l.dynamic;
    v_tracks := unblinded.tracks(v_method -> 'arms');
    v_scores := array_fill(0::bigint, ARRAY[cardinality(v_tracks)]);

    FOREACH v_level IN ARRAY v_levels LOOP
        v_before := unblinded.margin_at(p_place.list_id, v_level, cardinality(v_tracks));
        v_weight := coalesce((
            SELECT (w ->> 1)::bigint FROM jsonb_array_elements(v_method -> 'weights') w
             WHERE w ->> 0 = split_part(v_level, '=', 1)), 1);
        FOR track IN 1 .. cardinality(v_tracks) LOOP
            v_after := v_before;
            v_after[track] := v_after[track] + 1;
            v_scores[track] := v_scores[track]
                + v_weight * unblinded.imbalance(v_method ->> 'imbalance', v_after, track);
        END LOOP;
    END LOOP;

    SELECT min(s) INTO v_least FROM unnest(v_scores) s;
    SELECT o.favour, o.against INTO v_favour, v_against
      FROM unblinded.odds(v_method ->> 'coin') o;
    SELECT array_agg(CASE WHEN n.same THEN 1 WHEN n.score = v_least THEN v_favour ELSE v_against END
                     ORDER BY n.track)
      INTO v_weights
      FROM (SELECT s.score, s.track, bool_and(s.score = v_least) OVER () AS same
              FROM unnest(v_scores) WITH ORDINALITY s (score, track)) n;
    SELECT div(p_place.draw::numeric * sum(w), 9007199254740992) INTO v_point
      FROM unnest(v_weights) w;
    SELECT min(r.track) INTO STRICT v_chosen
      FROM (SELECT w.track, sum(w.weight) OVER (ORDER BY w.track) AS reached
              FROM unnest(v_weights) WITH ORDINALITY w (weight, track)) r
     WHERE r.reached > v_point;

    FOREACH v_level IN ARRAY v_levels LOOP
        v_after := unblinded.margin_at(p_place.list_id, v_level, cardinality(v_tracks));
        v_after[v_chosen] := v_after[v_chosen] + 1;
        INSERT INTO unblinded.margin (list_id, factor, level, position, counts)
        VALUES (p_place.list_id, split_part(v_level, '=', 1), split_part(v_level, '=', 2),
                p_place.position, v_after);
    END LOOP;
    INSERT INTO unblinded.decision (entry_id, stratum_key, scores, weights, track)
    VALUES (p_place.id, p_stratum, v_scores, v_weights, v_chosen - 1);
    RETURN v_tracks[v_chosen];
END $$;

-- The arm of each track: arms in their order, each as often as its share of the ratio.
CREATE OR REPLACE FUNCTION unblinded.tracks(p_arms jsonb) RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_arm jsonb;
    v_common integer := 0;
    v_tracks text[] := '{}';
BEGIN
    FOR v_arm IN SELECT a FROM jsonb_array_elements(p_arms) a LOOP
        v_common := gcd(v_common, (v_arm ->> 1)::integer);
    END LOOP;
    FOR v_arm IN SELECT a FROM jsonb_array_elements(p_arms) a LOOP
        v_tracks := v_tracks
            || array_fill(v_arm ->> 0, ARRAY[(v_arm ->> 1)::integer / v_common]);
    END LOOP;
    RETURN v_tracks;
END $$;

-- The counts of all tracks at a level ("visceral=yes"), after the latest place that had it.
CREATE OR REPLACE FUNCTION unblinded.margin_at(p_list bigint, p_level text, p_tracks integer)
RETURNS integer[]
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        (SELECT m.counts FROM unblinded.margin m
          WHERE m.list_id = p_list AND m.factor = split_part(p_level, '=', 1)
            AND m.level = split_part(p_level, '=', 2)
          ORDER BY m.position DESC LIMIT 1),
        array_fill(0, ARRAY[p_tracks]))
$$;

-- The imbalance of one factor, with the counts as they would be; the variance times the square of
-- the number of tracks, so that it is a whole number.
CREATE OR REPLACE FUNCTION unblinded.imbalance(p_kind text, p_counts integer[], p_track integer)
RETURNS bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE p_kind
           WHEN 'range' THEN max(c) - min(c)
           WHEN 'variance' THEN count(*) * sum(c::bigint * c) - sum(c)::bigint * sum(c)::bigint
           WHEN 'total' THEN p_counts[p_track] END
      FROM unnest(p_counts) c
$$;

-- The odds of a favoured track against another: "2/3" is 2 against 1, "0.8" is 4 against 1.
CREATE OR REPLACE FUNCTION unblinded.odds(p_coin text, OUT favour integer, OUT against integer)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_top numeric := split_part(p_coin, '/', 1)::numeric;
    v_bottom numeric := coalesce(nullif(split_part(p_coin, '/', 2), ''), '1')::numeric;
    v_common numeric;
BEGIN
    -- Both as whole numbers, then in lowest terms.
    v_bottom := v_bottom * power(10::numeric, scale(v_top));
    v_top := v_top * power(10::numeric, scale(v_top));
    v_common := gcd(v_top, v_bottom);
    favour := v_top / v_common;
    against := v_bottom / v_common - favour;
END $$;

-- Whether a stratum key names every factor of the list once, in order, at a level that there is;
-- levels that the centre gives are those of the subject's own centre.
CREATE OR REPLACE FUNCTION unblinded.levels_known(
    p_design jsonb, p_stratum text, p_country text, p_centre text
) RETURNS boolean
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*) = jsonb_array_length(p_design -> 'levels') AND bool_and(coalesce(
        split_part(given.part, '=', 1) = f.factor ->> 0
        AND given.part = (f.factor ->> 0) || '=' || split_part(given.part, '=', 2)
        AND CASE f.factor ->> 0
            WHEN 'country' THEN split_part(given.part, '=', 2) = p_country
            WHEN 'centre' THEN split_part(given.part, '=', 2) = p_centre
            WHEN 'region' THEN split_part(given.part, '=', 2) = coalesce(
                (SELECT r.key FROM jsonb_each(p_design -> 'regions') r
                  WHERE r.value @> to_jsonb(p_country) LIMIT 1), 'other')
            ELSE false END
        OR split_part(given.part, '=', 1) = f.factor ->> 0
        AND given.part = (f.factor ->> 0) || '=' || split_part(given.part, '=', 2)
        AND f.factor -> 1 @> to_jsonb(split_part(given.part, '=', 2)), false))
      FROM unnest(string_to_array(p_stratum, '|')) WITH ORDINALITY given (part, place)
      LEFT JOIN jsonb_array_elements(p_design -> 'levels') WITH ORDINALITY f (factor, place)
        USING (place)
$$;

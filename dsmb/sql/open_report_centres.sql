-- One row for each centre that was active or screened somebody by the date: accrual, the schedule
-- and how fresh the tumour assessments are. All subjects together; no arm is known here.
-- Days are those of the centre. A subject's visits end with the first local progression, death,
-- withdrawal or loss: those due later are not due. What ends them after the date changes nothing,
-- though the open visits were given up then. A missed visit has no day but the one it was due on.
-- A visit that is due and was not even planned, as when nothing is recorded for long, is due as well.
-- A subject is late for assessment when still followed for it, with the last one (or randomization)
-- before `fresh_from`: longer ago than the windows of two visits can lie apart.
WITH course AS (
    SELECT s.id, s.centre_id,
           (s.screened_at AT TIME ZONE c.time_zone)::date AS screened_on,
           (s.randomized_at AT TIME ZONE c.time_zone)::date AS randomized_on,
           CASE WHEN s.status = 'screen_failed'
                THEN (s.decided_at AT TIME ZONE c.time_zone)::date END AS failed_on
      FROM enrolment_subject s
      JOIN enrolment_centre c ON c.id = s.centre_id
     WHERE s.study_id = %(study)s
),
ended AS (
    SELECT every.subject_id, min(every.ended_on) AS ended_on
      FROM (SELECT e.subject_id, e.occurred_on AS ended_on
              FROM assessments_subjectevent e
              JOIN course ON course.id = e.subject_id
             WHERE e.kind <> 'new_therapy' AND NOT e.in_error
            UNION ALL
            SELECT r.subject_id, r.assessed_on
              FROM assessments_tumourread r
              JOIN course ON course.id = r.subject_id
             WHERE r.reader = 'local' AND r.response = 'PD' AND NOT r.in_error
               AND r.assessed_on >= course.randomized_on) every
     GROUP BY every.subject_id
),
visits AS (
    SELECT v.subject_id,
           count(*) FILTER (WHERE v.due_on <= v.last_on OR v.done_on <= %(on)s)
               + GREATEST(0, (v.last_on - max(v.due_on)) / %(every)s) AS due,
           count(*) FILTER (WHERE v.done_on <= %(on)s) AS done,
           count(*) FILTER (WHERE v.status = 'missed' AND v.due_on <= v.last_on) AS missed,
           count(*) FILTER (WHERE v.done_on <= %(on)s
                              AND v.done_on NOT BETWEEN v.window_from AND v.window_to) AS outside
      FROM (SELECT v.*,
                   -- LEAST passes over a null: nothing ended the visits.
                   LEAST(%(on)s::date, ended.ended_on) AS last_on
              FROM assessments_visit v
              JOIN course ON course.id = v.subject_id
              LEFT JOIN ended ON ended.subject_id = v.subject_id) v
     GROUP BY v.subject_id, v.last_on
),
assessed AS (
    SELECT r.subject_id, max(r.assessed_on) AS last_on
      FROM assessments_tumourread r
      JOIN course ON course.id = r.subject_id
     WHERE NOT r.in_error AND r.assessed_on BETWEEN course.randomized_on AND %(on)s
     GROUP BY r.subject_id
)
SELECT c.number, c.name, c.country_code, c.country_name,
       count(course.id) FILTER (WHERE course.screened_on <= %(on)s) AS screened,
       count(course.id) FILTER (WHERE course.failed_on <= %(on)s) AS failed,
       count(course.id) FILTER (WHERE course.randomized_on <= %(on)s) AS randomized,
       coalesce(sum(visits.due) FILTER (WHERE course.randomized_on <= %(on)s), 0)::int AS due,
       coalesce(sum(visits.done) FILTER (WHERE course.randomized_on <= %(on)s), 0)::int AS done,
       coalesce(sum(visits.missed) FILTER (WHERE course.randomized_on <= %(on)s), 0)::int AS missed,
       coalesce(sum(visits.outside) FILTER (WHERE course.randomized_on <= %(on)s), 0)::int
           AS outside,
       count(course.id) FILTER (
           WHERE course.randomized_on <= %(on)s
             AND (ended.ended_on IS NULL OR ended.ended_on > %(on)s)
             AND coalesce(assessed.last_on, course.randomized_on) < %(fresh_from)s) AS late
  FROM enrolment_centre c
  LEFT JOIN course ON course.centre_id = c.id
  LEFT JOIN visits ON visits.subject_id = course.id
  LEFT JOIN ended ON ended.subject_id = course.id
  LEFT JOIN assessed ON assessed.subject_id = course.id
 WHERE c.study_id = %(study)s
 GROUP BY c.id
HAVING count(course.id) FILTER (WHERE course.screened_on <= %(on)s) > 0
    OR (c.activated_at AT TIME ZONE c.time_zone)::date <= %(on)s
 ORDER BY c.number

-- Overall event counts of one study at a date: no arm is known here.
-- The rule is that of dsmb/analysis/outcome.py: the first progression by the reader or death from
-- any cause, on or before the date and not after the start of new anticancer therapy. A subject
-- randomized after the date, a read before randomization, and what was recorded in error: none of
-- them counts.
WITH course AS (
    SELECT s.id,
           (s.randomized_at AT TIME ZONE c.time_zone)::date AS randomized_on,
           death.occurred_on AS died_on,
           -- LEAST passes over a null: without new therapy the date itself is the last day.
           LEAST(%(on)s::date, therapy.occurred_on) AS last_day
      FROM enrolment_subject s
      JOIN enrolment_centre c ON c.id = s.centre_id
      LEFT JOIN assessments_subjectevent death
             ON death.subject_id = s.id AND death.kind = 'death' AND NOT death.in_error
      LEFT JOIN assessments_subjectevent therapy
             ON therapy.subject_id = s.id AND therapy.kind = 'new_therapy' AND NOT therapy.in_error
     WHERE s.study_id = %(study)s AND s.randomized_at IS NOT NULL
),
progression AS (
    SELECT course.id, r.reader
      FROM course
      JOIN assessments_tumourread r ON r.subject_id = course.id
     WHERE r.response = 'PD' AND NOT r.in_error
       AND r.assessed_on BETWEEN course.randomized_on AND course.last_day
     GROUP BY course.id, r.reader
)
SELECT count(*) FILTER (WHERE pd_local.id IS NOT NULL OR died_on <= last_day),
       count(*) FILTER (WHERE pd_central.id IS NOT NULL OR died_on <= last_day),
       count(*) FILTER (WHERE died_on <= %(on)s)
  FROM course
  LEFT JOIN progression pd_local ON pd_local.id = course.id AND pd_local.reader = 'local'
  LEFT JOIN progression pd_central ON pd_central.id = course.id AND pd_central.reader = 'central'
 WHERE course.randomized_on <= %(on)s

-- Counts of all subjects of a study together who were randomized by the date: (what, of, number).
-- No arm is known here. What was recorded in error does not count, and what came later neither.
WITH course AS (
    SELECT s.id, s.strata, c.time_zone,
           (s.randomized_at AT TIME ZONE c.time_zone)::date AS randomized_on
      FROM enrolment_subject s
      JOIN enrolment_centre c ON c.id = s.centre_id
     WHERE s.study_id = %(study)s
       AND (s.randomized_at AT TIME ZONE c.time_zone)::date <= %(on)s
),
-- The newest levels that were verified by the date.
verified AS (
    SELECT DISTINCT ON (course.id) course.id, NOT course.strata @> v.levels AS differs
      FROM course
      JOIN randomization_randomization r ON r.subject_id = course.id
      JOIN randomization_verifiedstratum v ON v.randomization_id = r.id
     WHERE (v.verified_at AT TIME ZONE course.time_zone)::date <= %(on)s
     ORDER BY course.id, v.id DESC
)
SELECT 'month', to_char(randomized_on, 'YYYY-MM'), count(*) FROM course GROUP BY 2
UNION ALL
SELECT 'level', level.key || '=' || level.value, count(*)
  FROM course, jsonb_each_text(course.strata) level
 GROUP BY 2
UNION ALL
SELECT 'deviation', '', count(*)
  FROM enrolment_deviation d
  JOIN course ON course.id = d.subject_id
 WHERE (d.approved_at AT TIME ZONE course.time_zone)::date <= %(on)s
UNION ALL
SELECT 'in_error', '', count(*)
  FROM course
  JOIN randomization_randomization r ON r.subject_id = course.id
  JOIN randomization_randomizedinerror m ON m.randomization_id = r.id
 WHERE (m.marked_at AT TIME ZONE course.time_zone)::date <= %(on)s
UNION ALL
SELECT 'verified', '', count(*) FROM verified WHERE differs
UNION ALL
SELECT 'read', r.reader, count(*)
  FROM course
  JOIN assessments_tumourread r ON r.subject_id = course.id
 WHERE NOT r.in_error AND r.assessed_on BETWEEN course.randomized_on AND %(on)s
 GROUP BY 2
UNION ALL
SELECT 'event', e.kind, count(*)
  FROM course
  JOIN assessments_subjectevent e ON e.subject_id = course.id
 WHERE NOT e.in_error AND e.occurred_on <= %(on)s
 GROUP BY 2
UNION ALL
SELECT 'stop', d.drug, count(*)
  FROM course
  JOIN dispensing_drugstop d ON d.subject_id = course.id
 WHERE NOT d.in_error AND d.stopped_on <= %(on)s
 GROUP BY 2
UNION ALL
SELECT 'reduction', d.drug, count(DISTINCT course.id)
  FROM course
  JOIN dispensing_dosereduction d ON d.subject_id = course.id
 WHERE NOT d.in_error AND d.reduced_on <= %(on)s
 GROUP BY 2

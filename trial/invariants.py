"""Contradictions that no act leaves behind: a row of them means that something went round the acts.

Constraints and triggers hold each of these where they can; what spans tables or rooms is looked
for here (21 CFR 11.10(a): to discern invalid or altered records). The blinded side reads public
tables only, and says nothing that tells an arm.
"""

from dataclasses import dataclass

from django.conf import settings
from django.db import connection

SHOWN = 20


@dataclass(frozen=True)
class Invariant:
    """What must not be, and a query for the numbers of what contradicts it."""

    sentence: str
    query: str


BLINDED = (
    Invariant(
        "A subject is randomized exactly if there is a randomization, of the same study.",
        "SELECT s.number FROM public.enrolment_subject s"
        " LEFT JOIN public.randomization_randomization r ON r.subject_id = s.id"
        " WHERE (s.status = 'randomized') <> (r.id IS NOT NULL) OR r.study_id <> s.study_id",
    ),
    Invariant(
        "A subject keeps the stratum that the allocation used.",
        "SELECT s.number FROM public.enrolment_subject s"
        " JOIN public.randomization_randomization r ON r.subject_id = s.id"
        " WHERE r.stratum_key <> s.stratum_key",
    ),
    Invariant(
        "A randomized subject has a first kit and a schedule of visits.",
        "SELECT s.number FROM public.enrolment_subject s WHERE s.status = 'randomized' AND ("
        " NOT EXISTS (SELECT 1 FROM public.dispensing_dispensation d"
        " WHERE d.subject_id = s.id AND d.number = 0 AND d.kit_id IS NOT NULL)"
        " OR NOT EXISTS (SELECT 1 FROM public.assessments_visit v WHERE v.subject_id = s.id))",
    ),
    Invariant(
        "Nobody who is not randomized has a kit.",
        "SELECT s.number FROM public.enrolment_subject s"
        " JOIN public.dispensing_dispensation d ON d.subject_id = s.id"
        " WHERE s.status <> 'randomized' AND d.kit_id IS NOT NULL",
    ),
    Invariant(
        "A kit is assigned exactly if a dispensation names it.",
        "SELECT k.number FROM public.dispensing_kit k"
        " LEFT JOIN public.dispensing_dispensation d ON d.kit_id = k.id"
        " WHERE (k.status = 'assigned') <> (d.id IS NOT NULL)",
    ),
    Invariant(
        "A subject gets kits of the own centre and study.",
        "SELECT k.number FROM public.dispensing_dispensation d"
        " JOIN public.dispensing_kit k ON k.id = d.kit_id"
        " JOIN public.enrolment_subject s ON s.id = d.subject_id"
        " WHERE k.centre_id <> s.centre_id OR k.study_id <> s.study_id",
    ),
    Invariant(
        "A subject belongs to the study of the own centre.",
        "SELECT s.number FROM public.enrolment_subject s"
        " JOIN public.enrolment_centre c ON c.id = s.centre_id WHERE c.study_id <> s.study_id",
    ),
    Invariant(
        "A study names the newest version of its definition as the one in force, but for one that"
        " waits for its list.",
        "SELECT s.code FROM public.iwrs_study s WHERE s.definition_sha256 <> COALESCE("
        "(SELECT v.sha256 FROM public.iwrs_studyversion v WHERE v.study_id = s.id"
        " AND (NOT v.awaits_list OR v.sha256 = s.definition_sha256)"
        " ORDER BY v.number DESC LIMIT 1), '')",
    ),
    Invariant(
        "The count of randomized subjects by centre and factor levels is that of the subjects.",
        "SELECT c.number FROM (SELECT centre_id, strata AS levels, count(*) AS randomized"
        " FROM public.enrolment_subject WHERE randomized_at IS NOT NULL GROUP BY 1, 2) s"
        " FULL JOIN public.enrolment_tally t USING (centre_id, levels)"
        " JOIN public.enrolment_centre c ON c.id = centre_id"
        " WHERE s.randomized IS DISTINCT FROM t.randomized",
    ),
    Invariant(
        "What an EDC system recorded is confirmed exactly if somebody signed it.",
        "SELECT s.number FROM (SELECT r.subject_id, r.confirmed_at,"
        " CASE WHEN l.id IS NULL THEN 'randomization' ELSE 'late randomization' END AS kind,"
        " coalesce(l.id, r.subject_id) AS key FROM public.randomization_randomization r"
        " LEFT JOIN public.randomization_lateentry l ON l.randomization_id = r.id"
        " WHERE r.by LIKE 'EDC client %'"
        " UNION ALL SELECT d.subject_id, d.confirmed_at, 'dose reduction', d.id"
        " FROM public.dispensing_dosereduction d WHERE d.recorded_by LIKE 'EDC client %') c"
        " JOIN public.enrolment_subject s ON s.id = c.subject_id"
        " WHERE (c.confirmed_at IS NOT NULL) <> EXISTS ("
        "SELECT 1 FROM public.signatures_signedrecord g"
        " WHERE g.record_kind = c.kind AND g.record_pk = c.key)",
    ),
)
UNBLINDED = (
    Invariant(
        "A subject has a place in the list exactly if randomized.",
        "SELECT s.number FROM public.enrolment_subject s"
        " LEFT JOIN unblinded.allocation a ON a.subject_id = s.id"
        " WHERE (s.status = 'randomized') <> (a.subject_id IS NOT NULL)",
    ),
    Invariant(
        "A place is one of the subject's own stratum, and gives its arm.",
        "SELECT s.number FROM unblinded.allocation a"
        " JOIN unblinded.list_entry e ON e.id = a.entry_id"
        " JOIN public.enrolment_subject s ON s.id = a.subject_id"
        " JOIN unblinded.list l ON l.id = e.list_id"
        " LEFT JOIN unblinded.decision d ON d.entry_id = e.id"
        " LEFT JOIN unblinded.forced_allocation f ON f.subject_id = s.id"
        " WHERE NOT l.dynamic"
        " AND (coalesce(f.arm, e.arm) <> a.arm OR e.stratum_key <> s.stratum_key)"
        " OR l.dynamic AND d.stratum_key IS DISTINCT FROM s.stratum_key",
    ),
    Invariant(
        "The places of a stratum are used in order and without gap, but for those that were told on"
        " paper.",
        "SELECT c.stratum_key FROM unblinded.stratum_cursor c"
        " LEFT JOIN (SELECT e.list_id, e.stratum_key, e.position, a.id AS taken, EXISTS ("
        "SELECT 1 FROM unblinded.forced_allocation f WHERE f.told_entry_id = e.id) AS told"
        " FROM unblinded.list_entry e LEFT JOIN unblinded.allocation a ON a.entry_id = e.id) e"
        " ON e.list_id = c.list_id AND e.stratum_key = c.stratum_key"
        " GROUP BY c.id HAVING count(e.taken) <> c.used + c.apart OR count(*) FILTER (WHERE"
        " NOT e.told AND (e.taken IS NULL) = (e.position <= c.used)) > 0",
    ),
    Invariant(
        "An arm that was told on paper is that of the told place, of the same study.",
        "SELECT s.number FROM unblinded.forced_allocation f"
        " JOIN unblinded.list_entry e ON e.id = f.told_entry_id"
        " JOIN unblinded.list l ON l.id = e.list_id"
        " JOIN public.enrolment_subject s ON s.id = f.subject_id"
        " WHERE e.arm <> f.arm OR l.study_id <> s.study_id",
    ),
    Invariant(
        "A subject whose paper number was accepted is randomized with that number.",
        "SELECT s.number FROM unblinded.forced_allocation f"
        " JOIN public.enrolment_subject s ON s.id = f.subject_id"
        " JOIN public.randomization_randomization r ON r.subject_id = s.id"
        " LEFT JOIN public.randomization_lateentry l ON l.randomization_id = r.id"
        " WHERE f.paper_number <> '' AND l.paper_number IS DISTINCT FROM f.paper_number",
    ),
    Invariant(
        "A kit that was told on paper is of the told arm, serves nobody else, and its line nobody.",
        "SELECT s.number FROM unblinded.paper_kit p"
        " JOIN public.enrolment_subject s ON s.id = p.subject_id"
        " LEFT JOIN unblinded.forced_allocation f ON f.subject_id = p.subject_id"
        " LEFT JOIN unblinded.cover_kit k ON k.kit_id = p.kit_id"
        " LEFT JOIN unblinded.cover_kit o ON o.cohort_id = k.cohort_id AND o.position = k.position"
        " LEFT JOIN unblinded.kit_assignment g ON g.kit_id = o.kit_id"
        " WHERE f.told_entry_id IS NULL OR k.arm IS DISTINCT FROM f.arm"
        " OR g.subject_id <> p.subject_id"
        " OR k.position > coalesce(pg_sequence_last_value("
        "('unblinded.calls_cohort_' || k.cohort_id)::regclass), 0)",
    ),
    Invariant(
        "A kit holds what its subject was allocated to.",
        "SELECT k.number FROM public.dispensing_dispensation d"
        " JOIN public.dispensing_kit k ON k.id = d.kit_id"
        " LEFT JOIN unblinded.kit_content c ON c.kit_id = k.id"
        " LEFT JOIN unblinded.allocation a ON a.subject_id = d.subject_id"
        " WHERE c.arm IS DISTINCT FROM a.arm",
    ),
    Invariant(
        "The gate's record of a kit is the dispensation's.",
        "SELECT d.id::text FROM public.dispensing_dispensation d"
        " FULL JOIN unblinded.kit_assignment g ON g.dispensation_id = d.id"
        " WHERE d.kit_id IS DISTINCT FROM g.kit_id",
    ),
)


def contradictions() -> list[str]:
    """One sentence for each invariant that does not hold, with the first numbers against it.

    On the unblinded side its own are looked for too.
    """
    asked = BLINDED + (UNBLINDED if settings.SIDE == "unblinded" else ())
    found = []
    with connection.cursor() as cursor:
        for each in asked:
            cursor.execute(f"SELECT DISTINCT * FROM ({each.query}) against ORDER BY 1")  # noqa: S608
            numbers = [str(row[0]) for row in cursor.fetchall()]
            if numbers:
                more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
                found.append(f"{each.sentence} Not so: {', '.join(numbers[:SHOWN])}{more}.")
    return found

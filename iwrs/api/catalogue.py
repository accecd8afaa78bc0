"""Every problem the API can answer with: its code, HTTP status, meaning and what to do.

Codes are stable: an EDC system may act on them. The same table makes the page that a problem's
`type` points to and the error responses of the OpenAPI document; a test keeps it complete.
"""

from dataclasses import dataclass

PROBLEMS_PATH = "/api/v1/problems/"


@dataclass(frozen=True)
class Meaning:
    """One problem code. `title` never changes from one occurrence to the next (RFC 9457, 3.1.3)."""

    status: int
    title: str
    action: str


CATALOGUE: dict[str, Meaning] = {
    # the request itself
    "malformed": Meaning(
        400, "The request cannot be read.", "Send one JSON object, encoded as UTF-8."
    ),
    "idempotency_key_missing": Meaning(
        400,
        "This request needs the header Idempotency-Key.",
        "Make a new key, for example a UUID, for each act, and send it again with each retry.",
    ),
    "idempotency_key_malformed": Meaning(
        400,
        "The header Idempotency-Key cannot be used.",
        "Use 1 to 200 visible ASCII characters; a UUID is a good choice.",
    ),
    "not_authenticated": Meaning(
        401, "The request carries no access token.", "Get a token and send it as a Bearer token."
    ),
    "invalid_token": Meaning(
        401, "The access token is not valid, or has expired.", "Get a new token and send again."
    ),
    "insufficient_scope": Meaning(
        403,
        "The client may not do this.",
        "Ask for a token with the scope named in the answer, if the study allows your client to.",
    ),
    "forbidden": Meaning(403, "This is not allowed.", "Ask the study manager for access."),
    "not_found": Meaning(
        404,
        "There is no such thing in the client's study.",
        "Check the address. A client sees one study only.",
    ),
    "method_not_allowed": Meaning(
        405, "The address does not take this method.", "The header Allow lists what it takes."
    ),
    "not_acceptable": Meaning(
        406, "The answer exists as JSON only.", "Leave the header Accept out, or accept JSON."
    ),
    "too_large": Meaning(413, "The request is too large.", "Send one subject at a time."),
    "unsupported_media_type": Meaning(
        415, "The request is not JSON.", "Send the header Content-Type: application/json."
    ),
    "invalid": Meaning(
        422,
        "Some fields are missing or not allowed.",
        "Correct the fields named under errors and send again. Nothing was saved.",
    ),
    "idempotency_key_reused": Meaning(
        422,
        "The Idempotency-Key was used for another request.",
        "Make a new key for each new act; keep a key for retries of the same request only.",
    ),
    "request_in_flight": Meaning(
        409,
        "A request with this Idempotency-Key is still being worked on.",
        "Wait a second and send the same request with the same key again.",
    ),
    "too_many_requests": Meaning(
        429, "There were too many requests.", "Wait as long as the header Retry-After says."
    ),
    # enrolment
    "centre_not_active": Meaning(
        409,
        "The centre is not active.",
        "Subjects can be enrolled when the study manager has activated the centre.",
    ),
    "not_in_screening": Meaning(
        409,
        "The subject is not in screening any more.",
        "Read the subject again. Screening answers are closed after a decision.",
    ),
    "centre_status": Meaning(
        409,
        "The centre's state does not allow this.",
        "Look at the centre's state. A closed centre stays closed.",
    ),
    "deviation_approved": Meaning(
        409, "The deviation is already approved.", "An approval is given once."
    ),
    "same_person": Meaning(
        409, "Two different people are needed.", "Ask another person with the right to approve."
    ),
    "not_screen_failed": Meaning(
        409,
        "The subject is no screen failure.",
        "Only a subject whose screening failed is screened again.",
    ),
    "rescreened": Meaning(
        409,
        "The subject was already screened again.",
        "Nothing was changed. Go on with the new number, which the title names.",
    ),
    "rescreening_limit": Meaning(
        409,
        "The study does not allow another screening of this subject.",
        "Nothing was changed. The study definition says how often a person may be screened again.",
    ),
    # randomization
    "already_randomized": Meaning(
        409,
        "The subject is already randomized.",
        "Nothing was changed. The first answer is under randomization: use it.",
    ),
    "not_eligible": Meaning(
        409,
        "The subject is not eligible.",
        "Complete or correct the answers named under errors, or record a screen failure.",
    ),
    "screen_failed": Meaning(
        409, "The subject is a screen failure.", "A screen failure is not randomized."
    ),
    "accrual_not_open": Meaning(
        409, "The study is not open to accrual.", "Wait until the study manager opens it."
    ),
    "country_not_open": Meaning(
        409,
        "The study takes no new subjects in this country now.",
        "Wait until the study manager opens accrual there again. Subjects in the study go on.",
    ),
    "country_status": Meaning(
        409, "Accrual in the country cannot become that.", "Its state is in the title."
    ),
    "accrual_full": Meaning(
        409, "The study has all its subjects.", "No more subjects can be randomized."
    ),
    "cap_reached": Meaning(
        409,
        "The study has no place left for this subject.",
        "Nothing was changed. Ask the study manager for whom the study is open. The answer does "
        "not say which limit is reached.",
    ),
    "no_list": Meaning(
        409,
        "The study has no approved randomization list.",
        "Wait until the study's statisticians have approved one.",
    ),
    "marked_in_error": Meaning(
        409,
        "The subject is already marked as randomized in error.",
        "Nothing was changed. The mark cannot be taken back.",
    ),
    "not_ready_to_randomize": Meaning(
        409,
        "The subject is not ready to be randomized.",
        "Check consent, screening and eligibility answers.",
    ),
    "no_place": Meaning(
        409,
        "The study cannot randomize this subject now.",
        "Nothing was changed. Call the study's help desk.",
    ),
    "not_randomized": Meaning(
        409,
        "The subject is not randomized.",
        "Randomize the subject first. The status is 404 when the randomization itself is read.",
    ),
    "paper_not_next": Meaning(
        409,
        "The paper number is not of the next place of the stratum or of the centre's kits.",
        "Nothing was saved. Enter the subjects of the centre in the order of the paper; then try "
        "again later, since another centre may have to enter one first.",
    ),
    "paper_number_needed": Meaning(
        409,
        "A paper number was accepted for the subject.",
        "Nothing was changed. Send `occurred_at`, `late_reason` and that `paper_number`.",
    ),
    "paper_unknown": Meaning(
        409,
        "No pack has the paper number for the subject's stratum and centre.",
        "Nothing was saved. Compare the number with what was written down, and the subject's "
        "strata with those told on the telephone.",
    ),
    # dispensing
    "no_kit": Meaning(
        409,
        "No kit can be assigned at this centre now.",
        "Nothing was changed. New kits must arrive at the centre first; then try again.",
    ),
    "too_early": Meaning(
        409, "The dispensation is not due yet.", "The answer says from which day on it is."
    ),
    "dispensation_cancelled": Meaning(
        409,
        "The dispensation is no longer planned.",
        "The subject stopped the study drug or left the study.",
    ),
    "no_kit_assigned": Meaning(
        409, "No kit is assigned to the dispensation.", "Assign a kit first."
    ),
    "no_kit_handed_over": Meaning(
        409, "No kit was handed over to the subject yet.", "Record the hand-over first."
    ),
    "first_dose_known": Meaning(
        409, "The first dose is already recorded.", "A wrong day is corrected in the portal."
    ),
    "drug_stopped": Meaning(
        409, "The drug is already stopped.", "If the stop is wrong, it is corrected in the portal."
    ),
    # assessments
    "visit_closed": Meaning(
        409, "The visit is already closed.", "Read the visits again; a closed visit stays so."
    ),
    "read_known": Meaning(
        409,
        "This reader's response for the scan of this day is already recorded.",
        "If it is wrong, it is corrected in the portal, with a signature.",
    ),
    "event_known": Meaning(
        409,
        "This event is already recorded for the subject.",
        "If it is wrong, it is corrected in the portal, with a signature.",
    ),
    "fact_gone": Meaning(
        409, "The fact does not stand any more.", "Corrections are made in the portal only."
    ),
    "works_elsewhere": Meaning(
        409, "The person also works in another study.", "Accounts are looked after in the portal."
    ),
    # what an EDC system recorded is confirmed in the portal
    "not_reported": Meaning(
        409, "No EDC system recorded this.", "It is signed in the portal, by who recorded it there."
    ),
    "already_confirmed": Meaning(
        409,
        "An investigator has confirmed this already.",
        "The signature is on the subject's page, in the portal.",
    ),
    # code breaks are not part of the API; their refusals are listed because the gate knows them
    "code_break_budget": Meaning(
        429, "No more code breaks are allowed for now.", "Call the study's safety physician."
    ),
    "code_break_refused": Meaning(
        409, "The code break cannot be shown.", "Make a new request in the portal."
    ),
    "code_break_expired": Meaning(
        410, "The request of a code break is too old.", "Make a new request in the portal."
    ),
    "code_not_shown": Meaning(409, "The treatment was not shown.", "There is nothing to assess."),
    "code_break_assessed": Meaning(
        409, "The code break is already assessed.", "Look at the page of code breaks."
    ),
    "drill_missing": Meaning(
        409,
        "No code break drill was done at the centre.",
        "An investigator of the centre practises a code break in the portal.",
    ),
    "drill_of_another": Meaning(
        409, "Somebody else does this drill.", "Start a drill of your own."
    ),
    "not_an_investigator": Meaning(
        403,
        "A drill is done by an investigator of the centre.",
        "Ask an investigator of the centre to do it.",
    ),
    # nor are sealed code-break packs
    "opening_known": Meaning(
        409, "This opening of a pack is already recorded.", "Look at the page of code breaks."
    ),
    "no_pack": Meaning(
        409, "The centre has no sealed pack yet.", "Ask the study's unblinded statistician."
    ),
    "no_paper": Meaning(
        409, "The study has no randomization pack.", "Ask the study's unblinded statistician."
    ),
    "no_emergency_holder": Meaning(
        409, "The study has no emergency holder.", "Register a holder's public key first."
    ),
    "holder_ended": Meaning(
        409, "This person is no emergency holder any more.", "Look at the list of holders again."
    ),
    # nor is the audit trail
    "reviewed_already": Meaning(
        409, "This period is reviewed already.", "Give a later day, in the portal."
    ),
    "search_too_wide": Meaning(
        422, "This search takes too long.", "Give a subject, or fewer days, in the portal."
    ),
    "too_long_for_pdf": Meaning(
        422, "The trail is too long for a PDF.", "Give fewer days, or take the CSV, in the portal."
    ),
    # people are no part of the API either
    "both_sides": Meaning(
        409,
        "This person works on the other side of the blind in the study.",
        "One person never works on both sides: choose another person.",
    ),
    "access_changed": Meaning(
        409, "The list has changed since it was shown.", "Look at it again, and send again."
    ),
    "duties_kept_apart": Meaning(
        409, "One person cannot hold these two roles in one study.", "Choose another person."
    ),
    "person_known": Meaning(409, "The person already has this role.", "Nothing needs to be done."),
    "own_account": Meaning(
        409, "Nobody does this to the own account.", "Ask another person who looks after accounts."
    ),
    "account_ended": Meaning(
        409, "The account is ended already.", "Who runs the system can open it again."
    ),
    "no_role_here": Meaning(
        409, "The person has no role in this study any more.", "Nothing needs to be done."
    ),
    "too_many_letters": Meaning(
        429, "Too many letters went to this person.", "Wait an hour, then send it again."
    ),
    # the system
    "internal": Meaning(
        500,
        "The request failed for a reason that is not yours.",
        "Nothing was changed. Send the same request with the same Idempotency-Key again.",
    ),
    "busy": Meaning(
        503,
        "Somebody else is changing the same record.",
        "Nothing was changed. Send the same request again in a few seconds.",
    ),
    "gate_alarm": Meaning(
        503,
        "Allocation is paused because too many attempts were not completed.",
        "Nothing was changed. Please call the study's help desk; unblinded staff can release it.",
    ),
    "gate_failed": Meaning(
        503,
        "The act could not be completed.",
        "Nothing was changed. Try again; if it happens again, call the help desk.",
    ),
}

"""How the audit trail names things: one table for all rooms.

What is not here is named by its model and its fields, so that a table added later can be read too.
"""

import re
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import models

from iwrs.permissions import Act


@dataclass(frozen=True)
class Noun:
    """What one row of a model is called, and the fields that tell it from its neighbours."""

    text: str
    told_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """A table whose rows are their own record: which column is the time, and who did it (SQL)."""

    at: str
    context: str
    sentence: str = ""


_BY_USER = (
    "coalesce(nullif(e.done_by, ''),"
    " (SELECT u.name || ' <' || u.email || '>' FROM accounts_user u WHERE u.id = e.user_id),"
    " 'Somebody without an account')"
)
_MAIL = "coalesce((SELECT ' <' || u.email || '>' FROM accounts_user u WHERE u.id = e.user_id), '')"
RECORDS = {
    "accounts.SignInEvent": Record(
        "at",
        # What happened is the act: signed in, refused, locked, factor removed.
        f"jsonb_build_object('by', {_BY_USER}, 'kind', 'person',"
        " 'act', replace(e.what, '_', ' '), 'role', '', 'why', e.why)",
    ),
    "audit.Access": Record(
        "at",
        "jsonb_build_object('by', e.by, 'kind', 'person', 'act', 'look at the record',"
        " 'role', e.role, 'why', '')",
    ),
    "signatures.SignedRecord": Record(
        "signed_at",
        # What was signed is the act: sign randomization, sign code break.
        f"jsonb_build_object('by', e.printed_name || {_MAIL}, 'kind', 'person',"
        " 'act', 'sign ' || e.record_kind, 'role', e.role, 'why', e.meaning)",
    ),
    "audit.Review": Record(
        "at",
        "jsonb_build_object('by', e.by, 'kind', 'person', 'act', 'review the audit trail',"
        " 'role', e.role, 'why', e.notes)",
    ),
}

NOUNS = {
    "accounts.signinevent": Noun("sign-in", ("what",)),
    "accounts.studyrole": Noun("role in the study", ("role",)),
    "accounts.user": Noun("account", ("name",)),
    "assessments.correction": Noun("correction of", ("name",)),
    "assessments.contact": Noun("day known to be alive", ("contact_on",)),
    "assessments.subjectevent": Noun("event", ("kind",)),
    "assessments.tumourread": Noun("tumour read", ("reader", "assessed_on")),
    "assessments.visit": Noun("visit", ("number",)),
    "audit.access": Noun("look", ("page",)),
    "audit.review": Noun("review", ()),
    "dispensing.cohort": Noun("cover", ()),
    "dispensing.dispensation": Noun("dispensation", ("number",)),
    "dispensing.drugstop": Noun("stop of a drug", ("drug",)),
    "dispensing.firstdose": Noun("first dose", ()),
    "dispensing.kit": Noun("kit", ("number",)),
    "dispensing.kitassignment": Noun("assignment of kit", ("kit",)),
    "dispensing.kitcontent": Noun("content of kit", ("kit",)),
    "dispensing.lot": Noun("lot", ("number",)),
    "dispensing.paperkit": Noun("kit told on paper", ("kit",)),
    "dsmb.datacut": Noun("data cut", ("cut_on",)),
    "dsmb.emergencyholder": Noun("emergency holder", ("name",)),
    "dsmb.extract": Noun("extract", ("recipient",)),
    "dsmb.interimnotice": Noun("notice of events", ("look",)),
    "dsmb.paperpack": Noun("sealed randomization pack", ()),
    "dsmb.sealedpack": Noun("sealed code-break pack", ()),
    "enrolment.accessreview": Noun("review of who has access", ()),
    "enrolment.centre": Noun("centre", ("number",)),
    "enrolment.centrerole": Noun("role at a centre", ("user", "role")),
    "enrolment.countryaccrual": Noun("accrual in the country", ("country_code",)),
    "enrolment.deviation": Noun("deviation", ("question",)),
    "enrolment.eligibilityanswer": Noun("answer", ("question",)),
    "enrolment.subject": Noun("subject", ("number",)),
    "enrolment.unblindedaccessreview": Noun("review of who has access", ()),
    "signatures.signedrecord": Noun("signature"),
    "iwrs.edcclient": Noun("EDC client", ("name",)),
    "iwrs.study": Noun("study", ("code",)),
    "iwrs.studyversion": Noun("study definition, version", ("number",)),
    "randomization.allocation": Noun("allocation", ()),
    "randomization.callrelease": Noun("release of abandoned calls of", ("name",)),
    "randomization.codebreakassessment": Noun("assessment of a code break", ()),
    "randomization.codebreakrefusal": Noun("refused code break", ()),
    "randomization.codebreakrequest": Noun("code break", ()),
    "randomization.forcedallocation": Noun("arm known before the randomization", ()),
    "randomization.listextension": Noun("extension of a list", ("part",)),
    "randomization.lateentry": Noun("late entry of a randomization", ()),
    "randomization.listcommitment": Noun("published list", ()),
    "randomization.randomization": Noun("randomization", ("number",)),
    "randomization.randomizationlist": Noun("list", ("number",)),
    "randomization.seedshare": Noun("share of a seed", ("place",)),
    "randomization.unblinding": Noun("unblinding of the study", ()),
    "randomization.splitseed": Noun("split seed", ("number",)),
    "randomization.randomizedinerror": Noun("mark of a randomization in error", ()),
    "randomization.verifiedstratum": Noun("verified stratum", ()),
}
FIELDS = {
    "assessed_on": "day of the scan",
    "confirmed_at": "confirmed by signature at",
    "consent_on": "day of consent",
    "contact_on": "day of contact",
    "cut_on": "day of the cut",
    "done_on": "done on",
    "due_on": "due on",
    "ecog": "ECOG",
    "in_error": "recorded in error",
    "ended_on": "end of participation",
    "ethics_approved_on": "day of ethics approval",
    "facts_sha256": "SHA-256 of the facts",
    "keys_sha256": "SHA-256 of the keys",
    "sha256": "SHA-256",
    "strata": "stratification",
    "stratum_key": "stratum",
    "taken_on": "day of the first dose",
    "unblinded_at": "code broken at",
}
# What an object is called when another row refers to it.
CALLED = {
    "accounts.user": ("name",),
    "assessments.visit": ("number",),
    "dispensing.dispensation": ("number",),
    "dispensing.kit": ("number",),
    "dispensing.lot": ("number",),
    "dsmb.datacut": ("cut_on",),
    "enrolment.centre": ("number", "name"),
    "enrolment.subject": ("number",),
    "iwrs.study": ("code",),
    "iwrs.studyversion": ("number",),
    "randomization.listentry": ("stratum_key", "position"),
    "randomization.randomizationlist": ("number",),
}

# Values that nobody reads, on either side. A change of one is told without them.
_SECRET = re.compile(r"password|passcode|secret|seed|token|private|sealed|otp|recovery|cookie")
_SECRET_APPS = {"mfa", "sessions", "oauth2_provider"}
# Fields that repeat what the sentence says already, or that only the machine needs.
_SILENT = {
    "id",
    "study",
    "study_code",
    "subject",
    "recorded_at",
    "recorded_by",
    "by",
    "created_at",
    "fact",
    "record",
    "told",
    "transaction",
    "of_request",
}

# Who may not know of code breaks reads no line of these acts and tables, and never these fields.
CODE_BREAK_ACTS = (
    *("request code break", "reveal code", "refuse code break", "sign code break"),
    *("record pack opening", "assess code break"),
)
CODE_BREAK_TABLES = re.compile(r"codebreak|code_break")
CODE_BREAK_FIELDS = {"unblinded_at", "unblinded_by", "unblinded_reason"}


def noun(model: type[models.Model]) -> Noun:
    return NOUNS.get(model._meta.label_lower) or Noun(str(model._meta.verbose_name))


def field_label(each: models.Field) -> str:
    """The name of a field as people say it."""
    return FIELDS.get(each.name) or str(each.verbose_name).replace("_", " ")


def is_secret(each: models.Field) -> bool:
    """True when the value of a field is shown to nobody."""
    if each.model._meta.app_label in _SECRET_APPS:
        return each.remote_field is None and not isinstance(each, models.DateTimeField)
    return isinstance(each, models.BinaryField) or bool(_SECRET.search(each.name))


def is_silent(each: models.Field) -> bool:
    """True when a new row's line need not repeat the field."""
    return each.primary_key or each.name in _SILENT


def is_of_code_breaks(model: type[models.Model]) -> bool:
    return bool(CODE_BREAK_TABLES.search(model._meta.model_name or ""))


@dataclass(frozen=True)
class Risk:
    """A class of acts that a reviewer looks at before the rest (ICH E6(R3) 4.2.3)."""

    key: str
    name: str
    why: str
    acts: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    labels: tuple[str, ...] = field(default=())


# Of both sides.
_REMOVALS = Risk(
    "removals",
    "Removed rows",
    "Facts are not removed in the course of a trial.",
    labels=("delete",),
)
_DOOR = Risk(
    "door",
    "Locks, lost second factors and secrets, ended accounts",
    "Somebody guessed, or somebody else than the person changed an account.",
    acts=("locked", "signing locked", "factor removed", "account ended", "secret replaced"),
    tables=("accounts.signinevent",),
)
_ROLES = Risk(
    "roles",
    "Accounts and roles",
    "Who may do what was changed.",
    tables=("accounts.user", "accounts.studyrole", "enrolment.centrerole", "iwrs.edcclient"),
)
RISKS = (
    Risk(
        "code-breaks",
        "Code breaks",
        "Each of them tells one person a treatment.",
        acts=(*CODE_BREAK_ACTS, "raise alarm"),
    ),
    _REMOVALS,
    Risk(
        "deviations",
        "Deviations from eligibility",
        "A subject was let in although a question was against it.",
        tables=("enrolment.deviation",),
    ),
    Risk(
        "corrections",
        "Corrections of facts",
        "Something recorded was given another value, with a reason.",
        acts=("change screening answers", "correct a fact"),
    ),
    _DOOR,
    _ROLES,
    Risk(
        "releases",
        "Data cuts and extracts",
        "Data left the system, sealed.",
        tables=("dsmb.datacut", "dsmb.extract"),
    ),
    Risk(
        "study",
        "Study, centres and lists",
        "The rules of the trial, or where it runs, were changed.",
        tables=("iwrs.study", "iwrs.studyversion", "enrolment.centre",
                "randomization.listcommitment", "randomization.randomizationlist"),
    ),
)  # fmt: skip
RISKS_UNBLINDED = (
    Risk(
        "unblinding",
        "Unblinding of the study",
        "It tells every treatment, for good.",
        tables=("randomization.unblinding",),
    ),
    _REMOVALS,
    Risk(
        "forced",
        "Arms named beforehand, and paper numbers accepted",
        "Somebody knew or chose the arm of a subject before the randomization.",
        tables=("randomization.forcedallocation", "dispensing.paperkit"),
    ),
    Risk(
        "lists",
        "Lists and extensions",
        "They decide who gets which treatment.",
        tables=("randomization.randomizationlist", "randomization.listextension"),
    ),
    Risk(
        "seeds",
        "Seeds made by two people",
        "Who knows a seed can make the list.",
        tables=("randomization.splitseed", "randomization.seedshare"),
    ),
    Risk(
        "calls",
        "Released calls",
        "Calls that were begun and not completed may tell places of the list.",
        tables=("randomization.callrelease",),
    ),
    Risk(
        "keys",
        "Keys of recipients, and holders of code-break packs",
        "They decide who can open what leaves the system sealed.",
        tables=("dsmb.recipientkey", "dsmb.emergencyholder"),
    ),
    _DOOR,
    _ROLES,
    Risk(
        "kits",
        "Imports of kits",
        "They say which kit is for which arm.",
        acts=("import kits",),
        tables=("dispensing.kitcontent",),
    ),
)
SLOWEST = timedelta(seconds=10)
HIDDEN_WITHOUT = Act.SEE_CODE_BREAKS

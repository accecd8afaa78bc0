"""Which role may do which act: one table, read at every door of both sites.

A role is held at one centre or in a whole study; *where* it counts is `enrolment.access`. Acts of
the unblinded side are here too, so that the division of duties is seen in one sitting
(ICH E6(R3) 4.3.8; 21 CFR 11.10(g)): no role holds acts of both sides.
"""

from collections.abc import Iterable
from enum import StrEnum

from iwrs.accounts.models import UNBLINDED_ROLES, Role


class Act(StrEnum):
    """What a person can ask the system for. The value is how an audit or a page names it."""

    SEE_CENTRES = "see centres"
    SEE_SUBJECTS = "see subjects"
    SCREEN = "screen subjects"
    REQUEST_DEVIATION = "request a deviation"
    APPROVE_DEVIATION = "approve a deviation"
    RANDOMIZE = "randomize"
    DISPENSE = "assign and hand over kits"
    REDUCE_DOSE = "reduce a dose"
    CONFIRM = "confirm by signature what an EDC system recorded"
    RECORD_COURSE = "record visits and events"
    RECORD_CENTRAL_READ = "record central reads"
    CORRECT = "correct recorded facts"
    BREAK_CODE = "break a code"
    PRACTISE_CODE_BREAK = "practise a code break"
    ASSESS_CODE_BREAK = "assess a code break"
    KEEP_PACKS = "keep the sealed code-break packs"
    SEE_PACKS = "see how old the sealed code-break packs are"
    RECORD_OPENING = "record that a sealed pack was opened"
    SEE_CODE_BREAKS = "see that a code was broken"
    MANAGE_CENTRES = "add, activate and suspend centres"
    MANAGE_PEOPLE = "give people roles, and end roles and accounts"
    MANAGE_ACCRUAL = "open, pause and close accrual"
    SEE_ACCRUAL = "see accrual"
    SEE_EVENT_COUNT = "see the overall number of events"
    SEE_OPEN_REPORT = "read the open report, with the overall number of events at its cut"
    CUT_DATA = "make a data cut"
    REQUEST_EXTRACT = "request a sealed extract"
    RELEASE_EXTRACT = "release a sealed extract"
    SEE_PEOPLE = "see who has which role"
    SEE_ACCOUNTS = "see the state of a person's account"
    REVIEW_ACCESS = "record a review of who has access"
    SEE_AUDIT = "read the audit trail"
    REVIEW_AUDIT = "mark a period of the audit trail as reviewed"
    SEE_UNBLINDED_PEOPLE = "see who has which role on the unblinded side"
    REVIEW_UNBLINDED_ACCESS = "record a review of who has access to the unblinded side"
    SEE_UNBLINDED_AUDIT = "read the audit trail of the unblinded side"
    REVIEW_UNBLINDED_AUDIT = "mark a period of the unblinded side's audit trail as reviewed"
    MANAGE_LIST = "generate, approve and release the list"
    UNBLIND_STUDY = "unblind the whole study"
    SEE_OPENED = "see the treatments of an unblinded study"
    FORCE_ALLOCATION = "name one subject's arm beforehand, where the study allows it"
    ACCEPT_PAPER = "accept a paper number that the system refuses"
    MANAGE_STOCK = "import kits and send stock"


# What changes nothing. All of it is blinded.
READING = frozenset(
    {
        Act.SEE_CENTRES,
        Act.SEE_SUBJECTS,
        Act.SEE_PACKS,
        Act.SEE_CODE_BREAKS,
        Act.SEE_ACCRUAL,
        Act.SEE_EVENT_COUNT,
        Act.SEE_OPEN_REPORT,
        Act.SEE_PEOPLE,
        Act.SEE_ACCOUNTS,
        Act.SEE_AUDIT,
        Act.SEE_OPENED,
    }
)
# The same on the unblinded side, where what is read may tell arms.
READING_UNBLINDED = frozenset({Act.SEE_UNBLINDED_PEOPLE, Act.SEE_UNBLINDED_AUDIT})
_REVIEWING_UNBLINDED = frozenset({Act.REVIEW_UNBLINDED_ACCESS, Act.REVIEW_UNBLINDED_AUDIT})
_SITE = {Act.SEE_CENTRES, Act.SEE_SUBJECTS}
_STUDY = {Act.SEE_CENTRES, Act.SEE_ACCRUAL, Act.SEE_OPENED}
_SET_UP = {
    *(Act.MANAGE_CENTRES, Act.MANAGE_PEOPLE, Act.MANAGE_ACCRUAL),
    *(Act.SEE_PEOPLE, Act.SEE_ACCOUNTS, Act.REVIEW_ACCESS),
}
_COURSE = {Act.SCREEN, Act.REQUEST_DEVIATION, Act.RANDOMIZE, Act.DISPENSE, Act.RECORD_COURSE}

MAY: dict[str, frozenset[Act]] = {
    Role.SITE_COORDINATOR: frozenset(_SITE | _COURSE | {Act.SEE_PEOPLE}),
    Role.INVESTIGATOR: frozenset(
        _SITE
        | _COURSE
        | {Act.REDUCE_DOSE, Act.CONFIRM, Act.CORRECT, Act.BREAK_CODE, Act.PRACTISE_CODE_BREAK}
        | {Act.SEE_CODE_BREAKS, Act.SEE_PEOPLE}
    ),
    Role.PHARMACIST: frozenset(_SITE | {Act.DISPENSE}),
    Role.MONITOR: frozenset(_SITE | {Act.SEE_PEOPLE}),
    Role.STUDY_MANAGER: frozenset(
        _STUDY
        | _SET_UP
        | {
            Act.SEE_SUBJECTS,
            Act.APPROVE_DEVIATION,
            Act.RECORD_CENTRAL_READ,
            Act.SEE_OPEN_REPORT,
            Act.RELEASE_EXTRACT,
            Act.ASSESS_CODE_BREAK,
            Act.KEEP_PACKS,
            Act.SEE_PACKS,
            Act.SEE_CODE_BREAKS,
            Act.SEE_AUDIT,
        }
    ),
    Role.ADMINISTRATOR: frozenset(
        _STUDY
        | _SET_UP
        | {
            Act.SEE_SUBJECTS,
            Act.RECORD_CENTRAL_READ,
            Act.SEE_EVENT_COUNT,
            Act.SEE_OPEN_REPORT,
            Act.CUT_DATA,
            Act.REQUEST_EXTRACT,
        }
    ),
    Role.SAFETY_PHYSICIAN: frozenset(
        _STUDY
        | {
            Act.SEE_SUBJECTS,
            Act.APPROVE_DEVIATION,
            Act.BREAK_CODE,
            Act.ASSESS_CODE_BREAK,
            Act.KEEP_PACKS,
            Act.SEE_PACKS,
            Act.RECORD_OPENING,
            Act.SEE_CODE_BREAKS,
            Act.SEE_OPEN_REPORT,
        }
    ),
    # What a depot does comes with depots; until then its manager sees where kits go.
    Role.DEPOT_MANAGER: frozenset({Act.SEE_CENTRES}),
    Role.AUDITOR: READING | {Act.REVIEW_AUDIT},
    Role.UNBLINDED_STATISTICIAN: READING_UNBLINDED
    | {Act.MANAGE_LIST, Act.FORCE_ALLOCATION, Act.ACCEPT_PAPER, Act.UNBLIND_STUDY},
    Role.SUPPLY_MANAGER: READING_UNBLINDED | {Act.MANAGE_STOCK},
    Role.UNBLINDED_AUDITOR: READING_UNBLINDED | _REVIEWING_UNBLINDED,
}
# What leaves a trail on the unblinded side, besides the reviews themselves.
_CHANGING_UNBLINDED = frozenset[Act]().union(*(MAY[role] for role in UNBLINDED_ROLES)) - (
    READING_UNBLINDED | _REVIEWING_UNBLINDED
)

# Acts of two different people in one study, whatever roles each of them holds: who prepares the
# analysis breaks no code, who lets people in does not work at a centre, who may ask to set a
# question aside does not approve it, and who reviews the audit trail of a side does nothing that is
# in it.
KEPT_APART = (
    (Act.CUT_DATA, Act.BREAK_CODE),
    (Act.REQUEST_EXTRACT, Act.BREAK_CODE),
    (Act.MANAGE_PEOPLE, Act.RANDOMIZE),
    (Act.MANAGE_PEOPLE, Act.DISPENSE),
    (Act.MANAGE_PEOPLE, Act.BREAK_CODE),
    (Act.REQUEST_DEVIATION, Act.APPROVE_DEVIATION),
    *((Act.REVIEW_AUDIT, each) for each in Act if each not in READING | {Act.REVIEW_AUDIT}),
    *((Act.REVIEW_UNBLINDED_AUDIT, each) for each in Act if each in _CHANGING_UNBLINDED),
)


def may(role: str, act: Act) -> bool:
    """True when the role includes the act. An unknown role may do nothing."""
    return act in MAY.get(role, frozenset())


def may_review_a_trail(role: str) -> bool:
    """True when the role reviews the audit trail of a side."""
    return may(role, Act.REVIEW_AUDIT) or may(role, Act.REVIEW_UNBLINDED_AUDIT)


def one_person_may_hold(roles: Iterable[str]) -> bool:
    """True when the roles together give no two acts of `KEPT_APART`."""
    acts = frozenset[Act]().union(*(MAY.get(role, frozenset()) for role in roles))
    return not any(one in acts and other in acts for one, other in KEPT_APART)

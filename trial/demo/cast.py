"""Who appears in the demonstration, and its fixed seeds. No Django."""

import hashlib
from dataclasses import dataclass

STUDY = "bolero2"
# Public on purpose: nature has to know the arms of a simulated trial. A real study takes its
# seed from the operating system, and only a study marked as simulated accepts a given one.
LIST_SEED = hashlib.sha256(b"The demonstration list of BOLERO-2").digest()
NATURE_SEED = 3
KIT_SEED = hashlib.sha256(b"The demonstration kits of BOLERO-2").digest()


@dataclass(frozen=True)
class Person:
    """A demo account. `centre` is empty for a role in the whole study."""

    email: str
    name: str
    role: str
    centre: str = ""


BLINDED = (
    Person("coordinator@example.org", "Ana Coordinator", "site_coordinator", "{first}"),
    Person("investigator@example.org", "Ivo Investigator", "investigator", "{first}"),
    Person("other.site@example.org", "Omar Coordinator", "site_coordinator", "{second}"),
    Person("manager@example.org", "Mia Manager", "study_manager"),
    Person("administrator@example.org", "Adam Administrator", "administrator"),
    Person("safety@example.org", "Sara Safety", "safety_physician"),
    Person("monitor@example.org", "Max Monitor", "monitor"),
    Person("auditor@example.org", "Aida Auditor", "auditor"),
)
UNBLINDED = (
    Person("statistician1@example.org", "Stella Statistician", "unblinded_statistician"),
    Person("statistician2@example.org", "Stefan Statistician", "unblinded_statistician"),
    Person("statistician3@example.org", "Stina Statistician", "unblinded_statistician"),
    Person("supply@example.org", "Sam Supply", "supply_manager"),
    Person("unblinded.auditor@example.org", "Uma Auditor", "unblinded_auditor"),
)

"""The statistical core of the DSMB extract: pure functions, no Django, no database.

`docs/analysis.md` gives the rules, the columns and the formats.
"""

from dsmb.analysis.boundaries import Boundary, spent, two_looks
from dsmb.analysis.comparison import Comparison, ReportError, compare
from dsmb.analysis.counting import NotEstimable
from dsmb.analysis.course import Arm, Course, DerivationError, Read, SubjectRecord
from dsmb.analysis.derivation import derive_adsl, derive_adtte
from dsmb.analysis.outcome import count_deaths, count_events, derive_outcome
from dsmb.analysis.pairs import Pair, pairs_of
from dsmb.analysis.report import build_package, check_manifest
from dsmb.analysis.rerandomization import (
    Procedure,
    ProcedureError,
    ReRandomization,
    rerandomization,
    run_again,
    run_arms,
)
from dsmb.analysis.seal import (
    PackageTooLarge,
    SealError,
    ciphertext_size,
    pack,
    pad,
    seal,
    unpack,
    unseal,
)
from dsmb.analysis.several import Overall, overall_logrank
from dsmb.analysis.survival import Cox, LogRank, Median, cox, kaplan_meier, logrank, median

__all__ = [
    "Arm",
    "Boundary",
    "Comparison",
    "Course",
    "Cox",
    "DerivationError",
    "LogRank",
    "Median",
    "NotEstimable",
    "Overall",
    "PackageTooLarge",
    "Pair",
    "Procedure",
    "ProcedureError",
    "ReRandomization",
    "Read",
    "ReportError",
    "SealError",
    "SubjectRecord",
    "build_package",
    "check_manifest",
    "ciphertext_size",
    "compare",
    "count_deaths",
    "count_events",
    "cox",
    "derive_adsl",
    "derive_adtte",
    "derive_outcome",
    "kaplan_meier",
    "logrank",
    "median",
    "overall_logrank",
    "pack",
    "pad",
    "pairs_of",
    "rerandomization",
    "run_again",
    "run_arms",
    "seal",
    "spent",
    "two_looks",
    "unpack",
    "unseal",
]

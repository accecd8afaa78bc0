"""What would change if another version of a study file were taken into use, and what may.

Once the randomization list exists, whatever the list was made from, and whatever gives an
allocated treatment its meaning, is fixed (ICH E9 2.3.2: the schedule must be reproducible).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iwrs.definition.model import StudyDefinition
from iwrs.definition.problem import dotted, printable, show

_LIST = "the randomization list was made from it"
_MEANING = "it says what was allocated to subjects already randomized"
_KITS = "kits already packed and sent out rest on it"
_COVER = "cover cohorts already sent to centres were counted with it"
_CODE = "the randomization list and all records are filed under it"
_FORCED = "what statisticians may do was agreed before the first subject"
_ANCHOR = "the visits of subjects already randomized are counted from it"
_CONTROL = "what is compared with what was agreed before the first subject"
_HELP = ("factors", "help")

_FIXED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("study", "code"), _CODE),
    (("arms", "label"), _MEANING),
    (("arms", "control"), _CONTROL),
    (("arms",), _LIST),
    (("factors",), _LIST),
    (("randomization", "forced_allocation"), _FORCED),
    (("randomization",), _LIST),
    (("drugs", "blinded"), _MEANING),
    (("kits", "type"), _KITS),
    (("kits", "contents"), _MEANING),
    (("kits", "cohort_size"), _COVER),
    (("schedule", "anchor"), _ANCHOR),
)

# What a new list may bring: another ratio, an arm without new subjects, another method. The strata
# stay, since subjects in screening have theirs already.
_NEXT_LIST: tuple[tuple[str, ...], ...] = (
    ("arms", "ratio"),
    ("arms", "closed"),
    ("randomization",),
)
_NOT_EVEN_THEN = (
    ("randomization", "stratify_by"),
    ("randomization", "regions"),
    ("randomization", "forced_allocation"),
)
_HINT = "; it may come with a new list (announce it with --next-list)"

Path = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One key that differs. ``old`` or ``new`` is ``None`` where the key is not there.

    ``key`` names entries of a list by their own key: ``factors[visceral].help``.
    ``why`` says why a change is refused, and is empty for an allowed one.
    """

    key: str
    old: Any
    new: Any
    allowed: bool
    why: str = ""


@dataclass(frozen=True)
class ChangePlan:
    """Everything that differs between two definitions."""

    changes: tuple[Change, ...]

    @property
    def refused(self) -> tuple[Change, ...]:
        """The changes that may not be made; nothing may be taken into use while there are any."""
        return tuple(change for change in self.changes if not change.allowed)

    def render(self) -> str:
        """The plan for a terminal: one line a change, refused ones first and with the reason."""
        if not self.changes:
            return "No changes."
        count, refused = len(self.changes), len(self.refused)
        lines = [f"{count} change{'s' if count > 1 else ''}, {refused} refused."]
        for change in sorted(self.changes, key=lambda each: each.allowed):
            word = "allowed" if change.allowed else "REFUSED"
            lines.append(f"  {word}  {printable(change.key)}: {_from_to(change)}")
            if change.why:
                lines.append(f"           why: {change.why}")
        return "\n".join(lines)


def plan_changes(
    old: StudyDefinition | None,
    new: StudyDefinition,
    *,
    list_exists: bool,
    next_list: bool = False,
) -> ChangePlan:
    """Compare two definitions key by key.

    ``old`` is ``None`` when the study is new. With ``list_exists`` every change that would alter
    the list, or the meaning of what was allocated, is refused and says why; but for what a new
    list may bring, when the new definition is announced for it (``next_list``).
    Raises ``ValueError`` for a list without an old definition, which cannot be.
    """
    if old is None and list_exists:
        raise ValueError("a randomization list exists: give the definition it was made from")
    before = old.model_dump(mode="json") if old is not None else {}
    after = new.model_dump(mode="json")
    changes = []
    for key, path, was, will in _differences((), (), before, after):
        why = _why_fixed(path, next_list=next_list) if list_exists else ""
        changes.append(Change(key=key, old=was, new=will, allowed=not why, why=why))
    return ChangePlan(tuple(changes))


def _why_fixed(path: Path, *, next_list: bool) -> str:
    """``path`` is the key without the names of list entries: ``("factors", "help")``."""
    if path == _HELP:  # a clearer explanation changes no stratum
        return ""
    may_come = _begins(path, _NEXT_LIST) and not _begins(path, _NOT_EVEN_THEN)
    if may_come and next_list:
        return ""
    for fixed, why in _FIXED:
        if path[: len(fixed)] == fixed:
            return f"fixed since the list was made: {why}" + (_HINT if may_come else "")
    if path == ("drugs",):  # a whole drug is added or removed
        return f"fixed since the list was made: {_MEANING}"
    return ""


def _begins(path: Path, starts: tuple[tuple[str, ...], ...]) -> bool:
    return any(path[: len(start)] == start for start in starts)


def _differences(
    loc: tuple[str, ...], path: Path, old: Any, new: Any
) -> Iterator[tuple[str, Path, Any, Any]]:
    """Yield (dotted key, path without entry names, old, new) for each difference."""
    if old == new and type(old) is type(new):
        return
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        for key in dict.fromkeys([*old, *new]):
            below = (*loc, key), (*path, key)
            yield from _differences(*below, old.get(key), new.get(key))
    elif _is_table_list(old) and _is_table_list(new):
        yield from _entry_differences(loc, path, old or [], new or [])
    else:
        yield _written(loc), path, old, new


def _entry_differences(
    loc: tuple[str, ...], path: Path, old: list[Any], new: list[Any]
) -> Iterator[tuple[str, Path, Any, Any]]:
    was, will = _by_name(old), _by_name(new)
    for name in dict.fromkeys([*was, *will]):
        here = (*loc, f"[{name}]")
        if name in was and name in will:
            yield from _differences(here, path, was[name], will[name])
        else:
            yield _written(here), path, was.get(name), will.get(name)
    stays = [name for name in was if name in will]
    order = [name for name in will if name in was]
    if stays != order:
        yield f"{_written(loc)} (order)", (*path, "(order)"), stays, order


def _is_table_list(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and all(
            isinstance(entry, Mapping) and ("code" in entry or "key" in entry) for entry in value
        )
    )


def _by_name(entries: list[Any]) -> dict[str, Any]:
    return {entry.get("code") or entry["key"]: entry for entry in entries}


def _written(loc: tuple[str, ...]) -> str:
    text = ""
    for step in loc:
        text += step if step.startswith("[") else f".{dotted((step,))}"
    return text.removeprefix(".")


def _from_to(change: Change) -> str:
    if change.old is None:
        return f"new, {show(change.new)}"
    if change.new is None:
        return f"removed, was {show(change.old)}"
    return f"{show(change.old)} -> {show(change.new)}"

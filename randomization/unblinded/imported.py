"""A list that was made outside: taken whole from a file, or not at all; then approved as any."""

import hashlib
import secrets

from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.studies import lock_design
from randomization.listing import Entry, ListDesign
from randomization.listing.outside_file import IMPORTED, Scheme, read_list
from randomization.methods import PermutedBlocks
from randomization.unblinded.design import definition_of_next_list, list_design
from randomization.unblinded.models import RandomizationList
from randomization.unblinded.models_life import ImportedFile, ListOrigin
from randomization.unblinded.parts import design_of
from randomization.unblinded.services import (
    record_origin,
    require_no_active_list,
    store_list,
)


def import_list(
    study: Study, content: bytes, *, file_name: str, names: str = "", by: Actor
) -> RandomizationList:
    """Take a list from a CSV file. `names` says what the file calls columns, arms and strata
    (see `read_list`). The file is kept; its salts come from a new secret seed.

    Raises `Invalid` with every fault by row, and `Problem` for a study whose arms are decided when
    the subject comes, or with an active list.
    """
    definition = definition_of_next_list(study)
    if definition.randomization.dynamic:
        raise Problem(
            code="no_list_to_import",
            title="The study's method decides each arm when the subject comes.",
            action="Generate its list of draws here.",
        )
    design = list_design(study, definition)
    entries = read_list(content, _scheme(design), names)
    seed = secrets.token_bytes(32)
    with act("import list", by=by):
        lock_design(study)
        require_no_active_list(study)
        made = store_list(
            study,
            entries,
            algorithm=IMPORTED,
            design=design.as_json(),
            seed=seed,
            generated_by=by.label,
        )
        record_origin(made, ListOrigin.Source.IMPORTED)
        ImportedFile.objects.create(
            list=made,
            name=file_name[:200],
            sha256=hashlib.sha256(content).hexdigest(),
            names=names,
            content=content,
        )
        return made


def read_again(made: RandomizationList) -> tuple[Entry, ...] | None:
    """The places of an imported list, from the file that is kept; None when its bytes are not those
    that were imported.
    """
    kept = ImportedFile.objects.get(list=made)
    content = bytes(kept.content)
    if hashlib.sha256(content).hexdigest() != kept.sha256:
        return None
    return read_list(content, _scheme(design_of(made)), kept.names)


def _scheme(design: ListDesign) -> Scheme:
    method = design.method
    return Scheme(
        arms=design.arms,
        strata=design.strata,
        length=design.length,
        block_sizes=method.block_sizes if isinstance(method, PermutedBlocks) else None,
    )

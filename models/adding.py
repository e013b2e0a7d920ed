"""`anonfilter models add`: check a user's ONNX file and keep it, with a row of its own, in the cache."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

from anonfilter.errors import ModelError
from anonfilter.models import catalog, fetch, scenenet
from anonfilter.models.detector import Detector
from anonfilter.models.family import load_family

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def add(
    name: str, path: Path, family: str | None = None, classes: tuple[str, ...] = (), licence: str = ""
) -> catalog.Model:
    """Check an ONNX file by running it once, copy it into the cache and keep a row for it.

    A name that the user added before is replaced. family, classes, licence: what the file does not say
    itself. Raises ModelError, and then nothing was changed, if the name is that of a model with a source of
    its own or the file is not a net of that family.
    """
    if not _NAME.fullmatch(name):
        raise ModelError(f"'{name}' cannot be a model's name: a letter, then letters, digits, - and _ only")
    if name == scenenet.SOURCE.name:
        raise ModelError(f"'{name}' already names the net of scene={name}: choose another name")
    rows = catalog.shipped()
    owner = next((row for row in rows.values() if name == row.name or name in row.aliases), None)
    if owner is not None and (owner.source or name != owner.name):
        raise ModelError(f"'{name}' already names the model {owner.name}: choose another name")
    info = catalog.read_info(path)
    if owner is not None:
        if family not in (None, owner.family):
            raise ModelError(f"'{name}' is of family {owner.family}, not {family}: choose another name")
        row = owner
    else:
        row = catalog.like(family, info) if family else catalog.from_file(path)
    row = replace(
        row, name=name, file=path, sha256=fetch.sha256(path), bytes=path.stat().st_size,
        classes=classes or row.classes, licence=licence or row.licence,
    )  # fmt: skip
    reason = load_family(row.family).check(info, row.classes)
    if reason is not None:
        raise ModelError(f"{path} is not a net of family {row.family}: {reason}")
    with Detector(row, (row.size, row.size)) as detector:
        detector.probe()
    row = replace(row, file=None, added=True)
    target = fetch.cached_path(row)
    with fetch.scratch_folder(target.parent) as scratch:
        copy, listing = scratch / "model.onnx", scratch / "row.json"
        shutil.copyfile(path, copy)
        listing.write_text(catalog.row_json(row), encoding="utf-8")
        fetch.place(copy, target, row)
        os.replace(listing, target.parent / f"{name}.json")
    return row

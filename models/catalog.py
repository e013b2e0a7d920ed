"""The catalogue of detection models: the rows that ship (catalog.toml), those a user added, and bare
files."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anonfilter.errors import ModelError
from anonfilter.models import fetch

if TYPE_CHECKING:
    # infer needs NumPy, which `anonfilter models list` can do without.
    from anonfilter.infer.onnxgraph import GraphInfo

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Triple = tuple[float, float, float]
Log = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Model(fetch.Source):
    """One row of the catalogue; catalog.toml says what the fields mean. added: it is the user's own row."""

    family: str
    classes: tuple[str, ...]
    size: int = 640
    thresh: float = 0.25
    nms: float = 0.45
    margin: float = 0.15
    coarse: int = 0
    coarse_thresh: float = 0.0
    bgr: bool = False
    mean: Triple = (0.0, 0.0, 0.0)
    scale: Triple = (1.0, 1.0, 1.0)
    pad: Triple = (0.0, 0.0, 0.0)
    added: bool = False

    @property
    def state(self) -> str:
        """ "cached", "missing" (the first use pulls it) or "needs add". Does not read the file."""
        if self.file is not None or (self.sha256 and fetch.cached_path(self).is_file()):
            return "cached"
        return "missing" if self.source else "needs add"

    def path(self, log: Log | None = None) -> Path:
        """The verified file, pulled now if it is missing. log takes one line before a download; the default
        prints it to stderr. Raises ModelError: how to get the file is in the message."""
        return fetch.ensure(self, log or to_stderr)


def load() -> dict[str, Model]:
    """All rows by name: those that ship, then the user's. Raises ModelError if a user's row cannot be
    read."""
    rows = shipped()
    for file in fetch.added_rows():
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            rows[file.stem] = _row(file.stem, {**values, "added": True})
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(
                f"{file} is not a row of the catalogue ({error}): delete it and add the model again"
            ) from None
    return rows


def shipped() -> dict[str, Model]:
    """The rows of catalog.toml, by name."""
    text = (resources.files("anonfilter.models") / "catalog.toml").read_text(encoding="utf-8")
    return {name: _row(name, values) for name, values in tomllib.loads(text).items()}


def resolve(name: str) -> Model:
    """The model of that name, alias, or path of an ONNX file. Raises ModelError, with a suggestion."""
    rows = load()
    if name in rows:
        return rows[name]
    for model in rows.values():
        if name in model.aliases:
            return model
    if name.lower().endswith(".onnx") or "/" in name:
        return from_file(Path(name))
    known = sorted({*rows, *(alias for model in rows.values() for alias in model.aliases)})
    close = difflib.get_close_matches(name, known, n=1)
    hint = (
        f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}, or the path of an .onnx file"
    )
    raise ModelError(f"unknown model '{name}' ({hint})")


def from_file(path: Path) -> Model:
    """A model from an ONNX file, its family told by its outputs and its classes by its metadata.

    Its preprocessing is that of the family's first shipped row. Raises ModelError if no family decodes the
    net.
    """
    from anonfilter.models.family import FAMILIES, load_family

    info = read_info(path)
    reasons = []
    for family in FAMILIES:
        row = like(family, info)
        reason = load_family(family).check(info, row.classes)
        if reason is None:
            return replace(
                row, name=path.stem, sha256=fetch.sha256(path), bytes=path.stat().st_size, file=path
            )
        reasons.append(f"not {family}: {reason}")
    raise ModelError(f"{path}: no model family fits this net ({'; '.join(reasons)})")


def like(family: str, info: GraphInfo) -> Model:
    """A nameless row with the preprocessing of a family's first shipped row; classes and licence are the
    file's own where it states them. Raises ModelError for an unknown family."""
    rows = [row for row in shipped().values() if row.family == family]
    if not rows:
        known = ", ".join(sorted({row.family for row in shipped().values()}))
        raise ModelError(f"unknown model family '{family}': use one of {known}")
    return replace(
        rows[0], name="", source="", homepage="", sha256="", wheel_sha256="", aliases=(), bytes=0,
        licence=info.metadata.get("license", "").partition(" ")[0] or "unknown",
        classes=info.class_names() or rows[0].classes,
    )  # fmt: skip


def read_info(path: Path) -> GraphInfo:
    """Inputs, outputs and metadata of a file. Raises ModelError unless it is ONNX with one image input."""
    from anonfilter.infer.onnxgraph import FLOAT, FLOAT16, describe

    try:
        info = describe(path.read_bytes())
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from None
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    if len(info.inputs) != 1:
        raise ModelError(f"{path}: a net with one input is needed, this has {len(info.inputs)}")
    image = info.inputs[0]
    dims = image.dims or ()
    if image.elem not in (FLOAT, FLOAT16) or len(dims) != 4 or (isinstance(dims[1], int) and dims[1] != 3):
        raise ModelError(f"{path}: its input is not a batch of images (N, 3, height, width) of floats")
    return info


def row_json(model: Model) -> str:
    """A user's row as it is stored."""
    values = asdict(model)
    for key in ("name", "file", "added"):
        del values[key]
    return json.dumps(values, indent=1, sort_keys=True) + "\n"


def _row(name: str, values: dict[str, Any]) -> Model:
    unknown = set(values) - {field.name for field in fields(Model)}
    if unknown:
        raise ValueError(f"unknown key {', '.join(sorted(unknown))}")
    fixed: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return Model(name=name, **fixed)


def to_stderr(line: str) -> None:
    """A Log for programs of one's own."""
    print(f"anonfilter: {line}", file=sys.stderr, flush=True)

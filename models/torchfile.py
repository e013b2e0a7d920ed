"""Reads the weights of a PyTorch file (.pth, .pt) without PyTorch.

torch.save writes a ZIP archive: NAME/data.pkl, a pickle in which each tensor is a call of `_rebuild_tensor_v2` on a
storage, and NAME/data/KEY, the storages' bytes, little-endian. A pickle can call anything; this one may call what makes
a tensor or a dictionary and nothing else, so that a file with other intentions is an error instead of a program.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from anonfilter.errors import ModelError

Array = npt.NDArray[Any]

_DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
    "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip


def read_weights(path: Path) -> dict[str, Array]:
    """The tensors of a state dictionary by name, as read-only arrays. Raises ModelError if the file is damaged or holds
    anything else."""
    try:
        with zipfile.ZipFile(path) as archive:
            (listing,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            found = _Unpickler(archive, listing).load()
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, AttributeError,
            pickle.UnpicklingError, zipfile.BadZipFile) as error:  # fmt: skip
        raise ModelError(f"{path.name} is not a PyTorch file of weights: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(value, np.ndarray) for value in found.values()):
        raise ModelError(f"{path.name} is not a PyTorch file of weights: it holds more than tensors")
    return dict(found)


class _Unpickler(pickle.Unpickler):
    """Makes arrays where PyTorch would make tensors."""

    def __init__(self, archive: zipfile.ZipFile, listing: str) -> None:
        super().__init__(io.BytesIO(archive.read(listing)))
        self._archive, self._folder = archive, listing.removesuffix("data.pkl")

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle may call."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return np.dtype(_DTYPES[name])
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Array:
        """A storage: ("storage", type, key, device, elements)."""
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"it holds a {kind}")
        storage = np.frombuffer(self._archive.read(f"{self._folder}data/{key}"), dtype)
        if storage.size != count:
            raise pickle.UnpicklingError(f"storage {key} has {storage.size} elements, not {count}")
        return storage


def _tensor(storage: Array, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any) -> Array:
    """torch._utils._rebuild_tensor_v2: a view of a storage. Only contiguous ones, as in every saved state."""
    steps = [math.prod(size[axis + 1 :]) for axis in range(len(size))]
    if any(a != b for a, b, n in zip(steps, stride, size, strict=True) if n > 1):
        raise pickle.UnpicklingError(f"a tensor of strides {tuple(stride)}")
    part = storage[offset : offset + math.prod(size)]
    return part.reshape(tuple(size))

"""The C++ backend."""
from anonfilter.kernels.ref import blur, fill, pixelize  # noqa: F401
from anonfilter.kernels.ref_letterbox import letterbox  # noqa: F401

"""Builds the C++ kernels and maps kernels/ and models/ into the package."""

from __future__ import annotations

import platform
import sys
from glob import glob
from pathlib import Path
from typing import Any

from pybind11.setup_helpers import Pybind11Extension, build_ext
from setuptools import setup

# Instructions that one source alone may use; all others run on any CPU of the architecture (csrc/unit.hpp).
UNIT_FLAGS = {
    "unit_sse41.cpp": ["-msse4.1"],
    "unit_avx2.cpp": ["-mavx2"],
    "unit_avx512.cpp": ["-mavx512f", "-mavx512bw"],
}
# Warnings that do not apply: no function hands a vector to another source; GCC 12's own header of AVX-512 (PR105593).
QUIET = {
    "unit_wide512.cpp": ["-Wno-psabi"],
    "unit_avx512.cpp": ["-Wno-maybe-uninitialized"],
}


class BuildExt(build_ext):
    """pybind11's build_ext with flags by source, for x86-64."""

    def build_extensions(self) -> None:
        compile_one = self.compiler._compile
        x86 = platform.machine().lower() in ("x86_64", "amd64") and sys.maxsize > 2**32

        def compile_with_flags(obj: str, src: str, ext: str, cc_args: Any, postargs: list[str], pp_opts: Any) -> None:
            name = Path(src).name
            extra = QUIET.get(name, []) + (UNIT_FLAGS.get(name, []) if x86 else [])
            compile_one(obj, src, ext, cc_args, [*postargs, *extra], pp_opts)

        self.compiler._compile = compile_with_flags
        super().build_extensions()


setup(
    packages=[
        "anonfilter",
        "anonfilter.filters",
        "anonfilter.infer",
        "anonfilter.io",
        "anonfilter.kernels",
        "anonfilter.models",
    ],
    package_dir={"anonfilter.kernels": "kernels", "anonfilter.models": "models"},
    package_data={
        "anonfilter": ["py.typed"],
        "anonfilter.kernels": ["_cpu.pyi"],
        "anonfilter.models": ["catalog.toml"],
    },
    ext_modules=[
        Pybind11Extension(
            "anonfilter.kernels._cpu",
            sorted(glob("csrc/*.cpp")),
            include_dirs=["csrc"],
            depends=sorted(glob("csrc/*.hpp")),
            cxx_std=17,
            # No contraction: the letterbox is floating point and must not differ between compilers' choices of FMA.
            extra_compile_args=["-O3", "-ffp-contract=off", "-fvisibility=hidden", "-Wall", "-Wextra"],
        )
    ],
    cmdclass={"build_ext": BuildExt},
)

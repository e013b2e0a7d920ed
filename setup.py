"""Builds the C++ kernels and maps kernels/ and models/ into the package."""

from __future__ import annotations

import os
import platform
import runpy
import shutil
import subprocess
import sys
from glob import glob
from pathlib import Path
from typing import Any

from pybind11.setup_helpers import Pybind11Extension, build_ext
from setuptools import setup
from setuptools.command.build_py import build_py

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


class BuildCuda(build_py):
    """Adds kernels.fatbin beside the CUDA sources where there is an nvcc; else NVRTC compiles them on first use.

    ANONFILTER_NVCC names another nvcc, or none if it is empty. Options and architectures are kernels/cudabuild.py's.
    """

    def run(self) -> None:
        super().run()
        nvcc = os.environ.get("ANONFILTER_NVCC", shutil.which("nvcc"))
        if self.editable_mode:
            return
        cuda = runpy.run_path("kernels/cudabuild.py")
        folder = Path(self.build_lib, "anonfilter", "kernels", "cuda_source")
        out = folder / cuda["FATBIN"]
        out.unlink(missing_ok=True)  # of an earlier build, perhaps from other sources
        if not nvcc:
            return
        kinds = cuda["FATBIN_ARCHITECTURES"]
        codes = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in kinds]
        codes.append(f"-gencode=arch=compute_{kinds[-1]},code=compute_{kinds[-1]}")
        if subprocess.run([nvcc, "-fatbin", *cuda["OPTIONS"], *codes, folder / cuda["MAIN"], "-o", out]).returncode:
            print("warning: nvcc failed; the CUDA kernels will be compiled on first use")
            out.unlink(missing_ok=True)


setup(
    packages=[
        "anonfilter",
        "anonfilter.filters",
        "anonfilter.infer",
        "anonfilter.io",
        "anonfilter.kernels",
        "anonfilter.kernels.cuda_source",
        "anonfilter.leak",
        "anonfilter.models",
    ],
    package_dir={
        "anonfilter.kernels": "kernels",
        "anonfilter.kernels.cuda_source": "csrc/cuda",
        "anonfilter.models": "models",
    },
    package_data={
        "anonfilter": ["py.typed"],
        "anonfilter.kernels": ["_cpu.pyi"],
        "anonfilter.kernels.cuda_source": ["*.cu", "*.cuh"],
        "anonfilter.models": ["catalog.toml"],
    },
    exclude_package_data={"anonfilter.kernels.cuda_source": ["host/*"]},
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
    cmdclass={"build_ext": BuildExt, "build_py": BuildCuda},
)

"""Builds the C++ kernels and maps kernels/ and models/ into the package."""

from glob import glob

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, build_ext
from setuptools import setup

# One thread per core; the sources are few.
ParallelCompile("NPY_NUM_BUILD_JOBS").install()

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
    cmdclass={"build_ext": build_ext},
)

"""Builds the C++ kernels and maps kernels/ and models/ into the package."""

import os
import shutil
import subprocess
from glob import glob

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, build_ext
from setuptools import setup
from setuptools.command.build_py import build_py

# One thread per core; the sources are few.
ParallelCompile("NPY_NUM_BUILD_JOBS").install()



class build_cuda(build_py):
    """Adds kernels.fatbin beside the CUDA sources where there is an nvcc; else NVRTC compiles them on first use.

    ANONFILTER_NVCC names another nvcc, or none if it is empty. Options and architectures as in kernels/cudabuild.py.
    """

    def run(self):
        super().run()
        folder = os.path.join(self.build_lib, "anonfilter", "kernels", "cuda_source")
        nvcc = os.environ.get("ANONFILTER_NVCC", shutil.which("nvcc"))
        if not nvcc or self.editable_mode:
            return
        codes = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in (80, 89, 90)]
        codes.append("-gencode=arch=compute_90,code=compute_90")
        out = os.path.join(folder, "kernels.fatbin")
        command = [nvcc, "-fatbin", "-std=c++17", "-fmad=false", *codes, os.path.join(folder, "kernels.cu"), "-o", out]
        if subprocess.run(command).returncode:
            print("warning: nvcc failed; the CUDA kernels will be compiled on first use")
            if os.path.exists(out):
                os.remove(out)


setup(
    packages=[
        "anonfilter",
        "anonfilter.filters",
        "anonfilter.infer",
        "anonfilter.io",
        "anonfilter.kernels",
        "anonfilter.kernels.cuda_source",
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
    cmdclass={"build_ext": build_ext, "build_py": build_cuda},
)

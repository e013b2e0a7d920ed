"""The scenes of bench/compose.py: who is where, when. Times are frames, places luma samples, sizes a face's height."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from compose_render import Actor, Shot
from compose_sprites import slab
from compose_stock import Scene, Stock, about, ease, fixed, keys, looks, stands, view

SMOOTH = ("smooth",)
THROUGH = ("smooth", "entering", "leaving")


def still(s: Stock) -> Scene:
    """Three people who stand and look about a little."""
    actors = [
        Actor(s.face("tall"), about(stands(566, 118, 20), looks(10, 25, 90)), ("still", "smooth"), "stands far off"),
        Actor(s.face("stripes"), about(stands(440, 96, 34), looks(-15, 30, 120)), ("still", "smooth"), "stands"),
        Actor(s.face("hood"), about(stands(206, 120, 62), looks(12, 20, 75, 1)), ("still", "smooth"), "stands near"),
    ]
    return Scene("still", "little", [Shot(150, s.corridor(), actors)])


def visitor(s: Stock) -> Scene:
    """An empty corridor; somebody comes, stays, and goes."""
    way = keys((60, -40, 130, 44), (110, 250, 118, 40), (175, 252, 118, 40), (222, 680, 126, 44))
    look = about(way, lambda t: 45 - 80 * ease((t - 100) / 20) + 80 * ease((t - 165) / 20))
    actors = [Actor(s.face("beard"), look, THROUGH, "comes from the left, waits, goes to the right")]
    return Scene("visitor", "little", [Shot(250, s.corridor(453, 49), actors)])


def walk_slow(s: Stock) -> Scene:
    """Two people walk slowly and look about, 1.3 and 2.3 px a frame."""
    far = about(keys((0, 560, 100, 21), (180, 330, 104, 23)), looks(-30, 30, 64))
    near = about(keys((0, 90, 110, 36), (180, 500, 130, 46)), looks(25, 40, 80))
    actors = [
        Actor(s.face("denim"), far, SMOOTH, "far, 1.3 px a frame"),
        Actor(s.face("black"), near, SMOOTH, "2.3 px a frame"),
    ]
    return Scene("walk-slow", "little", [Shot(180, s.corridor(), actors)])


def walk_fast(s: Stock) -> Scene:
    """Three people cross the picture at 8 to 12 px a frame, both ways."""
    left = about(keys((64, 690, 110, 32), (157, -60, 118, 34)), looks(-45, 20, 40))
    right = about(keys((6, -60, 120, 42), (68, 690, 128, 44)), looks(40, 25, 36))
    actors = [
        Actor(s.face("tall"), left, THROUGH, "right to left, 8 px a frame"),
        Actor(s.face("blue"), right, THROUGH, "left to right, 12 px a frame"),
        Actor(
            s.face("pilot"), keys((88, -50, 150, 50), (160, 700, 150, 54)), THROUGH, "left to right, 10 px a frame"
        ),
    ]
    return Scene("walk-fast", "busy", [Shot(165, s.street(), actors, exposures=3, shutter=0.5)])


def edges(s: Stock) -> Scene:
    """In and out at each of the four edges."""
    look = looks(20, 25, 50)
    ways = [
        ("smile", keys((5, -45, 130, 52), (45, 60, 130, 52), (85, -45, 130, 52)), "in and out at the left"),
        ("stripes", keys((35, 690, 140, 44), (75, 590, 140, 44), (120, 690, 140, 44)), "at the right"),
        ("pale", keys((70, 330, 410, 40), (120, 330, 230, 40), (165, 330, 410, 40)), "below"),
        ("hood", keys((125, 180, -50, 48), (170, 190, 90, 48), (214, 180, -50, 48)), "above"),
    ]
    actors = [Actor(s.face(name), about(way, look), THROUGH, note) for name, way, note in ways]
    return Scene("edges", "busy", [Shot(220, s.houses(), actors)])


def crossing(s: Stock) -> Scene:
    """Two people cross, the nearer hides the other."""
    back = about(keys((0, 560, 122, 36), (140, 70, 122, 36)), looks(-30, 25, 60))
    front = about(keys((0, 80, 128, 50), (140, 570, 130, 50)), looks(30, 25, 70))
    actors = [
        Actor(s.face("black"), back, ("smooth", "crossing"), "behind, 3.5 px a frame"),
        Actor(s.face("beard"), front, ("smooth", "crossing"), "in front, 3.5 px a frame"),
    ]
    return Scene("crossing", "busy", [Shot(140, s.street(), actors)])


def three(s: Stock) -> Scene:
    """Three people cross at different speeds and depths."""
    tags = ("smooth", "crossing")
    actors = [
        Actor(s.face("nurse"), keys((0, 430, 112, 26), (150, 250, 112, 26)), tags, "far, 1.2 px a frame"),
        Actor(s.face("hood"), about(keys((0, 40, 118, 34), (150, 600, 118, 34)), looks(40, 15, 50)), tags, "behind"),
        Actor(s.face("stripes"), about(keys((10, 690, 124, 48), (140, -50, 124, 48)), looks(-25, 20, 44)), tags,
              "in front, 5.7 px a frame"),
    ]  # fmt: skip
    return Scene("three", "busy", [Shot(150, s.houses(), actors)])


def pillar(s: Stock) -> Scene:
    """Two people pass behind a pillar; one of them waits half behind it."""
    waits = keys((0, 90, 112, 42), (55, 288, 112, 42), (95, 288, 112, 42), (150, 540, 114, 42))
    actors = [
        Actor(s.face("tall"), about(keys((20, 620, 108, 30), (140, 60, 108, 30)), looks(-35, 10, 40)),
              ("smooth", "occlusion"), "right to left"),
        Actor(s.face("beard"), about(waits, looks(20, 15, 60)), ("occlusion", "sudden"), "waits half behind it"),
        Actor(slab(46, 420, 0.55, 4), fixed(318, 180, 420)),
    ]  # fmt: skip
    return Scene("pillar", "little", [Shot(150, s.corridor(874, 47), actors)])


def gaps(s: Stock) -> Scene:
    """People who show for some 10, 6 and 3 frames in a gap between two walls."""
    way = {
        "blue": (20, 214, 406, 4.6),
        "hood": (75, 406, 214, 8.0),
        "beard": (110, 214, 406, 14.0),
        "pale": (135, 406, 214, 14.0),
    }
    actors = [
        Actor(s.face(name), keys((t, a, 130, 34), (t + abs(b - a) / v, b, 130, 34)), ("occlusion", "sudden"),
              f"passes a gap at {v} px a frame")
        for name, (t, a, b, v) in way.items()
    ]  # fmt: skip
    walls = [Actor(slab(150, 420, 0.5, 5), fixed(x, 180, 420)) for x in (214, 406)]
    return Scene("gaps", "busy", [Shot(160, s.houses(), [*actors, *walls])])


def turn(s: Stock) -> Scene:
    """One turns away and back where he stands, another while he walks."""
    away = about(stands(190, 112, 54), lambda t: 170 * (ease((t - 25) / 30) - ease((t - 85) / 30)))
    walk = about(
        keys((0, 560, 108, 38), (160, 330, 108, 38)),
        lambda t: -30 - 130 * (ease((t - 40) / 14) - ease((t - 100) / 14)),
    )
    actors = [
        Actor(s.face("black"), walk, ("turn",), "turns away within 14 frames, and back, walking"),
        Actor(s.face("stripes"), away, ("turn", "still"), "turns away within 30 frames, and back"),
    ]
    return Scene("turn", "little", [Shot(160, s.corridor(705, 40), actors)])


def shake(s: Stock) -> Scene:
    """A hand-held camera that shakes by up to 9 px a frame, with motion blur."""
    actors = [
        Actor(
            s.face("denim"), about(keys((0, 470, 108, 30), (150, 360, 112, 32)), looks(-20, 20, 50)), ("blur",), "far"
        ),
        Actor(s.face("singer"), keys((0, 120, 130, 50), (150, 300, 130, 56)), ("blur",), "near"),
        Actor(s.face("blue"), about(keys((30, -40, 128, 44), (110, 690, 128, 44)), looks(45, 10, 30)),
              ("blur", "entering", "leaving"), "9 px a frame"),
    ]  # fmt: skip

    def camera(t: float) -> np.ndarray:
        dx = 6 * math.sin(0.83 * t) + 4 * math.sin(1.37 * t + 1)
        dy = 4 * math.sin(1.01 * t + 2) + 3 * math.sin(1.61 * t)
        return view((320, 180), 1.08, dx, dy, 0.5 * math.sin(0.6 * t))

    return Scene("shake", "busy", [Shot(150, s.houses(), actors, camera, exposures=7, shutter=0.6)])


def sudden(s: Stock) -> Scene:
    """Sudden stops, starts and turns of direction, up to 12 px a frame."""
    runs = keys((0, 60, 120, 40), (40, 400, 120, 40), (58, 400, 120, 40), (86, 100, 130, 40), (88, 100, 130, 40),
                (130, 560, 110, 40), (150, 320, 110, 40), bob=0)  # fmt: skip
    jumps = keys((0, 520, 130, 30), (30, 520, 130, 30), (35, 520, 75, 30), (41, 520, 130, 30), (70, 500, 130, 30),
                 (76, 430, 130, 30), (105, 430, 130, 30), (112, 515, 130, 30), (150, 515, 130, 30), bob=0)  # fmt: skip
    actors = [
        Actor(s.face("tall"), jumps, ("sudden",), "jumps, and steps aside"),
        Actor(s.face("smile"), runs, ("sudden",), "runs, stops, turns round"),
    ]
    return Scene("sudden", "busy", [Shot(150, s.street(), actors, exposures=3, shutter=0.4)])


def zoom(s: Stock) -> Scene:
    """The camera zooms in 2.4 times and out again, panning."""
    actors = [
        Actor(s.face("nurse"), stands(398, 120, 22), ("zoom",), "far"),
        Actor(s.face("beard"), about(stands(250, 126, 30), looks(15, 25, 60)), ("zoom",), "near"),
        Actor(
            s.face("pale"),
            keys((0, 560, 122, 26), (160, 420, 122, 26)),
            ("zoom", "entering", "leaving"),
            "at the side",
        ),
    ]

    def camera(t: float) -> np.ndarray:
        grow = 1 + 1.4 * (ease((t - 20) / 45) - ease((t - 100) / 35))
        return view((300, 130), grow, 40 * (grow - 1) * math.sin(0.05 * t), 30 * (grow - 1))

    return Scene("zoom", "busy", [Shot(160, s.street(), actors, camera)])


def cuts(s: Stock) -> Scene:
    """Hard cuts with people on both sides at different places; shots of 5, 8 and 10 frames with a face."""

    def shot(frames: int, ground: object, *people: tuple[str, float, float, float, float]) -> Shot:
        actors = [
            Actor(
                s.face(name), about(keys((-1, x, y, h), (frames, x + v * frames, y, h)), looks(v * 6, 15, 50)),
                ("cut",), f"in a shot of {frames} frames")
            for name, x, y, h, v in people
        ]  # fmt: skip
        return Shot(frames, ground, actors)  # type: ignore[arg-type]

    shots = [
        shot(35, s.corridor(), ("hood", 180, 120, 50, 2), ("stripes", 470, 110, 34, -2)),
        shot(8, s.houses(), ("blue", 420, 130, 58, 1)),
        shot(30, s.street(), ("beard", 300, 120, 44, -3), ("nurse", 520, 110, 26, 0)),
        shot(5, s.corridor(453, 49), ("pale", 120, 130, 40, 0)),
        shot(28, s.street(), ("black", 330, 124, 48, 3)),
        shot(10, s.houses(), ("denim", 200, 120, 36, -2), ("tall", 500, 130, 52, 2)),
        Shot(25, s.corridor(), ()),
        shot(39, s.houses(), ("smile", 480, 124, 44, -4), ("hood", 150, 112, 30, 2)),
    ]
    return Scene("cuts", "busy", shots, (0,) * len(shots))


def fades(s: Stock) -> Scene:
    """A dissolve of 20 frames, a fade to black and one from black, with people in each shot."""
    first = [
        Actor(
            s.face("stripes"), about(keys((0, 150, 118, 44), (70, 260, 118, 44)), looks(20, 20, 50)), ("fade",), "1"
        )
    ]
    second = [
        Actor(
            s.face("black"), about(keys((0, 450, 124, 40), (80, 380, 124, 40)), looks(-15, 25, 60)), ("fade",), "2"
        ),
        Actor(s.face("pilot"), stands(200, 130, 34), ("fade", "still"), "2"),
    ]
    third = [
        Actor(s.face("blue"), about(keys((0, 300, 122, 50), (60, 380, 122, 50)), looks(25, 10, 40)), ("fade",), "3")
    ]
    shots = [
        Shot(70, s.corridor(), first),
        Shot(80, s.houses(), second, light=lambda t: 1 - max(0.0, (t - 55) / 24)),
        Shot(60, s.street(), third, light=lambda t: min(1.0, t / 20)),
    ]
    return Scene("fades", "little", shots, (0, 20, 0))


def crowd(s: Stock) -> Scene:
    """Nine people of 20 to 40 px walk about and hide one another; 960x540."""
    rng = np.random.Generator(np.random.PCG64(11))
    names = ["hood", "beard", "denim", "nurse", "tall", "stripes", "pale", "black", "blue"]
    heights = np.sort(rng.uniform(19, 40, len(names)))
    actors = []
    for i, (name, height) in enumerate(zip(names, heights.tolist(), strict=True)):
        side = 1 if i % 2 else -1
        start = rng.uniform(100, 860)
        speed = side * rng.uniform(1.0, 4.5)
        y = 150 + 1.6 * height
        way = keys((0, start, y, height), (200, start + 200 * speed, y + rng.uniform(-10, 20), height * 1.05))
        turn = looks(side * 25, 30, rng.uniform(40, 90), rng.uniform(0, 6))
        steady = name == "nurse"  # her photograph ends at the neck and does not turn
        actors.append(
            Actor(
                s.face(name), way if steady else about(way, turn), ("smooth", "crossing"), f"{speed:.1f} px a frame"
            )
        )
    return Scene("crowd", "busy", [Shot(200, s.street((960, 540)), actors)])


def dark(s: Stock) -> Scene:
    """Two people in a dark corridor, low contrast, a noisy sensor."""
    actors = [
        Actor(s.face("tall"), about(keys((0, 520, 112, 30), (150, 400, 112, 30)), looks(-20, 25, 60)), SMOOTH, "far"),
        Actor(
            s.face("stripes"), about(keys((0, 120, 124, 46), (150, 330, 124, 48)), looks(20, 25, 70)), SMOOTH, "near"
        ),
    ]
    return Scene("dark", "little", [Shot(150, s.corridor(), actors)], noise=6.0, soft=0.8, gain=0.18)


def plate_near(s: Stock) -> Scene:
    """A car comes nearer, its plate 12 to 60 px high; another waits; 1280x720."""
    coming = s.car("KV71 OLD", "red", band=True)
    waiting = s.car("AB12 XYZ", "silver")

    def comes(t: float):  # type: ignore[no-untyped-def]
        size = 12 * 5 ** ease(t / 150)
        return fixed(760 - 3.1 * size, 250 + 5.0 * size, size)(t)

    actors = [
        Actor(waiting, fixed(1010, 330, 16), ("still", "smooth"), "a white plate, at rest"),
        Actor(coming, comes, ("smooth",), "a white plate with a blue band, 12 to 60 px high"),
    ]
    return Scene("plate-near", "little", [Shot(150, s.junction(), actors)])


def plate_pass(s: Stock) -> Scene:
    """Cars pass at 8 to 14 px a frame, one goes away, one hides another; 1280x720."""
    go = keys((0, 560, 560, 44), (150, 700, 300, 9), bob=0)
    actors = [
        Actor(s.car("RK07 GDF", "silver", yellow=True), go, ("smooth",), "yellow, gets smaller, 44 to 9 px"),
        Actor(
            s.car("YS64 HNP"), keys((20, 1500, 400, 24), (140, -200, 400, 24), bob=0), ("smooth", "entering", "leaving",
              "crossing"), "right to left, 14 px a frame"),
        Actor(s.car("LB19 TUV", "red", yellow=True), keys((45, -300, 520, 36), (150, 1600, 560, 40), bob=0),
              ("smooth", "entering", "leaving", "crossing"), "left to right, 18 px a frame"),
    ]  # fmt: skip
    return Scene("plate-pass", "busy", [Shot(150, s.junction(), actors, exposures=3, shutter=0.4)])


SCENES: dict[str, Callable[[Stock], Scene]] = {
    "still": still, "visitor": visitor, "walk-slow": walk_slow, "walk-fast": walk_fast, "edges": edges,
    "crossing": crossing, "three": three, "pillar": pillar, "gaps": gaps, "turn": turn, "shake": shake,
    "sudden": sudden, "zoom": zoom, "cuts": cuts, "fades": fades, "crowd": crowd, "dark": dark,
    "plate-near": plate_near, "plate-pass": plate_pass,
}  # fmt: skip

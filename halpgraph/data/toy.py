"""Toy motions: a labelled skeleton set that needs no download, made by moving a jointed figure.

Eight motions (walk, wave, jump, squat, clap, punch, kick, bow) of twelve people who differ in size
and habits, seen from anywhere on a circle, at varied speed, from varied phases, with sensor noise.
It is for trying things out and for tests; its accuracies say nothing about real people.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.clips import Clip, Split
from halpgraph.layout import Layout, get_layout

Floats = NDArray[np.float64]
LAYOUT = "kinect20"
CLASSES = ("walk", "wave", "jump", "squat", "clap", "punch", "kick", "bow")
SUBJECTS = 12
NOISE = 0.01  # metres
# Where each joint is from its parent in a person of 1.7 m who stands still, in metres.
BONES = {
    "hip_centre": (0.0, -0.25, 0.0),
    "spine": (0.0, -0.25, 0.0),
    "shoulder_centre": (0.0, 0.0, 0.0),
    "head": (0.0, 0.22, 0.0),
    "shoulder": (0.18, -0.03, 0.0),
    "elbow": (0.05, -0.27, 0.0),
    "wrist": (0.02, -0.25, 0.0),
    "hand": (0.0, -0.08, 0.0),
    "hip": (0.1, -0.05, 0.0),
    "knee": (0.0, -0.42, 0.0),
    "ankle": (0.0, -0.40, 0.0),
    "foot": (0.0, -0.05, 0.12),
}


def toy_clips(clips: int = 384, seed: int = 0) -> Iterator[Clip]:
    """Yield labelled clips of 30 to 90 frames at 30 frames a second.

    Args:
        clips: how many; classes and subjects take turns.
        seed: the same seed makes the same clips.
    """
    random = np.random.default_rng(seed)
    layout = get_layout(LAYOUT)
    people = [_person(random) for _ in range(SUBJECTS)]
    for i in range(clips):
        label, subject = i % len(CLASSES), (i // len(CLASSES)) % SUBJECTS
        pose, view = _clip(CLASSES[label], people[subject], layout, random)
        fields = {"subject": subject + 1, "view": view}
        name = f"{CLASSES[label]}_s{subject + 1:02d}_{i:04d}"
        yield Clip(name, pose[None].astype(np.float32), label, fields)


def toy_splits(subjects: NDArray[np.int64]) -> dict[str, Split]:
    """Return the split by subject: odd ones train, even ones test. Shapes: subjects [n]."""
    return {"xsub": Split((subjects % 2 == 0).astype(np.int64), "subject")}


def _person(random: np.random.Generator) -> dict[str, float]:
    """Return what a person is like: size, breadth, liveliness, slouch."""
    return {
        "size": random.uniform(0.75, 1.15),
        "wide": random.uniform(0.85, 1.15),
        "lively": random.uniform(0.75, 1.25),
        "slouch": random.uniform(-0.05, 0.25),
        "left": float(random.random() < 0.3),
    }


def _clip(
    motion: str, person: dict[str, float], layout: Layout, random: np.random.Generator
) -> tuple[Floats, int]:
    """Return a clip [T, V, 3] in metres and the eighth of the circle it is seen from."""
    count = int(random.integers(30, 91))
    speed = random.uniform(0.7, 1.4) * (0.8 + 0.2 * person["lively"])
    beat = 2 * np.pi * (np.arange(count) / 30 * speed + random.random())  # [T], one a second
    angles, lift = _move(motion, beat, person, random)
    pose = _posed(angles, person, layout)
    pose[..., 1] += lift[:, None]
    if motion == "walk":
        pose[..., 2] += (np.arange(count) / 30 * speed * 0.9)[:, None]
    turn = random.uniform(0, 2 * np.pi)
    pose = pose @ _about("y", np.array([turn]))[0].T
    pose += np.array([random.uniform(-0.5, 0.5), 0.9, random.uniform(2.5, 4.0)])
    pose += random.normal(scale=NOISE, size=pose.shape)
    return pose, int(turn / (np.pi / 4))


def _move(
    motion: str, beat: Floats, person: dict[str, float], random: np.random.Generator
) -> tuple[dict[str, Floats], Floats]:
    """Return the turn of each joint about the body's axes, [T, 3] in radians, and the lift [T]."""
    zero, big = np.zeros_like(beat), person["lively"] * random.uniform(0.8, 1.2)
    up = (1 - np.cos(beat)) / 2  # from 0 to 1 and back, once a beat
    side, other = ("left", "right") if person["left"] else ("right", "left")
    out = 1.0 if side == "left" else -1.0  # raising an arm sideways turns it about z
    angles = {"hip_centre": _turn(x=zero + person["slouch"] * 0.3)}
    lift = zero
    if motion == "walk":
        swing = 0.55 * big * np.sin(beat)
        angles |= {"left_hip": _turn(x=swing), "right_hip": _turn(x=-swing)}
        angles |= {"left_knee": _turn(x=0.5 * big * np.clip(np.cos(beat), 0, 1))}
        angles |= {"right_knee": _turn(x=0.5 * big * np.clip(-np.cos(beat), 0, 1))}
        angles |= {"left_shoulder": _turn(x=-swing), "right_shoulder": _turn(x=swing)}
    elif motion == "wave":
        angles[f"{side}_shoulder"] = _turn(z=out * (zero + 2.5))
        angles[f"{side}_elbow"] = _turn(z=out * 0.6 * big * np.sin(2 * beat))
    elif motion == "jump":
        lift = 0.25 * big * np.clip(np.sin(beat), 0, 1)
        bend = 0.7 * big * np.clip(-np.sin(beat), 0, 1)
        for leg in ("left", "right"):
            angles |= {f"{leg}_hip": _turn(x=-bend), f"{leg}_knee": _turn(x=2 * bend)}
            angles[f"{leg}_shoulder"] = _turn(x=-1.2 * big * up)
        lift = lift - 0.4 * (1 - np.cos(bend))
    elif motion == "squat":
        bend = 1.2 * big * up
        for leg in ("left", "right"):
            angles |= {f"{leg}_hip": _turn(x=-bend), f"{leg}_knee": _turn(x=2 * bend)}
            angles[f"{leg}_shoulder"] = _turn(x=-1.4 * up)
        lift = -0.82 * (1 - np.cos(bend)) * 0.5
    elif motion == "clap":
        apart = 0.5 * big * up
        angles["left_shoulder"] = _turn(x=zero - 1.3, y=-0.5 + apart)
        angles["right_shoulder"] = _turn(x=zero - 1.3, y=0.5 - apart)
    elif motion == "punch":
        out_, back = np.clip(np.sin(beat), 0, 1), np.clip(-np.sin(beat), 0, 1)
        for arm, reach in ((side, out_), (other, back)):
            angles[f"{arm}_shoulder"] = _turn(x=-0.6 - 0.9 * big * reach)
            angles[f"{arm}_elbow"] = _turn(x=-1.6 * (1 - reach))
    elif motion == "kick":
        angles[f"{side}_hip"] = _turn(x=-1.3 * big * up)
        angles[f"{side}_knee"] = _turn(x=0.9 * np.clip(np.sin(beat), 0, 1))
        angles[f"{other}_shoulder"] = _turn(x=-0.5 * big * up)
    else:  # bow: the trunk tips forward, and the legs, which hang on it here, tip back
        tip = 0.9 * big * up
        angles["hip_centre"] = _turn(x=tip)
        angles |= {"left_hip": _turn(x=-tip), "right_hip": _turn(x=-tip)}
    return angles, lift


def _turn(x: Floats | None = None, y: Floats | None = None, z: Floats | None = None) -> Floats:
    """Return turns about x, y and z beside each other; what is left out is 0. Shapes: [T, 3]."""
    count = len(next(part for part in (x, y, z) if part is not None))
    return np.stack([np.zeros(count) if part is None else part for part in (x, y, z)], axis=1)


def _posed(angles: dict[str, Floats], person: dict[str, float], layout: Layout) -> Floats:
    """Turn every joint, bones and all that hangs on them following. Shapes: [T, V, 3]."""
    count = len(next(iter(angles.values())))
    still = np.zeros((count, 3))
    frames: dict[str, tuple[Floats, Floats]] = {}  # of each joint: turn [T, 3, 3], place [T, 3]

    def solve(joint: str) -> tuple[Floats, Floats]:
        if joint not in frames:
            if joint == "hip_centre":  # the root of the motion, whatever the root of the layout
                frames[joint] = _rotation(angles[joint]), still
            else:
                above, place = solve(_MOTION_PARENT.get(joint) or _limb_parent(joint))
                turn = above @ _rotation(angles[joint]) if joint in angles else above
                frames[joint] = turn, place + (above @ _bone(joint, person))
        return frames[joint]

    return np.stack([solve(joint)[1] for joint in layout.joints], axis=1)


# The trunk grows from the hips upwards when it moves, while layouts hang it on the shoulders.
_MOTION_PARENT = {"spine": "hip_centre", "shoulder_centre": "spine", "head": "shoulder_centre"}
_LIMBS = ("shoulder", "elbow", "wrist", "hand"), ("hip", "knee", "ankle", "foot")


def _limb_parent(joint: str) -> str:
    side, part = joint.split("_", 1)
    for chain, trunk in zip(_LIMBS, ("shoulder_centre", "hip_centre"), strict=True):
        if part in chain:
            at = chain.index(part)
            return trunk if at == 0 else f"{side}_{chain[at - 1]}"
    raise ValueError(joint)


def _bone(joint: str, person: dict[str, float]) -> Floats:
    """Return where a joint is from the one it moves with, at rest. Shapes: [3]."""
    side, _, part = joint.partition("_")
    limb = side in ("left", "right")
    bone = np.array(BONES[part if limb else joint])
    if joint in ("spine", "shoulder_centre"):  # given downwards, grown upwards
        bone = np.array([0.0, 0.25, 0.0])
    bone[0] *= person["wide"] * (-1.0 if side == "right" else 1.0)
    return np.asarray(bone * person["size"])


def _rotation(angles: Floats) -> Floats:
    """Return rotations about x, then y, then z. Shapes: [T, 3] -> [T, 3, 3]."""
    used = [i for i in (2, 1, 0) if angles[:, i].any()] or [0]
    return reduce(np.matmul, [_about("xyz"[i], angles[:, i]) for i in used])


def _about(axis: str, angle: Floats) -> Floats:
    """Return rotations about one axis. Shapes: [T] -> [T, 3, 3]."""
    a, b = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    out = np.tile(np.eye(3), (len(angle), 1, 1))
    cos, sin = np.cos(angle), np.sin(angle)
    out[:, a, a], out[:, a, b], out[:, b, a], out[:, b, b] = cos, -sin, sin, cos
    return out

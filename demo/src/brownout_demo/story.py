"""The story that the demo must tell, by itself and without luck: each sentence of it, judged on what was seen. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from brownout_demo.figures import fared, first_shed_at, fully_restored_at, most, overload_started_at
from brownout_demo.records import Flip, Record
from brownout_demo.schedule import phase_start

SETTLED_SECONDS = 40.0
"""How long after the first shedding paying users must be well again."""

PAYING = ("pro", "plus")


@dataclass(frozen=True)
class Sentence:
    """One sentence of the story: whether it came true, and what was seen."""

    text: str
    true: bool
    seen: str


def tell(record: Record) -> list[Sentence]:
    """Every sentence, in order."""
    return [Sentence(text, *judge(record)) for text, judge in STORY]


Verdict = tuple[bool, str]


def _gpus_run_out(r: Record) -> Verdict:
    gpus, held = most(m.gpus for m in r.moments), most(m.held for m in r.moments)
    if gpus is None or held is None:
        return False, "how many GPUs there were was never known"
    return 0 < gpus <= held, f"{held} of {gpus} GPUs held at most"


def _first(r: Record, feature: str, cohort: str | None, *, to: str | None = None) -> Flip | None:
    return next(
        (
            f
            for f in r.flips
            if f.down
            and f.feature == feature
            and f.tier == "free"
            and cohort in (None, f.cohort)
            and to in (None, f.to_variant)
        ),
        None,
    )


def _place(r: Record, flip: Flip | None) -> int:
    return len(r.flips) if flip is None else r.flips.index(flip)


def _said(flip: Flip | None) -> str:
    if flip is None:
        return "never"
    who = f"{flip.tier}/{flip.cohort}" if flip.cohort else flip.tier
    has = flip.to_variant if flip.percent == 100 else f"{flip.to_variant} {flip.percent} %"
    return f"{flip.feature} for {who} to {has} at {flip.at:.0f} s"


def _video_goes_first(r: Record) -> Verdict:
    new, rest = _first(r, "video-generation", "new-accounts"), _first(r, "video-generation", "")
    images = _first(r, "image-generation", None)
    in_order = _place(r, new) < _place(r, rest) < len(r.flips) and _place(r, new) < _place(r, images)
    return in_order, f"{_said(new)}; {_said(rest)}; {_said(images)}"


def _degraded_before_denied(r: Record) -> Verdict:
    downs = [f for f in r.flips if f.down and f.feature == "image-generation"]
    cells = {f.cell for f in downs}
    denied = [f for f in downs if f.to_variant == "denied" or (f.to_variant == "lite" and f.percent < 100)]
    good = all(
        any(
            g.cell == f.cell and (g.to_variant == "lite" or g.from_variant == "full")
            for g in downs[: downs.index(f) + 1]
        )
        and f.from_variant != "full"
        for f in denied
    )
    return bool(downs) and bool(
        denied
    ) and good, f"{len(cells)} cells of images degraded, {len({f.cell for f in denied})} of them denied after"


def _spared(r: Record) -> Verdict:
    touched = [f for f in r.flips if f.feature == "chat" or f.tier == "pro"]
    return not touched, _said(touched[0]) if touched else "no flip of chat, none of pro"


def _paying_recover(r: Record) -> Verdict:
    shed = first_shed_at(r)
    if shed is None:
        return False, "nothing was shed"
    start, end = shed + SETTLED_SECONDS, phase_start("decline", minutes=r.minutes)
    window = fared(o for o in r.outcomes if start <= o.at < end)
    seen, good = [], True
    for tier in PAYING:
        row = window.get(f"image-generation/{tier}")
        if row is None or not row["offered"]:
            return False, f"no {tier} user asked for an image between {start:.0f} s and {end:.0f} s"
        share = row["within_objective"] / row["offered"]
        good = good and share >= 0.95
        seen.append(f"{tier} {100 * share:.0f} % of {row['offered']} within objective, p95 {row['p95_seconds']} s")
    return good, f"images at the peak from {start:.0f} s: " + ", ".join(seen)


def _comes_back(r: Record) -> Verdict:
    at = fully_restored_at(r)
    return at is not None, "not everything is back" if at is None else f"everything is back at {at:.0f} s"


def _whole_again(r: Record, cell: tuple[str, str, str]) -> int:
    ups = [i for i, f in enumerate(r.flips) if f.cell == cell and not f.down]
    return ups[-1] if ups else -1


def _in_reverse(r: Record) -> Verdict:
    """On each feature the remainder of a tier is whole again before its cohort, and images before video."""
    cells = {f.cell for f in r.flips if f.down}
    pairs = [
        (("image-generation", "free", ""), ("image-generation", "free", "new-accounts")),
        (("video-generation", "free", ""), ("video-generation", "free", "new-accounts")),
        (("image-generation", "free", "new-accounts"), ("video-generation", "free", "new-accounts")),
    ]
    wrong = [
        f"{first} was whole after {then}"
        for first, then in pairs
        if first in cells and then in cells and _whole_again(r, first) > _whole_again(r, then)
    ]
    return not wrong, wrong[0] if wrong else "last taken, first back"


def _in_parts(r: Record) -> Verdict:
    parts = sum(not f.down and f.percent < 100 for f in r.flips)
    return parts > 0, f"{parts} steps back up were a part of a cell"


def _own_features_first(r: Record) -> Verdict:
    downs = [s for s in r.scalings if s.to_replicas < s.from_replicas]
    start = overload_started_at(r) or 0.0
    early = [s for s in downs if s.at > start and s.own_cells_shed and s.rule != "Reclaimed"]
    seen = (
        f"{len(downs)} scale-downs, {sum(s.rule == 'Reclaimed' for s in downs)} of them reclaimed for another workload"
    )
    if early:
        seen = f"{early[0].scaler} {early[0].from_replicas} -> {early[0].to_replicas} at {early[0].at:.0f} s: {early[0].rule}"
    return not early and bool(downs), seen


def _nothing_broke(r: Record) -> Verdict:
    failed = [o for o in r.outcomes if o.ending == "failed"]
    paying = [o for o in failed if o.group.tier in PAYING]
    share = len(failed) / max(1, len(r.outcomes))
    seen = f"{len(failed)} of {len(r.outcomes)} requests failed, {len(paying)} of them of paying users"
    return share <= 0.01 and len(paying) <= 0.01 * len(r.outcomes), seen


STORY: tuple[tuple[str, Callable[[Record], Verdict]], ...] = (
    ("Replicas grow until the GPUs are gone.", _gpus_run_out),
    (
        "Video goes from new accounts first, then from the other free users; no image is touched before.",
        _video_goes_first,
    ),
    ("Images are degraded before they are denied.", _degraded_before_denied),
    ("Chat and pro users are never touched.", _spared),
    ("Paying users' images are well again while the flood lasts.", _paying_recover),
    ("When the load falls everything comes back.", _comes_back),
    ("It comes back in reverse order.", _in_reverse),
    ("It comes back a part at a time.", _in_parts),
    (
        "A workload's replicas go only after its own features are back, or to a workload that is short.",
        _own_features_first,
    ),
    ("Nothing breaks on the way.", _nothing_broke),
)

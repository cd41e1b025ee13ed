"""The console's ladder is the operator's: one order, whoever asks."""

from brownout.api.policy import FEATURE_POLICY
from brownout.api.resources import Key
from brownout.api.tier import USER_TIER
from brownout.decide.cells import build_cells, ladder
from brownout.decide.links import link
from brownout.flags.pages.console_cells import cell_rows
from support.build import NAMESPACE, TIERS, policy, pool, scaler, snapshot

VIDEO = {"full": {"video": 8.0}, "denied": {}}


def test_every_rung_stands_where_the_operator_has_it() -> None:
    images = policy("image", shed_order=20, tiers={"pro": "Always", "plus": "lite", "free": "Auto"})
    videos = policy("video", variants=VIDEO, shed_order=10, tiers={"pro": "Always", "plus": "Auto", "free": "Auto"})
    seen = snapshot(pool(), scaler("image"), scaler("video"), images, videos, tiers=TIERS)
    operators = [str(rung) for rung in ladder(build_cells(link(seen)).values())]

    objects = {FEATURE_POLICY.plural: [images.stored, videos.stored], USER_TIER.plural: list(TIERS)}
    pool_of = {Key(NAMESPACE, "image"): "gpus", Key(NAMESPACE, "video"): "gpus"}
    consoles: dict[int, str] = {}
    for row in cell_rows({NAMESPACE: objects}, pool_of, now=0.0):
        audience = f"{row.tier}/{row.cohort}" if row.cohort else row.tier
        for step, place in enumerate(row.places.get("gpus", [])):
            consoles[place] = f"{row.policy} for {audience}: {row.variants[step]} -> {row.variants[step + 1]}"

    assert [consoles[place] for place in sorted(consoles)] == operators
    assert sorted(consoles) == list(range(1, len(operators) + 1))

"""What the tests of pages share: a product that is short of GPUs, as the operator's status says it, and a server of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from brownout.api.override import FEATURE_OVERRIDE
from brownout.api.policy import FEATURE_POLICY, CellStatus, Notice
from brownout.api.reasons import Reason
from brownout.api.schema import DisplayName
from brownout.api.tier import USER_TIER, Cohort
from brownout.flags.audience import Tier
from brownout.flags.cells import Override, Policy
from brownout.flags.snapshot import encode, write
from flags.builders import NAMESPACE, PLUS, PRO, on_plan, override, policy, tier, young
from flags.process import NOWHERE, FlagServer, flag_server

NOTICE = {
    "en": "Image generation is paused for your account while everybody is trying it. It comes back by itself.",
    "de": "Bilder sind für dein Konto gerade pausiert. Sie kommen von selbst zurück.",
    "he": "יצירת תמונות מושהית בחשבונך. היא תחזור מעצמה.",
}
FREE = tier(
    "free",
    10,
    on_plan("free"),
    cohorts=[
        Cohort(
            name="new-accounts",
            match=(young(),),
            display_names=(DisplayName(text="New accounts"), DisplayName(locale="de", text="Neue Konten")),
        )
    ],
)


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def line(tier: str, variant: str, percent: int = 100, *, cohort: str = "", user: str = "", **more: Any) -> CellStatus:
    """A line of a policy's status as the operator writes it, ten minutes old."""
    since = rfc3339(time.time() - 600)
    return CellStatus(tier=tier, cohort=cohort, user=user, variant=variant, percent=percent, since=since, **more)


def images(*, cells: tuple[CellStatus, ...] | None = None, name: str = "Image generation") -> Policy:
    """New accounts are denied, other free users have lite or nothing, one user is held back alone."""
    soon = rfc3339(time.time() + 300)
    usual = (
        line("free", "denied", cohort="new-accounts", reason=Reason.CAPACITY, message="image is 161 % full"),
        line("free", "lite", 65, reason=Reason.CAPACITY, expected_return=soon, refused_by=Reason.DWELL),
        line("free", "denied", user="user-4711", reason=Reason.CAPACITY),
    )
    found = policy(cells=usual if cells is None else cells)
    names = (DisplayName(text=name), DisplayName(locale="de", text="Bilder"))
    notices = tuple(Notice(locale=locale, text=text) for locale, text in NOTICE.items())
    return msgspec.structs.replace(
        found, spec=msgspec.structs.replace(found.spec, display_names=names, notices=notices)
    )


def keep(
    folder: Path,
    *policies: Policy,
    tiers: tuple[Tier, ...] = (PRO, PLUS, FREE),
    overrides: tuple[Override, ...] = (),
    namespace: str = NAMESPACE,
) -> None:
    """Write what a flag server finds when it starts."""
    folder.mkdir(exist_ok=True)
    objects = {FEATURE_POLICY.plural: policies, USER_TIER.plural: tiers, FEATURE_OVERRIDE.plural: overrides}
    write(folder, namespace, encode(objects, saved_at=time.time()))


def in_short_supply(folder: Path) -> None:
    """Images are short, a person has paused video for everybody, chat is well."""
    now = time.time()
    word = override(policy="video-generation", expires=rfc3339(now + 3600), created_at=now - 120, variant="denied")
    keep(folder, images(), policy("video-generation"), policy("chat"), overrides=(word,))


@contextmanager
def served(folder: Path, **settings: Any) -> Iterator[FlagServer]:
    """A flag server of what was kept in `folder`, without any API server."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(NOWHERE)
    with flag_server(kubeconfig=kubeconfig, snapshot_dir=folder, **settings) as server:
        yield server

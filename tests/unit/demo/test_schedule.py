"""The load: calm, a viral ramp on images, and the way back."""

import pytest

from brownout_demo.schedule import PHASES, USERS, Group, phase, phase_start, rate, virality

NEW_FREE_IMAGES = Group("image-generation", "free", "new-accounts")


def test_a_demo_begins_and_ends_calm() -> None:
    assert virality(0) == virality(359) == 0.0


def test_images_of_new_accounts_flood_at_the_peak() -> None:
    assert rate(NEW_FREE_IMAGES, 150) > 20 * rate(NEW_FREE_IMAGES, 10)


def test_chat_of_paying_users_stays_as_it_is() -> None:
    assert rate(Group("chat", "pro"), 150) == rate(Group("chat", "pro"), 10)


@pytest.mark.parametrize("minutes", [3.0, 6.0, 12.0])
def test_another_length_stretches_every_phase(minutes: float) -> None:
    names = [phase(phase_start(name, minutes=minutes) + 0.1, minutes=minutes) for name, _ in PHASES]

    assert names == [name for name, _ in PHASES]


def test_the_peak_is_beyond_twelve_gpus_of_full_images() -> None:
    flood = sum(rates.viral for group, rates in USERS.items() if group.feature == "image-generation")

    assert flood * 0.8 > 2 * 12

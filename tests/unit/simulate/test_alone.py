"""One user held back alone in the simulated world: seen among all others, and none but that one loses anything."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brownout.api.resources import Key
from brownout.decide.outcome import CellKey, Level
from brownout.decide.snapshot import Audience
from brownout.simulate.controller import Action, Observation
from brownout.simulate.plant import Plant
from brownout.simulate.record import Record
from brownout.simulate.run import Prepared
from brownout.simulate.scenario import Scenario
from support.small_world import Scripted, demand, run, small

IMAGE = Key("media", "image")
FREE = CellKey(IMAGE, Audience("free"))
SCRIPT = CellKey(IMAGE, Audience("free", "", "script-250"))
"""The user after 50 of pro and 200 of free."""
WHOLE = Level(0)
BURST = {"shape": "step", "base": 0, "peak": 12, "at": 60, "hold": 180}


def with_script(folder: Path, *, rate: dict[str, Any] | None = None, **changes: Any) -> Scenario:
    """The small world, with a free user who asks by a script."""
    streams = [*demand(), {"feature": "image", "tier": "free", "name": "script", "users": 1, "rate": rate or BURST}]
    return small(folder, **{"demand": streams, "users": {"retryShare": 0}, **changes})


def held(level: Level, *, after: float = 0.0, of: CellKey = SCRIPT, cell: Level = WHOLE) -> Scripted:
    own = {of: level, FREE: cell}
    return Scripted(lambda seen: Action(levels=own) if seen.at >= after else Action())


def played(scenario: Scenario, script: Scripted, *, users_are_counted: bool = True) -> Plant:
    """A run to its end, of servers that count users whoever looks."""
    prepared = Prepared(scenario)
    plant = Plant(prepared.layout, prepared.asks(1), prepared.streams, 1, users_are_counted=users_are_counted)
    while not plant.done:
        plant.act(script.decide(plant.observe()))
        plant.tick()
    return plant


def watched(scenario: Scenario, script: Scripted, *, users_are_counted: bool = True) -> Record:
    return played(scenario, script, users_are_counted=users_are_counted).record("scripted")


def rates_of(seen: Observation) -> dict[str, float]:
    assert seen.heaviest is not None
    return {audience.user: sample.value for audience, sample in seen.heaviest.get(IMAGE, {}).items()}


def test_the_servers_name_who_asks_most_and_what_for(tmp_path: Path) -> None:
    watching = Scripted()
    watched(with_script(tmp_path), watching)
    calm, burst = rates_of(watching.seen[50 // 5]), rates_of(watching.seen[150 // 5])
    assert SCRIPT.audience.user not in calm
    assert max(burst, key=lambda user: burst[user]) == SCRIPT.audience.user
    assert burst[SCRIPT.audience.user] == pytest.approx(12, rel=0.15)


def test_who_asks_most_is_seen_as_late_as_everything_else(tmp_path: Path) -> None:
    watching = Scripted()
    watched(with_script(tmp_path, metrics={"scrapeSeconds": 10, "delaySeconds": 4}), watching)
    for seen in watching.seen[8:]:
        assert seen.heaviest
        assert {sample.at for users in seen.heaviest.values() for sample in users.values()} == {seen.measured_at}
    first = next(seen for seen in watching.seen if seen.heaviest and SCRIPT.audience.user in rates_of(seen))
    assert first.at >= 60 + 4
    assert first.measured_at >= 60


def test_in_an_outage_nobody_knows_who_asks_most(tmp_path: Path) -> None:
    watching = Scripted()
    watched(with_script(tmp_path, faults=[{"at": 100, "seconds": 60, "fault": "metrics"}]), watching)
    assert all(seen.heaviest is None for seen in watching.seen[100 // 5 : 160 // 5])
    assert rates_of(watching.seen[160 // 5])


@pytest.mark.parametrize("most", [0, 2, 5])
def test_a_scenario_says_how_many_users_its_servers_name(tmp_path: Path, most: int) -> None:
    watching = Scripted()
    watched(with_script(tmp_path, metrics={"heaviestUsers": most}), watching)
    named = watching.seen[150 // 5].heaviest
    assert named is not None
    users = list(named.get(IMAGE, {}))
    assert len([user for user in users if user.tier == "free"]) == most


def test_counting_users_changes_nothing_but_what_is_seen(tmp_path: Path) -> None:
    counted, uncounted = Scripted(), Scripted()
    scenario = with_script(tmp_path)
    one, other = watched(scenario, counted), watched(scenario, uncounted, users_are_counted=False)
    assert np.array_equal(one.good, other.good)
    assert np.array_equal(one.user_good, other.user_good)
    assert counted.seen[30].cells == uncounted.seen[30].cells
    assert all(seen.heaviest == {} for seen in uncounted.seen[2:])


def test_a_user_who_is_held_back_alone_gets_nothing_and_everybody_else_all(tmp_path: Path) -> None:
    alone, nobody = run(with_script(tmp_path), held(Level(2))), run(with_script(tmp_path))
    script = len(alone.user_good) - 1
    assert alone.user_good[script] == 0
    assert alone.user_good[:script].sum() > 0.97 * alone.user_asked[:script].sum()
    assert nobody.user_good[script] > 0
    assert nobody.user_good[:script].sum() < 0.9 * nobody.user_asked[:script].sum()


def test_a_user_alone_may_have_a_lesser_variant_than_the_others(tmp_path: Path) -> None:
    alone = run(with_script(tmp_path, rate={"base": 2}), held(Level(1)))
    script = alone.user_good[-1]
    assert script > 400
    assert alone.value[:, 0].sum() == pytest.approx(alone.good[:, 0].sum() - 0.5 * script, abs=10)


@pytest.mark.parametrize("percent", [20, 45, 90])
def test_a_part_of_a_user_is_a_part_of_the_time_and_nobody_elses(tmp_path: Path, percent: int) -> None:
    record = run(with_script(tmp_path, rate={"base": 2}, users={"retryShare": 0}), held(Level(1, percent)))
    script = len(record.user_good) - 1
    served = record.user_good[script] / record.user_asked[script]
    assert served == pytest.approx(percent / 100, abs=0.06)
    assert record.user_good[:script].sum() > 0.97 * record.user_asked[:script].sum()
    (user,) = record.alone
    assert user.percent[10:].tolist() == [percent] * (len(user.percent) - 10)


def test_a_part_of_a_user_is_its_own_only_where_it_is_less_than_the_cells(tmp_path: Path) -> None:
    """A cell on `lite` for 40 %: a script on 60 % of it has the cell's share, which is all or nothing."""
    shares = {}
    for percent in (20, 60):
        record = run(with_script(tmp_path, rate={"base": 2}), held(Level(1, percent), cell=Level(1, 40)))
        shares[percent] = record.user_good[-1] / record.user_asked[-1]
    assert shares[20] == pytest.approx(0.2, abs=0.06)
    assert shares[60] > 0.95 or shares[60] < 0.05


def test_a_user_alone_never_has_more_than_the_cell(tmp_path: Path) -> None:
    record = run(with_script(tmp_path, rate={"base": 2}), held(Level(1), cell=Level(2)))
    assert record.user_good[-1] <= 4  # who asked before the flags knew


def test_what_the_user_has_queued_is_cancelled_once_the_flags_know_and_nobody_elses(tmp_path: Path) -> None:
    scenario = with_script(tmp_path, flagDelaySeconds=3, image={"order": "FIFO", "timeoutSeconds": 1000})
    plant = played(scenario, held(Level(2), after=120))
    record, in_the_system = plant.record("scripted"), plant.truth().workloads["image"].concurrency
    at = 120 // 5
    assert record.backlog[at - 1, 0] > 200
    assert record.backlog[at, 0] < 0.3 * record.backlog[at - 1, 0]
    (user,) = record.alone
    answered = record.good.sum() + record.late.sum() - user.good.sum() - user.late.sum()
    assert user.good.sum() + user.late.sum() < user.asked.sum() / 2
    assert in_the_system
    assert answered + in_the_system == record.user_asked[:-1].sum()


def test_it_counts_as_a_write_when_it_changes_and_the_record_says_who_it_was(tmp_path: Path) -> None:
    levels = {0.0: WHOLE, 100.0: Level(1), 150.0: Level(2), 200.0: WHOLE}
    script = Scripted(lambda seen: Action(levels={SCRIPT: levels[max(at for at in levels if at <= seen.at)]}))
    record = run(with_script(tmp_path), script)
    assert record.writes.sum() == 3
    (user,) = record.alone
    assert (user.cell.key, record.cells[user.of].key) == (SCRIPT, FREE)
    assert user.variant[[19, 20, 29, 30, 39, 40]].tolist() == [0, 1, 1, 2, 2, 0]
    assert user.asked.sum() == record.user_asked[-1]
    assert user.good.sum() == record.user_good[-1]
    assert 0 < user.late.sum() <= record.late.sum()
    assert (record.variant == 0).all()


def test_the_same_seed_gives_the_same_names_and_the_same_run(tmp_path: Path) -> None:
    first, again = held(Level(2), after=100), held(Level(2), after=100)
    one, other = watched(with_script(tmp_path), first), watched(with_script(tmp_path), again)
    assert [seen.heaviest for seen in first.seen] == [seen.heaviest for seen in again.seen]
    assert np.array_equal(one.user_good, other.user_good)
    assert np.array_equal(one.alone[0].good, other.alone[0].good)


@pytest.mark.parametrize("user", ["script", "script-249", "script-251", "user-250", "script-x"])
def test_a_user_whom_no_server_named_cannot_be_held_back(tmp_path: Path, user: str) -> None:
    nobody = CellKey(IMAGE, Audience("free", "", user))
    with pytest.raises(ValueError, match="write a name that servers gave"):
        run(with_script(tmp_path), held(Level(2), of=nobody))


def test_the_truth_is_what_each_user_of_a_stream_asks_for(tmp_path: Path) -> None:
    scenario = with_script(tmp_path, metrics={"heaviestUsers": 0})
    watching = held(Level(2), after=200)
    Prepared(scenario).run(watching, name="o3", seed=1, truth=True)
    calm, burst, denied = (watching.seen[at // 5] for at in (50, 150, 220))
    others = {f"user-{n}": pytest.approx(1.5 / 200) for n in range(50, 54)}
    assert rates_of(calm) == others | {"user-54": pytest.approx(1.5 / 200)}
    assert rates_of(burst) == others | {"script-250": pytest.approx(12)}
    assert burst.cells[FREE].admitted == pytest.approx(13.5)
    assert denied.cells[FREE].offered == pytest.approx(13.5)
    assert denied.cells[FREE].admitted == pytest.approx(1.5)


def test_the_truth_knows_what_a_part_lets_through(tmp_path: Path) -> None:
    watching = held(Level(1, 40), after=100, cell=Level(1, 75))
    Prepared(with_script(tmp_path)).run(watching, name="o3", seed=1, truth=True)
    assert watching.seen[150 // 5].cells[FREE].admitted == pytest.approx(1.5 * 0.75 + 12 * 0.4)


def test_brownout_holds_one_script_back_and_serves_everybody_else(tmp_path: Path) -> None:
    scenario = with_script(tmp_path, seconds=600, image={"order": "FIFO"})
    prepared = Prepared(scenario)
    seeing = prepared.run(prepared.ours(), name="ours", seed=1)
    assert [user.cell.key for user in seeing.alone] == [SCRIPT]
    script = len(seeing.user_good) - 1
    assert seeing.user_good[:script].sum() > 0.95 * seeing.user_asked[:script].sum()
    (tmp_path / "blind").mkdir()
    blind = Prepared(
        with_script(tmp_path / "blind", seconds=600, image={"order": "FIFO"}, metrics={"heaviestUsers": 0})
    )
    unseeing = blind.run(blind.ours(), name="ours", seed=1)
    assert unseeing.alone == ()
    assert (unseeing.variant[:, 0] > 0).sum() > (seeing.variant[:, 0] > 0).sum()
    assert unseeing.user_good[:script].sum() < seeing.user_good[:script].sum()


def test_a_restart_holds_the_same_script_back(tmp_path: Path) -> None:
    scenario = with_script(tmp_path, seconds=400, faults=[{"at": 150, "fault": "restart"}])
    prepared = Prepared(scenario)
    record = prepared.run(prepared.ours(), name="ours", seed=1)
    (user,) = record.alone
    at = 150 // 5
    assert user.variant[at - 1] == user.variant[at] == user.variant[at + 1] > 0

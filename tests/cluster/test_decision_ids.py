"""From a flip in a client to the tick that made it, on a real control plane."""

from brownout.publish.events import DECISION_ANNOTATION
from support.operator import Operator
from support.operator_world import FEATURE, World
from support.waiting import wait_for

pytest_plugins = ("support.operator_fixtures",)


def test_a_version_leads_to_the_lines_and_events_of_the_tick_that_made_it(world: World, operator: Operator) -> None:
    world.set_load(pro=2, free=20)
    wait_for(lambda: world.served("free") != ("full", 100), "free users lose something")
    status = world.status("FeaturePolicy", FEATURE)
    lines = [line for line in operator.log_lines() if line.get("decision") == status["decision"]]
    versions = [line["policyVersion"] for line in lines if line["message"].startswith("what is served changes")]
    assert versions == [status["version"]]
    assert any(line.get("reason") for line in lines)

    def events() -> list[str]:
        return [
            event["note"]
            for event in world.namespace.list("events.k8s.io/v1", "Event")
            if event["metadata"].get("annotations", {}).get(DECISION_ANNOTATION) == status["decision"]
        ]

    wait_for(events, "Events of the same tick")


def test_every_line_of_a_tick_has_its_id_and_no_two_ticks_share_one(world: World, operator: Operator) -> None:
    world.set_load(pro=2, free=20)
    wait_for(lambda: world.served("free") != ("full", 100), "free users lose something")
    decided = [line for line in operator.log_lines() if "reason" in line and "kind" in line]
    assert decided
    assert all("decision" in line for line in decided)
    processes = {line["decision"].rpartition("-")[0] for line in decided}
    assert len(processes) == 1

"""Pods and nodes: who is placed where, who waits, and who has to go."""

from brownout.simulate.pods import Fleet, Nodes

COLD_START = 60.0


def fleet(
    name: str = "image", *, replicas: int, gpus: int = 1, priority: int = 50, spread: float = 0.0, seed: int = 1
) -> Fleet:
    made = Fleet(name=name, gpus=gpus, priority=priority, cold_start=COLD_START, spread=spread, seed=seed)
    made.scale(replicas, 0.0)
    return made


def test_a_pod_is_ready_a_cold_start_after_it_was_placed() -> None:
    image = fleet(replicas=1)
    Nodes(1, 8).schedule([image], 100.0)
    image.advance(100.0 + COLD_START - 1)
    assert image.ready == 0
    image.advance(100.0 + COLD_START)
    assert image.ready == 1


def test_a_pod_goes_to_the_node_with_the_most_room() -> None:
    """As the scheduler's defaults have it, so free GPUs end up a few on each node."""
    nodes, image = Nodes(2, 4), fleet(replicas=2)
    nodes.schedule([image], 0.0)
    assert {pod.node for pod in image.pods} == {"gpu-1", "gpu-2"}

    video = fleet("video", replicas=1, gpus=2)
    nodes.schedule([image, video], 0.0)
    image.scale(4, 0.0)
    nodes.schedule([image, video], 0.0)

    beside, alone = [sum(pod.node == node for pod in image.pods) for node in ("gpu-1", "gpu-2")]
    assert (video.pods[0].node, beside, alone) == ("gpu-1", 1, 3)


def test_free_gpus_on_different_nodes_do_not_make_room_for_one_replica() -> None:
    nodes, image = Nodes(2, 3), fleet(replicas=2, gpus=2)
    nodes.schedule([image], 0.0)
    image.scale(3, 0.0)
    nodes.schedule([image], 0.0)
    assert image.placed == 2


def test_a_higher_priority_evicts_a_lower_one_which_waits_from_then_on() -> None:
    nodes, video, chat = Nodes(1, 4), fleet("video", replicas=4, priority=30), fleet("chat", replicas=1, priority=90)
    nodes.schedule([video, chat], 0.0)
    nodes.schedule([video, chat], 5.0)
    assert (chat.placed, video.placed, len(video.pods)) == (1, 3, 4)


def test_a_lower_or_equal_priority_evicts_nobody() -> None:
    for priority in (30, 50):
        nodes, first = Nodes(1, 4), fleet(replicas=4)
        nodes.schedule([first], 0.0)
        other = fleet("other", replicas=1, priority=priority)
        nodes.schedule([first, other], 5.0)
        assert (first.placed, other.placed) == (4, 0)


def test_the_youngest_loading_pod_is_evicted_before_those_that_serve() -> None:
    nodes, video = Nodes(1, 3), fleet("video", replicas=2, priority=30)
    nodes.schedule([video], 0.0)
    video.advance(COLD_START)
    video.scale(3, 100.0)
    nodes.schedule([video], 100.0)
    chat = fleet("chat", replicas=1, priority=90)
    nodes.schedule([video, chat], 110.0)
    assert video.ready == 2


def test_scaling_down_takes_pending_pods_first_then_loading_ones_then_the_youngest() -> None:
    nodes, image = Nodes(1, 3), fleet(replicas=1)
    image.scale(2, 10.0)
    nodes.schedule([image], 10.0)
    image.advance(10.0 + COLD_START)
    image.scale(5, 100.0)
    nodes.schedule([image], 100.0)
    assert (image.ready, image.placed, len(image.pods)) == (2, 3, 5)
    image.scale(3, 110.0)
    assert (image.ready, image.placed) == (2, 3)
    image.scale(2, 110.0)
    assert (image.ready, image.placed) == (2, 2)
    image.scale(1, 110.0)
    assert [pod.name for pod in image.pods] == ["image-1"]


def test_a_lost_node_takes_its_pods_and_as_many_wait_for_another() -> None:
    nodes, image = Nodes(2, 2), fleet(replicas=4)
    nodes.schedule([image], 0.0)
    image.advance(COLD_START)
    nodes.change(-1, [image], 100.0)
    assert (nodes.total, image.ready, len(image.pods)) == (2, 2, 4)
    nodes.change(1, [image], 200.0)
    nodes.schedule([image], 200.0)
    image.advance(200.0 + COLD_START)
    assert image.ready == 4


def test_the_nth_pod_of_a_seed_loads_as_long_whoever_asked_for_it() -> None:
    def times(seed: int, *steps: int) -> dict[str, float]:
        made = fleet(replicas=1, spread=0.2, seed=seed)
        for replicas in steps:
            made.scale(replicas, 0.0)
        return {pod.name: pod.cold_start for pod in made.pods}

    assert times(1, 4) == times(1, 2, 3, 4)
    assert times(1, 4) != times(2, 4)
    assert len(set(times(1, 4).values())) == 4

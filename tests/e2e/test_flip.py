"""The way of one flip: gauges, Prometheus, the operator, status, the flag servers, a Service, a user."""

from e2e.product import DENIED, FOR_FREE, FOR_PRO, FULL, Product, sentences
from e2e.space import NodePort
from support.waiting import wait_for


def test_a_feature_goes_and_comes_back_for_users_behind_a_service(product: Product, flags: NodePort) -> None:
    with product.asked(flags) as traffic:
        wait_for(lambda: set(traffic.latest(FOR_FREE).values()) == {FULL}, "free users have the feature")
        product.shed()
        wait_for(lambda: set(traffic.latest(FOR_FREE).values()) == {DENIED}, "free users are denied")
        product.calm_down()
        wait_for(lambda: set(traffic.latest(FOR_FREE).values()) == {FULL}, "free users have the feature back")
    assert not traffic.failures, sentences(traffic.failures)
    assert {each.said for way in product.ways(flags) for each in traffic.answers[way, FOR_PRO]} == {FULL}

"""Clusters never share an address."""

from brownout_localcluster.addresses import PodAddresses, Slice, claim_slice, free_port


def test_two_claims_get_different_networks_and_a_released_one_comes_back() -> None:
    first, first_claim = claim_slice()
    second, second_claim = claim_slice()
    with second_claim:
        assert len({first.pods, first.services, second.pods, second.services}) == 4
        first_claim.close()
        again, again_claim = claim_slice()
        again_claim.close()
    assert again == first


def test_the_networks_of_a_slice() -> None:
    assert (Slice(0).pods, Slice(0).services) == ("127.16.0.0/16", "127.17.0.0/16")
    assert (Slice(2).pods, Slice(2).control_plane) == ("127.20.0.0/16", "127.20.0.1")


def test_pod_addresses_are_not_given_twice_and_not_soon_again() -> None:
    addresses = PodAddresses("127.16.0.0/16")
    taken = [addresses.take() for _ in range(600)]
    assert len(set(taken)) == 600
    assert not any(address.startswith("127.16.0.") or address.endswith((".0", ".255")) for address in taken)
    addresses.give_back(taken[0])
    assert addresses.take() not in taken


def test_a_port_that_is_taken_is_passed_over() -> None:
    taken, claim = claim_slice()
    with claim:
        busy = claim.getsockname()[1]
        assert free_port(taken.control_plane, busy) != busy

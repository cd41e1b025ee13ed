"""Gives each cluster addresses of its own, so that several can run on one machine.

All of 127.0.0.0/8 is local on Linux without any set-up, so a cluster takes two neighbouring /16 networks of it: one for its pods
and its control plane, one for its Services. The claim is a listening socket inside the slice: it needs no file, holds across users,
and the kernel gives it back whatever way the owner dies.
"""

import errno
import ipaddress
import socket
from dataclasses import dataclass

FIRST_NETWORK = 16
SLICES = 100
CLAIM_PORT = 16016


class NoAddressesLeftError(Exception):
    """Every slice of the loopback range is taken by a running cluster."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The networks of one cluster; `number` counts from 0."""

    number: int

    @property
    def pods(self) -> str:
        """The /16 network, in CIDR notation, that pods and the control plane live in."""
        return f"127.{FIRST_NETWORK + 2 * self.number}.0.0/16"

    @property
    def services(self) -> str:
        """The /16 network, in CIDR notation, that ClusterIPs are taken from."""
        return f"127.{FIRST_NETWORK + 2 * self.number + 1}.0.0/16"

    @property
    def control_plane(self) -> str:
        """The address that the API server and its companions listen on."""
        return f"127.{FIRST_NETWORK + 2 * self.number}.0.1"

    @property
    def first_service(self) -> str:
        """The address that the API server gives to the `kubernetes` Service."""
        return f"127.{FIRST_NETWORK + 2 * self.number + 1}.0.1"


class PodAddresses:
    """Hands out pod addresses in turn, so that an address comes back only after 65,000 others."""

    def __init__(self, network: str) -> None:
        self._network = ipaddress.IPv4Network(network)
        self._offset = 256  # the first /24 is the control plane's
        self._taken: set[str] = set()

    def take(self) -> str:
        """Returns an address that no pod has."""
        for _ in range(self._network.num_addresses):
            address = str(self._network[self._offset])
            self._offset += 1
            if self._offset >= self._network.num_addresses - 1:
                self._offset = 256
            if address not in self._taken and not address.endswith((".0", ".255")):
                self._taken.add(address)
                return address
        raise NoAddressesLeftError(f"every address of {self._network} belongs to a pod")

    def give_back(self, address: str) -> None:
        """Lets another pod have `address`."""
        self._taken.discard(address)


def claim_slice() -> tuple[Slice, socket.socket]:
    """Claims the first free slice. The claim lasts until the socket is closed.

    Raises NoAddressesLeftError when all are taken.
    """
    for number in range(SLICES):
        candidate = Slice(number)
        claim = socket.socket()
        try:
            claim.bind((candidate.control_plane, CLAIM_PORT))
            claim.listen(1)
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return candidate, claim
    raise NoAddressesLeftError(
        f"all {SLICES} address slices are claimed (port {CLAIM_PORT} is taken in each); "
        "`brownout-localcluster status` lists the clusters that run, `brownout-localcluster down` ends one"
    )


def free_port(address: str, preferred: int) -> int:
    """Returns `preferred` where nothing listens on it at `address`, else a port that is free now.

    Inside a claimed slice only a server bound to every address of the machine can be in the way.
    """
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise NoAddressesLeftError(f"no port is free at {address}")

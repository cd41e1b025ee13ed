"""What `helm test` runs, asking a real flag server: it passes before the first policy and after it."""

import subprocess
import sys

from brownout.flags.callers import CallerSettings
from brownout.flags.settings import Settings
from flags.builders import NAMESPACE, policy
from flags.hosted import HostedServer, hosted
from support.chart import CHART


def helm_test(server: HostedServer, namespace: str) -> subprocess.CompletedProcess[str]:
    """Runs the script as the chart's pod does, for a release in this namespace."""
    script = (CHART / "files/test/ask.py").read_text()
    return subprocess.run(
        [sys.executable, "-c", script, server.url, namespace], capture_output=True, text=True, check=False, timeout=60
    )


def test_it_passes_before_the_first_policy() -> None:
    server = HostedServer(Settings())
    server.board.completed()
    server.start()
    try:
        told = helm_test(server, "brownout-system")
    finally:
        server.close()
    assert told.returncode == 0, told.stderr
    assert told.stdout.endswith("for namespace 'brownout-system': no policy has been applied yet\n")


def test_it_counts_the_flags_of_namespaces_with_policies() -> None:
    with hosted(policy()) as server:
        told = helm_test(server, "brownout-system")
    assert told.returncode == 0, told.stderr
    assert f"{NAMESPACE}: 2 flags" in told.stdout
    assert "no policy has been applied yet" not in told.stdout


def test_it_asks_a_public_listener_which_names_no_namespaces() -> None:
    with hosted(policy(), callers=CallerSettings(trust_context=False)) as server:
        elsewhere, here = helm_test(server, "brownout-system"), helm_test(server, NAMESPACE)
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert elsewhere.stdout.endswith(": a public listener does not say for which there are\n")
    assert f"{NAMESPACE}: 2 flags" in here.stdout

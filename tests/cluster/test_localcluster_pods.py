"""Pods on the local cluster are processes that behave as a kubelet's pods do."""

from support.cluster import Namespace, python_pod


def test_a_pod_runs_as_a_process_and_becomes_ready(namespace: Namespace) -> None:
    namespace.create(python_pod("hello", "print('hello'); import time; time.sleep(60)"))
    pod = namespace.wait_until_ready("hello")
    assert pod["status"]["phase"] == "Running"
    assert "hello" in namespace.logs("hello")

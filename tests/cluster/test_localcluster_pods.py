"""Pods on the local cluster are processes that behave as a kubelet's pods do."""

import json

from support.cluster import Namespace, container_status, is_ready, python_pod
from support.waiting import holds_for, wait_for

STAY = "import time; time.sleep(600)"


def test_a_pod_runs_as_a_process_and_becomes_ready(namespace: Namespace) -> None:
    namespace.create(python_pod("hello", f"print('hello'); {STAY}"))
    pod = namespace.wait_until_ready("hello")
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["podIP"].startswith("127.")
    assert wait_for(lambda: "hello" in namespace.logs("hello"), "the pod has printed")


def test_kubectl_logs_shows_what_a_pod_printed(namespace: Namespace) -> None:
    namespace.create(python_pod("talker", f"print('one'); print('two'); {STAY}"))
    namespace.wait_until_ready("talker")
    said = wait_for(lambda: namespace.cluster.kubectl("logs", "-n", namespace.name, "talker", "--tail=1"), "a log")
    assert said == "two\n"


def test_a_pod_finds_its_environment(namespace: Namespace) -> None:
    namespace.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"mode": "auto"}}
    )
    namespace.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"token": "s3"}}
    )
    env = [
        {"name": "PLAIN", "value": "value"},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "TIER", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['tier']"}}},
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "ADDRESS", "value": "http://$(POD_IP):80"},
    ]
    program = f"import json, os; print(json.dumps(dict(os.environ))); {STAY}"
    namespace.create(
        python_pod(
            "asker",
            program,
            labels={"tier": "free"},
            container={"env": env, "envFrom": [{"configMapRef": {"name": "settings"}}]},
        )
    )
    pod = namespace.wait_until_ready("asker")
    seen = json.loads(wait_for(lambda: namespace.logs("asker"), "the environment is printed"))
    address = pod["status"]["podIP"]
    wanted = {
        "PLAIN": "value",
        "POD_IP": address,
        "NAMESPACE": namespace.name,
        "TIER": "free",
        "MODE": "auto",
        "TOKEN": "s3",
        "ADDRESS": f"http://{address}:80",
        "mode": "auto",
    }
    assert {name: seen.get(name) for name in wanted} == wanted


def test_volumes_are_folders_that_arguments_lead_to(namespace: Namespace) -> None:
    namespace.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a.txt": "from a file"}}
    )
    pod = python_pod(
        "reader",
        f"import sys; print(open(sys.argv[1]).read()); open(sys.argv[2] + '/x', 'w').write('kept'); {STAY}",
        volumes=[{"name": "settings", "configMap": {"name": "settings"}}, {"name": "scratch", "emptyDir": {}}],
        container={
            "volumeMounts": [
                {"name": "settings", "mountPath": "/etc/settings"},
                {"name": "scratch", "mountPath": "/scratch"},
            ]
        },
    )
    pod["spec"]["containers"][0]["args"] += ["/etc/settings/a.txt", "/scratch"]
    namespace.create(pod)
    namespace.wait_until_ready("reader")
    assert wait_for(lambda: namespace.logs("reader"), "the file is printed") == "from a file\n"


def test_a_missing_config_map_is_named_and_its_arrival_starts_the_pod(namespace: Namespace) -> None:
    namespace.create(python_pod("waiter", STAY, container={"envFrom": [{"configMapRef": {"name": "later"}}]}))

    def reason() -> str:
        return str(container_status(namespace.pod("waiter")).get("state", {}).get("waiting", {}))

    wait_for(lambda: 'ConfigMap "later" not found' in reason(), "the status names the ConfigMap")
    namespace.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later"}, "data": {}})
    namespace.wait_until_ready("waiter")


def test_an_unknown_image_is_refused_with_the_names_of_known_ones(namespace: Namespace) -> None:
    pod = python_pod("stranger", STAY)
    pod["spec"]["containers"][0]["image"] = "example.com/stranger:1"
    namespace.create(pod)

    def waiting() -> dict[str, str]:
        return dict(container_status(namespace.pod("stranger")).get("state", {}).get("waiting", {}))

    wait_for(lambda: waiting().get("reason") == "ErrImagePull", "the image is refused")
    assert "brownout/brownout, brownout/inference, python" in waiting()["message"]


def test_a_pod_acts_with_its_own_service_account_and_no_more(namespace: Namespace) -> None:
    program = """
import os, subprocess, time
while True:
    ran = subprocess.run([os.environ["KUBECTL"], "get", "configmaps", "-o", "name"], capture_output=True, text=True)
    print(ran.returncode, ran.stdout, ran.stderr, flush=True)
    time.sleep(0.5)
"""
    kubectl = namespace.cluster.binaries["kubectl"]
    namespace.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}})
    namespace.create(
        python_pod(
            "reader", program, serviceAccountName="reader", container={"env": [{"name": "KUBECTL", "value": kubectl}]}
        )
    )
    user = f'User "system:serviceaccount:{namespace.name}:reader" cannot list resource "configmaps"'
    wait_for(lambda: user in namespace.logs("reader"), "reading ConfigMaps is forbidden without a Role")
    namespace.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "reader"},
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}],
        }
    )
    namespace.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace.name}],
        }
    )
    wait_for(lambda: "configmap/kube-root-ca.crt" in namespace.logs("reader"), "it is allowed with one")


def test_pods_wait_when_the_gpus_are_gone_and_are_placed_when_they_are_freed(namespace: Namespace) -> None:
    for name in ("big-1", "big-2", "late"):
        namespace.create(python_pod(name, STAY, gpus=8))
        if name != "late":
            namespace.wait_until_ready(name)

    def unschedulable() -> bool:
        conditions = namespace.pod("late").get("status", {}).get("conditions", [])
        return any("Insufficient nvidia.com/gpu" in condition.get("message", "") for condition in conditions)

    wait_for(unschedulable, "the scheduler says that GPUs are missing")
    namespace.delete("v1", "Pod", "big-1")
    namespace.wait_until_ready("late")


def test_the_start_delay_keeps_a_pod_coming_for_that_long(namespace: Namespace) -> None:
    namespace.create(python_pod("cold", STAY, annotations={"localcluster.brownout.dev/start-delay-seconds": "3"}))
    wait_for(lambda: namespace.pod("cold")["status"].get("podIP"), "the pod has been taken up")
    holds_for(lambda: namespace.pod("cold")["status"]["phase"] == "Pending", "the pod is loading", seconds=2)
    namespace.wait_until_ready("cold")


def test_a_start_delay_that_is_no_number_is_refused_in_words(namespace: Namespace) -> None:
    namespace.create(python_pod("typo", STAY, annotations={"localcluster.brownout.dev/start-delay-seconds": "soon"}))

    def message() -> str:
        return str(container_status(namespace.pod("typo")).get("state", {}).get("waiting", {}).get("message"))

    wait_for(lambda: "is a number of seconds, not 'soon'" in message(), "the status says what is wrong")


def test_a_pod_that_is_told_never_to_be_ready_runs_without_being_ready(namespace: Namespace) -> None:
    namespace.create(python_pod("never", STAY, annotations={"localcluster.brownout.dev/never-ready": "true"}))
    wait_for(lambda: container_status(namespace.pod("never")).get("started"), "the pod has started")
    holds_for(lambda: not is_ready(namespace.pod("never")), "the pod is not ready", seconds=1.5)


def test_a_pod_that_is_told_to_fail_ends_in_a_crash_loop(namespace: Namespace) -> None:
    namespace.create(python_pod("broken", STAY, annotations={"localcluster.brownout.dev/fail": "true"}))

    def state() -> str:
        return str(container_status(namespace.pod("broken")).get("state", {}).get("waiting", {}).get("reason"))

    wait_for(lambda: state() == "CrashLoopBackOff", "the pod is in a crash loop")
    assert container_status(namespace.pod("broken"))["lastState"]["terminated"]["exitCode"] == 1


def test_a_container_that_ends_is_started_again_and_counted(namespace: Namespace) -> None:
    namespace.create(python_pod("mayfly", "import sys; print('lived'); sys.exit(3)"))
    wait_for(lambda: container_status(namespace.pod("mayfly")).get("restartCount", 0) >= 2, "two restarts are counted")
    assert container_status(namespace.pod("mayfly"))["lastState"]["terminated"]["exitCode"] == 3
    assert namespace.logs("mayfly").count("lived") >= 2


def test_a_container_that_is_not_alive_is_killed_and_started_again(namespace: Namespace) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2}
    namespace.create(python_pod("hung", STAY, container={"livenessProbe": probe}))
    wait_for(lambda: container_status(namespace.pod("hung")).get("restartCount", 0) >= 1, "the container is restarted")
    assert container_status(namespace.pod("hung"))["lastState"]["terminated"]["exitCode"] == 128 + 15


def test_readiness_follows_the_probe(namespace: Namespace) -> None:
    probe = {"exec": {"command": ["test", "-e", "/flag/up"]}, "periodSeconds": 1, "failureThreshold": 1}
    program = "import os, sys, time; time.sleep(1); open(sys.argv[1], 'w'); time.sleep(3); os.remove(sys.argv[1]); time.sleep(600)"
    pod = python_pod(
        "turncoat",
        program,
        volumes=[{"name": "flag", "emptyDir": {}}],
        container={"readinessProbe": probe, "volumeMounts": [{"name": "flag", "mountPath": "/flag"}]},
    )
    pod["spec"]["containers"][0]["args"].append("/flag/up")
    namespace.create(pod)
    namespace.wait_until_ready("turncoat")
    wait_for(lambda: not is_ready(namespace.pod("turncoat")), "the pod is unready again")


def test_a_deleted_pod_may_finish_its_work_after_sigterm(namespace: Namespace) -> None:
    program = """
import signal, sys, time
def finish(number, frame):
    time.sleep(0.5)
    print("finished", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
print("working", flush=True)
time.sleep(600)
"""
    namespace.create(python_pod("polite", program, terminationGracePeriodSeconds=20))
    wait_for(lambda: "working" in namespace.logs("polite"), "the pod works")
    namespace.delete("v1", "Pod", "polite")
    wait_for(lambda: namespace.find("v1", "Pod", "polite") is None, "the pod is gone", seconds=10)
    assert "finished" in namespace.logs("polite")


def test_a_pod_that_ignores_sigterm_is_killed_after_its_grace_period(namespace: Namespace) -> None:
    program = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid()); time.sleep(600)"
    )
    namespace.create(python_pod("stubborn", program, terminationGracePeriodSeconds=2))
    wait_for(lambda: namespace.logs("stubborn"), "the pod works")
    namespace.delete("v1", "Pod", "stubborn")
    holds_for(lambda: namespace.find("v1", "Pod", "stubborn") is not None, "it has its grace period", seconds=1)
    wait_for(lambda: namespace.find("v1", "Pod", "stubborn") is None, "the pod is gone", seconds=10)


def test_a_job_runs_to_completion(namespace: Namespace) -> None:
    template = {"spec": python_pod("once", "print('done')")["spec"] | {"restartPolicy": "Never"}}
    namespace.create(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {"template": template}}
    )
    wait_for(
        lambda: namespace.get("batch/v1", "Job", "once").get("status", {}).get("succeeded") == 1, "the Job is done"
    )


def test_init_containers_run_to_their_end_before_the_rest(namespace: Namespace) -> None:
    first = {"name": "first", "image": "python", "args": ["-c", "import time; print('first'); time.sleep(1)"]}
    namespace.create(python_pod("staged", f"print('second'); {STAY}", initContainers=[first]))
    pod = namespace.wait_until_ready("staged")
    initial = pod["status"]["initContainerStatuses"][0]["state"]["terminated"]
    assert initial["finishedAt"] <= container_status(pod)["state"]["running"]["startedAt"]

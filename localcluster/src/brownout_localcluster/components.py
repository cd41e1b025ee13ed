"""The command lines of the control plane: what each program is told, and why where it is not plain."""

from collections.abc import Callable
from pathlib import Path
from string import Template

from brownout_localcluster.spec import ClusterSpec, Endpoints, Layout, PrometheusSettings

Command = list[str | Path]

NODE_STAGE = """\
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: node-ready}
spec:
  resourceRef: {apiGroup: v1, kind: Node}
  selector:
    matchExpressions:
    - {key: '.status.conditions.[] | select( .type == "Ready" ) | .status', operator: NotIn, values: ["True"]}
  next:
    patches:
    - subresource: status
      root: status
      template: |
        {{ $now := Now }}
        conditions:
        - {type: Ready, status: "True", reason: KubeletReady, message: "kwok plays this node; its pods are processes",
           lastHeartbeatTime: {{ $now | Quote }}, lastTransitionTime: {{ $now | Quote }}}
        phase: Running
"""

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, userGroups: ["system:serviceaccounts:kube-system"]}
- {level: Metadata, userGroups: ["system:serviceaccounts"]}
- level: None
"""

PROMETHEUS_CONFIG = Template("""\
global: {scrape_interval: ${scrape_interval}, scrape_timeout: ${scrape_interval}, evaluation_interval: ${scrape_interval}}
scrape_configs:
- job_name: pods
  honor_labels: true
  kubernetes_sd_configs: [{role: pod, kubeconfig_file: ${kubeconfig}}]
  relabel_configs:
  - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape], regex: "true", action: keep}
  - {source_labels: [__meta_kubernetes_pod_phase], regex: Running, action: keep}
  - source_labels: [__meta_kubernetes_pod_ip, __meta_kubernetes_pod_annotation_prometheus_io_port]
    regex: (.+);(\\d+)
    replacement: $$1:$$2
    target_label: __address__
  - {source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path], regex: (.+), target_label: __metrics_path__}
  - {source_labels: [__meta_kubernetes_namespace], target_label: namespace}
  - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
""")


def etcd(spec: ClusterSpec, layout: Layout, at: Endpoints) -> Command:
    """The store. Nothing in it needs to survive a power cut, so it does not wait for the disk."""
    client = f"http://{at.address}:{at.etcd}"
    peer = f"http://{at.address}:{at.etcd_peer}"
    return [
        spec.binaries["etcd"],
        f"--data-dir={layout.root / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server(spec: ClusterSpec, layout: Layout, at: Endpoints) -> Command:
    """The API server. `kubectl logs` is answered by the runner, in the kubelet's place."""
    keys = layout.certificates
    return [
        spec.binaries["kube-apiserver"],
        f"--etcd-servers=http://{at.address}:{at.etcd}",
        f"--bind-address={at.address}",
        f"--secure-port={at.api_server}",
        # EndpointSlices refuse loopback addresses, so the `kubernetes` Service goes without endpoints.
        "--endpoint-reconciler-type=none",
        f"--advertise-address={at.address}",
        f"--cert-dir={keys}",
        f"--tls-cert-file={keys / 'apiserver.crt'}",
        f"--tls-private-key-file={keys / 'apiserver.key'}",
        f"--client-ca-file={keys / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-client-certificate={keys / 'admin.crt'}",
        f"--kubelet-client-key={keys / 'admin.key'}",
        f"--kubelet-certificate-authority={keys / 'ca.crt'}",
        f"--service-account-key-file={keys / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={keys / 'service-accounts.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={at.services}",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        *_audit(spec, layout),
    ]


def _audit(spec: ClusterSpec, layout: Layout) -> Command:
    if not spec.audit:
        return []
    policy = layout.root / "audit-policy.yaml"
    policy.write_text(AUDIT_POLICY)
    return [f"--audit-policy-file={policy}", f"--audit-log-path={layout.audit}", "--audit-log-mode=blocking"]


def controller_manager(spec: ClusterSpec, layout: Layout, at: Endpoints) -> Command:
    """The controllers, all but those of endpoints."""
    keys = layout.certificates
    return [
        spec.binaries["kube-controller-manager"],
        *_identity(layout),
        f"--bind-address={at.address}",
        f"--secure-port={at.controller_manager}",
        "--controllers=*,-endpoints-controller,-endpointslice-controller,-endpointslice-mirroring-controller",
        f"--service-account-private-key-file={keys / 'service-accounts.key'}",
        f"--root-ca-file={keys / 'ca.crt'}",
        "--use-service-account-credentials=true",
        # A test that stops the API server for a minute must not lose its nodes by it.
        "--node-monitor-grace-period=10m",
        # An autoscaler that is waited for is waited for less long; in life it looks every 15 s.
        "--horizontal-pod-autoscaler-sync-period=5s",
    ]


def scheduler(spec: ClusterSpec, layout: Layout, at: Endpoints) -> Command:
    """The scheduler, which places pods by their GPUs."""
    return [
        spec.binaries["kube-scheduler"],
        *_identity(layout),
        f"--bind-address={at.address}",
        f"--secure-port={at.scheduler}",
    ]


def kwok(spec: ClusterSpec, layout: Layout, at: Endpoints) -> Command:
    """Keeps the nodes ready. It has no stage for pods, which leaves them to the runner."""
    stages = layout.root / "kwok.yaml"
    stages.write_text(NODE_STAGE)
    return [
        spec.binaries["kwok"],
        f"--kubeconfig={layout.kubeconfig}",
        f"--config={stages}",
        "--manage-all-nodes=true",
        "--node-lease-duration-seconds=40",
        f"--node-ip={at.address}",
        f"--node-port={at.kubelet}",
        f"--server-address={at.address}:{at.kwok}",
        "-v=WARN",
    ]


def prometheus(spec: ClusterSpec, layout: Layout, at: Endpoints) -> Command:
    """Prometheus, which finds pods by their annotations."""
    settings = spec.prometheus or PrometheusSettings()
    template = Template(Path(settings.template).read_text()) if settings.template else PROMETHEUS_CONFIG
    configuration = layout.root / "prometheus.yaml"
    configuration.write_text(
        template.substitute(kubeconfig=layout.kubeconfig, scrape_interval=f"{settings.scrape_seconds}s")
    )
    return [
        spec.binaries["prometheus"],
        f"--config.file={configuration}",
        f"--storage.tsdb.path={layout.root / 'prometheus'}",
        "--storage.tsdb.retention.time=12h",
        f"--query.lookback-delta={settings.lookback_seconds}s",
        f"--web.listen-address={at.address}:{at.prometheus}",
        "--web.enable-otlp-receiver",  # whatever is to be remembered without being scraped
        "--log.level=warn",
    ]


def _identity(layout: Layout) -> Command:
    return [
        f"--kubeconfig={layout.kubeconfig}",
        f"--authentication-kubeconfig={layout.kubeconfig}",
        f"--authorization-kubeconfig={layout.kubeconfig}",
        f"--cert-dir={layout.certificates}",
        "--leader-elect=false",
    ]


COMPONENTS: dict[str, Callable[[ClusterSpec, Layout, Endpoints], Command]] = {
    "etcd": etcd,
    "kube-apiserver": api_server,
    "kube-controller-manager": controller_manager,
    "kube-scheduler": scheduler,
    "kwok": kwok,
    "prometheus": prometheus,
}

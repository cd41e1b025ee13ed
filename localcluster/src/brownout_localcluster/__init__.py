"""A real Kubernetes control plane on loopback, for tests and the demo: nothing in this repository mocks Kubernetes.

The API server, the controllers, the scheduler and etcd are the real ones; nodes are kwok's; pods are ordinary processes that a
small runner starts in the kubelet's place. What that cannot show (real kubelets, DNS, EndpointSlices, mount namespaces) is
listed in `localcluster/README.md`.
"""

from brownout_localcluster.cluster import ClusterError, LocalCluster
from brownout_localcluster.spec import GPUNode, PrometheusSettings

__all__ = ["ClusterError", "GPUNode", "LocalCluster", "PrometheusSettings"]

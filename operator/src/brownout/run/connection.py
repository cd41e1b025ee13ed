"""One way to the API server, for kopf's watches and for our own reads and writes.

In a pod it is the service account; otherwise the kubeconfig that KUBECONFIG names, or the one in the home directory. Credentials
are loaded anew whenever kopf logs in again, which it does when the API server no longer takes them, and our own client follows.
"""

import kopf
from kubernetes.aio.client import ApiClient, Configuration

from brownout.run.credentials import load
from brownout.run.election.fence import FencedClient


class Connection:
    """The API server's address and credentials. Make it with `connect`.

    Whatever we write of the world goes through `client`, which has a fence; the lease has a way of its own.
    """

    def __init__(self, configuration: Configuration) -> None:
        self.client = FencedClient(configuration)
        self.for_lease = ApiClient(configuration)
        for client in (self.client, self.for_lease):
            client.user_agent = "brownout-operator"
        self._configuration = configuration

    @classmethod
    async def connect(cls) -> "Connection":
        """Load credentials. Raises ConfigException where there are none."""
        return cls((await load()).configuration)

    async def log_in(self) -> kopf.ConnectionInfo:
        """Load credentials anew, for our client and for kopf."""
        loaded = (await load()).configuration
        self._configuration.api_key = loaded.api_key
        header: str | None = await loaded.get_api_key_with_prefix("BearerToken", alias="authorization")
        scheme, _, token = (header or "").rpartition(" ")
        return kopf.ConnectionInfo(
            server=loaded.host,
            ca_path=loaded.ssl_ca_cert,
            insecure=not loaded.verify_ssl,
            username=loaded.username or None,
            password=loaded.password or None,
            scheme=scheme or None,
            token=token or None,
            certificate_path=loaded.cert_file,
            private_key_path=loaded.key_file,
            proxy_url=loaded.proxy,
        )

    async def close(self) -> None:
        await self.client.close()
        await self.for_lease.close()

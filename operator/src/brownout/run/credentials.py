"""Where the API server is and who we are there: a kubeconfig, or a pod's service account."""

import os

import yaml
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException
from msgspec import Struct


class Credentials(Struct, frozen=True):
    """A client's configuration, and the namespace that the kubeconfig's context names ("" where it names none)."""

    configuration: Configuration
    namespace: str = ""


async def client(kubeconfig: str | None = None, context: str | None = None) -> ApiClient:
    """A client with these credentials. Raises as `load` does."""
    return ApiClient((await load(kubeconfig, context)).configuration)


async def load(kubeconfig: str | None = None, context: str | None = None) -> Credentials:
    """What a file and a context of it say; without either: what KUBECONFIG names, else in a pod its service account, else
    the kubeconfig in the home directory.

    Raises ConfigException where there is nothing, no such context, or a file that is no kubeconfig.
    """
    configuration = Configuration()
    kubeconfig = kubeconfig or os.environ.get("KUBECONFIG") or None
    if kubeconfig is None and context is None:
        try:
            config.load_incluster_config(client_configuration=configuration)
            return Credentials(configuration)
        except ConfigException:
            pass
    try:
        loader = await config.load_kube_config(kubeconfig, context, client_configuration=configuration)
    except (yaml.YAMLError, TypeError, AttributeError, KeyError) as error:  # the client trusts it to be one
        where = kubeconfig or "the kubeconfig in the home directory"
        raise ConfigException(f"{where} is no kubeconfig: {type(error).__name__}") from error
    named = (loader.current_context or {}).get("context") or {}
    return Credentials(configuration, named.get("namespace") or "")

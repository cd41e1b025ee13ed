"""Whether anybody decides: status is the last word of an operator, and does not tell that it has gone since."""

from kubernetes.aio.client import ApiClient

from brownout.cli.diagnosing.api import Api, RefusedError
from brownout.cli.diagnosing.found import Process
from brownout.cli.diagnosing.processes import SELECTOR

OPERATORS = f"{SELECTOR},app.kubernetes.io/component=operator"
SO = "what follows is what was decided last; `brownout diagnose` tells more"


async def nobody_decides(client: ApiClient) -> str:
    """A sentence where no pod of an operator is ready; empty where one is, and where the caller may not list pods."""
    try:
        pods = await Api(client).list("/api/v1/pods", labelSelector=OPERATORS)
    except RefusedError:
        return ""
    operators = [Process(component="operator", pod=pod) for pod in pods]
    if any(one.ready for one in operators):
        return ""
    if not operators:
        return f"the cluster has no pod of an operator, so nobody decides now unless one runs elsewhere: {SO}"
    return f"no operator is ready ({', '.join(one.name for one in operators)}), so nobody decides now: {SO}"

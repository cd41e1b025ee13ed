"""What `helm test` asks: whether the flag servers are ready, and what they answer for each namespace with policies.

Arguments: their base URL, and a namespace to ask for where none has policies yet. Uses the standard library alone.
"""

import json
import sys
import time
import urllib.error
import urllib.request

PATIENCE_SECONDS = 60.0


def ask(url, body=None):
    """The status and the JSON of an answer; Connection errors are raised."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"{}")


def ready(base):
    """What /readyz says once it is 200; ends the test where it does not become so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            status, said = ask(f"{base}/readyz")
        except (OSError, ValueError) as error:
            status, said = 0, str(error)
        if status == 200:
            return said
        if time.monotonic() > deadline:
            sys.exit(f"{base}/readyz: {status} {said}; see the logs of the flag servers")
        time.sleep(1)


def main(base, namespace):
    said = ready(base)
    print(f"ready; heard from the API server {said['syncAgeSeconds']} s ago", flush=True)
    body = json.dumps({"context": {"targetingKey": "helm-test"}}).encode()
    sets = said.get("sets")  # a public listener names none
    for name in sets or [namespace]:
        status, answer = ask(f"{base}/{name}/ofrep/v1/evaluate/flags", body)
        if status == 200:
            print(f"{name}: {len(answer['flags'])} flags", flush=True)
        elif status == 400 and not sets:  # for a bulk evaluation OFREP has no 404
            why = (
                "a public listener does not say for which there are"
                if sets is None
                else "no policy has been applied yet"
            )
            print(f"{name}: {answer.get('errorDetails')}: {why}", flush=True)
        elif status == 401:
            print(f"{name}: credentials are asked for, as flags.auth.required says", flush=True)
        else:
            sys.exit(f"{name}: {status} {answer}")


main(*sys.argv[1:])

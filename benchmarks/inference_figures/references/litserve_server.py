"""LitServe with dynamic batching, as its documentation shows it.

python litserve_server.py PORT BATCH
"""

import sys
from typing import Any

import litserve
from pictures import Pictures, answer


class Api(litserve.LitAPI):  # type: ignore[misc]
    """Decoded one by one, predicted together."""

    def setup(self, device: str) -> None:
        self.pictures = Pictures()

    def decode_request(self, request: dict[str, Any]) -> str:
        return str(request["prompt"])

    def predict(self, prompts: list[str]) -> list[bytes]:
        return self.pictures(prompts)

    def encode_response(self, picture: bytes) -> dict[str, Any]:
        return answer(picture)


if __name__ == "__main__":
    api = Api(max_batch_size=int(sys.argv[2]), batch_timeout=0.01, api_path="/v1/images/generations")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=False)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")

"""The reference: the same HTTP server, aiohttp with its own router, answering a constant and reading nothing.

python constant.py PORT FILE
"""

import sys
from pathlib import Path

from aiohttp import web


def main() -> None:
    content = Path(sys.argv[2]).read_bytes()

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=content, content_type="application/json")

    app = web.Application()
    app.add_routes([web.post("/constant", answer), web.get("/ready", answer)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()

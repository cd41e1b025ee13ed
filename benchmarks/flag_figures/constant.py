"""The reference: the same HTTP server, aiohttp as it is meant to be used, answering a constant and reading nothing.

A request goes through all of aiohttp and nothing else: its parser, a task for the request, its router (a path without patterns, which is
one look into a dictionary), no middleware, a `web.Response` with its headers, its writer. The body is neither read nor parsed. The
flag server has the same parser, tasks and connections; it recognises an evaluation by its path and writes the response itself
(`brownout.flags.fast_path`), and reads, parses, evaluates and counts in the time that it saves by that.

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

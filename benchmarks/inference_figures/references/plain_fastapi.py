"""FastAPI without batching: one picture after the other in a thread, as a first version of many services does.

python plain_fastapi.py PORT BATCH
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from fastapi import FastAPI
from pictures import Pictures, answer

model = Pictures()
thread = ThreadPoolExecutor(1)
app = FastAPI()


@app.get("/health")
def health() -> str:
    return "ok"


@app.post("/v1/images/generations")
async def generate(body: dict[str, Any]) -> dict[str, Any]:
    (picture,) = await asyncio.get_running_loop().run_in_executor(thread, model, [body["prompt"]])
    return answer(picture)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)

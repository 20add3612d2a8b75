"""Reads each URL with aiohttp-sse-client2 as its documentation shows, and prints a JSON line for
all that happens:

    python aiohttp-sse-client2.py URL...
"""

import asyncio
import json
import os
import sys
import threading
import time
from urllib.parse import urlsplit

from aiohttp_sse_client2 import client


async def read(url):
    def say(**what):
        at = {"port": urlsplit(url).port, "at": int(time.time() * 1000)}
        print(json.dumps({**at, **what}), flush=True)

    try:
        async with client.EventSource(url, on_error=lambda: say(error="on_error")) as events:
            async for event in events:
                if event.type is None:
                    say(message=event.data)
    except Exception as error:
        say(error=repr(error))


async def read_all(urls):
    await asyncio.gather(*(read(url) for url in urls))


def end_with_the_test():
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_the_test, daemon=True).start()
asyncio.run(read_all(sys.argv[1:]))
# Some are over, and none is to be taken for lost with the program.
threading.Event().wait()

"""Reads each URL with httpx-sse as its documentation shows, and prints a JSON line for all that
happens:

    python httpx-sse.py URL...
"""

import json
import os
import sys
import threading
import time
from urllib.parse import urlsplit

import httpx
import httpx_sse

printing = threading.Lock()


def read(url):
    def say(**what):
        with printing:
            at = {"port": urlsplit(url).port, "at": int(time.time() * 1000)}
            print(json.dumps({**at, **what}), flush=True)

    try:
        with httpx.Client(timeout=60) as client, httpx_sse.connect_sse(client, "GET", url) as source:
            for event in source.iter_sse():
                if event.event == "message":
                    say(message=event.data)
    except Exception as error:
        say(error=repr(error))


for url in sys.argv[1:]:
    threading.Thread(target=read, args=[url], daemon=True).start()
# Ends with the test that started it.
sys.stdin.buffer.read()
os._exit(0)

"""Reads a URL with httpx-sse, and prints a JSON line for all that happens:

    python httpx-sse.py URL

httpx-sse reads one response. That the stream goes on in another is for its caller to see to, with
the id and the time that it hands over.
"""

import json
import os
import sys
import threading
import time

import httpx
import httpx_sse


def say(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def end_with_the_test():
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_the_test, daemon=True).start()
url = sys.argv[1]
last_event_id = ""
retry = 3000

with httpx.Client(timeout=20) as client:
    while True:
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        try:
            with httpx_sse.connect_sse(client, "GET", url, headers=headers) as source:
                if source.response.status_code == 204:
                    say({"closed": True})
                    break
                source.response.raise_for_status()
                say({"open": True})
                for event in source.iter_sse():
                    last_event_id = event.id or last_event_id
                    retry = event.retry if event.retry is not None else retry
                    # It hands over blocks without data as well, of which the standard makes no
                    # events: those are printed as they come.
                    say({"message": {"type": event.event, "data": event.data, "id": event.id}})
        except httpx.TransportError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        say({"lost": True})
        time.sleep(retry / 1000)

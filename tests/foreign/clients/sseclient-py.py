"""Reads a URL with sseclient-py over httpx, and prints a JSON line for all that happens:

    python sseclient-py.py URL

It hands over ids with events alone, and no reconnection time but with an event.
"""

import json
import os
import sys
import threading
import time

import httpx
import sseclient


def say(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def end_with_the_test():
    sys.stdin.buffer.read()
    os._exit(0)


class Body:
    """What the client asks of a response: its bytes, and to be closed."""

    def __init__(self, response):
        self.response = response

    def __iter__(self):
        return self.response.iter_bytes()

    def close(self):
        self.response.close()


threading.Thread(target=end_with_the_test, daemon=True).start()
url = sys.argv[1]
last_event_id = ""
retry = 3000

with httpx.Client(timeout=20) as client:
    while True:
        headers = {"Accept": "text/event-stream"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        try:
            with client.stream("GET", url, headers=headers) as response:
                if response.status_code == 204:
                    say({"closed": True})
                    break
                response.raise_for_status()
                say({"open": True})
                for event in sseclient.SSEClient(Body(response)).events():
                    last_event_id = event.id or last_event_id
                    retry = int(event.retry) if event.retry is not None else retry
                    kind, data = event.event, event.data
                    say({"message": {"type": kind, "data": data, "id": last_event_id}})
        except httpx.TransportError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        say({"lost": True})
        time.sleep(retry / 1000)

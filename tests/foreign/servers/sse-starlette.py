"""An event-stream server by sse-starlette on uvicorn, told by JSON lines on standard input what to
do; `servers.rs` beside this directory says which."""

import asyncio
import json
import os
import socket
import sys
import threading
import traceback

import uvicorn
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

options = json.loads(sys.argv[1])
history = []
open_streams = set()
finished = False


class Cut(Exception):
    """Makes uvicorn close a connection without the end of its body."""


END = object()
CUT = object()


def say(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def written(event):
    return ServerSentEvent(event["data"], event=event["type"], id=event["id"])


async def stream(request):
    asked = {
        "accept": request.headers.get("accept"),
        "lastEventId": request.headers.get("last-event-id"),
    }
    if finished:
        say({"asked": asked})
        return Response(status_code=204)

    async def events():
        queue = asyncio.Queue()
        yield ServerSentEvent(retry=options["retry"])
        last = asked["lastEventId"]
        if last is not None:
            ids = [event["id"] for event in history]
            for event in history[ids.index(last) + 1 if last in ids else 0 :]:
                queue.put_nowait(written(event))
        # Since the history was read, nothing has waited, so that nothing was published in between.
        open_streams.add(queue)
        say({"asked": asked})
        try:
            while True:
                item = await queue.get()
                if item is END:
                    return
                if item is CUT:
                    raise Cut
                yield item
        finally:
            open_streams.discard(queue)

    return EventSourceResponse(events(), ping=options["ping"] / 1000)


def to_all(item):
    for queue in open_streams:
        queue.put_nowait(item)


def end(item):
    to_all(item)
    open_streams.clear()


def publish(event):
    history.append(event)
    to_all(written(event))


def cut(event):
    to_all(written(event).encode()[:-3])
    end(CUT)


def finish(_):
    global finished
    finished = True
    end(END)


orders = {
    "publish": publish,
    "comment": lambda text: to_all(ServerSentEvent(comment=text)),
    "retry": lambda time: to_all(ServerSentEvent(retry=time)),
    "cut": cut,
    "end": lambda _: end(END),
    "finish": finish,
}


def obey(loop):
    def do(line):
        try:
            [(order, argument)] = json.loads(line).items()
            orders[order](argument)
        except Exception:
            # The loop would note it and go on.
            traceback.print_exc()
            os._exit(1)

    for line in sys.stdin.buffer:
        loop.call_soon_threadsafe(do, line)
    os._exit(0)


async def main():
    threading.Thread(target=obey, args=(asyncio.get_running_loop(),), daemon=True).start()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options["port"]))
    listener.listen()
    say({"port": listener.getsockname()[1]})
    app = Starlette(routes=[Route("/events", stream)])
    config = uvicorn.Config(app, log_level="error", access_log=False)
    await uvicorn.Server(config).serve(sockets=[listener])


asyncio.run(main())

"""The WebSocket: carries messages between a client and its `Conversation`."""

from __future__ import annotations

import asyncio
from functools import partial

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from shortvox.progress import note
from shortvox.service.access import PROTOCOL
from shortvox.service.app import Front
from shortvox.service.conversation import BUG, TRY_LATER, Conversation, Reply
from shortvox.service.limits import Refused

ROUTE = "/v1/stream"


def make_router(front: Front) -> APIRouter:
    router = APIRouter()

    @router.websocket(ROUTE)
    async def stream(socket: WebSocket) -> None:
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
        try:
            with front.streams.one():
                front.metrics.streams += 1
                try:
                    await _converse(socket, front)
                finally:
                    front.metrics.streams -= 1
        except Refused as refused:
            await _send(socket, Reply(refused.content, TRY_LATER))
        except WebSocketDisconnect:
            return

    return router


async def _converse(socket: WebSocket, front: Front) -> None:
    conversation = Conversation(front.service.stream)
    run = partial(front.workers.run, patient=True)  # of each stream one job at most
    try:
        while True:
            try:
                async with asyncio.timeout(front.limits.idle):
                    message = await socket.receive()
            except TimeoutError:
                reply = conversation.waited(front.limits.idle)
            else:
                if message["type"] == "websocket.disconnect":
                    return
                text, audio = message.get("text"), message.get("bytes")
                step = (
                    partial(conversation.text, text) if text is not None else partial(conversation.audio, audio or b"")
                )
                try:
                    reply = await run(step)
                except Refused:
                    raise
                except Exception as error:
                    note(f"service: internal error: {type(error).__name__}: {error}")
                    reply = Reply({"error": "an internal error; what was sent is not at fault"}, BUG)
            if reply is not None:
                if reply.close is not None and "outcome" in reply.message:
                    front.metrics.decided(ROUTE, reply.message["outcome"])
                await _send(socket, reply)
                if reply.close is not None:
                    return
    finally:
        conversation.close()


async def _send(socket: WebSocket, reply: Reply) -> None:
    try:
        await socket.send_json(reply.message)
        if reply.close is not None:
            await socket.close(reply.close, "" if reply.close == 1000 else str(reply.message.get("error", ""))[:100])
    except (WebSocketDisconnect, RuntimeError):  # the client is gone
        raise WebSocketDisconnect(1006) from None

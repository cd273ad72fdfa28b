"""The verbs under /v1/voice that other local servers have: JSON with audio in base64, cosine distances.

A thin layer for clients that exist. What is the same is decided by error rates as everywhere here, never by the
distance; `outcome` and `llr` stand beside it. An address to fetch audio from is refused.
"""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from shortvox.config import nearest_name
from shortvox.service.app import Front
from shortvox.service.limits import Refused
from shortvox.service.routes import enrol_and_keep
from shortvox.verification.decision import Refusal

_LET_BE = ("model", "store", "anti_spoofing")  # choices that are not there to be made


def make_router(front: Front) -> APIRouter:
    router = APIRouter(prefix="/v1/voice", tags=["aliases"])
    service, run, json_of = front.service, front.workers.run, front.intake.json
    model = service.verifier.encoder.name

    @router.post("/embed", summary="The unit-length embedding of a recording", openapi_extra=_schema("audio"))
    async def embed(request: Request) -> JSONResponse:
        (audio,) = _audio(_only(await json_of(request), "audio"), "audio")
        heard = await run(service.embed, audio)
        if isinstance(heard, Refusal):
            raise _refused(heard)
        return JSONResponse({"embedding": heard.embedding.tolist(), "dim": len(heard.embedding), "model": model})

    @router.post("/verify", summary="Two recordings of one person?", openapi_extra=_schema("audio1", "audio2"))
    async def verify(request: Request) -> JSONResponse:
        began = time.monotonic()
        one, other = _audio(_only(await json_of(request), "audio1", "audio2"), "audio1", "audio2")
        answer = await run(service.verify, [one], other)
        front.metrics.decided("/v1/voice/verify", answer["outcome"])
        score = answer.get("score")
        told = {
            "verified": answer["outcome"] == "SAME",
            "distance": None if score is None else 1 - score,
            "confidence": None if score is None else 100 * answer["probability"],
            "model": model,
            "processing_time_ms": 1000 * (time.monotonic() - began),
        }
        return JSONResponse({**answer, **told})

    @router.post("/register", summary="Keep a voice", openapi_extra=_schema("audio", "name"))
    async def register(request: Request) -> JSONResponse:
        content = _only(await json_of(request), "audio", "name")
        name = _text(content, "name")
        answer = await enrol_and_keep(front, name, _audio(content, "audio"), "", False, None)
        return JSONResponse({**answer, "id": answer["name"], "registered_at": answer["enrolled_at"]})

    @router.post("/identify", summary="Which voice speaks", openapi_extra=_schema("audio"))
    async def identify(request: Request) -> JSONResponse:
        content = _only(await json_of(request), "audio", "top_k")
        most = content.get("top_k", 5)
        if not isinstance(most, int) or most < 1:
            raise Refused(400, "top_k: expected a whole number above 0")
        answer = await run(service.identify, *_audio(content, "audio"))
        matches = [
            {"id": each["name"], "distance": 1 - each["score"], "match": each["name"] == answer["name"], **each}
            for each in answer["candidates"][:most]
        ]
        return JSONResponse({**answer, "matches": matches})

    @router.post("/forget", summary="Remove a voice", status_code=204, openapi_extra=_schema("id"))
    async def forget(request: Request) -> Response:
        await run(service.remove, _text(_only(await json_of(request), "id"), "id"))
        return Response(status_code=204)

    return router


def _only(content: dict[str, Any], *known: str) -> dict[str, Any]:
    if "threshold" in content:
        raise Refused(400, "threshold: a distance cannot decide here; use /v1/verify or /v1/identify with max_fpr")
    for name in content:
        if name not in (*known, *_LET_BE):
            raise Refused(400, f"unknown key '{name[:100]}'{nearest_name(name, known)}")
    return content


def _text(content: dict[str, Any], name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str):
        raise Refused(400, f"{name}: expected a text")
    return value


def _audio(content: dict[str, Any], *names: str) -> tuple[bytes, ...]:
    found = []
    for name in names:
        value = _text(content, name)
        if value.startswith("data:"):
            value = value.partition(",")[2]
        if "://" in value[:20]:
            raise Refused(400, f"{name}: audio is not fetched from anywhere; send it in base64")
        try:
            found.append(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            raise Refused(400, f"{name}: not base64") from None
    return tuple(found)


def _refused(refusal: Refusal) -> Refused:
    return Refused(422, f"{refusal.text}; {refusal.advice}", more=refusal.as_dict())


def _schema(*required: str) -> dict[str, Any]:
    properties = {name: {"type": "string"} for name in required}
    schema = {"type": "object", "properties": properties, "required": [*required]}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

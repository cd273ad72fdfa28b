"""The routes of HTTP. Bodies are forms, answers JSON."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from shortvox import __version__
from shortvox.gallery.profile import Identification, Profile
from shortvox.service.app import Front
from shortvox.service.intake import Form
from shortvox.service.limits import Refused
from shortvox.service.metrics import CONTENT_TYPE
from shortvox.verification.decision import Decision, Refusal
from shortvox.verification.policy import MAX_FPR, MAX_MISS, PRIOR, Costs
from shortvox.verification.recording import LONGEST

POLICY = {
    "max_fpr": f"at most this share of strangers is SAME; {MAX_FPR:g} by default",
    "max_miss": f"at most this share of true speakers is DIFFERENT; {MAX_MISS:g} by default",
    "prior": f"how probable one speaker is before anything is heard; {PRIOR:g} by default",
    "cost_miss": "what a miss costs; with cost_false_alarm, and instead of rates",
    "cost_false_alarm": "what a false alarm costs",
}
KEEPING = {
    "consent": "a note of the person's consent",
    "replace": "true replaces a voice of this name",
    "keep_audio": "true keeps the recordings, encrypted, for another model",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "the request is malformed; `error` says how"},
    422: {"description": "recordings or values that cannot be used; `error` says why"},
    429: {"description": "too much at once; Retry-After"},
}

MISSING: dict[int | str, dict[str, Any]] = {404: {"description": "nobody is called so"}, 422: ERRORS[422]}


def make_router(front: Front) -> APIRouter:
    router = APIRouter()
    service, run, form_of = front.service, front.workers.run, front.intake.form

    def decided(route: str, outcome: object) -> None:
        front.metrics.decided(route, str(outcome))

    @router.get("/health", summary="Whether it lives")
    async def health() -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    @router.get("/metrics", summary="Counters in Prometheus' text format", response_class=Response)
    async def metrics() -> Response:
        return Response(front.metrics.text(), media_type=CONTENT_TYPE)

    @router.get("/v1/service", summary="Model and limits")
    async def about() -> dict[str, Any]:
        return {
            "version": __version__,
            "model": service.verifier.encoder.name,
            "space": service.verifier.space.key,
            "keeps_voices": service.gallery is not None,
            "shows_reports": front.reports is not None,
            "shortest": service.verifier.shortest,
            "longest": LONGEST,
            "max_upload": front.limits.upload,
            "max_recordings": front.limits.recordings,
            "max_fpr": MAX_FPR,
            "max_miss": MAX_MISS,
            "prior": PRIOR,
        }

    @router.post(
        "/v1/verify",
        summary="Whether one person speaks in all recordings",
        responses={200: {"model": Decision}, **ERRORS},
        openapi_extra=form_schema(
            {"enrolment": "recordings of the person, unless `speaker` names one", "test": "the recording in question"},
            {"speaker": "name of a voice that is kept", **POLICY},
            ("test",),
        ),
    )
    async def verify(request: Request) -> JSONResponse:
        form = (await form_of(request)).only(("enrolment", "test"), ("speaker", *POLICY))
        if ("speaker" in form.fields) == ("enrolment" in form.uploads):
            raise Refused(400, "expected either uploads 'enrolment' or a field 'speaker'")
        who = form.fields.get("speaker") or form.several("enrolment")
        answer = await run(partial(service.verify, who, form.one("test"), **policy_of(form)))
        decided("/v1/verify", answer["outcome"])
        return JSONResponse(answer)

    @router.post(
        "/v1/identify",
        summary="Who of the voices that are kept speaks",
        responses={200: {"model": Identification}, **ERRORS},
        openapi_extra=form_schema({"test": "the recording in question"}, POLICY, ("test",)),
    )
    async def identify(request: Request) -> JSONResponse:
        form = (await form_of(request)).only(("test",), POLICY)
        answer = await run(partial(service.identify, form.one("test"), **policy_of(form)))
        decided("/v1/identify", answer["outcome"])
        return JSONResponse(answer)

    @router.post(
        "/v1/enrol",
        summary="What recordings would give as an enrolment; nothing is kept",
        responses=ERRORS,
        openapi_extra=form_schema({"enrolment": "recordings of one person"}, {}, ("enrolment",)),
    )
    async def enrol(request: Request) -> JSONResponse:
        form = (await form_of(request)).only(("enrolment",), ())
        found = await run(service.enrol, form.several("enrolment"))
        return JSONResponse(found.as_dict())

    @router.post(
        "/v1/speakers/{name:path}",
        status_code=201,
        summary="Enrol a person and keep the voice",
        responses={201: {"model": Profile}, 409: {"description": "the name is taken"}, **ERRORS},
        openapi_extra=form_schema({"enrolment": "recordings of the person"}, KEEPING, ("enrolment",)),
    )
    async def add(name: str, request: Request) -> JSONResponse:
        form = (await form_of(request)).only(("enrolment",), KEEPING)
        recordings, replace = form.several("enrolment"), form.flag("replace")
        audio = recordings if form.flag("keep_audio") else None
        answer = await enrol_and_keep(front, name, recordings, form.fields.get("consent", ""), replace, audio)
        return JSONResponse(answer, 201)

    @router.get("/v1/speakers", summary="The voices that are kept, with their states")
    async def speakers() -> dict[str, Any]:
        return {"speakers": await run(service.profiles)}

    @router.get("/v1/speakers/{name:path}", summary="One of them", responses={200: {"model": Profile}, **MISSING})
    async def speaker(name: str) -> JSONResponse:
        return JSONResponse(await run(service.profile, name))

    @router.delete(
        "/v1/speakers/{name:path}", status_code=204, summary="Remove every trace of a voice", responses=MISSING
    )
    async def remove(name: str) -> Response:
        await front.workers.run(service.remove, name)
        return Response(status_code=204)

    return router


async def enrol_and_keep(
    front: Front, name: str, recordings: tuple[bytes, ...], consent: str, replace: bool, audio: tuple[bytes, ...] | None
) -> dict[str, Any]:
    """The profile of a voice that is kept from now on. Raises Refused (422) where the recordings are not taken."""
    voiceprint = await front.workers.run(front.service.enrol, recordings)
    if isinstance(voiceprint, Refusal):
        told = voiceprint.as_dict()
        raise Refused(422, f"{told['text']}; {told['advice']}", more=told)
    # Once begun it is waited for: a client is never told that a voice was not kept which is.
    keep = front.service.keep
    profile = await front.workers.run(keep, name, voiceprint, consent, replace, audio, patient=True)
    return {**voiceprint.as_dict(), **profile.as_dict(), "warnings": list(voiceprint.warnings)}


def policy_of(form: Form) -> dict[str, Any]:
    """What `Verifier.decide` takes."""
    costs = [name for name in ("cost_miss", "cost_false_alarm") if name in form.fields]
    rates = [name for name in ("max_fpr", "max_miss") if name in form.fields]
    policy: dict[str, Any] = {name: form.number(name) for name in (*rates, "prior") if name in form.fields}
    if costs:
        if rates or len(costs) == 1:
            raise Refused(400, "expected cost_miss and cost_false_alarm together, without max_fpr and max_miss")
        policy["costs"] = Costs(form.number("cost_miss"), form.number("cost_false_alarm"))
    return policy


def form_schema(uploads: dict[str, str], fields: dict[str, str], required: tuple[str, ...]) -> dict[str, Any]:
    """The body of a request, for OpenAPI."""
    properties: dict[str, Any] = {}
    for name, about in uploads.items():
        file = {"type": "string", "format": "binary"}
        several = {"type": "array", "items": file, "description": about}
        properties[name] = several if name == "enrolment" else {**file, "description": about}
    for name, about in fields.items():
        properties[name] = {"type": "string", "description": about}
    schema = {"type": "object", "properties": properties, "required": [*required]}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}

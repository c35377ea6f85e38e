"""Queues summaries and shows them live. The key of offpeak stays in this process.

`OFFPEAK_URL` and `OFFPEAK_KEY` say where offpeak is and what opens it,
`OFFPEAK_PUBLIC_URL` how browsers reach it if not as we do, `ORIGIN` how they reach us,
`TICKET_SECONDS` how long a ticket is good.
"""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
from fastapi import Cookie, Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import HTTPException
from fastapi.responses import FileResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

URL = os.environ["OFFPEAK_URL"].rstrip("/")
PUBLIC_URL = os.environ.get("OFFPEAK_PUBLIC_URL", URL).rstrip("/")
ORIGIN = os.environ.get("ORIGIN", "http://127.0.0.1:8000")
TICKET_SECONDS = int(os.environ.get("TICKET_SECONDS", "600"))
PAGE = Path(__file__).parent / "page"
# Its own files, and offpeak as the one other place to talk to.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    f"connect-src 'self' {PUBLIC_URL}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
log = logging.getLogger("uvicorn.error")

User = Literal["ada", "ben"]


class SummaryRequest(BaseModel):
    """What `POST /summaries` takes."""

    text: str


class Summary(BaseModel):
    """A queued summary, by the id of its job."""

    id: str


class Ticket(BaseModel):
    """Where offpeak is, and what opens one user's jobs there for minutes."""

    url: str
    ticket: str
    user: User


class Offpeak:
    """The few calls that this app makes."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def call(self, method: str, path: str, json: Any = None, **headers: str) -> dict[str, Any]:
        """What offpeak answers. Raises what a person can mend in its words; the rest is ours."""
        try:
            answer = await self.client.request(method, path, json=json, headers=headers)
        except httpx.TransportError:
            raise HTTPException(503, "The queue does not answer.") from None
        if answer.is_success:
            return answer.json()
        problem = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        faults = [f"The {fault['field'].split('/')[-1]} {fault['message']}." for fault in problem.get("errors", [])]
        detail = " ".join(faults) or problem.get("detail", "")
        if answer.status_code in (400, 409, 413, 422, 429):
            raise HTTPException(answer.status_code, detail)
        log.error("%s %s: %s %s", method, path, answer.status_code, detail)
        raise HTTPException(502, "The queue does not do as asked. We were told.")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Holds the connection, and adds this page's origin to those that may use tickets."""
    key = {"authorization": f"Bearer {os.environ['OFFPEAK_KEY']}"}
    async with httpx.AsyncClient(base_url=URL, headers=key, timeout=15) as client:
        app.state.offpeak = Offpeak(client)
        listed = await app.state.offpeak.call("GET", "/v1/live/origins")
        origins = sorted({*listed["origins"], ORIGIN})
        await app.state.offpeak.call("PUT", "/v1/live/origins", {"origins": origins})
        yield


app = FastAPI(title="Summaries", lifespan=lifespan)
app.mount("/page", StaticFiles(directory=PAGE), name="page")


def offpeak(request: Request) -> Offpeak:
    """The client that `lifespan` made."""
    return request.app.state.offpeak


def signed_in(user: Annotated[User, Cookie()] = "ada") -> User:
    """A stand-in of your own sign-in: whoever asks for a name has it."""
    return user


Queue = Annotated[Offpeak, Depends(offpeak)]
SignedIn = Annotated[User, Depends(signed_in)]


@app.middleware("http")
async def guard(request: Request, call_next: Any) -> Response:
    """What a page may do, on every answer."""
    response = await call_next(request)
    response.headers["content-security-policy"] = POLICY
    response.headers["x-content-type-options"] = "nosniff"
    return response


@app.get("/", include_in_schema=False)
def page() -> FileResponse:
    """The page."""
    return FileResponse(PAGE / "index.html")


@app.post("/summaries", status_code=202)
async def queue_summary(
    body: SummaryRequest,
    user: SignedIn,
    queue: Queue,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Summary:
    """Queues a summary; with the same idempotency key it is queued once, however often it is sent."""
    once = {"idempotency-key": idempotency_key} if idempotency_key else {}
    job = await queue.call("POST", "/v1/jobs", {"type": "summarize", "input": {"text": body.text}, "user": user}, **once)
    return Summary(id=job["id"])


@app.get("/ticket")
async def ticket(user: SignedIn, queue: Queue, response: Response) -> Ticket:
    """What the page opens its events with."""
    response.headers["cache-control"] = "no-store"
    made = await queue.call("POST", "/v1/live/tickets", {"user": user, "ttl": TICKET_SECONDS})
    return Ticket(url=PUBLIC_URL, ticket=made["ticket"], user=user)


@app.get("/as/{user}", include_in_schema=False)
def sign_in(user: User) -> Response:
    """Sets who is signed in."""
    response = RedirectResponse("/", status_code=303)
    response.set_cookie("user", user, httponly=True, samesite="strict")
    return response

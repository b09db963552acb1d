# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""The web server; `route_list.py` lists its routes."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from monailabel.app import lifespan
from monailabel.config import settings
from monailabel.endpoints import train as their_train
from monailabel.endpoints.user.auth import get_current_user

from lungseg.workflows.label.server.auth import TokenRequired, current_user
from lungseg.workflows.label.server.bodies import MAX_SMALL, LimitBodies, OneLength
from lungseg.workflows.label.server.errors import answer_errors
from lungseg.workflows.label.server.routes import annotation, datastore, infer, info, login, tasks, versions
from lungseg.workflows.label.server.same_origin import SameOriginOnly
from lungseg.workflows.label.server.security_headers import SecurityHeaders

# Their pages would load scripts from other servers.
_NO_PAGES = {"docs_url": None, "redoc_url": None}
app = FastAPI(
    title="lungseg",
    lifespan=lifespan,
    form_limits={"max_fields": 20, "max_files": 4, "max_part_size": MAX_SMALL},
    **_NO_PAGES,
)
answer_errors(app)

# The last one sees a request first.
app.add_middleware(LimitBodies)
if settings.MONAI_LABEL_AUTH_ENABLE:
    app.add_middleware(TokenRequired)
    app.dependency_overrides[get_current_user] = current_user
app.add_middleware(SameOriginOnly)
app.add_middleware(OneLength)
app.add_middleware(SecurityHeaders)

# MONAI Label's own routes start a training without checking its settings.
their_train.router.routes[:] = [route for route in their_train.router.routes if "POST" not in route.methods]
for part in (info, infer, datastore, tasks, their_train, versions, annotation):
    app.include_router(part.router)
if settings.MONAI_LABEL_AUTH_ENABLE:
    app.include_router(login.router)
app.mount("/lungseg/page", annotation.page_files())


@app.get("/", include_in_schema=False)
def root() -> RedirectResponse:
    """Redirect to the annotation page."""
    return RedirectResponse("/lungseg/")

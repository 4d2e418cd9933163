"""The dossier of a case, for whoever may take it out of the house."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from clonewatch.cases import approvals
from clonewatch.cases.store import Reading
from clonewatch.dossier.writing import Order, export
from clonewatch.model.errors import SetupError
from clonewatch.service.visits import Analyst

router = APIRouter()


@router.post("/cases/{name}/dossier")
def take_dossier(visit: Analyst, name: str) -> Response:
    """The dossier of a case as a zip, once a second person approved that it leaves the house; every copy is logged."""
    settings = visit.settings
    result = settings.result
    if result is None:
        raise SetupError(
            "this console was started without a result, and a dossier is made of one",
            fix="Start it with one: clonewatch console RESULT; or run clonewatch dossier",
        )
    with visit.store.reading() as store:
        case = store.case(name).case
    with tempfile.TemporaryDirectory() as place:
        order = Order(case, result, settings.log, settings.prices, _released, settings.audits)
        made = export(visit.store, order, visit.who(), Path(place) / "dossier", None)
    named = {"content-disposition": f'attachment; filename="dossier-{case}.zip"'}
    return Response(_zipped(f"dossier-{case}", made.files), media_type="application/zip", headers=named)


def _released(store: Reading, case: str) -> tuple[str, ...]:
    """Which request a second person approved. Raises SetupError where nobody did."""
    approved = approvals.stands(store, case, approvals.EXPORT)
    if approved is None:
        raise SetupError(f"nobody approved that the file of {case} leaves the house", fix="Ask a second person for it")
    return ("a dossier", f"request {approved.entry}")


def _zipped(folder: str, files: dict[str, bytes]) -> bytes:
    """Files in a folder of a zip, which is only how they travel: what is checked is the folder."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(f"{folder}/{name}", data)
    return held.getvalue()

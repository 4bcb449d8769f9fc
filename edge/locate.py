"""Finds out where a caller probably is, from what the carrier says of the call."""

from collections.abc import Callable, Iterator

from edge.caller_number import place_of_number
from edge.carrier_form import CarrierForm
from edge.core.caller_place import (
    CallerPlace,
    Finding,
    NoPlace,
    PlaceSource,
    first_place,
    place_in_country,
)
from edge.core.geography import Point
from edge.geo_database import GeoDatabase
from edge.metrics import EdgeMetrics

__all__ = ["CallerLocator"]


class CallerLocator:
    """Asks the sources in order, until one tells; each says why if it does not."""

    def __init__(
        self,
        *,
        database: GeoDatabase,
        edge: Point | None,
        metrics: EdgeMetrics,
    ) -> None:
        """Know whom to ask.

        Args:
            database: The operator's database of addresses.
            edge: Where this edge is, for when nothing else tells.
            metrics: Where findings are counted.
        """
        self._database = database
        self._edge = edge
        self._metrics = metrics

    def locate(self, form: CarrierForm) -> CallerPlace:
        """Return where the caller of *form* probably is; it never waits."""
        place = first_place(self._findings(form), edge=self._edge)
        if place.source is PlaceSource.EDGE:
            self._count(PlaceSource.EDGE, "located" if place.point else "absent")
        return place

    def _findings(self, form: CarrierForm) -> Iterator[Finding]:
        asked: tuple[tuple[PlaceSource, Callable[[], Finding]], ...] = (
            (PlaceSource.CLIENT_IP, lambda: self._database.look_up(form.source_ip)),
            (PlaceSource.NUMBER, lambda: place_of_number(form.caller)),
            (PlaceSource.CARRIER, lambda: _as_the_carrier_says(form)),
        )
        for source, ask in asked:
            finding = ask()
            outcome = finding.value if isinstance(finding, NoPlace) else "located"
            self._count(source, outcome)
            yield finding

    def _count(self, source: PlaceSource, outcome: str) -> None:
        labels = {"source": source.value, "outcome": outcome}
        self._metrics.caller_places.labels(**labels).inc()


def _as_the_carrier_says(form: CarrierForm) -> Finding:
    if not form.caller_country:
        return NoPlace.ABSENT
    country, state = form.caller_country.upper(), form.caller_state.upper()
    return place_in_country(PlaceSource.CARRIER, country, state)

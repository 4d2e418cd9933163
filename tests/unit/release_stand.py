"""A release with an indicator of every kind, and what a correction or retraction makes of it."""

from __future__ import annotations

import msgspec

from clonewatch.sharing.release import Basis, Indicator, Release

TODAY = "2026-11-20"
VALUES = {
    "template_family": "cwt1:" + "0f" * 8 + ":" + "a1" * 256,
    "forced_format": "cwf1:" + "0f" * 8 + ":" + "b2" * 16,
    "tls": "ja4:t13d1516h2_8daaf6152771_02713d6af862",
    "http": "ja4h:ge11nn07enus_9ed1ff1f7b03_cd8dafe26982_e3b0c44298fc",
    "network": "192.88.99.0/24",
    "mail_domain": "disposable.example",
    "issuer_class": "prepaid",
    "behaviour": "single_turn>=0.75",
    "timing": "active_days:3-14",
    "attack": "CW-A02",
}


def indicator(number: int, kind: str, value: str = "") -> Indicator:
    """An indicator that holds for eight days from 17 November."""
    name = f"{number:08x}-1111-4111-8111-111111111111"
    return Indicator(name, kind, value or VALUES[kind], "2026-11-17", "2026-11-25", 60, ("network", "timing"))


def release(**given: object) -> Release:
    """A first word that holds every kind."""
    held = [indicator(n, kind) for n, kind in enumerate(VALUES, 1)]
    held += [indicator(90, "network", "AS64500"), indicator(91, "network", "2620:4f:8000::/48")]
    held.append(indicator(92, "tls", "ja3:" + "c3" * 16))
    whole = Release(
        id="7e0f3f52-5a7e-4c39-8d43-2f8d5a1f9b10",
        revision=1,
        what="new",
        profile="information_sharing",
        sender="provider-a",
        made_at="2026-11-20T09:00:00Z",
        until="2027-01-15",
        tlp="AMBER",
        pap="GREEN",
        confidence=70,
        families=("content", "network", "timing"),
        attack=("AML.T0024.002", "CW-A02"),
        basis=Basis("cisa_2015", False, "2026-10-01", "https://example.org/law"),
        indicators=tuple(held),
    )
    return msgspec.structs.replace(whole, **given)


def correction() -> Release:
    """The second word, of the same hour: the first indicator holds no more."""
    first = release()
    held = (msgspec.structs.replace(first.indicators[0], withdrawn="not_specific"), *first.indicators[1:])
    return msgspec.structs.replace(first, revision=2, what="correction", reason="not_specific", indicators=held)


def retraction() -> Release:
    """The third word: nothing of it holds."""
    return msgspec.structs.replace(
        release(), revision=3, what="retraction", made_at="2026-11-20T10:00:00Z", reason="appeal_upheld"
    )

"""Harvests inside resale proxies: most of an account's traffic belongs to unrelated customers."""

from dataclasses import replace

from clonewatch.lab.campaigns._pool import Plan

_PROXY = Plan(
    accounts=(250, 500), rate=(5, 9), cover_from="customers", per_address=(8, 40), customers=(30, 90),
    created=(-150, 5), bursts=False,
)  # fmt: skip

CAMPAIGN = {
    "s02_mixing_proxy": replace(_PROXY, cover=(0.65, 0.75)),
    "s03_mixing_proxy_95": replace(_PROXY, accounts=(250, 450), rate=(9, 14), cover=(0.94, 0.96)),
    "p5_reseller_stratum": replace(_PROXY, accounts=(500, 700), cover=(0.9, 0.97)),
}

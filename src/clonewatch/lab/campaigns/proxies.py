"""Harvests inside resale proxies: most of an account's traffic belongs to unrelated customers."""

from dataclasses import replace

from clonewatch.lab.campaigns._plan import PoolPlan

COVERS = (0, 50, 80, 90, 95, 99)  # percentage of customers' traffic

_PROXY = PoolPlan(
    accounts=(250, 500),
    rate=(5, 9),
    cover_from="customers",
    per_address=(8, 40),
    customers=(30, 90),
    created=(-150, 5),
    bursts=False,
)

# The same harvest of one request per account per day, under increasing customers' traffic.
_COVERED = replace(_PROXY, accounts=(250, 350), least=30, ban=(0.0, 0.0), ramp=(0, 0), first_day=(0, 0))

CAMPAIGN = {
    "s02_mixing_proxy": replace(_PROXY, cover=(0.65, 0.75)),
    "s03_mixing_proxy_95": replace(_PROXY, accounts=(250, 450), rate=(9, 14), cover=(0.94, 0.96)),
    "p5_reseller_stratum": replace(_PROXY, accounts=(500, 700), cover=(0.9, 0.97)),
    **{
        f"cover_{percent:02}": replace(_COVERED, cover=(percent / 100,) * 2, rate=(100 / (100 - percent),) * 2)
        for percent in COVERS
    },
}

"""What a scan says about an innocent explanation: whether it is ruled out, and how many of a group's are."""

from collections.abc import Iterable

# A ruling that leaves the explanation open begins so.
OPEN = "Not ruled out"


def ruled_out(ruling: str | None) -> bool:
    """Whether a ruling rules the explanation out. None: nothing was tested.

    >>> ruled_out("None of the 54 is as extreme."), ruled_out("Not ruled out: nobody is trusted."), ruled_out(None)
    (True, False, False)
    """
    return bool(ruling) and not str(ruling).startswith(OPEN)


def counted(rulings: Iterable[str | None]) -> str:
    """How many innocent explanations of the evidence for a group this log rules out; empty where there is no evidence.

    >>> counted(["None is as extreme.", "Not ruled out: nobody is trusted.", None])
    'This log rules out 1 of 3 innocent explanations; 2 stay open.'
    """
    held = [ruled_out(ruling) for ruling in rulings]
    n, out = len(held), sum(held)
    if not n:
        return ""
    left = f"; {n - out} {'stays' if n - out == 1 else 'stay'} open" if n > out else ""
    return f"This log rules out {out or 'none'} of {n} innocent explanation{'' if n == 1 else 's'}{left}."

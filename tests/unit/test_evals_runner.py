"""The runner of the evaluation does what is missing, keeps what is done, and says what broke."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # evals is no part of the installed package

from evals.jobs import FIRST_QUIET_SEED, FIRST_SEED, Job, plan  # noqa: E402
from evals.runner import kept, run  # noqa: E402

JOBS = [Job("scan", "a", 1, 0.5), Job("scan", "b", 1, 0.5), Job("rivals", "a", 1, 0.5)]


class Stub:
    """A job that writes its name and notes that it ran; those named in `failing` say why and leave with 3."""

    def __init__(self, folder: Path) -> None:
        self.diary = folder / "diary"
        self.failing: set[str] = set()

    def __call__(self, job: Job, out: Path) -> Sequence[str]:
        script = (
            "import json, sys, pathlib\n"
            "name, out, diary, fails = sys.argv[1:]\n"
            "open(diary, 'a').write(name + '\\n')\n"
            "if fails == 'yes':\n    sys.stderr.write('no such luck')\n    sys.exit(3)\n"
            "pathlib.Path(out).write_text(json.dumps({'name': name}))"
        )
        fails = "yes" if job.name in self.failing else "no"
        return [sys.executable, "-c", script, job.name, str(out), str(self.diary), fails]

    @property
    def ran(self) -> list[str]:
        return sorted(self.diary.read_text().split()) if self.diary.exists() else []


def constant(kind: str) -> str:
    return f"source of {kind}"


def test_every_job_runs_once_even_if_requested_twice(tmp_path: Path) -> None:
    stub = Stub(tmp_path)
    assert run([*JOBS, JOBS[0]], tmp_path / "runs", workers=2, how=stub, mark=constant) == []
    assert stub.ran == sorted(job.name for job in JOBS)
    assert kept(JOBS[0], tmp_path / "runs", constant("scan")) == {"name": JOBS[0].name, "source": "source of scan"}


def test_a_second_run_does_nothing_and_a_third_only_replaces_what_was_lost(tmp_path: Path) -> None:
    stub, folder = Stub(tmp_path), tmp_path / "runs"
    run(JOBS, folder, workers=1, how=stub, mark=constant)
    stub.diary.unlink()
    run(JOBS, folder, workers=1, how=stub, mark=constant)
    assert stub.ran == []
    (folder / f"{JOBS[1].name}.json").unlink()
    run(JOBS, folder, workers=1, how=stub, mark=constant)
    assert stub.ran == [JOBS[1].name]


def test_a_changed_source_repeats_only_the_jobs_that_depend_on_it(tmp_path: Path) -> None:
    stub, folder = Stub(tmp_path), tmp_path / "runs"
    run(JOBS, folder, workers=1, how=stub, mark=constant)
    stub.diary.unlink()
    run(JOBS, folder, workers=1, how=stub, mark=lambda kind: "new" if kind == "rivals" else constant(kind))
    assert stub.ran == [JOBS[2].name]


def test_a_failed_job_is_reported_with_its_message_and_the_others_continue(tmp_path: Path) -> None:
    stub, folder = Stub(tmp_path), tmp_path / "runs"
    stub.failing = {JOBS[0].name}
    broken = run(JOBS, folder, workers=1, how=stub, mark=constant)
    assert [(b.job, b.said) for b in broken] == [(JOBS[0], "no such luck")]
    assert kept(JOBS[0], folder, None) is None and kept(JOBS[1], folder, None) is not None
    stub.failing = set()
    assert run(JOBS, folder, workers=1, how=stub, mark=constant) == []


def test_a_result_is_discarded_if_the_source_changes_during_its_run(tmp_path: Path) -> None:
    answers = iter(["before", "before", "after"])  # planned, started, ended
    broken = run(JOBS[:1], tmp_path, workers=1, how=Stub(tmp_path), mark=lambda kind: next(answers))
    assert "source changed" in broken[0].said
    assert kept(JOBS[0], tmp_path, None) is None


def test_progress_states_the_time_left(tmp_path: Path) -> None:
    said: list[str] = []
    run(JOBS, tmp_path, workers=1, how=Stub(tmp_path), mark=constant, say=said.append)
    assert said[0] == "3 jobs, 0 already done, 1 at a time"
    assert len(said) == 4 and all("left" in line for line in said[1:]) and "about 0:00 min" in said[-1]


def test_reported_seeds_are_not_those_of_development_or_calibration() -> None:
    for size in ("small", "full"):
        for held in plan(size).values():
            assert all(job.seed >= min(FIRST_SEED, FIRST_QUIET_SEED) and not 5000 <= job.seed < 6000 for job in held)
        for held in plan(size, develop=True).values():
            assert all(job.seed < 100 or 5000 <= job.seed < 6000 for job in held)


def test_the_plan_is_deterministic_and_gives_each_job_its_own_name() -> None:
    assert plan("full") == plan("full")
    for held in plan("full").values():
        assert len({job.name for job in held}) == len(held)
    assert json.dumps(plan("small")["quiet"][0].as_dict())

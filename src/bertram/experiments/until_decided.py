"""A study that runs seed after seed until its effects are decided: an ablation, or rows against a reference."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertram.comparison.comparison import named_runs, read_tasks
from bertram.comparison.evidence import Contrast
from bertram.comparison.outcomes import outcomes
from bertram.errors import RunError
from bertram.experiments.looks import Look, Plan, make_look, needed_arms, next_seeds, open_effects, write_looks
from bertram.experiments.schedule import Job
from bertram.runs.directory import Run

PILOT_ARMS = 2  # the noise between seeds needs two configurations
JobsByArm = Mapping[str, Sequence[Job]]  # arm -> a job for each seed 0, 1, 2, …


@dataclass(frozen=True)
class SequentialStudy:
    """A study that can be run seed after seed.

    Attributes:
        out: results folder, which holds looks.json.
        plan: plan of the looks.
        contrasts: effects as contrasts of arms.
        jobs: function of a number of seeds that returns arm -> its jobs.
    """

    out: Path
    plan: Plan
    contrasts: Sequence[Contrast]
    jobs: Callable[[int], JobsByArm]

    def next_jobs(self, looks: Sequence[Look]) -> list[Job]:
        """The runs that the next look needs, seed by seed; arms that serve no open effect are left out."""
        arms = needed_arms(self.contrasts, open_effects(self.plan, looks))
        by_arm = self.jobs(next_seeds(looks))
        return [by_arm[arm][seed] for seed in range(next_seeds(looks)) for arm in by_arm if arm in arms]

    def next_look(self, looks: Sequence[Look]) -> Look:
        """Take the next look at finished runs and write it, once and for all.

        Raises:
            RunError: runs are missing, or a score is undefined.
        """
        by_arm = self.jobs(next_seeds(looks))
        runs = {arm: [Run(job.path) for job in jobs if job.finished] for arm, jobs in by_arm.items()}
        every = named_runs(run for arm_runs in runs.values() for run in arm_runs)
        if not every:
            raise RunError(f"no look after {next_seeds(looks)} seeds: there are no finished runs")
        data = next(iter(by_arm.values()))[0].config.data
        scored = {outcome.name: outcome for outcome in outcomes(read_tasks(every, data), losses=False)}
        names = {run.path: name for name, run in every.items()}
        arms = {arm: {run.config.seed: names[run.path] for run in arm_runs} for arm, arm_runs in runs.items()}
        look = make_look(self.plan, looks, self.contrasts, scored[self.plan.primary], arms)
        write_looks(self.out, self.plan, [*looks, look])
        return look


def identities(by_arm: JobsByArm) -> dict[str, str]:
    """Arm -> identity of its run with seed 0, for a plan."""
    return {arm: jobs[0].identity for arm, jobs in by_arm.items()}

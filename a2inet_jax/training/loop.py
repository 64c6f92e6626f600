"""Training of members, all as one program, from the first epoch or the latest checkpoint to the last.

In `folder`, which all members of a model share, are `metrics.csv`, `checkpoints/` and `tensorboard/`;
members of several runs have a folder each in it for the first and the last.

The loop keeps the device busy: results are read when the work that follows them has been handed over.
"""

import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from a2inet_jax.config import Train
from a2inet_jax.errors import DivergedError
from a2inet_jax.training import batch_plan, fingerprint, history, jitted_steps, parallel
from a2inet_jax.training import loader as feeds
from a2inet_jax.training.checkpoint import Checkpoints, open_folder
from a2inet_jax.training.compilations import counted
from a2inet_jax.training.data import TrainingData
from a2inet_jax.training.eval_set import EvalSet
from a2inet_jax.training.losses import Losses
from a2inet_jax.training.members import Member, MemberIndices, TrainedMember, member_indices
from a2inet_jax.training.progress import Progress
from a2inet_jax.training.termination import TerminatedError, termination


@dataclass(frozen=True)
class Callbacks:
    """How a training tells what it does.

    Attributes:
        advance: Called with a text, steps done and steps in all.
        say: Called with a line for the reader.
    """

    advance: Callable[[str, int, int], None] = lambda text, done, total: None
    say: Callable[[str], None] = lambda line: None


def train(
    model: nn.Module,
    features: TrainingData,
    members: Sequence[Member],
    settings: Train,
    folder: Path,
    watch: Callbacks = Callbacks(),
) -> list[TrainedMember]:
    """Trains a model on each member's split, or goes on from the latest checkpoint.

    Model, features, members and settings decide every number: a training that was killed and called
    again ends like one that was not, bit for bit on a CPU. One that is complete is read back. A member
    trained along with others ends where it ends alone, but for rounding.

    Args:
        model: `model.apply({"params": p}, streams, mask, keys)` gives `Outputs`.
        features: Of all videos of the splits, at least.
        members: What to train; no two of one group, split and seed.
        settings: How to train.
        folder: The model's folder, shared by trainings of other members.
        watch: Is told how it goes.

    Returns:
        For each member the parameters that the epoch rule picked, and how it went.

    Raises:
        ValueError: The folder holds a training of other settings, model, features or splits; videos
            lack features; the labels of a training part are all alike; or the epoch rule has too few
            videos to choose by.
        DivergedError: A loss or a parameter is not finite. The checkpoint before is kept.
        TerminatedError: SIGTERM came, and a checkpoint was written.
    """
    parts = [member_indices(member, features, settings) for member in members]
    checkpoint_folder = folder / "checkpoints" / _name(members)
    fingerprint.claim(checkpoint_folder, fingerprint.describe(model, features, members, settings))
    steps_S = [batch_plan.steps_of(len(part.train), settings.batch_size) for part in parts]
    start = (
        np.array([member.seed for member in members], np.uint32),
        np.array([member.split_index for member in members], np.int32),
        np.array(steps_S, np.int32),
    )
    create = functools.partial(jitted_steps.create, model, settings, features.widths)
    like = jax.eval_shape(create, *start)
    with open_folder(checkpoint_folder) as checkpoints:
        found = checkpoints.load({"state": like, "best": like.evaluated})
        tree: Any = None
        position = Progress(histories=[[] for _ in members])
        best: Any = None
        if found:
            tree, position = found[0], Progress(**found[1])
            best = tree["best"]
        if position.epochs < settings.epochs:
            session = _Session(
                model, features, members, parts, settings, folder, watch, checkpoints
            )
            best = session.run(tree, start, position)
    return [
        TrainedMember(
            jax.tree.map(lambda x, s=s: x[s], best),
            parts[s].label_range,
            history.chosen_epoch(position.histories[s], settings.epoch_rule),
            position.histories[s],
        )
        for s in range(len(members))
    ]


class _Session:
    """What a training uses while it runs."""

    def __init__(
        self,
        model: nn.Module,
        features: TrainingData,
        members: Sequence[Member],
        parts: Sequence[MemberIndices],
        settings: Train,
        folder: Path,
        watch: Callbacks,
        checkpoints: Checkpoints,
    ) -> None:
        self.model, self.features, self.members, self.parts = model, features, members, parts
        self.settings, self.folder, self.watch = settings, folder, watch
        self.checkpoints = checkpoints
        self.runner = parallel.runner(settings.parallel, len(members))
        self.held_out = EvalSet(features, [p.held_out for p in parts], self.runner, settings)
        self.label_SxN = np.stack([part.label(features.mos) for part in parts])
        self.steps = max(
            batch_plan.steps_of(len(part.train), settings.batch_size) for part in parts
        )
        self.writes = jax.process_index() == 0
        self.unread: Callable[[], None] = _nothing
        self.videos = 0
        self.clock: float | None = None

    def run(self, tree: Any, start: Any, position: Progress) -> Any:
        """Trains to the end, moving `position` along; gives the best parameters."""
        settings, runner = self.settings, self.runner
        self.position = position
        names = [member.name for member in self.members]
        self._write_history()
        self.watch.advance("", self._done(), settings.epochs * self.steps)
        feed, line = feeds.choose(self.features, runner, settings)
        self.watch.say(line)
        if tree is None:
            self.state = runner.create(self.model, settings, self.features.widths, *start)
            self.best, _ = runner.snapshot(self.state.evaluated)
        else:
            self.state, self.best = runner.put(tree["state"]), runner.put(tree["best"])
        drawn = history.curves(self.folder, names, position.epochs, self.writes)
        with drawn as self.draw, counted() as compiled, termination() as asked:
            for epoch in range(position.epochs + 1, settings.epochs + 1):
                self._epoch(epoch, feed, asked)
                stop = asked()
                if stop or epoch % settings.checkpoint_epochs == 0 or epoch == settings.epochs:
                    self._save(stop)
        self.watch.say(str(compiled))
        return runner.get(self.best)

    def _epoch(self, epoch: int, feed: feeds.Loader, asked: Callable[[], bool]) -> None:
        """Hands an epoch's work over, and reads what came before it."""
        settings, runner = self.settings, self.runner
        batch = settings.batch_size
        steps = batch_plan.shuffled(
            [(member.seed, member.split_index, epoch) for member in self.members],
            [part.train for part in self.parts],
            batch,
            runner.width(batch),
        )
        done = self.position.steps if self.position.epochs == epoch - 1 else 0
        for call in feed.calls(steps, self.label_SxN, done):
            self.state, losses = runner.train(
                self.model, settings, call.length, feed.frames, self.state, call.inputs
            )
            self._catch_up()
            before, done = done, done + call.steps.stop - call.steps.start
            where = steps.where[:, before:done]
            self.unread = functools.partial(self._read_losses, epoch, losses, call.steps, where)
            if done < self.steps and asked():
                self._save(stop=True)
        candidate, finite = runner.snapshot(self.state.evaluated)
        started = self.held_out.start(self.model, candidate, feed)
        self._catch_up()
        self.unread = functools.partial(
            self._read_epoch, epoch, steps.where, candidate, finite, started
        )

    def _catch_up(self) -> None:
        unread, self.unread = self.unread, _nothing
        unread()

    def _read_losses(self, epoch: int, losses: Losses, steps: slice, where: np.ndarray) -> None:
        """Waits for a call's losses; tells of its steps, whose valid places are `where` `[S, k, B]`."""
        values = np.stack(self.runner.get(losses), axis=-1)[:, steps]  # [S, k, 3]
        bad = ~np.isfinite(values[..., 0])
        if bad.any():
            k, s = np.argwhere(bad.T)[0]
            raise DivergedError(
                f"split {self.members[s].split_index}, epoch {epoch}, step {self.position.steps + k + 1}: "
                f"the loss is {values[s, k, 0]}. Lower the learning rate, or look for features that "
                "are not finite"
            )
        self.position.losses += np.moveaxis(values, 1, 0).tolist()
        self.position.steps += values.shape[1]
        if self.clock is None:  # the first call compiled
            self.clock = time.perf_counter()
            rate = ""
        else:
            self.videos += int(where.sum())
            rate = f"  {self.videos / (time.perf_counter() - self.clock):.0f} videos/s"
        self.watch.advance(
            f"epoch {epoch}/{self.settings.epochs}  loss {values[..., 0].mean():.4f}"
            f"{self._srcc()}{rate}",
            self._done(),
            self.settings.epochs * self.steps,
        )

    def _read_epoch(
        self, epoch: int, where: np.ndarray, candidate: Any, finite: Any, started: Any
    ) -> None:
        """Waits for an epoch's scores; keeps the parameters of the members for which it is the best."""
        position = self.position
        scores = self.held_out.read(started)
        finite_S = self.runner.get(finite)
        losses = np.array(position.losses)  # [K, S, 3]
        chosen = []
        for s, (member, part) in enumerate(zip(self.members, self.parts)):
            if not finite_S[s]:
                raise DivergedError(
                    f"split {member.split_index}, epoch {epoch}: a parameter is not finite behind step "
                    f"{self.steps}, the last. Lower the learning rate"
                )
            if not np.isfinite(scores[s]).all():
                bad = self.features.ids[part.held_out[np.flatnonzero(~np.isfinite(scores[s]))[0]]]
                raise DivergedError(
                    f"split {member.split_index}, epoch {epoch}: the score of video {bad} is not finite; "
                    "look at its features"
                )
            total, mae, rank = np.average(losses[:, s], axis=0, weights=where[s].sum(axis=1))
            record: dict[str, Any] = {"epoch": epoch}
            record |= {"train_loss": float(total), "mae": float(mae), "rank": float(rank)}
            split = np.split(scores[s], [len(part.validation)])
            for name, rows, score in zip(("val", "test"), (part.validation, part.test), split):
                srcc, plcc = history.correlations(score, self.features.mos[rows])
                record |= {f"{name}_srcc": srcc, f"{name}_plcc": plcc}
            position.histories[s].append(record)
            rule = self.settings.epoch_rule
            chosen.append(history.chosen_epoch(position.histories[s], rule) == epoch)
            self.draw(member.name, record)
        self.best = self.runner.keep(self.best, candidate, np.array(chosen))
        position.epochs, position.steps, position.losses = epoch, 0, []
        self._write_history()

    def _save(self, stop: bool) -> None:
        """Starts to write a checkpoint of what has been handed over; can be the end of the training."""
        self._catch_up()
        tree = self.runner.get({"state": self.state, "best": self.best})
        self.checkpoints.save(self._done(), tree, dataclasses.asdict(self.position))
        if stop:
            raise TerminatedError("asked to stop; the checkpoint is written")

    def _write_history(self) -> None:
        if self.writes:
            names = [member.name for member in self.members]
            history.write(self.folder, dict(zip(names, self.position.histories)))

    def _done(self) -> int:
        return self.position.epochs * self.steps + self.position.steps

    def _srcc(self) -> str:
        """The median SRCC of the latest epoch, on the validation parts or, without these, the test parts."""
        latest = [each[-1] for each in self.position.histories if each]
        for part in ("val", "test"):
            values = [v for record in latest if (v := record[f"{part}_srcc"]) is not None]
            if values:
                return f"  SRCC ({part}) {np.median(values):.3f}"
        return ""


def _nothing() -> None:
    """Nothing is unread."""


def _name(members: Sequence[Member]) -> str:
    numbers = [member.split_index for member in members]
    seeds = [member.seed for member in members]
    groups = "\n".join(sorted({member.group for member in members}))
    several = f"_{hashlib.sha256(groups.encode()).hexdigest()[:8]}" if groups else ""
    return f"splits_{min(numbers):02d}-{max(numbers):02d}_seeds_{min(seeds)}-{max(seeds)}{several}"
